"""A page: what was read in one picture, joined to texts in reading order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from safety.ocr_boxes import TextBox

SAME_SIZE = 1.9
"""Lines whose letters differ more than this in height do not belong together."""

LINE_GAP = 1.0
WORD_GAP = 2.5
"""How far lines of one text lie apart, and words of one line, in heights of their letters."""

ROW_SLIP = 0.55
"""How much a word may slip against the one before it in its line, in letter heights."""

STACK_LETTERS = 3
STACK_SHAPE = 2.0
"""Rows of so few letters, in a column so many times as high as wide, may be one word."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of text that was read, with the certainty of its letters in 0..1."""

    text: str
    certainty: float
    box: TextBox

    @property
    def left(self) -> float:
        return min(x for x, _ in self.box.corners)

    @property
    def right(self) -> float:
        return max(x for x, _ in self.box.corners)

    @property
    def top(self) -> float:
        return min(y for _, y in self.box.corners)

    @property
    def bottom(self) -> float:
        return max(y for _, y in self.box.corners)

    @property
    def start(self) -> float:
        """The height in the picture at which the line begins, the middle of its left edge."""
        return (self.box.corners[0][1] + self.box.corners[3][1]) / 2

    @property
    def end(self) -> float:
        """The height at which it ends, the middle of its right edge."""
        return (self.box.corners[1][1] + self.box.corners[2][1]) / 2


@dataclass(frozen=True, kw_only=True)
class Page:
    """What one picture says.

    ``lines`` were read, in no order. ``unread`` are boxes with letters that could not be read,
    ``left_out`` boxes that nobody tried to read, because there were too many; of both only
    those that are large enough for a viewer to read count, and only these are here.
    """

    lines: tuple[Line, ...] = ()
    unread: tuple[TextBox, ...] = ()
    left_out: tuple[TextBox, ...] = ()

    @property
    def whole(self) -> bool:
        """True when everything that a viewer can read was read."""
        return not self.unread and not self.left_out

    @property
    def empty(self) -> bool:
        """True when no letters were seen."""
        return self.whole and not self.lines

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text by itself, from the top, and all of them as one at the end.

        Letters that stand on each other are told as words and as one word.
        """
        blocks = sorted(_blocks(self.lines), key=lambda block: min(line.top for line in block))
        alone = [text for block in blocks for text in _texts(block)]
        return tuple(dict.fromkeys((*alone, "\n".join(alone)))) if alone else ()


def _blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that are near enough, and alike enough, to be one text."""
    blocks: list[list[Line]] = []
    for line in lines:
        near = [block for block in blocks if any(_near(line, other) for other in block)]
        blocks = [block for block in blocks if block not in near]
        blocks.append([line, *(other for block in near for other in block)])
    return blocks


def _near(one: Line, other: Line) -> bool:
    small, large = sorted((one.box.letter, other.box.letter))
    if large > SAME_SIZE * small:
        return False
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return (across <= 0 and down <= LINE_GAP * large) or (
        down <= -0.3 * small and across <= WORD_GAP * large
    )


def _texts(block: Sequence[Line]) -> tuple[str, ...]:
    rows = [" ".join(line.text for line in row) for row in _rows(block)]
    text, joined = " ".join(rows), ["".join(row.split()) for row in rows]
    wide = max(line.right for line in block) - min(line.left for line in block)
    high = max(line.bottom for line in block) - min(line.top for line in block)
    if high < STACK_SHAPE * wide or any(len(row) > STACK_LETTERS for row in joined):
        return (text,)
    return tuple(dict.fromkeys((text, "".join(joined))))


def _rows(block: Sequence[Line]) -> list[list[Line]]:
    """The lines as rows from the top, each from the left; a row may lie aslant."""
    rows: list[list[Line]] = []
    for line in sorted(block, key=lambda line: line.left):
        fitting = [row for row in rows if _follows(row[-1], line)]
        if fitting:
            min(fitting, key=lambda row: abs(row[-1].end - line.start)).append(line)
        else:
            rows.append([line])
    return sorted(rows, key=lambda row: math.fsum(x.start + x.end for x in row) / len(row))


def _follows(before: Line, line: Line) -> bool:
    height = min(before.box.letter, line.box.letter)
    apart = line.left - before.right
    return apart >= -height and abs(before.end - line.start) <= ROW_SLIP * height
