"""The public pages, in a browser."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gateway.signed_reports import read_signed
from tests.browser.conftest import House, demand_accessible
from tests.contract.provenance_kit import draw_clip


@pytest.mark.parametrize(("path", "shot"), [("/", "home"), ("/verify", "verify")])
def test_anybody_can_use_a_public_page(house: House, page: Page, path: str, shot: str) -> None:
    page.goto(house.url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    demand_accessible(page, shot=shot)


def test_an_answer_can_be_downloaded_signed_and_checked_by_others(
    house: House, page: Page, tmp_path: Path
) -> None:
    page.goto(f"{house.url}/verify")
    page.set_input_files("#file", draw_clip(tmp_path / "clip.mp4"))
    page.get_by_role("button", name="Check this file").click()
    link = page.get_by_role("link", name="Download the signed report")
    expect(link).to_be_visible(timeout=60_000)
    demand_accessible(page, shot="verify-answer")
    with page.expect_download() as download:
        link.click()
    signed = download.value.path().read_text(encoding="ascii")
    keys = page.request.get(f"{house.url}/.well-known/jwks.json").json()
    report = read_signed(signed, keys)["report"]
    assert report["finding"] == "unknown"
    assert report["content_sha256"] == sha256((tmp_path / "clip.mp4").read_bytes()).hexdigest()
