"""Text boxes: where the detector's map says that letters are.

The steps and numbers are those published with PP-OCR (differentiable binarization, arXiv
1911.08947, and RapidOCR 3.10 ``ch_ppocr_det/utils.py``); the outline is grown in closed form,
since it is a rectangle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

INK = 0.3
"""From this value on a point of the map belongs to text."""

MIN_CERTAINTY = 0.5
"""The mean of the map inside a box, below which the box is dropped."""

GROWTH = 1.6
"""How far a box is grown: the map marks the core of a line, not its full height."""

MAX_CANDIDATES = 1000
MIN_SIDE = 3.0
_JOIN = np.ones((2, 2), np.uint8)


@dataclass(frozen=True, kw_only=True)
class TextBox:
    """A turned rectangle around a line of text.

    ``corners`` are its four (x, y) in pixels of the picture, clockwise from the upper left;
    ``certainty`` in 0..1 is how sure the detector is that there are letters.
    """

    corners: tuple[tuple[float, float], ...]
    certainty: float

    @property
    def width(self) -> float:
        """The length of the upper edge, pixels."""
        return float(np.hypot(*np.subtract(self.corners[1], self.corners[0])))

    @property
    def height(self) -> float:
        """The length of the left edge, pixels."""
        return float(np.hypot(*np.subtract(self.corners[3], self.corners[0])))

    @property
    def letter(self) -> float:
        """The height of a line of letters in it, whichever way they run, pixels."""
        return min(self.width, self.height)


def text_boxes(likely: NDArray[np.float32], *, size: tuple[int, int]) -> Sequence[TextBox]:
    """The boxes in ``likely`` (float32[h,w], 0..1) for a picture of ``size`` (height, width).

    Ordered as contours are found, at most ``MAX_CANDIDATES``.
    """
    rows, columns = likely.shape
    scale = np.array((size[1] / columns, size[0] / rows))
    ink = cv2.dilate((likely > INK).astype(np.uint8), _JOIN)
    contours, _ = cv2.findContours(ink, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found: list[TextBox] = []
    for contour in contours[:MAX_CANDIDATES]:
        centre, (across, down), turn = cv2.minAreaRect(contour)
        if min(across, down) < MIN_SIDE:
            continue
        certainty = _mean_inside(likely, cv2.boxPoints((centre, (across, down), turn)))
        if not certainty >= MIN_CERTAINTY:
            continue
        grow = 2.0 * across * down * GROWTH / (2.0 * (across + down))
        grown = (across + grow, down + grow)
        corners = _clockwise(cv2.boxPoints((centre, grown, turn))) * scale
        corners = corners.clip((0, 0), (size[1] - 1, size[0] - 1))
        box = TextBox(
            corners=tuple((float(x), float(y)) for x, y in corners), certainty=certainty
        )
        if box.letter > MIN_SIDE:
            found.append(box)
    return found


def cut_out(frame: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    """The box's part of the picture, uint8[h,w,3], turned upright by its own corners."""
    width, height = (max(1, int(side)) for side in (box.width, box.height))
    target = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    turned = cv2.getPerspectiveTransform(np.array(box.corners, np.float32), target)
    cut = cv2.warpPerspective(
        frame,
        turned,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cut, np.uint8)


def _mean_inside(likely: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    rows, columns = likely.shape
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0, (columns - 1, rows - 1))
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).clip(0, (columns - 1, rows - 1))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(likely[top : bottom + 1, left : right + 1], inside)[0])


def _clockwise(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """The corners from the upper left on: of the two leftmost the upper one is first."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.array((left[0], right[0], right[1], left[1]), np.float32)
