"""Content provenance checks: the same examination in OpenAI's shape, extended to video."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from gateway.api.envelope import VERIFY_FAILURES, failures
from gateway.api.verify import FILE_BODY, examine_upload
from gateway.errors import StageUnavailable, UnreadableClip
from gateway.meanings import COULD_NOT_CHECK, Exhibit, Technique
from gateway.verify import Report

PATH = "/v1/content_provenance_checks"
DETECTED, NOT_DETECTED = "detected", "not_detected"
# Our words for credentials → theirs. What is not in here was not checked.
STATES = {
    "absent": "not_present",
    "ours": "trusted",
    "ours_unexpected": "trusted",
    "trusted": "trusted",
    "valid": "valid",
    "invalid": "invalid",
}

router = APIRouter(tags=["verify"])


@router.post(PATH, responses=failures(*VERIFY_FAILURES), openapi_extra=FILE_BODY)
async def check_provenance(request: Request) -> dict[str, Any]:
    """Which marks of ours a video carries. No account is needed, and nothing is kept.

    ``not_detected`` means that none of ours was found: it does not mean that no AI made it.
    Where a technique could not be asked there is an error and no answer: 422
    ``unreadable_clip`` for the file's sake, 503 otherwise.
    """
    return provenance_check(await examine_upload(request))


def provenance_check(report: Report) -> dict[str, Any]:
    """A report in that shape. Raises UnreadableClip or StageUnavailable for a part of one."""
    evidence = report.evidence
    if report.unreadable is not None:
        raise UnreadableClip(report.sentence, param="file")
    if any(item.result == COULD_NOT_CHECK for item in evidence.values()):
        raise StageUnavailable("The file could not be checked now; try again later.")
    watermark, log = evidence[Technique.WATERMARK], evidence[Technique.LOG]
    look = evidence[Technique.FINGERPRINT]
    return {
        "object": "content_provenance_check",
        "created_at": int(report.checked_at.timestamp()),
        "results": [
            _c2pa(evidence[Technique.CONTENT_CREDENTIALS]),
            {"type": "watermark", "outcome": _outcome(watermark, "found")}
            | _some(watermark, "algorithm", "spans"),
            # A likeness is no detection: its words are its own.
            {"type": "fingerprint", "outcome": look.result} | _some(look, "clips"),
            {"type": "log", "outcome": _outcome(log, "recorded")}
            | _some(log, "index", "released_at"),
        ],
        "gateway": {
            "finding": str(report.finding),
            "sentence": report.sentence,
            "clip_id": report.clip_id,
        },
    }


def _c2pa(item: Exhibit) -> dict[str, Any]:
    return {
        "type": "c2pa",
        "outcome": _outcome(item, "ours"),
        "validation_state": STATES[item.result],
        "issuer": item.details.get("issuer"),
        "model": None,
        "generated_at": item.details.get("signed_at"),
    }


def _outcome(item: Exhibit, detected: str) -> str:
    return DETECTED if item.result == detected else NOT_DETECTED


def _some(item: Exhibit, *names: str) -> dict[str, Any]:
    return {name: item.details[name] for name in names if name in item.details}
