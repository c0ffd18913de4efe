"""Finds a picture in a picture: a rectangle whose sides stand still in all frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.align import Plane

EDGE: Final = 8.0
"""Grey levels between neighbours that make an edge."""

COMMON: Final = 0.4
"""A line goes on where it is an edge in more than this share of frames."""

CLEAR: Final = 0.6
"""Share of edges along the sides together, and `COMMON` along each, of a rectangle."""

LINES: Final = 12
APART: Final = 3
SHORTEST: Final = 0.2
"""Of the frame's side."""

LARGEST: Final = 0.9
"""Of the frame's area; what is larger needs no cutting out."""


@dataclass(frozen=True, kw_only=True)
class Rectangle:
    """Rows and columns of a plane, the last ones not included."""

    top: int
    bottom: int
    left: int
    right: int


def inset(planes: Sequence[Plane]) -> Rectangle | None:
    """The clearest such rectangle in luma planes float32[H, W] of one size, 0..255, if any.

    Four sides are clearer than three; at most two may lie on the frame's own edges.
    """
    if len(planes) < 2:
        return None
    height, width = planes[0].shape
    rows = _edges(np.mean([np.abs(np.diff(one, axis=0)) > EDGE for one in planes], axis=0))
    columns = _edges(np.mean([np.abs(np.diff(one, axis=1)) > EDGE for one in planes], axis=0).T)
    best, found = 0.0, None
    across, down = _pairs(_lines(columns), width), _pairs(_lines(rows), height)
    for left, right in across:
        for top, bottom in down:
            sides = [
                *(_along(rows[row], left, right) for row in (top, bottom) if 0 < row < height),
                *(_along(columns[c], top, bottom) for c in (left, right) if 0 < c < width),
            ]
            if len(sides) < 2 or (right - left) * (bottom - top) > LARGEST * height * width:
                continue
            clear = sum(sides)
            if clear > max(best, CLEAR * len(sides)) and min(sides) > COMMON:
                best = clear
                found = Rectangle(top=top, bottom=bottom, left=left, right=right)
    return found


def _edges(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums along each line, float64[lines + 2, length + 1], of how common its edges are.

    Line i lies before row i of the frame. An encoder moves edges a little, so that
    neighbouring lines count, too.
    """
    padded = np.pad(share, ((2, 2), (0, 0)))
    common = np.max([padded[step : step + len(share) + 2] for step in range(3)], axis=0)
    return np.pad(np.cumsum(common, axis=1), ((0, 0), (1, 0)))


def _along(line: NDArray[np.float64], start: int, end: int) -> float:
    return float((line[end] - line[start]) / (end - start))


def _lines(edges: NDArray[np.float64]) -> list[int]:
    """The lines with the longest clear stretches, by the largest sum above `COMMON`."""
    length = edges.shape[1] - 1
    excess = edges - COMMON * np.arange(length + 1)
    stretch = np.max(excess - np.minimum.accumulate(excess, axis=1), axis=1)
    chosen: list[int] = []
    for line in np.argsort(-stretch).tolist():
        if len(chosen) == LINES or stretch[line] < (CLEAR - COMMON) * SHORTEST * length:
            break
        if all(abs(line - other) > APART for other in chosen):
            chosen.append(line)
    return chosen


def _pairs(lines: list[int], length: int) -> list[tuple[int, int]]:
    chosen = sorted({0, length, *lines})
    return [(a, b) for a, b in combinations(chosen, 2) if b - a >= SHORTEST * length]
