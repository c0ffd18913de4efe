"""Reviewers at work: without a mouse, without looking by accident, each to their role."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import HELD_BY_FRAMES, HELD_BY_WORDS, House, demand_accessible

PREPARED = 20


@pytest.fixture(scope="module")
def by_frames(house: House) -> tuple[str, str]:
    """A clip that the real judges held for its frames, and its owner's key."""
    video = house.ask(HELD_BY_FRAMES)
    house.until(video, house.keys[-1], "held")
    return video, house.keys[-1]


def test_a_clip_is_looked_at_released_and_then_fetched(
    house: House, page: Page, by_frames: tuple[str, str]
) -> None:
    video, key = by_frames
    house.join(page, "Ada", "reviewer")
    demand_accessible(page, shot="queue")
    page.keyboard.press("n")
    page.wait_for_url("**/cases/**")
    expect(page.get_by_role("heading", level=1)).to_have_text("Held for hate")
    expect(page.get_by_text(HELD_BY_FRAMES)).to_be_visible()
    frames = page.get_by_role("img", name="veiled")
    count = frames.count()
    assert count >= 5
    demand_accessible(page, shot="case")
    page.keyboard.press("v")
    expect(page.get_by_role("img", name="veiled")).to_have_count(count - 1)
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    expect(page.get_by_role("img", name="veiled")).to_have_count(count)
    page.keyboard.press("a")
    page.keyboard.press("1")
    page.wait_for_url("**told=allow")
    expect(page.get_by_role("status")).to_contain_text("the clip goes on")
    done = house.until(video, key, "released", "failed", "refused")
    assert done["gateway"]["state"] == "released", done
    content = httpx.get(
        f"{house.url}/v1/videos/{video}/content", headers={"authorization": f"Bearer {key}"}
    )
    assert content.status_code == 200
    log = house.cli("audit", "show", "--limit", "200")
    kinds = [entry["kind"] for entry in log if entry["subject"] == video]
    assert kinds.count("case.viewed") == 1
    assert kinds.index("video.released") < kinds.index("video.ruled")  # the newest first
    page.get_by_role("link", name="Closed").click()
    demand_accessible(page, shot="closed")


def test_twenty_cases_are_cleared_without_the_mouse(house: House, page: Page) -> None:
    videos = [house.ask(HELD_BY_WORDS) for _ in range(PREPARED)]
    house.join(page, "Ben", "reviewer")
    expect(page.get_by_text(f"{PREPARED} waiting")).to_be_visible()
    page.keyboard.press("n")
    page.wait_for_url("**/cases/**")
    for n in range(PREPARED):
        where = page.url
        page.keyboard.press("r")
        page.keyboard.press(str(1 + n % 6))
        page.wait_for_url(lambda url, where=where: url != where)
    expect(page.get_by_role("status")).to_contain_text("Refused")
    expect(page.get_by_text("Nothing waits for you")).to_be_visible()
    for video, key in zip(videos, house.keys[-PREPARED:], strict=True):
        assert house.until(video, key, "refused")["status"] == "failed"


def test_an_officer_gets_what_was_left_to_them(house: House, page: Page) -> None:
    video = house.ask(HELD_BY_WORDS)
    key = house.keys[-1]
    house.join(page, "Cy", "reviewer")
    page.keyboard.press("n")
    page.wait_for_url("**/cases/**")
    case = page.url
    page.keyboard.press("e")  # the note first
    page.keyboard.type("Is this one real?")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.wait_for_url("**told=up")
    page.goto(case)
    expect(page.get_by_role("button", name="Take this case")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    house.join(page, "Dee", "compliance")
    page.keyboard.press("n")
    page.wait_for_url("**/cases/**")
    assert page.url == case
    page.keyboard.press("r")
    page.keyboard.press("1")
    page.wait_for_url("**told=refuse")
    assert house.until(video, key, "refused")


def test_an_administrator_invites_by_a_link(house: House, page: Page) -> None:
    house.join(page, "Root", "administrator")
    page.wait_for_url("**/console/people")
    page.get_by_label("Name, with which they sign in").fill("Eve")
    page.get_by_label("Role").select_option("auditor")
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("code.long").inner_text()
    demand_accessible(page, shot="people")
    page.get_by_role("button", name="Sign out").click()
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome, Eve")
    demand_accessible(page, shot="join")


def test_signing_in_again(house: House, page: Page) -> None:
    house.join(page, "Flo", "auditor")
    expect(page.get_by_text("Your role reads cases and rules on none")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    demand_accessible(page, shot="sign-in")
    page.get_by_label("Name").fill("Flo")
    page.get_by_label("Password").fill("a long enough password")
    page.get_by_label("Code from your authenticator").fill(house.code("Flo"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    expect(page.get_by_text("Flo, auditor")).to_be_visible()
