"""Signed reports: what was found can be shown to others, and nobody can change it."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.findings import Finding, LogSays
from gateway.meanings import Technique, exhibit
from gateway.signed_reports import MEDIA_TYPE, ReportKey, read_signed
from gateway.verify import Report
from tests.unit.test_api import StandInGateway, client, gateway, rig
from tests.unit.test_cli_records import folder, parsed, run

__all__ = ["client", "folder", "gateway", "rig"]  # fixtures, used by themselves

pytestmark = pytest.mark.one_database

ISSUER = {"organisation": "Example Studio", "url": "https://gate.example/verify"}
KEY = ReportKey(bytes(range(32)), ISSUER)
OTHER = ReportKey(bytes(32), ISSUER)
REPORT = Report(
    finding=Finding.UNKNOWN,
    clip_id=None,
    sentence="We cannot tell. That does not mean it is real.",
    evidence={},
    looked_at=((0.0, 4.0),),
    content_sha256="0" * 64,
    checked_at=dt.datetime(2026, 11, 24, tzinfo=dt.UTC),
    unreadable=None,
)
SIGNED = KEY.sign(REPORT)


def test_a_signed_report_says_what_was_found_and_who_says_so() -> None:
    assert read_signed(SIGNED, KEY.jwks) == {"issuer": ISSUER, "report": REPORT.to_dict()}
    (public,) = KEY.jwks["keys"]
    assert (public["kty"], public["crv"], public["alg"]) == ("OKP", "Ed25519", "Ed25519")
    assert "d" not in public


def test_keys_of_before_stay_good_beside_todays() -> None:
    both = {"keys": [*OTHER.jwks["keys"], *KEY.jwks["keys"]]}
    assert read_signed(f"{SIGNED}\n", both)["issuer"] == ISSUER


def test_no_character_of_it_can_change() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at, char in enumerate(SIGNED):
        turned = "A" if char == "." else alphabet[(alphabet.index(char) + 1) % 64]
        changed = SIGNED[:at] + turned + SIGNED[at + 1 :]
        if decoded(changed) == decoded(SIGNED):
            continue  # The last character of a part has bits that mean nothing (RFC 4648 §3.5).
        with pytest.raises(InvalidRequest):
            read_signed(changed, KEY.jwks)


def decoded(token: str) -> list[bytes]:
    return [
        base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")
    ]


def part(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize("forged", ["none", "hmac", "another key", "type", "shape", "huge"])
def test_what_others_made_is_refused(forged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head, body, _ = SIGNED.split(".")
    header = json.loads(decoded(SIGNED)[0])
    if forged == "none":
        token = f"{part({**header, 'alg': 'none'})}.{body}."
    elif forged == "hmac":
        head = part({**header, "alg": "HS256"})
        public = base64.urlsafe_b64decode(KEY.jwks["keys"][0]["x"] + "=")
        mac = hmac.digest(public, f"{head}.{body}".encode(), "sha256")
        token = f"{head}.{body}.{part(mac)}"
    elif forged == "another key":
        token = OTHER.sign(REPORT)
    elif forged == "type":
        monkeypatch.setattr("gateway.signed_reports.TYPE", "other+json")
        token = KEY.sign(REPORT)
        monkeypatch.undo()
    elif forged == "shape":
        monkeypatch.setattr(Report, "to_dict", lambda _: {"finding": 3})
        token = KEY.sign(REPORT)
    else:
        token = SIGNED + "A" * 2_000_000
    with pytest.raises(InvalidRequest):
        read_signed(token, KEY.jwks)


@settings(max_examples=200)
@given(junk=st.text(max_size=300), keys=st.sampled_from([KEY.jwks, {}, {"keys": [1]}]))
def test_junk_is_refused_in_one_way(junk: str, keys: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        read_signed(junk, keys)


def test_the_door_signs_for_whoever_asks_for_it(
    client: TestClient, gateway: StandInGateway
) -> None:
    gateway.report_key = KEY  # type: ignore[attr-defined]
    video = {"file": ("a.mp4", b"bytes")}
    answer = client.post("/v1/verify", files=video, headers={"accept": MEDIA_TYPE})
    assert answer.headers["content-type"] == MEDIA_TYPE
    keys = client.get("/.well-known/jwks.json").json()
    report = gateway.verifier.verify(Path(__file__)).to_dict()
    assert read_signed(answer.text, keys)["report"] == report
    # Whoever does not ask gets JSON, as before.
    assert client.post("/v1/verify", files=video).json() == report


def test_the_page_carries_the_signed_report(
    client: TestClient, gateway: StandInGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.report_key = KEY  # type: ignore[attr-defined]
    evidence = {name: exhibit(LogSays.NOT_ASKED, {}) for name in Technique}
    full = Report(**{**vars(REPORT), "evidence": evidence})
    monkeypatch.setattr(gateway.verifier, "verify", lambda _: full)
    page = client.post("/verify", files={"file": ("a.mp4", b"bytes")}).text
    link = re.search(r'href="data:application/jose;base64,([^"]+)" download="([^"]+)"', page)
    assert link is not None
    signed = base64.b64decode(link[1]).decode()
    assert read_signed(signed, KEY.jwks)["report"]["finding"] == "unknown"
    assert link[2] == "cinegate-report-000000000000.jws"


def test_a_report_is_written_and_checked_by_command(folder: Path) -> None:
    video = folder / "notes.mp4"
    video.write_bytes(b"no video at all")
    run("verify", video, "--signed", folder / "report.jws", code=6)
    found = parsed("report", folder / "report.jws", "--video", video)
    assert found["report"]["finding"] == "could_not_check"
    assert found["report"]["content_sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    told = run("report", folder / "report.jws")
    assert "Signed by Example Studio" in told
    assert "could_not_check" in told
    assert "another file" in run("report", folder / "report.jws", "--video", __file__, code=6)
    (folder / "keys.json").write_text(json.dumps(OTHER.jwks))
    run("report", folder / "report.jws", "--keys", folder / "keys.json", code=6)
    (folder / "keys.json").write_text("[]")
    run("report", folder / "report.jws", "--keys", folder / "keys.json", code=6)


def test_a_report_of_others_says_nothing_to_the_terminal(folder: Path) -> None:
    evil = Report(**{**vars(REPORT), "sentence": "\x1b[2J[bold]pwned[/bold]\x07"})
    (folder / "report.jws").write_text(KEY.sign(evil))
    (folder / "keys.json").write_text(json.dumps(KEY.jwks))
    told = run("report", folder / "report.jws", "--keys", folder / "keys.json")
    assert "?[2J[bold]pwned[/bold]?" in told
