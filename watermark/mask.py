"""How much mark each place of a frame can hide."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

REFERENCE_SHORT: Final = 720
TEXTURE_GAIN: Final = 1.2
TEXTURE_EXPONENT: Final = 0.5
TEXTURE_LIMIT: Final = 20.0
QUIET: Final = 1.0
"""Unrest of a sky or a painted wall, in grey levels, that hides nothing."""

MOTION_GAIN: Final = 0.3
MOTION_FULL: Final = 12.0
"""Change between frames, in grey levels, at which motion hides all that it can."""

CHROMA_RMS: Final = 0.9
_CHROMA_COST: Final = 1.086
_CROSS_COST: Final = -0.952
"""Mean squared change of R, G and B: y² + 1.086 c² - 0.952 y c for y in luma, -c in Cb."""

_ROUNDING_POWER: Final = 0.15


def strength(
    luma: NDArray[np.float32],
    before: NDArray[np.float32] | None,
    *,
    flat_rms: float,
    target_psnr_db: float,
) -> NDArray[np.float32]:
    """Gives the wanted rms of the luma mark at each pixel, in grey levels of 0..255.

    `luma` and the frame `before` it are float32[H, W], 0..255, on the canonical grid. Flat
    places get `flat_rms`; texture takes more, moving texture still more; the whole is
    lowered where needed so that the frame keeps `target_psnr_db`, the mark in Cb included.
    Edges of smooth areas count as smooth (the erosion), since that is where a halo would
    show.
    """
    detail = luma - cv2.blur(cv2.blur(luma, (7, 7)), (7, 7))
    power = cv2.blur(cv2.blur(detail * detail, (5, 5)), (5, 5))
    activity = cv2.sqrt(np.maximum(power, 0))
    activity = cv2.blur(cv2.erode(activity, np.ones((7, 7), np.uint8)), (7, 7))
    busy = np.clip(activity - QUIET, 0, TEXTURE_LIMIT)
    extra = TEXTURE_GAIN * cv2.pow(np.asarray(busy, dtype=np.float32), TEXTURE_EXPONENT)
    if before is not None:
        moved = cv2.blur(cv2.absdiff(luma, before), (15, 15))
        extra *= 1 + MOTION_GAIN * np.minimum(moved / MOTION_FULL, 1)
    wanted = np.float32(flat_rms) + extra
    return np.asarray(wanted * _lowered(wanted, target_psnr_db), dtype=np.float32)


def flat_rms_for(short_side: int, reference: float) -> float:
    """Scales the flat-area strength, given for 720 lines, to the size of the frame.

    A small frame gives a reader fewer pixels and an encoder fewer bits, so it gets more.
    """
    return float(reference * np.clip((REFERENCE_SHORT / short_side) ** 0.6, 0.9, 1.55))


def _lowered(wanted: NDArray[np.float32], target_psnr_db: float) -> np.float32:
    """The factor at which the mean squared change of R, G and B meets the target."""
    power, mean = float(np.mean(wanted * wanted)), float(np.mean(wanted))
    allowed = 255**2 / 10 ** (target_psnr_db / 10) - _ROUNDING_POWER
    linear, constant = _CROSS_COST * CHROMA_RMS * mean, _CHROMA_COST * CHROMA_RMS**2 - allowed
    root = math.sqrt(max(linear * linear - 4 * power * constant, 0.0))
    return np.float32(min(1.0, max(0.1, (root - linear) / (2 * max(power, 1e-9)))))
