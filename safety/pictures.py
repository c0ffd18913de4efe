"""What one judge says about one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from safety.moderation import Named
from safety.verdict import Category, PictureNote

TELLING_SCORE = 0.5
"""From here on a score tells of something, whether or not the policy asks for it, and whatever
part of the evidence is missing.
"""


@dataclass(frozen=True, kw_only=True)
class PictureScores:
    """Scores of one picture from one judge.

    ``scores`` holds numbers in 0..1; a category that the judge could not judge is left out,
    never 0. ``notes`` tell what else was seen. ``named`` are subjects recognised by a list,
    as in prompts; their scores are not in ``scores``, for a record can lift them.
    """

    scores: Mapping[Category, float]
    notes: frozenset[PictureNote] = frozenset()
    named: tuple[Named, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))
