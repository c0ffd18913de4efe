"""The commands for names, records and tenants: what an operator sees, and the exit codes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from gateway.cli.main import app


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def parsed(*arguments: str | Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CINEGATE_DATA_DIR", str(tmp_path / "data"))
    yield tmp_path
    structlog.reset_defaults()


def test_a_name_is_protected_found_written_out_and_removed(folder: Path) -> None:
    added = parsed("names", "add", "Ada Quill", "--category", "public_figure", "--alias", "AQ")
    assert added["id"] == "ada-quill"
    found = parsed("names", "test", "Ada Qiull meets #mickeymouse")["found"]
    assert {(row["id"], row["spelling"]) for row in found} == {
        ("ada-quill", "near"),
        ("mickey-mouse", "listed"),
    }
    path = folder / "own.csv"
    run("names", "export", "-o", path)
    assert (
        path.read_text("utf-8").splitlines()[1] == "public_figure,ada-quill,Ada Quill,AQ,yes,"
    )
    assert parsed("names", "import", path) == {"added": 0, "replaced": 0, "unchanged": 1}
    [row] = parsed("names", "list")
    assert row["aliases"] == ["AQ"]
    run("names", "remove", row["row"])
    assert parsed("names", "list") == []
    assert len(parsed("names", "list", "--shipped")) > 1_000
    run("names", "remove", row["row"], code=6)


def test_a_bad_name_is_refused_with_a_sentence() -> None:
    told = parsed("names", "add", "!", "--category", "public_figure", code=6)
    assert told["error"]["param"] == "name"
    run("names", "add", "Ada Quill", "--category", "hate", code=2)


def test_a_record_is_kept_shown_and_revoked(folder: Path) -> None:
    paper = folder / "release.pdf"
    paper.write_bytes(b"I agree.")
    told = parsed(
        "records", "add", "tom-hanks", "--category", "public_figure", "--tenant", "local",
        "--project", "pilot", "--scope", "One scene", "--evidence", paper,
        "--reference", "contracts/17", "--from", "2026-11-01", "--to", "2126-11-01",
        "--by", "legal",
    )  # fmt: skip
    assert told["state"] == "live"
    assert told["evidence_sha256"] == hashlib.sha256(b"I agree.").hexdigest()
    assert told["valid_from"] == "2026-11-01T00:00:00+00:00"
    assert parsed("records", "show", told["id"]) == told
    assert [row["id"] for row in parsed("records", "list", "--tenant", "local")] == [told["id"]]
    run("records", "revoke", told["id"])
    assert parsed("records", "show", told["id"])["state"] == "revoked"
    run("records", "revoke", told["id"], code=6)
    assert "ok" in run("audit", "check")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("subject", "nobody-known"),
        ("--tenant", "nobody"),
        ("--from", "yesterday"),
        ("--from", "2026-11-01T10:00"),
        ("--to", "1999-01-01"),
        ("--project", "two words"),
    ],
)
def test_a_record_with_a_wrong_value_is_not_kept(folder: Path, option: str, value: str) -> None:
    paper = folder / "release.pdf"
    paper.write_bytes(b"I agree.")
    told = {
        "subject": "tom-hanks", "--category": "public_figure", "--tenant": "local",
        "--scope": "x", "--evidence": str(paper), "--reference": "y",
    }  # fmt: skip
    told[option] = value
    subject = told.pop("subject")
    run("records", "add", subject, *(w for pair in told.items() for w in pair), code=6)
    assert parsed("records", "list") == []


def test_a_tenant_is_vetted_and_placed() -> None:
    run("keys", "create", "--tenant", "Acme")
    assert "public" in run("tenants", "list")
    assert parsed("tenants", "vet", "Acme", "studio")["audience"] == "studio"
    assert parsed("tenants", "place", "Acme", "DE")["region"] == "DE"
    assert parsed("tenants", "place", "Acme", "any")["region"] is None
    run("tenants", "place", "Acme", "ZZ", code=6)
    run("tenants", "vet", "Acme", "owner", code=2)
    run("tenants", "vet", "Nobody", "studio", code=6)


def test_failed_clips_are_listed_and_tried_again() -> None:
    assert parsed("jobs", "failed") == []
    assert "No clip has failed." in run("jobs", "failed")
    told = parsed("jobs", "retry", "video_none", code=6)
    assert told == {"queued": [], "refused": {"video_none": "There is no such video."}}
    run("jobs", "retry", code=2)
    run("jobs", "retry", "video_none", "--all", code=2)
    assert parsed("jobs", "retry", "--all") == {"queued": [], "refused": {}}
