"""Windows: when, where and beside what the policy is stricter about some categories."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from safety.circumstances import Circumstances
from safety.limits import Limits
from safety.regions import REGIONS
from safety.verdict import Action, Category

DAWN: Final = datetime.min.replace(tzinfo=UTC)
DUSK: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Circumstances, for example an election. They can only make the policy stricter.

    Open from ``start`` to ``end``, both aware and both included; at any time from DAWN to DUSK.
    ``regions`` are codes of ISO 3166-1; None means everywhere. ``beside`` is a note, such as
    that of a face, which must have been taken; None asks for none. Inside it each threshold is
    multiplied by ``factor`` (0..1) and is at most ``review`` or ``block`` where these are set,
    and what follows is at least ``at_least``. ``rule`` and ``text`` are shown to creators.
    """

    rule: str
    text: str
    categories: frozenset[Category]
    start: datetime = DAWN
    end: datetime = DUSK
    regions: frozenset[str] | None = None
    beside: str | None = None
    factor: float = 1.0
    review: float | None = None
    block: float | None = None
    at_least: Action = Action.ALLOW

    def is_open(self, circumstances: Circumstances) -> bool:
        """False only when time or region are known and surely outside, or its note is not
        among those that were taken.
        """
        return (
            not self._past_or_future(circumstances.at)
            and not self._elsewhere(circumstances.region)
            and (self.beside is None or self.beside in circumstances.notes)
        )

    def tighten(self, limits: Limits) -> Limits:
        """The limits inside the window: no part is milder than before."""
        block = self._lower(limits.block, self.block)
        return Limits(
            review=min(self._lower(limits.review, self.review), block),
            block=block,
            at_review=_strictest(limits.at_review, self.at_least),
            at_block=_strictest(limits.at_block, self.at_least),
        )

    def _lower(self, threshold: float, bound: float | None) -> float:
        lowered = min(threshold, threshold * self.factor)
        return lowered if bound is None else min(lowered, bound)

    def _past_or_future(self, at: datetime | None) -> bool:
        if at is None or at.utcoffset() is None:
            return False
        return at < self.start or at > self.end

    def _elsewhere(self, region: str | None) -> bool:
        """A code that ISO does not know might be anywhere."""
        known = region in REGIONS
        return known and self.regions is not None and region not in self.regions


def _strictest(one: Action, other: Action) -> Action:
    return max(one, other, key=lambda action: action.severity)
