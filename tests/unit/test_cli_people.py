"""The commands about people: what an administrator sees, and the exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cli.people import HERE
from gateway.settings import Settings
from tests.unit.test_cli_records import folder, parsed, run

__all__ = ["folder"]  # a fixture, used by itself


def test_somebody_is_invited_given_a_role_and_let_go() -> None:
    assert "Nobody yet" in run("people", "list")
    told = run("people", "invite", "Ada", "--role", "reviewer")
    assert re.search(rf"{re.escape(HERE)}/account/join/[\w-]{{43}}\n", told)
    assert "good for 72 hours" in " ".join(told.split())
    assert [(row["name"], row["role"], row["state"]) for row in parsed("people", "list")] == [
        ("Ada", "reviewer", "invited")
    ]
    assert "Ada is now here as auditor." in run("people", "assign", "Ada", "--role", "auditor")
    assert "Ada has left." in run("people", "end", "Ada")
    assert "left" in run("people", "list")


def test_a_link_leads_to_where_the_console_is(folder: Path) -> None:
    made = parsed(
        "people", "invite", "Ada", "--role", "administrator", "--url", "https://gate.example/"
    )
    token = made["link"].removeprefix("https://gate.example/account/join/")
    with Gateway(Settings(data_dir=folder / "data")).opened() as gateway:
        assert gateway.sessions.joining(token).person.id == made["id"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("invite", "Ada", "--role", "king"), 2),
        (("invite", " ", "--role", "reviewer"), 6),
        (("invite", "Ada", "--role", "reviewer", "--tenant", "nobody"), 6),
        (("assign", "Ada", "--role", "reviewer"), 6),
        (("end", "Ada"), 6),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], code: int) -> None:
    run("people", *arguments, code=code)
    assert parsed("people", "list") == []
