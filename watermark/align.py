"""Lays one frame over another, so that their difference shows what changed on its own."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Matrix
from watermark.track import Affine

Plane = NDArray[np.float32]
Places = NDArray[np.float32]
"""float32[H, W, 2]: where each pixel of the later frame lies (x, y) in the earlier one."""

GRID_STEP: Final = 16
MIN_PLACES: Final = 8
TOLERANCE: Final = 0.7
"""Pixels by which a place may move differently from the camera and still count for it."""

CAMERA_GAIN: Final = 0.7
OWN_GAIN: Final = 0.6
"""What of the squared difference must remain, at most, for a motion to be believed: flow over
smooth areas follows noise, and the mark itself."""

WORTH: Final = 6.0
CAMERA_WORTH: Final = 2.5
"""Mean squared differences, in grey levels, below which nothing is left to be aligned in a
place, or in the whole: a mark that turned over on a flat wall makes one of up to 1.5."""

MOST_ZOOM: Final = 2.0
"""Within a second, either way."""

NEIGHBOURHOOD: Final = (41, 41)
TRANSITION: Final = (21, 21)
_STANDING: Final = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@cache
def _flow() -> cv2.DISOpticalFlow:
    # Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016.
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


def places(earlier: Plane, later: Plane) -> Places:
    """Finds where the pixels of a luma plane float32[H, W], 0..255, lie in an earlier one.

    A standing camera, a moving one, and things that move by themselves are tried in this
    order; each has to explain the difference much better than the one before.
    """
    own = _flowing(earlier, later)
    chosen = _laid(_camera(earlier, later, own), later)
    before, after = (
        cv2.blur(_squared(earlier, later, where), NEIGHBOURHOOD) for where in (chosen, own)
    )
    better = (after < OWN_GAIN * before) & (before > WORTH)
    share = cv2.blur(better.astype(np.float32), TRANSITION)[..., None]
    return np.asarray(chosen + share * (own - chosen), dtype=np.float32)


def motion(earlier: Plane, later: Plane) -> Matrix:
    """How the camera moved, float64[3, 3]: from places in the later frame to the earlier.

    Both are counted from the middle. The identity when nothing speaks for a movement.
    """
    height, width = later.shape
    middle = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    matrix = _camera(earlier, later, _flowing(earlier, later))
    return np.asarray(np.linalg.inv(middle) @ np.vstack([matrix, [0, 0, 1]]) @ middle)


def moved(plane: Plane, where: Places) -> Plane:
    """An earlier plane as the later frame would show it: float32 of the shape of `where`."""
    return np.asarray(
        cv2.remap(plane, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT),
        dtype=np.float32,
    )


def _flowing(earlier: Plane, later: Plane) -> Places:
    standing = _laid(_STANDING, later)
    flow = _flow().calc(_bytes(later), _bytes(earlier), np.zeros_like(standing))
    return np.asarray(standing + flow, dtype=np.float32)


def _camera(earlier: Plane, later: Plane, own: Places) -> Affine:
    """The similarity that most places of a flow agree on, if it is any better than none."""
    height, width = later.shape
    start = GRID_STEP // 2
    source = _laid(_STANDING, later)[start::GRID_STEP, start::GRID_STEP].reshape(-1, 2)
    target = own[start::GRID_STEP, start::GRID_STEP].reshape(-1, 2)
    inside = np.all((target > 0) & (target < (width, height)), axis=1)
    still = _mean_squared(earlier, later, _STANDING)
    if inside.sum() < MIN_PLACES or still <= CAMERA_WORTH:
        return _STANDING
    cv2.setRNGSeed(1)
    matrix, _ = cv2.estimateAffinePartial2D(
        source[inside], target[inside], method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE
    )
    if matrix is None or not np.all(np.isfinite(matrix)):
        return _STANDING
    # All places may point at one (a frame of one colour), which no camera does.
    if not 1 / MOST_ZOOM <= math.hypot(matrix[0, 0], matrix[1, 0]) <= MOST_ZOOM:
        return _STANDING
    better = _mean_squared(earlier, later, matrix) < CAMERA_GAIN * still
    return np.asarray(matrix) if better else _STANDING


def _mean_squared(earlier: Plane, later: Plane, matrix: Affine) -> float:
    return float(np.mean(_squared(earlier, later, _laid(matrix, later))))


def _laid(matrix: Affine, plane: Plane) -> Places:
    """The places of a plane under an affine map."""
    height, width = plane.shape
    return _grid(height, width) @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(
        np.float32
    )


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> Places:
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def _squared(earlier: Plane, later: Plane, where: Places) -> Plane:
    difference = later - moved(earlier, where)
    return np.asarray(difference * difference, dtype=np.float32)


def _bytes(plane: Plane) -> NDArray[np.uint8]:
    return np.asarray(np.clip(plane, 0, 255), dtype=np.uint8)
