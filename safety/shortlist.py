"""The frames of one second of video that wait to be looked at, never more than a few."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from safety.scout import Cells, same_picture

Item = TypeVar("Item")

MOST_WAITING = 6
MOST_CLUES = 3
REMEMBERED = 16
"""How many of the pictures last looked at are known again."""


@dataclass(kw_only=True, eq=False)
class _Entry(Generic[Item]):
    item: Item
    cells: Cells
    strength: float
    cut: bool
    repeats: int = field(default=0)
    """Cuts that were not looked at because they show this very picture."""


class Shortlist(Generic[Item]):
    """Keeps the strongest offers of a second: cuts before clues, six in all, three clues.

    A picture that was looked at lately is known again and not taken twice. ``skipped_cuts`` is
    how many cuts were neither taken nor known, ``skipped_clues`` the same for clues; both are
    final when the last second was taken.
    """

    def __init__(self) -> None:
        self.skipped_cuts = 0
        self.skipped_clues = 0
        self._waiting: list[_Entry[Item]] = []
        self._looked_at: deque[Cells] = deque(maxlen=REMEMBERED)

    def remember(self, cells: Cells) -> None:
        """A frame that is looked at in any case."""
        self._looked_at.append(cells)

    def offer(self, item: Item, cells: Cells, strength: float, *, cut: bool) -> None:
        """Takes the frame unless its picture is known or all that wait are stronger."""
        if any(same_picture(cells, known) for known in self._looked_at):
            return
        for waiting in self._waiting:
            if same_picture(cells, waiting.cells):
                waiting.repeats += cut
                return
        self._waiting.append(_Entry(item=item, cells=cells, strength=strength, cut=cut))
        if len(self._waiting) > MOST_WAITING or self._clues() > MOST_CLUES:
            self._drop()

    def take(self, more: Item | None) -> list[Item]:
        """The frames of the second that is over, and ``more`` if there is room for it."""
        items = [entry.item for entry in self._waiting]
        self._looked_at.extend(entry.cells for entry in self._waiting)
        self._waiting = []
        if more is not None and len(items) < MOST_WAITING:
            items.append(more)
        return items

    def _clues(self) -> int:
        return sum(not entry.cut for entry in self._waiting)

    def _drop(self) -> None:
        clues = [entry for entry in self._waiting if not entry.cut]
        weakest = min(clues or self._waiting, key=lambda entry: entry.strength)
        self._waiting.remove(weakest)
        self.skipped_cuts += weakest.cut + weakest.repeats
        self.skipped_clues += not weakest.cut
