"""Points of a picture that are found again after damage: where, how large, and their code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.descriptor import MIRROR, codes_of, coefficients
from watermark.fingerprint.sampling import Plane

MIN_CONTRAST: Final = 0.01
MAX_EDGE: Final = 12.0
GRID: Final = (4, 6)
"""Points are taken from the cells of a 4 × 6 grid in turns, so that they cover the picture."""
SIZE_STEPS: Final = 32
"""Steps per octave of the size; 0 stands for 2^-8 of the picture's short side."""
MAX_TRIED: Final = 500
STEADY_BLUR: Final = 1.2
STEADY_SHIFT: Final = 3
STEADY_BITS: Final = 8
HALF_TURN: Final = np.uint8(128)


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Points of one picture or clip, N of them.

    `codes` is uint64[N]; `places` is uint8[N, 4]: x and y in 1/256 of the width and the
    height, size in 1/32 octave above 2^-8 of the short side, angle in 1/256 of a
    turn. `aspect` is width / height, between 1/4 and 4.
    """

    codes: NDArray[np.uint64]
    places: NDArray[np.uint8]
    aspect: float

    def __len__(self) -> int:
        return len(self.codes)

    def mirrored(self) -> Points:
        """The points of the same picture seen in a mirror (left and right exchanged)."""
        places = self.places.copy()
        places[:, 0] = 255 - places[:, 0]
        places[:, 3] = HALF_TURN - places[:, 3]
        return Points(codes=self.codes ^ MIRROR, places=places, aspect=self.aspect)

    def positions(self, which: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float32]:
        """x and y of some points in units of the picture's short side, float32[n, 2]."""
        return positions(self.places[which], np.float32(self.aspect))


def positions(
    places: NDArray[np.uint8], aspect: np.float32 | NDArray[np.floating]
) -> NDArray[np.float32]:
    """x and y, float32[N, 2], in short sides of pictures whose width / height is `aspect`."""
    wide = np.stack([np.maximum(aspect, 1), np.maximum(1 / aspect, 1)], axis=-1)
    middle = places[:, :2] + np.float32(0.5)
    return np.asarray(middle * (wide / 256), dtype=np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What one plane shows: its points, best first, and the coefficients behind the codes."""

    points: Points
    values: NDArray[np.float32]


def find(plane: Plane, limit: int) -> Found:
    """Finds at most `limit` points, spread over the picture; none in a featureless one."""
    height, width = plane.shape
    aspect = width / height
    detector = cv2.SIFT.create(contrastThreshold=MIN_CONTRAST, edgeThreshold=MAX_EDGE)
    keys, histograms = detector.detectAndCompute(plane, None)
    if not keys:
        nothing = Points(
            codes=np.zeros(0, np.uint64), places=np.zeros((0, 4), np.uint8), aspect=aspect
        )
        return Found(points=nothing, values=np.zeros((0, 64), np.float32))
    raw = np.array([(*k.pt, k.size, k.angle, k.response) for k in keys], dtype=np.float32)
    order = _spread(raw, height, width)[:limit]
    raw = raw[order]
    values = coefficients(histograms[order])
    columns = np.stack(
        [
            raw[:, 0] / width * 256,
            raw[:, 1] / height * 256,
            SIZE_STEPS * (np.log2(raw[:, 2] / min(height, width)) + 8),
        ]
    )
    angles = np.rint(raw[:, 3] / 360 * 256).astype(np.int64) % 256
    places = np.column_stack([np.clip(columns, 0, 255).T.astype(np.uint8), angles])
    points = Points(codes=codes_of(values), places=places.astype(np.uint8), aspect=aspect)
    return Found(points=points, values=values)


def find_steady(plane: Plane, limit: int) -> Found:
    """Like `find`, but points that a blurred picture shows too come first.

    What a blur takes away, a low bit rate does too; the record has no place for it.
    """
    sharp = find(plane, MAX_TRIED)
    soft = find(cv2.GaussianBlur(plane, (0, 0), STEADY_BLUR), MAX_TRIED)
    here, there = sharp.points.places.astype(np.int16), soft.points.places.astype(np.int16)
    near = np.abs(here[:, None, :2] - there[None, :, :2]).max(axis=2, initial=0) <= STEADY_SHIFT
    like = np.bitwise_count(sharp.points.codes[:, None] ^ soft.points.codes) <= STEADY_BITS
    order = np.argsort(~(near & like).any(axis=1), kind="stable")[:limit]
    points = Points(
        codes=sharp.points.codes[order],
        places=sharp.points.places[order],
        aspect=sharp.points.aspect,
    )
    return Found(points=points, values=sharp.values[order])


def _spread(raw: NDArray[np.float32], height: int, width: int) -> NDArray[np.intp]:
    """The order in which points are taken: the strongest of each cell first, then the next."""
    rows = np.clip(raw[:, 1] / height * GRID[0], 0, GRID[0] - 1).astype(np.int64)
    columns = np.clip(raw[:, 0] / width * GRID[1], 0, GRID[1] - 1).astype(np.int64)
    cells = rows * GRID[1] + columns
    by_cell = np.lexsort((-raw[:, 4], cells))
    first = np.searchsorted(cells[by_cell], cells[by_cell])
    rank = np.empty(len(raw), dtype=np.int64)
    rank[by_cell] = np.arange(len(raw)) - first
    return np.asarray(np.lexsort((-raw[:, 4], rank)), dtype=np.intp)
