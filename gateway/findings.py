"""Findings: what the evidence about a clip adds up to, as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum


class Finding(StrEnum):
    """The one answer about a clip. Stored and published values: append, never rename."""

    MADE_HERE = "made_here"
    MADE_HERE_CREDENTIALS_REMOVED = "made_here_credentials_removed"
    MADE_ELSEWHERE = "made_elsewhere"
    RECORDED_NOT_AI = "recorded_not_ai"
    EVIDENCE_DISAGREES = "evidence_disagrees"
    UNKNOWN = "unknown"
    COULD_NOT_CHECK = "could_not_check"


class CredentialsSay(Enum):
    """What the file's Content Credentials come to, for the table."""

    ABSENT = "absent"
    OURS = "ours"  # trusted, ours, AI, and naming exactly one clip
    OURS_ODD = "ours_odd"  # trusted and ours, but not what this service writes
    AI = "ai"  # a recognised signer says AI
    AI_UNRECOGNISED = "ai_unrecognised"  # cryptography holds, nobody vouches for the signer
    NOT_AI = "not_ai"  # a recognised, named signer says how it was made, and it is not AI
    SILENT = "silent"  # they hold and do not settle the question, or nobody vouches for them
    INVALID = "invalid"  # a signature or hash does not hold
    FAILED = "failed"  # could not be checked


class WatermarkSays(Enum):
    """What the pixels come to."""

    FOUND = "found"  # certain
    NOT_FOUND = "not_found"
    FAILED = "failed"


class LogSays(Enum):
    """What the register and the log say about the clip that was named."""

    RECORDED = "recorded"  # released, and the entry is proven to be under a checkpoint
    NOT_RECORDED = "not_recorded"
    NOT_ASKED = "not_asked"  # nothing named a clip
    FAILED = "failed"


class FingerprintSays(Enum):
    """What the look of the picture comes to. Never a proof of origin."""

    LOOKS_LIKE = "looks_like"  # like a released clip, more than chance allows
    NOTHING_LIKE_IT = "nothing_like_it"
    TOO_LITTLE_DETAIL = "too_little_detail"  # nothing was compared
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The witnesses, and whether everything they name is one and the same clip.

    ``same_clip`` is False when credentials and watermark name different clips, or when the
    credentials are not the ones that the register knows for the clip.
    """

    credentials: CredentialsSay
    watermark: WatermarkSays
    log: LogSays
    fingerprint: FingerprintSays
    same_clip: bool = True

    @property
    def failed(self) -> bool:
        """Whether a witness could not be heard that might change the answer.

        Beside a mark that was found, a likeness would change nothing.
        """
        return (
            self.credentials is CredentialsSay.FAILED
            or self.watermark is WatermarkSays.FAILED
            or self.log is LogSays.FAILED
            or (
                self.fingerprint is FingerprintSays.FAILED
                and self.watermark is not WatermarkSays.FOUND
            )
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A line of the table: the first one that applies is the answer."""

    finding: Finding
    sentence: str
    applies: Callable[[Evidence], bool]


_FOREIGN = {
    CredentialsSay.AI,
    CredentialsSay.AI_UNRECOGNISED,
    CredentialsSay.NOT_AI,
    CredentialsSay.SILENT,
}
_NOTHING_FOUND = "We cannot tell where this clip comes from. That does not mean it is real."
_LIKE_OURS = (
    "We cannot tell where this clip comes from. It looks like a clip that was made here, but a"
    " likeness is no proof. That does not mean it is real."
)
_ALSO_LIKE_OURS = " It also looks like a clip that was made here; a likeness is no proof."
_NOT_CHECKED = "We could not check this file. That says nothing about where it comes from."


def not_checked(why: str) -> str:
    """The sentence of ``could_not_check`` with the reason, itself a sentence, inside."""
    return f"We could not check this file. {why} That says nothing about where it comes from."


# Contradictions come first: they hold whatever a witness that failed might have said. Then
# failures, so that below them every witness was heard. Then what the witnesses agree on.
RULES: tuple[Rule, ...] = (
    Rule(
        finding=Finding.EVIDENCE_DISAGREES,
        sentence="The evidence disagrees: the file carries credentials that do not hold. It"
        " was changed after signing, or the signature is false or has expired.",
        applies=lambda e: e.credentials is CredentialsSay.INVALID,
    ),
    Rule(
        finding=Finding.EVIDENCE_DISAGREES,
        sentence="The evidence disagrees: the credentials carry our signature, but they are"
        " not what this service writes.",
        applies=lambda e: e.credentials is CredentialsSay.OURS_ODD,
    ),
    Rule(
        finding=Finding.EVIDENCE_DISAGREES,
        sentence="The evidence disagrees: the credentials are ours, but the picture does not"
        " carry the watermark that they name.",
        applies=lambda e: (
            e.credentials is CredentialsSay.OURS and e.watermark is WatermarkSays.NOT_FOUND
        ),
    ),
    Rule(
        finding=Finding.EVIDENCE_DISAGREES,
        sentence="The evidence disagrees: the credentials and the watermark belong to"
        " different clips.",
        applies=lambda e: (
            e.credentials is CredentialsSay.OURS
            and e.watermark is WatermarkSays.FOUND
            and not e.same_clip
        ),
    ),
    Rule(
        finding=Finding.EVIDENCE_DISAGREES,
        sentence="The evidence disagrees: the picture carries our watermark, but our log has"
        " no released clip of that number.",
        applies=lambda e: (
            e.watermark is WatermarkSays.FOUND
            and e.log in {LogSays.NOT_RECORDED, LogSays.NOT_ASKED}
        ),
    ),
    Rule(
        finding=Finding.EVIDENCE_DISAGREES,
        sentence="The evidence disagrees: the picture carries our watermark, but the"
        " credentials are somebody else's.",
        applies=lambda e: e.watermark is WatermarkSays.FOUND and e.credentials in _FOREIGN,
    ),
    Rule(
        finding=Finding.COULD_NOT_CHECK,
        sentence=_NOT_CHECKED,
        applies=lambda e: e.failed,
    ),
    Rule(
        finding=Finding.MADE_HERE,
        sentence="Made with AI, here: credentials, watermark and log agree.",
        applies=lambda e: (
            e.credentials is CredentialsSay.OURS
            and e.watermark is WatermarkSays.FOUND
            and e.log is LogSays.RECORDED
            and e.same_clip
        ),
    ),
    Rule(
        finding=Finding.MADE_HERE_CREDENTIALS_REMOVED,
        sentence="Made with AI, here; its credentials were removed. The watermark leads to"
        " an entry in our log.",
        applies=lambda e: (
            e.credentials is CredentialsSay.ABSENT
            and e.watermark is WatermarkSays.FOUND
            and e.log is LogSays.RECORDED
        ),
    ),
    Rule(
        finding=Finding.MADE_ELSEWHERE,
        sentence="Made with AI, elsewhere: another signer's valid credentials say so.",
        applies=lambda e: (
            e.credentials is CredentialsSay.AI and e.watermark is WatermarkSays.NOT_FOUND
        ),
    ),
    Rule(
        finding=Finding.MADE_ELSEWHERE,
        sentence="Made with AI, elsewhere: valid credentials say so, of a signer whom we do"
        " not recognise. The clip may not come from where it claims to.",
        applies=lambda e: (
            e.credentials is CredentialsSay.AI_UNRECOGNISED
            and e.watermark is WatermarkSays.NOT_FOUND
        ),
    ),
    Rule(
        finding=Finding.RECORDED_NOT_AI,
        sentence="Recorded, not as AI-made: valid credentials of a named signer say so. We"
        " have not checked the scene, only the signature.",
        applies=lambda e: (
            e.credentials is CredentialsSay.NOT_AI and e.watermark is WatermarkSays.NOT_FOUND
        ),
    ),
    Rule(
        finding=Finding.UNKNOWN,
        sentence=_LIKE_OURS,
        applies=lambda e: (
            e.credentials in {CredentialsSay.ABSENT, CredentialsSay.SILENT}
            and e.watermark is WatermarkSays.NOT_FOUND
            and e.fingerprint is FingerprintSays.LOOKS_LIKE
        ),
    ),
    Rule(
        finding=Finding.UNKNOWN,
        sentence=_NOTHING_FOUND,
        applies=lambda e: (
            e.credentials in {CredentialsSay.ABSENT, CredentialsSay.SILENT}
            and e.watermark is WatermarkSays.NOT_FOUND
        ),
    ),
)
# What no rule foresees was not checked.
FALLBACK = Rule(finding=Finding.COULD_NOT_CHECK, sentence=_NOT_CHECKED, applies=lambda _: True)


def rule_for(evidence: Evidence) -> Rule:
    """The first line of the table that applies."""
    return next((rule for rule in RULES if rule.applies(evidence)), FALLBACK)


def sentence_for(evidence: Evidence) -> str:
    """The sentence of that line; beside somebody else's credentials it tells of a likeness."""
    rule = rule_for(evidence)
    others = rule.finding in {Finding.MADE_ELSEWHERE, Finding.RECORDED_NOT_AI}
    if others and evidence.fingerprint is FingerprintSays.LOOKS_LIKE:
        return rule.sentence + _ALSO_LIKE_OURS
    return rule.sentence


def decide(evidence: Evidence) -> Finding:
    """The finding. Total: every combination has one, and a failure never means "nothing"."""
    return rule_for(evidence).finding
