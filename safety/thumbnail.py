"""A frame made small, cheaply."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""One picture: uint8[H,W,3], RGB."""


def fit(height: int, width: int, *, long: int, short: int) -> tuple[int, int]:
    """The (height, width) of a picture shrunk into ``long`` × ``short``, never enlarged.

    The shape is kept, upright pictures stay upright, and no side falls below 1.
    """
    scale = max(1.0, max(height, width) / long, min(height, width) / short)
    return max(1, round(height / scale)), max(1, round(width / scale))


def thumbnail(frame: Picture, height: int, width: int) -> Picture:
    """``frame`` as uint8[height,width,3]: means over areas, in code values.

    Halved as often as fits before the last, exact step, which is several times faster than
    one step; an odd last row or column is left out of a halving. Sides smaller than asked for
    are stretched.
    """
    small = np.asarray(frame)
    while small.shape[0] >= 2 * height and small.shape[1] >= 2 * width:
        high, wide = small.shape[0] // 2, small.shape[1] // 2
        small = _resized(small[: 2 * high, : 2 * wide], high, wide)
    return _resized(small, height, width)


def _resized(frame: Picture, height: int, width: int) -> Picture:
    if frame.shape[:2] == (height, width):
        return np.ascontiguousarray(frame)
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8).reshape(height, width, 3)
