"""How much mark each place of a frame can hide."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

REFERENCE_SHORT: Final = 720
TEXTURE_GAIN: Final = 1.0
TEXTURE_EXPONENT: Final = 0.5
TEXTURE_LIMIT: Final = 20.0
QUIET: Final = 0.4
"""Unrest of a generated sky, in grey levels, which is no texture."""

HIDING_GAIN: Final = 1.5
HIDING_FROM: Final = 1.0
"""Unrest in grey levels up to which a place counts as flat: nothing can be hidden there."""

MOTION_GAIN: Final = 0.3
MOTION_FULL: Final = 12.0
"""Change between frames, in grey levels, at which motion hides all that it can."""

CHROMA_RMS: Final = 0.9
_CHROMA_COST: Final = 1.086
_CROSS_COST: Final = -0.952
"""Mean squared change of R, G and B: y² + 1.086 c² - 0.952 y c for y in luma, -c in Cb."""

_ROUNDING_POWER: Final = 0.15
SPARSE: Final = 4
HALVINGS: Final = 9
LEAST: Final = 0.1


def strength(
    luma: NDArray[np.float32],
    before: NDArray[np.float32] | None,
    *,
    flat_rms: float,
    target_psnr_db: float,
) -> NDArray[np.float32]:
    """Gives the wanted rms of the luma mark at each pixel, in grey levels of 0..255.

    `luma` and the frame `before` it are float32[H, W], 0..255, on the canonical grid. Two
    maps bound it. One says what eyes do not see: `flat_rms` on flat places, more on texture,
    still more on moving texture. The other spreads what `target_psnr_db` allows (the mark in
    Cb included) to where a reader gains most, which is rather evenly. Edges of smooth areas
    count as smooth (the erosion), since that is where a halo would show.
    """
    detail = luma - cv2.blur(cv2.blur(luma, (7, 7)), (7, 7))
    power = cv2.blur(cv2.blur(detail * detail, (5, 5)), (5, 5))
    activity = cv2.sqrt(np.maximum(power, 0))
    activity = cv2.blur(cv2.erode(activity, np.ones((7, 7), np.uint8)), (7, 7))
    busy = TEXTURE_GAIN * _root(activity - QUIET)
    hidden = HIDING_GAIN * _root(activity - HIDING_FROM)
    if before is not None:
        moved = cv2.blur(cv2.absdiff(luma, before), (15, 15))
        motion = 1 + MOTION_GAIN * np.minimum(moved / MOTION_FULL, 1)
        busy *= motion
        hidden *= motion
    wanted, unseen = np.float32(flat_rms) + busy, np.float32(flat_rms) + hidden
    lowered = wanted * _lowered(wanted, unseen, target_psnr_db)
    return np.asarray(np.minimum(lowered, unseen), dtype=np.float32)


def flat_rms_for(short_side: int, reference: float) -> float:
    """Scales the flat-area strength, given for 720 lines, to the size of the frame.

    A small frame gives a reader fewer pixels and an encoder fewer bits, so it gets more.
    """
    return float(reference * np.clip((REFERENCE_SHORT / short_side) ** 0.6, 0.9, 1.4))


def _root(activity: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = np.clip(activity, 0, TEXTURE_LIMIT)
    return np.asarray(cv2.pow(np.asarray(clipped, dtype=np.float32), TEXTURE_EXPONENT))


def _lowered(
    wanted: NDArray[np.float32], unseen: NDArray[np.float32], target_psnr_db: float
) -> np.float32:
    """The factor for `wanted` at which the mean squared change of R, G and B is allowed."""
    allowed = 255**2 / 10 ** (target_psnr_db / 10) - _ROUNDING_POWER
    wanted, unseen = wanted[::SPARSE, ::SPARSE], unseen[::SPARSE, ::SPARSE]
    low, high = LEAST, 1.0
    for step in range(HALVINGS):
        factor = 1.0 if step == 0 else (low + high) / 2
        luma = np.minimum(wanted * np.float32(factor), unseen)
        cost = float(np.mean(luma * luma)) + CHROMA_RMS * (
            _CHROMA_COST * CHROMA_RMS + _CROSS_COST * float(np.mean(luma))
        )
        if cost > allowed:
            high = factor
        elif step == 0:
            return np.float32(1.0)
        else:
            low = factor
    return np.float32(low)
