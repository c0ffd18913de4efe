"""Pieces of a picture, turned upright: cut out by a similarity transform."""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from safety.sampling import Frame

Points = NDArray[np.float64]


def similarity(source: Points, target: Points) -> Points:
    """float64[2,3]: the turn, scale and shift that bring ``source`` closest to ``target``.

    Both are float64[N,2], N at least 2; closest in the sum of squares (Umeyama 1991). Raises
    ValueError where all points of ``source`` are one.
    """
    from_middle, to_middle = source.mean(0), target.mean(0)
    x, y = (source - from_middle).T
    u, v = (target - to_middle).T
    spread = float((x * x + y * y).sum())
    if not spread > 0:
        raise ValueError("The points of a face must not be one point.")
    a, b = float((x * u + y * v).sum()) / spread, float((x * v - y * u).sum()) / spread
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, to_middle - turn @ from_middle])


def chip(frame: Frame, to_frame: Points, side: int) -> Frame:
    """uint8[side,side,3]: the pixel (x, y) shows the place ``to_frame`` @ (x, y, 1).

    Where the piece is smaller than its place in the picture, the pixels in between are
    averaged, not left out. Beyond the picture its edge is repeated.
    """
    high, wide = frame.shape[:2]
    scale = float(np.sqrt(abs(np.linalg.det(to_frame[:, :2]))))
    corners = np.array([(0, 0), (side, 0), (0, side), (side, side)], np.float64)
    there = corners @ to_frame[:, :2].T + to_frame[:, 2]
    margin = ceil(2 * max(1.0, scale))
    left, top = (int(v) - margin for v in np.floor(there.min(0)).clip(-1e6, 1e6))
    right, bottom = (int(v) + margin for v in np.ceil(there.max(0)).clip(-1e6, 1e6))
    left, right = min(max(left, 0), wide - 1), max(min(right, wide), 1)
    top, bottom = min(max(top, 0), high - 1), max(min(bottom, high), 1)
    part = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    matrix = to_frame.copy()
    matrix[:, 2] -= (left, top)
    if scale > 1.2:
        size = (max(1, round(part.shape[1] / scale)), max(1, round(part.shape[0] / scale)))
        shrink = np.array([size[0] / part.shape[1], size[1] / part.shape[0]])
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        # Pixel centres, not corners, lie on whole numbers.
        matrix = matrix * shrink[:, None]
        matrix[:, 2] += shrink / 2 - 0.5
    cut = cv2.warpAffine(
        np.ascontiguousarray(part),
        matrix,
        (side, side),
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cut, np.uint8)
