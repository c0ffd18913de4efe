"""Which clips' hits agree roughly on where the clip lies in the copy (Hough voting)."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.points import SIZE_STEPS
from watermark.fingerprint.record import LISTED

TURN_BINS: Final = 8
SIZE_BINS: Final = 32
"""One octave each."""
SHIFT_BINS: Final = 64
SHIFT: Final = 0.5
"""Width of a bin in short sides of the copy: one point's turn and size are rough."""
HALF: Final = (0.0, 0.5)


def votes(
    views: NDArray[np.int64],
    points: NDArray[np.int64],
    to: NDArray[np.float32],
    came: NDArray[np.float32],
    moved: NDArray[np.int64],
) -> NDArray[np.int64]:
    """For each hit, how many points of its view agree with it in turn, size and shift.

    `views` int64[N] says which hits may agree, `points` int64[N], below 64, which of the
    clip's listed points was hit; `to` and `came` float32[N, 2] are positions in
    the copy and in the clip; `moved` int64[N, 4] is the difference of their places. Bins
    overlap by half, so that no agreement is lost at an edge.
    """
    angle = moved[:, 3] * (2 * np.pi / 256)
    scale = np.exp2(moved[:, 2] / SIZE_STEPS)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    x = to[:, 0] - cos * came[:, 0] + sin * came[:, 1]
    y = to[:, 1] - sin * came[:, 0] - cos * came[:, 1]
    turn = moved[:, 3] % 256 * (TURN_BINS / 256)
    size = moved[:, 2] / SIZE_STEPS + SIZE_BINS / 2
    best = np.zeros(len(views), np.int64)
    for by_turn, by_size, by_x, by_y in product(HALF, HALF, HALF, HALF):
        bins = views * TURN_BINS + (turn + by_turn).astype(np.int64) % TURN_BINS
        bins = bins * SIZE_BINS + (size + by_size).astype(np.int64)
        for shift, half in ((x, by_x), (y, by_y)):
            at = np.clip(shift / SHIFT + half + SHIFT_BINS / 2, 0, SHIFT_BINS - 1)
            bins = bins * SHIFT_BINS + at.astype(np.int64)
        distinct = np.unique(bins * LISTED + points) // LISTED
        keys, counts = np.unique(distinct, return_counts=True)
        best = np.maximum(best, counts[np.searchsorted(keys, bins)])
    return best
