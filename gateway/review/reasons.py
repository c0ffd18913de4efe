"""Reasons: why somebody ruled as they did, in fixed words that can be counted."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Decision(StrEnum):
    """What one person comes to. Stored for ever: append, never rename."""

    ALLOW = "allow"
    REFUSE = "refuse"


class ReasonCode(StrEnum):
    """Stored for ever: append, never rename."""

    MISJUDGED = "misjudged"
    FICTION = "fiction"
    CONSENT_SHOWN = "consent_shown"
    LICENSED = "licensed"
    PUBLIC_INTEREST = "public_interest"
    RULE_APPLIES = "rule_applies"
    NO_CONSENT = "no_consent"
    RIGHTS_OF_OTHERS = "rights_of_others"
    DECEPTIVE = "deceptive"
    MINOR = "minor"
    CANNOT_TELL = "cannot_tell"


ALLOWING: Mapping[ReasonCode, str] = MappingProxyType(
    {
        ReasonCode.MISJUDGED: "The judges were wrong: it does not show what they saw",
        ReasonCode.FICTION: "Fiction, art or satire that harms nobody",
        ReasonCode.CONSENT_SHOWN: "The person shown has agreed, and proof was given",
        ReasonCode.LICENSED: "The owner of the rights has agreed, and proof was given",
        ReasonCode.PUBLIC_INTEREST: "News, education or documentary",
    }
)
REFUSING: Mapping[ReasonCode, str] = MappingProxyType(
    {
        ReasonCode.RULE_APPLIES: "The rule applies",
        ReasonCode.NO_CONSENT: "A real person, without their consent",
        ReasonCode.RIGHTS_OF_OTHERS: "Somebody else's work, character or brand",
        ReasonCode.DECEPTIVE: "Made to deceive",
        ReasonCode.MINOR: "May show or be about a minor",
        ReasonCode.CANNOT_TELL: "Cannot be told, and so is not released",
    }
)


def reasons_for(decision: Decision) -> Mapping[ReasonCode, str]:
    """The reasons that go with a decision, in the order in which they are offered."""
    return ALLOWING if decision is Decision.ALLOW else REFUSING
