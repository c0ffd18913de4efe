"""What remains of a frame when its content is taken away: the reader's input."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FLOOR: Final = 1.0
"""Deviation in grey levels below which a residual is taken as it is."""

LIMIT: Final = 1.5
EXPONENT: Final = 0.4
MIN_SPREAD: Final = 50.0
MAX_GAIN: Final = 4.0
BLUR: Final = (9, 9)
WINDOW: Final = (9, 9)
CHROMA_BLUR: Final = (5, 5)
CHROMA_WINDOW: Final = (5, 5)


def luma_residual(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whitens a canonical luma plane, float32[H, W], into a residual of the same shape.

    High-passed, divided by its local deviation and limited, so that edges do not shout;
    busy places weigh less. A frame of low contrast is first spread to a normal one.
    """
    spread = float(luma.std())
    gain = min(MAX_GAIN, max(1.0, MIN_SPREAD / max(spread, 1e-3)))
    return _whitened(luma * np.float32(gain), BLUR, WINDOW)


def chroma_residual(chroma: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same for a chroma plane of half the canonical size.

    What an encoder left of a chroma mark is faint, and so is all else there: below `FLOOR`
    nothing is amplified, and an empty plane adds no noise to a sum with luma.
    """
    return _whitened(chroma, CHROMA_BLUR, CHROMA_WINDOW)


def _whitened(
    plane: NDArray[np.float32], blur: tuple[int, int], window: tuple[int, int]
) -> NDArray[np.float32]:
    # Two box filters come close to a Gaussian, and cost a quarter of one.
    high = plane - cv2.blur(cv2.blur(plane, blur), blur)
    power = cv2.blur(cv2.blur(high * high, window), window)
    deviation = cv2.sqrt(np.maximum(power, 0)) + np.float32(FLOOR)
    limited = np.clip(high / deviation, -LIMIT, LIMIT)
    return np.asarray(limited * cv2.pow(deviation, -EXPONENT), dtype=np.float32)
