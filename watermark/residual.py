"""What remains of a frame when its content is taken away: the reader's input."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

BLUR: Final = 3.5
WINDOW: Final = 9
FLOOR: Final = 1.0
LIMIT: Final = 1.5
EXPONENT: Final = 0.4
MIN_SPREAD: Final = 50.0
MAX_GAIN: Final = 4.0


def residual(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whitens a canonical luma plane, float32[H, W], into a residual of the same shape.

    High-passed, divided by its local deviation and limited, so that edges do not shout;
    busy places weigh less. A frame of low contrast is first spread to a normal one.
    """
    spread = float(luma.std())
    gain = min(MAX_GAIN, max(1.0, MIN_SPREAD / max(spread, 1e-3)))
    high = (luma - cv2.GaussianBlur(luma, (0, 0), BLUR)) * gain
    window = (WINDOW, WINDOW)
    power = cv2.boxFilter(cv2.boxFilter(high * high, -1, window), -1, window)
    deviation = np.sqrt(np.maximum(power, 0)) + FLOOR
    return np.asarray(
        np.clip(high / deviation, -LIMIT, LIMIT) * deviation**-EXPONENT, dtype=np.float32
    )
