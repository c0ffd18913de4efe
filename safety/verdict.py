"""Verdicts: what a judge found, what follows, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Category(StrEnum):
    """The taxonomy. Values are stored for ever: append, never rename."""

    SEXUAL_MINORS = "sexual_minors"
    SEXUAL_EXPLICIT = "sexual_explicit"
    SEXUAL_SUGGESTIVE = "sexual_suggestive"
    VIOLENCE = "violence"
    GORE_GRAPHIC = "gore_graphic"
    SELF_HARM = "self_harm"
    HATE = "hate"
    HARASSMENT = "harassment"
    EXTREMISM_TERROR = "extremism_terror"
    ILLICIT = "illicit"
    PUBLIC_FIGURE = "public_figure"
    PRIVATE_LIKENESS = "private_likeness"
    POLITICAL_ELECTION = "political_election"
    DECEPTION_MISINFO = "deception_misinfo"
    IP_CHARACTER_BRAND = "ip_character_brand"
    LIVING_ARTIST_STYLE = "living_artist_style"
    DISTURBING = "disturbing"
    TEMPORAL_COMPOSITE = "temporal_composite"
    PROMPT_ATTACK = "prompt_attack"
    FLASHING_LIGHT = "flashing_light"


class Action(StrEnum):
    """What the policy does with an item, from mildest to strictest."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """0 for allow, 1 for review, 2 for block."""
        return (Action.ALLOW, Action.REVIEW, Action.BLOCK).index(self)


class PictureNote(StrEnum):
    """What is in a picture and no offence by itself. Stored in logs: append, never rename."""

    FACE = "face"
    POSSIBLE_MINOR = "possible-minor"
    TEXT = "text"


class Stage(StrEnum):
    """Where in the path of a request a judge looked."""

    PROMPT = "prompt"
    FRAMES = "frames"


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What a ground in a clip rests on: what a reviewer is shown.

    ``peak`` is the highest score in 0..1 and ``peak_at`` its second; None where there was no
    usable number. ``looks`` is how many of the frames looked at were flagged, one after
    another, ``share`` their part of all frames looked at, ``frames`` the indices of the
    strongest of them, strongest first.
    """

    peak: float | None
    peak_at: float | None
    looks: int
    share: float
    frames: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One ground for an action that is not ALLOW.

    Fit to be shown to the creator, but for ``sighting``, which is for reviewers: it names the
    rule and never the score or the matched term. ``category`` is None when the ground is not a
    category but a fault, such as a judge that gave no score. ``start`` and ``end`` are seconds
    into the clip, ``sighting`` is what was seen between them; all three are for frames only.
    """

    category: Category | None
    stage: Stage
    rule: str
    text: str
    action: Action
    start: float | None = None
    end: float | None = None
    sighting: Sighting | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The policy's answer for one item.

    ``scores`` holds a number in 0..1 for every category that was judged; a category without
    a score is absent, never 0. ``policy`` is the SHA-256 (hex) of the policy file in force.
    ``judges`` names every model and rule file that took part, as ``name@version``.
    ``circumstances`` are those under which it was given, as ``Circumstances.words`` tells
    them, ``notes`` the fixed words of the judges for what is no offence. ``shadow`` is what a
    policy on trial said of the same scores: ``policy`` (its hash) and ``action``; None when
    there is none or it failed. It decides nothing.
    """

    action: Action
    scores: Mapping[Category, float]
    reasons: tuple[Reason, ...]
    policy: str
    judges: tuple[str, ...] = ()
    stage: Stage = Stage.PROMPT
    circumstances: Mapping[str, str] = field(default_factory=dict)
    notes: frozenset[str] = frozenset()
    shadow: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))
        told = MappingProxyType(dict(self.circumstances))
        object.__setattr__(self, "circumstances", told)
        if self.action is not Action.ALLOW and not self.reasons:
            raise ValueError("A verdict that does not allow must carry a reason.")

    @property
    def grounds(self) -> tuple[str, ...]:
        """Each ground once, sorted, as ``category:rule``: what a person rules on."""
        return tuple(sorted({f"{r.category or '-'}:{r.rule}" for r in self.reasons}))


@dataclass(frozen=True, kw_only=True)
class FrameScores:
    """Scores of one sampled frame.

    ``index`` counts decoded frames from 0, ``seconds`` is its presentation time. A judge that
    could not score a category leaves it out; NaN is kept as it came and makes the policy stop.
    """

    index: int
    seconds: float
    scores: Mapping[Category, float] = field(default_factory=dict)
