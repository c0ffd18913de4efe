"""The policy file: its schema in TOML, and the rules read from it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safety.verdict import Action, Category

MAX_POLICY_BYTES = 1024 * 1024


class PolicyInvalid(ValueError):
    """Raised when a policy file cannot be read, or does not cover the whole taxonomy."""


class Tier(StrEnum):
    """How a policy treats a category. Stored in policy files: append, never rename."""

    PROHIBITED = "prohibited"
    RESTRICTED = "restricted"
    SENSITIVE = "sensitive"
    SIGNAL = "signal"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where a score begins to matter: 0 < ``review`` <= ``block`` <= 1, compared with >=.

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


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What the policy says about one category.

    ``rule`` and ``text`` are shown to creators. ``frames`` is None when the policy states that
    no frame model judges the category. ``overridable`` False means that no person may release
    what this rule stopped.
    """

    category: Category
    tier: Tier
    rule: str
    text: str
    overridable: bool
    prompt: Limits
    frames: Limits | None


_Sentence = Annotated[str, Field(pattern=r"^\S.{8,298}[.!?]$")]
_RuleId = Annotated[str, Field(pattern=r"^[A-Z]{2,8}-[A-Z0-9]{1,12}$")]
_Threshold = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _TierFile(_Table):
    at_review: Action
    at_block: Action


class _LimitsFile(_Table):
    review: _Threshold
    block: _Threshold

    def limits(self, tier: _TierFile) -> Limits:
        if self.review <= self.block:
            return Limits(
                review=self.review,
                block=self.block,
                at_review=tier.at_review,
                at_block=tier.at_block,
            )
        raise PolicyInvalid("A threshold for review lies above the one for block.")


class _Unjudged(_Table):
    judged: Literal[False]


class _CategoryFile(_Table):
    tier: Tier
    rule: _RuleId
    text: _Sentence
    overridable: bool
    prompt: _LimitsFile
    frames: _LimitsFile | _Unjudged


class _MinorsFile(_Table):
    sexual_score: _Threshold


class _FaultFile(_Table):
    text: _Sentence


class _PolicyFile(_Table):
    version: Annotated[str, Field(min_length=1, max_length=64)]
    fault: _FaultFile
    minors: _MinorsFile
    tiers: dict[Tier, _TierFile]
    categories: dict[Category, _CategoryFile]

    def rule(self, category: Category) -> Rule:
        raw = self.categories[category]
        tier = self.tiers.get(raw.tier)
        if tier is None:
            raise PolicyInvalid(f"The policy does not define the tier {raw.tier.value}.")
        if tier.at_review.severity > tier.at_block.severity:
            raise PolicyInvalid(f"The tier {raw.tier.value} is milder where scores are higher.")
        if raw.tier is Tier.PROHIBITED and tier.at_block is not Action.BLOCK:
            raise PolicyInvalid("The prohibited tier must block.")
        return Rule(
            category=category,
            tier=raw.tier,
            rule=raw.rule,
            text=raw.text,
            overridable=raw.overridable,
            prompt=raw.prompt.limits(tier),
            frames=None if isinstance(raw.frames, _Unjudged) else raw.frames.limits(tier),
        )


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """What a valid policy file says, still without the promise that it covers everything."""

    version: str
    rules: dict[Category, Rule]
    minor_sexual_limit: float
    fault_text: str


def read_policy_file(content: bytes) -> PolicyFile:
    """Reads the bytes of a policy file; raises PolicyInvalid when they are not a valid one."""
    if len(content) > MAX_POLICY_BYTES:
        raise PolicyInvalid("The policy file is too large.")
    try:
        raw = _PolicyFile.model_validate(tomllib.loads(content.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise PolicyInvalid(f"The policy file is not valid: {error}") from error
    return PolicyFile(
        version=raw.version,
        rules={category: raw.rule(category) for category in raw.categories},
        minor_sexual_limit=raw.minors.sexual_score,
        fault_text=raw.fault.text,
    )
