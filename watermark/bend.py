"""Undoes what a linear map cannot: perspective, found from where the mark lies locally."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Geometry, Matrix
from watermark.lattice import Plane, spectrum, straightened, whitened
from watermark.sync import at_offset, score_at, scores_at
from watermark.tile import Pattern

ROUNDS: Final = (14, 9, 5)
"""How far from where it should be the mark is looked for, in pixels, round by round."""

WINDOWS: Final = (4, 3)
MIN_SCORE: Final = 3.2
MIN_WINDOWS: Final = 6
TOLERANCE: Final = 2.5
_STRETCH: Final = 0.25
"""A plausible bend moves no corner by more than this share of the frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchored:
    """A residual plane, and where its middle lies in a tile, which way up."""

    plane: Plane
    offset_x: float
    offset_y: float
    sign: int = 1


def middle_of(plane: Plane) -> Plane:
    """The plane with all but its middle faded out: there a perspective is nearly linear."""
    height, width = plane.shape
    down = np.exp(-0.5 * ((np.arange(height) - height / 2) / (height * 0.2)) ** 2)
    across = np.exp(-0.5 * ((np.arange(width) - width / 2) / (width * 0.18)) ** 2)
    return np.asarray(plane * np.outer(down, across), dtype=np.float32)


def unbent(
    planes: Sequence[Anchored], pattern: Pattern, start: Geometry
) -> tuple[Geometry, float]:
    """Improves a geometry that several planes share; returns it with the best score of one.

    The frames are looked at through overlapping windows; in each the pilots tell how far the
    mark lies from where the geometry says, and a homography is fitted through these places.
    Returns the start itself when nothing better is found.
    """
    best, best_score = start, _score(planes, pattern, start)
    current = start
    for reach in ROUNDS:
        bent = _round(planes, pattern, current, reach)
        if bent is None:
            break
        score = _score(planes, pattern, bent)
        current = bent
        if score > best_score:
            best, best_score = bent, score
    return best, best_score


def _score(planes: Sequence[Anchored], pattern: Pattern, geometry: Geometry) -> float:
    return max(
        one.sign
        * score_at(whitened(spectrum(one.plane, geometry)), pattern, one.offset_x, one.offset_y)
        for one in planes
    )


def _round(
    planes: Sequence[Anchored], pattern: Pattern, geometry: Geometry, reach: int
) -> Geometry | None:
    upright = [straightened(one.plane, geometry) for one in planes]
    height, width = upright[0].shape
    steps = np.arange(-reach, reach + 1, dtype=np.float64)
    moves = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    least = MIN_SCORE * math.sqrt(len(planes))
    middles, moved = [], []
    for top, left, window in _windows(height, width):
        scores = np.zeros(len(moves))
        for one, plane in zip(planes, upright, strict=True):
            white = whitened(spectrum(plane * window, Geometry()))
            there = at_offset(white, one.offset_x, one.offset_y)
            scores += one.sign * scores_at(there, pattern, moves)
        index = int(scores.argmax())
        if scores[index] >= least:
            middle = np.array([left - (width - 1) / 2, top - (height - 1) / 2])
            middles.append(middle)
            moved.append(middle + moves[index])
    if len(middles) < MIN_WINDOWS:
        return None
    fit, _ = cv2.findHomography(
        np.array(middles), np.array(moved), cv2.RANSAC, ransacReprojThreshold=TOLERANCE
    )
    if fit is None or not np.all(np.isfinite(fit)) or not _plausible(fit, height, width):
        return None
    matrix = fit @ geometry.matrix
    matrix /= matrix[2, 2]
    return replace(geometry, homography=tuple(matrix.ravel()[:8].tolist()))


def _windows(height: int, width: int) -> list[tuple[float, float, NDArray[np.float32]]]:
    """Overlapping smooth windows with their middles (row, column)."""
    columns, rows = WINDOWS
    found = []
    for row in range(rows):
        for column in range(columns):
            top = height * (row + 0.75) / (rows + 0.5)
            left = width * (column + 0.75) / (columns + 0.5)
            down = np.exp(-0.5 * ((np.arange(height) - top) / (height * 0.2)) ** 2)
            across = np.exp(-0.5 * ((np.arange(width) - left) / (width * 0.16)) ** 2)
            found.append((top, left, np.outer(down, across).astype(np.float32)))
    return found


def _plausible(fit: Matrix, height: int, width: int) -> bool:
    corners = np.array(
        [[x, y, 1.0] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)]
    )
    moved = corners @ fit.T
    if np.any(moved[:, 2] < 0.5):
        return False
    shift = np.abs(moved[:, :2] / moved[:, 2:] - corners[:, :2])
    return bool(np.all(shift < _STRETCH * max(height, width)))
