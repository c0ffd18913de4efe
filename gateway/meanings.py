"""Meanings: what each result of each technique tells a reader, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.findings import CredentialsSay, FingerprintSays, LogSays, WatermarkSays


class Technique(StrEnum):
    """A way to look at a clip. Published values: append, never rename."""

    CONTENT_CREDENTIALS = "content_credentials"
    WATERMARK = "watermark"
    FINGERPRINT = "fingerprint"
    LOG = "log"


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """The result of one technique, with its meaning and what it does not mean."""

    result: str
    meaning: str
    not_meaning: str
    details: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The exhibit as JSON values."""
        return {
            "result": self.result,
            "meaning": self.meaning,
            "not_meaning": self.not_meaning,
            "details": dict(self.details),
        }


COULD_NOT_CHECK = "could_not_check"
_FAILED = (
    COULD_NOT_CHECK,
    "This could not be checked.",
    "It does not mean that there is nothing to find.",
)
_SIGNATURE_ONLY = "A signature says who vouches for the file, not that what it shows happened."

Says = CredentialsSay | WatermarkSays | LogSays | FingerprintSays

MEANINGS: Mapping[Says, tuple[str, str, str]] = {
    CredentialsSay.ABSENT: (
        "absent",
        "The file carries no Content Credentials.",
        "Most files carry none, and they are easily removed: it says nothing about origin.",
    ),
    CredentialsSay.OURS: (
        "ours",
        "This service signed them, and picture and sound are unchanged since.",
        _SIGNATURE_ONLY,
    ),
    CredentialsSay.OURS_ODD: (
        "ours_unexpected",
        "They carry our signature, but this service would have written them otherwise.",
        "It does not mean that the clip was made here.",
    ),
    CredentialsSay.AI: (
        "trusted",
        "A signer whom we recognise says that AI made the clip or a part of it.",
        "It does not say which parts, nor that the signer is right.",
    ),
    CredentialsSay.AI_UNRECOGNISED: (
        "valid",
        "They say that AI made the clip or a part of it. We do not recognise the signer.",
        "Anybody can sign under any name: it may not come from where it claims to.",
    ),
    CredentialsSay.NOT_AI: (
        "trusted",
        "A signer whom we recognise says how the clip was recorded or made, without AI.",
        _SIGNATURE_ONLY,
    ),
    CredentialsSay.SILENT: (
        "valid",
        "The file is unchanged since somebody signed it, but that does not settle its origin.",
        "A claim without a signer whom we recognise counts for nothing here.",
    ),
    CredentialsSay.INVALID: (
        "invalid",
        "They do not hold: the file was changed after signing, or the signature is false.",
        "It does not say who changed what, or why; some programs do it without intent.",
    ),
    CredentialsSay.FAILED: _FAILED,
    WatermarkSays.FOUND: (
        "found",
        "The picture carries our invisible mark, and the mark names this clip.",
        "The picture may have been cut, cropped or changed in part since it was marked.",
    ),
    WatermarkSays.NOT_FOUND: (
        "not_found",
        "Our mark was not found in the seconds that were looked at.",
        "Heavy damage can remove a mark, and other services use marks that we cannot read.",
    ),
    WatermarkSays.FAILED: _FAILED,
    LogSays.RECORDED: (
        "recorded",
        "Our public log has the release of this clip, under a signed checkpoint.",
        "The log proves that the entry was made, not that a statement in it is true.",
    ),
    LogSays.NOT_RECORDED: (
        "not_recorded",
        "A clip is named, but no release of it is in our log.",
        "It does not mean that the clip was made elsewhere.",
    ),
    LogSays.NOT_ASKED: (
        "not_asked",
        "Nothing in the file names a clip of ours, so there was nothing to look up.",
        "The log is searched by a clip's number, not by what a clip shows.",
    ),
    LogSays.FAILED: _FAILED,
    FingerprintSays.LOOKS_LIKE: (
        "looks_like",
        "The picture resembles a clip that was released here, more than chance allows.",
        "It does not mean that it is this clip: two clips may show the same thing.",
    ),
    FingerprintSays.NOTHING_LIKE_IT: (
        "nothing_like_it",
        "None of the released clips that it was compared with looks like it.",
        "It does not mean that the clip was not made here: a changed one may not be found.",
    ),
    FingerprintSays.TOO_LITTLE_DETAIL: (
        "too_little_detail",
        "The picture shows too little to be told from others, so nothing was compared.",
        "It says nothing about origin.",
    ),
    FingerprintSays.FAILED: _FAILED,
}


def exhibit(says: Says, details: Mapping[str, Any]) -> Exhibit:
    """A result with its words."""
    result, meaning, not_meaning = MEANINGS[says]
    return Exhibit(result=result, meaning=meaning, not_meaning=not_meaning, details=details)
