"""A browser, a server with people and held clips, and what every page must keep to."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from gateway.app import Gateway
from gateway.settings import Settings
from safety.policy import POLICY_PATH
from tests.e2e.conftest import environment, parsed, run_cli

CHROMIUM = shutil.which("chromium")  # else Playwright's own
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PASSWORD = "a long enough password"
START_SECONDS = 120
CLIP_SECONDS = 300
HELD_BY_WORDS = "a boxer punches another in the face, blood on the ring"
HELD_BY_FRAMES = "a red ball rolling over a green meadow under a blue sky"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser that `make browser` installed.

    Of one file: its driver keeps an event loop in this thread, which others may not have.
    """
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@dataclass
class House:
    """A running server on which every clip is held for its frames."""

    url: str
    folder: Path
    keys: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    last_code: dict[str, str] = field(default_factory=dict)

    def cli(self, *arguments: str) -> Any:
        return parsed(run_cli(self.folder, *self.options, *arguments, "--json"))

    @property
    def options(self) -> tuple[str, str]:
        return ("--config", str(self.folder / "gateway.toml"))

    def ask(self, prompt: str, **more: Any) -> str:
        """A request under a key of its own: many alike would count as one attempt."""
        with Gateway(Settings(data_dir=self.folder)).opened() as gateway:
            key = gateway.keys.create(name=f"k{len(self.keys)}").key
        self.keys.append(key)
        answer = httpx.post(
            f"{self.url}/v1/videos",
            json={"prompt": prompt, "seconds": 2, "size": "640x360", "seed": 3, **more},
            headers={"authorization": f"Bearer {key}"},
            timeout=120,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def until(self, video: str, key: str, *states: str) -> dict[str, Any]:
        deadline = time.monotonic() + CLIP_SECONDS
        while time.monotonic() < deadline:
            found: dict[str, Any] = httpx.get(
                f"{self.url}/v1/videos/{video}", headers={"authorization": f"Bearer {key}"}
            ).json()
            if found["gateway"]["state"] in states:
                return found
            time.sleep(0.3)
        raise AssertionError(f"{video} is still {found['gateway']['state']}")

    def code(self, name: str) -> str:
        """A code that was not used yet; waits for the next when it must."""
        made = pyotp.TOTP(self.secrets[name])
        while (code := made.at(dt.datetime.now(dt.UTC))) == self.last_code.get(name):
            time.sleep(0.5)
        self.last_code[name] = code
        return code

    def join(self, page: Page, name: str, role: str) -> None:
        """Invite somebody and join as them, with the keyboard."""
        link = self.cli("people", "invite", name, "--role", role, "--url", self.url)["link"]
        page.goto(link)
        self.secrets[name] = page.locator("code.long").inner_text()
        page.get_by_label("The code that it shows now").focus()
        page.keyboard.type(self.code(name))
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console**")


def policy_that_holds() -> str:
    """The shipped policy, but every clip is held for its frames, and gore for its words."""
    text = POLICY_PATH.read_text()
    for category, key, limits in (
        ("hate", "frames", "{ review = 0.000001, block = 1.0 }"),
        ("gore_graphic", "prompt", "{ review = 0.5, block = 1.0 }"),
    ):
        start = text.index(f"\n{key} = ", text.index(f"[categories.{category}]")) + 1
        text = f"{text[:start]}{key} = {limits}{text[text.index(chr(10), start) :]}"
    return text


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "policy.toml").write_text(policy_that_holds())
    (folder / "gateway.toml").write_text(
        f"policy = {json.dumps(str(folder / 'policy.toml'))}\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = House(url=f"http://127.0.0.1:{port}", folder=folder)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", *made.options, "serve", "--port", str(port)],
            env={**environment(folder), "NO_COLOR": "1"},
            stdout=log,
            stderr=log,
        )
        try:
            _await(made, process)
            yield made
        finally:
            process.terminate()
            process.wait(timeout=60)


def _await(house: House, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError((house.folder / "server.log").read_text()[-3000:])
        try:
            if httpx.get(f"{house.url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a browser of its own. Whatever it complains of fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    yield page
    context.close()
    assert complaints == []


def demand_accessible(page: Page, *, shot: str | None = None) -> None:
    """No violation in light and dark, wide and as narrow as a phone.

    With SCREENSHOTS set to a folder, each is kept there as a picture.
    """
    kept = os.environ.get("SCREENSHOTS")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
            told = [
                f"{v['id']}: {n['html']}"
                for v in found.response["violations"]
                for n in v["nodes"]
            ]
            assert told == [], (page.url, width, scheme)
            if kept and shot:
                page.screenshot(path=f"{kept}/{shot}-{width}-{scheme}.png", full_page=True)
    overflow = "document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(overflow), f"{page.url} is wider than a phone"
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
