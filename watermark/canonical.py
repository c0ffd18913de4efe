"""The canonical grid: a frame resampled so that its short side has 360 pixels."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SHORT: Final = 360
MAX_ASPECT: Final = 4.0
"""Longer frames are read in the middle only."""


def size_of(height: int, width: int, short: int = SHORT) -> tuple[int, int]:
    """The canonical height and width of a frame."""
    scale = short / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def luma(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601 luma of one RGB frame uint8[H, W, 3], at its own size."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def to_canonical(plane: NDArray[np.uint8], short: int = SHORT) -> NDArray[np.float32]:
    """Resamples a plane uint8[H, W] to float32 on the canonical grid, without aliasing."""
    height, width = plane.shape
    rows, columns = size_of(height, width, short)
    if (rows, columns) == (height, width):
        return plane.astype(np.float32)
    # Reading needs the fractions that averaging gives, so the resampling is done in float.
    mode = cv2.INTER_AREA if rows < height else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(plane.astype(np.float32), (columns, rows), interpolation=mode),
        dtype=np.float32,
    )


def middle(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cuts an extremely long frame down to an aspect ratio that can be worked on."""
    height, width = frame.shape[:2]
    limit = int(min(height, width) * MAX_ASPECT)
    top, left = max(0, (height - limit) // 2), max(0, (width - limit) // 2)
    return frame[top : top + limit, left : left + limit]
