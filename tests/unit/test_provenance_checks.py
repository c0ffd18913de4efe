"""OpenAI's shape of a provenance check: what each report becomes, and what is no answer."""

from __future__ import annotations

import datetime as dt
from itertools import product
from typing import Any

import pytest
from openai.types import ContentProvenanceCheck

from gateway.api.provenance_checks import provenance_check
from gateway.errors import StageUnavailable, UnreadableClip
from gateway.findings import (
    CredentialsSay,
    Evidence,
    FingerprintSays,
    LogSays,
    WatermarkSays,
    decide,
)
from gateway.meanings import Technique, exhibit
from gateway.verify import Report

C, W, L, P = CredentialsSay, WatermarkSays, LogSays, FingerprintSays


def report(c: C, w: W, log: L, p: P, *, unreadable: str | None = None) -> Report:
    evidence = Evidence(credentials=c, watermark=w, log=log, fingerprint=p)
    return Report(
        finding=decide(evidence),
        clip_id="00c0ffee00c0ffee",
        sentence="A sentence.",
        evidence={
            Technique.CONTENT_CREDENTIALS: exhibit(
                c, {"issuer": "Studio", "signed_at": "2026-11-22T12:00:00+00:00"}
            ),
            Technique.WATERMARK: exhibit(w, {"spans": [[0.0, 1.0]], "frames_read": 24}),
            Technique.FINGERPRINT: exhibit(p, {"compared": 1}),
            Technique.LOG: exhibit(log, {"index": 4}),
        },
        looked_at=((0.0, 1.0),),
        content_sha256=None,
        checked_at=dt.datetime(2026, 11, 24, tzinfo=dt.UTC),
        unreadable=unreadable,
    )


def test_a_clip_of_ours_is_detected_by_every_mark() -> None:
    answer = provenance_check(report(C.OURS, W.FOUND, L.RECORDED, P.LOOKS_LIKE))
    parsed = ContentProvenanceCheck.model_validate({**answer, "results": answer["results"][:1]})
    assert parsed.created_at == 1_795_478_400
    assert answer["results"] == [
        {
            "type": "c2pa",
            "outcome": "detected",
            "validation_state": "trusted",
            "issuer": "Studio",
            "model": None,
            "generated_at": "2026-11-22T12:00:00+00:00",
        },
        {"type": "watermark", "outcome": "detected", "spans": [[0.0, 1.0]]},
        {"type": "fingerprint", "outcome": "looks_like"},
        {"type": "log", "outcome": "detected", "index": 4},
    ]
    assert answer["gateway"]["finding"] == "made_here"


@pytest.mark.parametrize(("c", "w", "log", "p"), list(product(C, W, L, P)))
def test_what_was_not_checked_is_never_not_detected(c: C, w: W, log: L, p: P) -> None:
    made = report(c, w, log, p)
    if any(says.name == "FAILED" for says in (c, w, log, p)):
        with pytest.raises(StageUnavailable):
            provenance_check(made)
        return
    outcomes: dict[str, Any] = {
        one["type"]: one["outcome"] for one in provenance_check(made)["results"]
    }
    assert (outcomes["c2pa"] == "detected") == (c is C.OURS)
    assert (outcomes["watermark"] == "detected") == (w is W.FOUND)
    assert (outcomes["log"] == "detected") == (log is L.RECORDED)
    assert outcomes["fingerprint"] != "detected", "a likeness is no detection"


def test_a_file_that_could_not_be_examined_is_an_error() -> None:
    with pytest.raises(UnreadableClip):
        provenance_check(report(C.ABSENT, W.FAILED, L.NOT_ASKED, P.FAILED, unreadable="broken"))
