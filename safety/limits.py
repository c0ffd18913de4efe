"""Limits: where the score of a category begins to matter, and what then happens to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from safety.circumstances import Audience
from safety.verdict import Action, Category, Stage


class Tier(StrEnum):
    """How a policy treats a category. Stored in policy files: append, never rename."""

    PROHIBITED = "prohibited"
    RESTRICTED = "restricted"
    SENSITIVE = "sensitive"
    SIGNAL = "signal"
    CONSENT = "consent"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where a score begins to matter: 0 <= ``review`` <= ``block`` <= 1, compared with >=.

    ``at_review`` and ``at_block`` are what then happens, taken from the tier.
    """

    review: float
    block: float
    at_review: Action
    at_block: Action

    def act(self, score: float) -> Action:
        """The action for a score in 0..1; anything else, NaN included, gives BLOCK."""
        if 0.0 <= score < self.review:
            return Action.ALLOW
        if self.review <= score < self.block:
            return self.at_review
        if self.block <= score <= 1.0:
            return self.at_block
        return Action.BLOCK

    def threshold(self, action: Action) -> float | None:
        """The least score at which at least this happens; None when no score leads to it."""
        if self.at_review.severity >= action.severity:
            return self.review
        if self.at_block.severity >= action.severity:
            return self.block
        return None

    def no_stricter_than(self, other: Limits) -> bool:
        """True when each part is as mild as the other's, and so is the action at any score.

        Said of each part and not of the actions alone, because only then it stays true after
        a window has changed both in the same way.
        """
        return (
            self.review >= other.review
            and self.block >= other.block
            and self.at_review.severity <= other.at_review.severity
            and self.at_block.severity <= other.at_block.severity
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What the policy says about one category.

    ``rule`` and ``text`` are shown to creators. ``prompt`` and ``frames`` hold the limits of
    every audience; one of them is None when the policy states that the category is not judged
    at that stage. ``overridable`` False means that no person may release what this rule
    stopped. ``lifted_from`` is the least vetted audience for whom a record of consent or a
    licence lifts the rule for the subject it names; None when no record ever does.
    """

    category: Category
    tier: Tier
    rule: str
    text: str
    overridable: bool
    prompt: Mapping[Audience, Limits] | None
    frames: Mapping[Audience, Limits] | None
    lifted_from: Audience | None = None

    def __post_init__(self) -> None:
        for stage in ("prompt", "frames"):
            limits = getattr(self, stage)
            if limits is not None:
                object.__setattr__(self, stage, MappingProxyType(dict(limits)))

    @property
    def liftable(self) -> bool:
        """True when a record can lift this rule at all, for some audience."""
        return self.lifted_from is not None

    def may_lift(self, audience: Audience) -> bool:
        """True when a record of this audience lifts the rule for the subject it names."""
        return (
            self.lifted_from in VETTING
            and audience in VETTING[VETTING.index(self.lifted_from) :]
        )

    def limits(self, stage: Stage, audience: Audience) -> Limits | None:
        """The limits of an audience, those of the public for one that is not known.

        None when the category is not judged at the stage.
        """
        at_stage = self.at(stage)
        if at_stage is None:
            return None
        return at_stage.get(audience, at_stage[Audience.PUBLIC])

    def at(self, stage: Stage) -> Mapping[Audience, Limits] | None:
        """The limits of every audience at a stage; None when it is not judged there."""
        match stage:
            case Stage.PROMPT:
                return self.prompt
            case Stage.FRAMES:
                return self.frames


VETTING = (Audience.PUBLIC, Audience.STUDIO, Audience.INTERNAL)
"""The audiences, the least vetted first."""
