"""Recognised letters: from the recogniser's input and output to a text with a certainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LINE_HEIGHT = 48
MAX_WIDTH = 3200
"""Pixels. A longer line is squeezed: beyond it the cost would have no bound."""

WIDTH_STEP = 32
MARGIN = 16
"""Grey pixels after the last letter. The models' authors pad to 320; that costs time and
changes nothing (60 lines: the same ones read without a fault)."""

BLANK = 0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A text and the mean probability of its letters in 0..1; 0 for an empty text."""

    text: str
    certainty: float


def alphabet(listed: str) -> Sequence[str]:
    """The recogniser's classes from the list in its metadata: blank, one a line, space.

    Raises ValueError for an empty list.
    """
    # Not splitlines without care: the list holds no other line ends (a test keeps it so).
    letters = listed.splitlines()
    if not letters:
        raise ValueError("The recogniser has no alphabet.")
    return ("", *letters, " ")


def line_width(cut: NDArray[np.uint8], *, squeeze: float = 1.0) -> int:
    """The width in pixels at which a cut-out of uint8[h,w,3] is read; the cost goes with it.

    ``squeeze`` in 0..1 makes it narrower; down to about 0.7 that harms no reading.
    """
    height, width = cut.shape[:2]
    wanted = math.ceil(squeeze * LINE_HEIGHT * width / height)
    return int(min(max(wanted, WIDTH_STEP), MAX_WIDTH))


def line_input(cut: NDArray[np.uint8], *, squeeze: float = 1.0) -> NDArray[np.float32]:
    """float32[1,3,48,W]: BGR in -1..1, with a grey margin on the right."""
    width = line_width(cut, squeeze=squeeze)
    sized = cv2.resize(cut, (width, LINE_HEIGHT)).astype(np.float32)
    full = math.ceil((width + MARGIN) / WIDTH_STEP) * WIDTH_STEP
    padded = np.zeros((1, 3, LINE_HEIGHT, full), np.float32)
    padded[0, :, :, :width] = (sized[..., ::-1] / 127.5 - 1.0).transpose(2, 0, 1)
    return padded


def decoded(rows: NDArray[np.float32], letters: Sequence[str]) -> Reading:
    """Greedy CTC: the best class of each step in ``rows`` (float32[steps,classes]),
    repetitions and blanks left out. Raises RuntimeError for another number of classes.
    """
    if rows.ndim != 2 or rows.shape[1] != len(letters):
        raise RuntimeError("The recogniser does not answer with its alphabet.")
    best = rows.argmax(axis=1)
    kept = np.concatenate(([True], best[1:] != best[:-1])) & (best != BLANK)
    if not kept.any():
        return Reading(text="", certainty=0.0)
    text = "".join(letters[index] for index in best[kept])
    return Reading(text=text, certainty=float(rows.max(axis=1)[kept].mean()))
