"""The policy file: its schema in TOML, and the rules read from it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    Tag,
    ValidationError,
)

from safety.circumstances import Audience
from safety.limits import VETTING, Limits, Rule, Tier
from safety.regions import REGIONS
from safety.review import MAX_ANSWER_HOURS, STRICTEST_REVIEW, Review
from safety.verdict import Action, Category, PictureNote
from safety.windows import DAWN, DUSK, Window

MAX_POLICY_BYTES = 1024 * 1024
MAX_WINDOWS = 200
FAULT_RULE = "CG-FAULT"
"""The rule id of an item that could not be judged; no policy may give it another meaning."""


class PolicyInvalid(ValueError):
    """Raised when a policy file cannot be read, or does not cover the whole taxonomy."""


def _boolean(value: object) -> object:
    """TOML has booleans, so that 0 is a number and not a way to write false."""
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


def _zoned(value: object) -> datetime:
    """Only a date with a time and its offset from UTC names one moment everywhere."""
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value
    kind = "a date without a time" if type(value) is date else "not a time with an offset"
    raise ValueError(f"is {kind}; write it like 2027-04-05T00:00:00+02:00")


def _known_region(value: str) -> str:
    if value in REGIONS:
        return value
    raise ValueError(f"{value!r} is not a code of ISO 3166-1 alpha-2")


_Sentence = Annotated[str, Field(pattern=r"^\S.{8,298}[.!?]$")]
_RuleId = Annotated[str, Field(pattern=r"^[A-Z]{2,8}-[A-Z0-9]{1,12}$")]
MAX_MINOR_SCORE = 0.5
"""A higher limit for sexual scores beside a minor would all but switch the rule off."""

_Threshold = Annotated[float, Field(strict=True, gt=0.0, le=1.0, allow_inf_nan=False)]
_Moment = Annotated[datetime, BeforeValidator(_zoned)]
_Region = Annotated[str, AfterValidator(_known_region)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Actions(_Table):
    at_review: Action
    at_block: Action


class _TierFile(_Actions):
    studio: _Actions | None = None
    internal: _Actions | None = None


class _Thresholds(_Table):
    review: _Threshold
    block: _Threshold


class _LimitsFile(_Thresholds):
    studio: _Thresholds | None = None
    internal: _Thresholds | None = None

    def limits(self, tier: _TierFile) -> dict[Audience, Limits]:
        """The limits of each audience; one that is not named is treated as the next less
        vetted one, which is the strictest that it may be.
        """
        thresholds: _Thresholds = self
        actions: _Actions = tier
        found: dict[Audience, Limits] = {}
        for audience in VETTING:
            thresholds = getattr(self, audience.value, None) or thresholds
            actions = getattr(tier, audience.value, None) or actions
            if thresholds.review > thresholds.block:
                raise PolicyInvalid("A threshold for review lies above the one for block.")
            if actions.at_review.severity > actions.at_block.severity:
                raise PolicyInvalid("A tier is milder where scores are higher.")
            found[audience] = Limits(
                review=thresholds.review,
                block=thresholds.block,
                at_review=actions.at_review,
                at_block=actions.at_block,
            )
        return found


class _Unjudged(_Table):
    judged: Annotated[Literal[False], BeforeValidator(_boolean)]


_LIMITS, _UNJUDGED = "<limits>", "<unjudged>"


def _kind(value: object) -> str:
    return _UNJUDGED if isinstance(value, dict) and "judged" in value else _LIMITS


_AtStage = Annotated[
    Annotated[_LimitsFile, Tag(_LIMITS)] | Annotated[_Unjudged, Tag(_UNJUDGED)],
    Discriminator(_kind),
]


def _limits(raw: _LimitsFile | _Unjudged, tier: _TierFile) -> dict[Audience, Limits] | None:
    return None if isinstance(raw, _Unjudged) else raw.limits(tier)


class _CategoryFile(_Table):
    tier: Tier
    rule: _RuleId
    text: _Sentence
    overridable: StrictBool
    liftable: StrictBool = False
    liftable_from: Audience = Audience.PUBLIC
    prompt: _AtStage
    frames: _AtStage


class _MinorsFile(_Table):
    sexual_score: Annotated[float, Field(strict=True, gt=0.0, le=MAX_MINOR_SCORE)]


class _FaultFile(_Table):
    text: _Sentence


class _StricterFile(_Table):
    multiply: _Threshold = 1.0
    review: _Threshold | None = None
    block: _Threshold | None = None
    at_least: Action = Action.ALLOW


class _WindowFile(_Table):
    id: _RuleId
    text: _Sentence
    start: _Moment | None = Field(alias="from", default=None)
    end: _Moment | None = Field(alias="to", default=None)
    regions: Annotated[list[_Region], Field(min_length=1)] | Literal["*"] | None = None
    beside: PictureNote | None = None
    categories: Annotated[list[Category], Field(min_length=1)]
    stricter: _StricterFile

    def window(self) -> Window:
        if (self.start is None) is not (self.end is None):
            raise PolicyInvalid(f"The window {self.id} has only one of its two dates.")
        if self.start is None and self.beside is None:
            raise PolicyInvalid(f"The window {self.id} has neither dates nor beside.")
        if self.start is not None and self.regions is None:
            raise PolicyInvalid(f"The window {self.id} does not say for which regions it is.")
        return Window(
            rule=self.id,
            text=self._text(),
            start=self.start or DAWN,
            end=self.end or DUSK,
            regions=self._regions or None,
            beside=self.beside,
            categories=frozenset(self.categories),
            factor=self.stricter.multiply,
            review=self.stricter.review,
            block=self.stricter.block,
            at_least=self.stricter.at_least,
        )

    @property
    def _regions(self) -> frozenset[str]:
        """The codes; none for everywhere."""
        return frozenset(self.regions) if isinstance(self.regions, list) else frozenset()

    def _text(self) -> str:
        """The sentence with its dates and regions, which so cannot contradict the rule."""
        told = {
            "{from}": "" if self.start is None else self.start.date().isoformat(),
            "{to}": "" if self.end is None else self.end.date().isoformat(),
            "{regions}": ", ".join(sorted(self._regions)) or "every region",
        }
        text = re.sub(r"\{[a-z]+\}", lambda m: told.get(m[0], m[0]), self.text)
        if "{" in text or "}" in text:
            raise PolicyInvalid(f"The text of {self.id} knows {{from}}, {{to}}, {{regions}}.")
        return text


class _ReviewFile(_Table):
    answer_hours: Annotated[int, Field(strict=True, ge=1, le=MAX_ANSWER_HOURS)]
    second_person: list[Category]

    def terms(self) -> Review:
        return Review(
            answer_hours=self.answer_hours, second_person=frozenset(self.second_person)
        )


class _PolicyFile(_Table):
    version: Annotated[str, Field(min_length=1, max_length=64)]
    fault: _FaultFile
    minors: _MinorsFile
    tiers: dict[Tier, _TierFile]
    categories: dict[Category, _CategoryFile]
    windows: Annotated[list[_WindowFile], Field(max_length=MAX_WINDOWS)] = []
    review: _ReviewFile | None = None

    def rule(self, category: Category) -> Rule:
        raw = self.categories[category]
        tier = self.tiers.get(raw.tier)
        if tier is None:
            raise PolicyInvalid(f"The policy does not define the tier {raw.tier.value}.")
        if raw.liftable_from is not Audience.PUBLIC and not raw.liftable:
            raise PolicyInvalid(f"{category.value} says who may lift it, but is not liftable.")
        return Rule(
            category=category,
            tier=raw.tier,
            rule=raw.rule,
            text=raw.text,
            overridable=raw.overridable,
            prompt=_limits(raw.prompt, tier),
            frames=_limits(raw.frames, tier),
            lifted_from=raw.liftable_from if raw.liftable else None,
        )


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """What a valid policy file says, still without the promise that it covers everything."""

    version: str
    rules: Mapping[Category, Rule]
    windows: tuple[Window, ...]
    review: Review
    minor_sexual_limit: float
    fault_text: str

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Reads the bytes of a policy file; raises PolicyInvalid when they are not one."""
        if len(content) > MAX_POLICY_BYTES:
            raise PolicyInvalid("The policy file is too large.")
        try:
            raw = _PolicyFile.model_validate(tomllib.loads(content.decode("utf-8")))
        except ValidationError as error:
            raise PolicyInvalid(f"The policy file is not valid: {_told(error)}.") from error
        # The reader of TOML also raises plain ValueErrors, for example for endless numbers.
        except (ValueError, RecursionError) as error:
            raise PolicyInvalid(f"The policy file is not valid TOML: {error}.") from error
        return cls(
            version=raw.version,
            rules={category: raw.rule(category) for category in raw.categories},
            windows=tuple(window.window() for window in raw.windows),
            review=STRICTEST_REVIEW if raw.review is None else raw.review.terms(),
            minor_sexual_limit=raw.minors.sexual_score,
            fault_text=raw.fault.text,
        )


def _told(error: ValidationError) -> str:
    """The faults, each with the place of the value it concerns."""
    return "; ".join(
        f"{'.'.join(str(p) for p in fault['loc'] if p not in (_LIMITS, _UNJUDGED))}"
        f": {fault['msg']}"
        for fault in error.errors()
    )
