"""How much mark each place of a frame can hide."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

REFERENCE_SHORT: Final = 720
TEXTURE_GAIN: Final = 0.9
TEXTURE_LIMIT: Final = 14.0
TEXTURE_KNEE: Final = 0.5


def strength(
    luma: NDArray[np.float32], *, flat_rms: float, target_psnr_db: float
) -> NDArray[np.float32]:
    """Gives the wanted rms of the mark at each pixel, in grey levels of 0..255.

    Luma is float32[H, W], 0..255, on the canonical grid. Flat places get `flat_rms`, textured
    ones up to 4 times that; the whole is lowered where needed so that the frame keeps
    `target_psnr_db`. Edges of smooth areas count as smooth (the erosion), since that is where
    a halo would show.
    """
    detail = luma - cv2.GaussianBlur(luma, (0, 0), 2.5)
    power = cv2.boxFilter(cv2.boxFilter(detail * detail, -1, (5, 5)), -1, (5, 5))
    activity = np.sqrt(np.maximum(power, 0))
    activity = cv2.boxFilter(cv2.erode(activity, np.ones((7, 7), np.uint8)), -1, (7, 7))
    # Shifted so that the faint unrest of a generated sky counts for little.
    rise = np.sqrt(np.clip(activity, 0, TEXTURE_LIMIT) + TEXTURE_KNEE**2) - TEXTURE_KNEE
    wanted = flat_rms * (1 + TEXTURE_GAIN * rise)
    limit = 255 / 10 ** (target_psnr_db / 20)
    rms = float(np.sqrt(np.mean(wanted * wanted)))
    return np.asarray(wanted * min(1.0, limit / max(rms, 1e-6)), dtype=np.float32)


def flat_rms_for(short_side: int, reference: float) -> float:
    """Scales the flat-area strength with the size of the frame.

    A small frame gives a reader fewer pixels and an encoder fewer bits, so it gets more; the
    reference holds at 720 lines.
    """
    return float(reference * np.clip((REFERENCE_SHORT / short_side) ** 0.85, 0.8, 1.8))
