"""The public pages, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import House, demand_accessible


@pytest.mark.parametrize(("path", "shot"), [("/", "home"), ("/verify", "verify")])
def test_anybody_can_use_a_public_page(house: House, page: Page, path: str, shot: str) -> None:
    page.goto(house.url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    demand_accessible(page, shot=shot)
