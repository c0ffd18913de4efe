"""Camera motion between frames: a similarity, or an honest "still"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
"""float64[2, 3]: x' = A[:, :2] @ x + A[:, 2]."""

CORNERS: Final = 160
MIN_CORNERS: Final = 24
STILL_PIXELS: Final = 0.12
CALM_FRAMES: Final = 8
CUT_GREY_LEVELS: Final = 26.0
PLACES: Final = (16, 9)
MIN_BETTER: Final = 36
"""A quarter of the places has to speak for a motion before the camera counts as moving."""
CLEAR_MAJORITY: Final = 4
_TRACK_SHORT: Final = 180


def identity() -> Affine:
    """The map that moves nothing."""
    return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def compose(second: Affine, first: Affine) -> Affine:
    """The map that applies `first`, then `second`."""
    matrix = second[:, :2] @ first[:, :2]
    return np.column_stack([matrix, second[:, :2] @ first[:, 2] + second[:, 2]])


@dataclass(frozen=True, kw_only=True)
class Motion:
    """From the previous frame to this one, in pixels of the frame given to `step`."""

    matrix: Affine
    still: bool
    cut: bool


class CameraTracker:
    """Follows the camera from frame to frame.

    Answers "still" unless many corners, spread over the frame, agree on one similarity: an
    object that moves over a smooth background must not carry the mark along.
    """

    def __init__(self) -> None:
        self._previous: NDArray[np.uint8] | None = None
        self._moving = False
        self._calm = 0

    def reset(self) -> None:
        """Forgets the previous frame: the next answer is "still"."""
        self._previous = None

    def step(self, luma: NDArray[np.uint8]) -> Motion:
        """Takes the next frame's luma, uint8[H, W], and tells how the camera moved."""
        ratio = _TRACK_SHORT / min(luma.shape)
        small = luma
        if ratio < 1:
            size = (max(1, round(luma.shape[1] * ratio)), max(1, round(luma.shape[0] * ratio)))
            small = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))
        previous, self._previous = self._previous, small
        if previous is None or previous.shape != small.shape:
            return Motion(matrix=identity(), still=True, cut=previous is not None)
        matrix = self._follow(previous, small)
        if matrix is None:
            cut = float(np.mean(cv2.absdiff(previous, small))) > CUT_GREY_LEVELS
            self._moving = self._moving and not cut
            return Motion(matrix=identity(), still=True, cut=cut)
        matrix[:, 2] /= min(ratio, 1.0)
        return Motion(matrix=matrix, still=False, cut=False)

    def _follow(self, previous: NDArray[np.uint8], current: NDArray[np.uint8]) -> Affine | None:
        """The motion, or None; a camera known to move is believed in small things too.

        Dropping every small step of a moving camera would add up to a drift, and it would not
        be the same drift for the reader.
        """
        matrix = _similarity(previous, current)
        if matrix is None:
            self._calm += 1
            if self._calm >= CALM_FRAMES:
                self._moving = False
            return None
        shift = _largest_shift(matrix, current.shape)
        self._calm = self._calm + 1 if shift < STILL_PIXELS else 0
        better, worse = _votes(previous, current, matrix)
        if self._moving and self._calm < CALM_FRAMES:
            self._moving = better >= worse
        else:
            enough = better >= max(MIN_BETTER, CLEAR_MAJORITY * worse)
            self._moving = shift >= STILL_PIXELS and enough
        return matrix if self._moving else None


def _largest_shift(matrix: Affine, shape: tuple[int, ...]) -> float:
    height, width = shape
    edges = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
    shift = edges @ matrix[:, :2].T + matrix[:, 2] - edges
    return float(np.max(np.linalg.norm(shift, axis=1)))


def _similarity(previous: NDArray[np.uint8], current: NDArray[np.uint8]) -> Affine | None:
    height, width = current.shape
    if min(height, width) < 64:
        return None
    corners = cv2.goodFeaturesToTrack(previous, CORNERS, 0.02, 8)
    if corners is None or len(corners) < MIN_CORNERS:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, corners, None, winSize=(15, 15), maxLevel=2
    )
    good = found.ravel() == 1
    before, after = corners.reshape(-1, 2)[good], moved.reshape(-1, 2)[good]
    if len(before) < MIN_CORNERS:
        return None
    cv2.setRNGSeed(1)
    matrix, inliers = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=0.6, maxIters=300
    )
    if matrix is None or not np.all(np.isfinite(matrix)):
        return None
    agreed = inliers.ravel() == 1
    spread = np.ptp(before[agreed], axis=0) if agreed.any() else np.zeros(2)
    if agreed.sum() < max(MIN_CORNERS, 0.55 * len(before)):
        return None
    if spread[0] < 0.5 * width or spread[1] < 0.4 * height:
        return None
    return np.asarray(matrix, dtype=np.float64)


def _votes(
    previous: NDArray[np.uint8], current: NDArray[np.uint8], matrix: Affine
) -> tuple[int, int]:
    """How many places of the frame a motion brings clearly nearer, and how many farther.

    Flicker, and objects that pass or grow, drag corners about too; but then the standing
    background votes against. Places without detail do not vote.
    """
    height, width = current.shape
    moved = cv2.warpAffine(previous, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    before, after = (
        cv2.resize(cv2.absdiff(one, current), PLACES, interpolation=cv2.INTER_AREA).astype(int)
        for one in (previous, np.asarray(moved, dtype=np.uint8))
    )
    better = int(np.sum(before >= np.maximum(1.5 * after, after + 1)))
    worse = int(np.sum(after >= np.maximum(1.5 * before, before + 1)))
    return better, worse
