"""What appears in a clip for a moment, found by a cheap look at every frame.

The scout compares the thumbnail of each frame with the one before, in a grid of about 40 × 22
cells, and names a frame that should be looked at because of

* ``local``: three by three cells (1 % of the picture; a part of 2 % holds as many whole ones)
  whose mean colours lie outside of everything that was within a cell's distance before;
* ``skin`` or ``red``: cells newly covered by skin-like colour or by saturated red;
* ``text``: a row of cells newly dense with upright edges.

What moves by up to a cell from frame to frame is not new; beyond that, each must be more than
has been usual in the last frames. It judges nothing: skin-like is a wide box of chroma in
which sand and wood lie too, text-like is any row of strokes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from safety.thumbnail import Picture, fit

THIN_LONG = 320
THIN_SHORT = 180
CELLS_LONG = 40
CELLS_SHORT = 22

BLOCK = 3
"""Side in cells of the smallest part that counts as local."""

HISTORY = 24
RECENT = 3
"""How many past frames say what is usual."""

LOCAL_STEP = 10.0
LOCAL_RATIO = 2.0
LOCAL_RECENT = 1.5
"""In grey levels of the cells; against the median of ``HISTORY``, the most of ``RECENT``."""

NEW_SHARE = 0.015
NEW_COVER = 0.5
NEW_GROWTH = 0.4
"""The share of the cells that must be new; each at least half covered and grown by this."""

SKIN_LOW = (16, 133, 77)
SKIN_HIGH = (255, 173, 127)
"""Y, Cr, Cb of skin (Chai and Ngan, Face segmentation using skin-color map, 1999)."""

RED_LEAST = 70
RED_RATIO = 2.0
"""Saturated red is at least this and more than twice as much as green and blue."""

STROKE_STEP = 20
STROKE_DENSITY = 0.22
STROKE_GROWTH = 2.0
TEXT_CELLS = 3.0
"""Cells of one row: this share of pixels are upright edges, twice as many as before."""

RATIO = 2.0
"""Skin, red and text must exceed the most of ``RECENT`` by this."""

SPIKE = 2.0
"""A value counts in the history for at most this multiple of what was needed: a cut must not
hide what comes after it."""

SAME = 4.0

Cells = NDArray[np.uint8]
"""The mean colours of a picture's cells: uint8[h,w,3]."""

Shares = NDArray[np.float32]

_NEIGHBOURS = np.ones((3, 3), np.uint8)


class Sign(StrEnum):
    """What suddenly appeared."""

    LOCAL = "local"
    SKIN = "skin"
    RED = "red"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class Clue:
    """Something appeared; ``strength`` is at least 1, in multiples of what is needed."""

    sign: Sign
    strength: float


def same_picture(one: Cells, other: Cells) -> bool:
    """Whether nowhere a part large enough to be ``local`` differs by ``SAME`` grey levels."""
    return _strongest(cv2.absdiff(one, other)) < SAME


@dataclass(frozen=True, kw_only=True, eq=False)
class Glance:
    """What a frame looks like: its cells, and what is new against the frame before.

    ``beyond`` is the mean change in grey levels that no motion by up to a cell explains;
    ``clue`` the strongest sign.
    """

    cells: Cells
    beyond: float
    clue: Clue | None


class Scout:
    """Watches the thumbnails of one clip, in memory that does not grow with it."""

    def __init__(self) -> None:
        self._cells: Cells | None = None
        self._shares: dict[Sign, Shares] = {}
        self._usual: dict[Sign, deque[float]] = {
            sign: deque([0.0], maxlen=HISTORY) for sign in Sign
        }

    def see(self, thin: Picture) -> Glance:
        """A look at the next frame's thumbnail, uint8[H,W,3], RGB."""
        high, wide = fit(*thin.shape[:2], long=CELLS_LONG, short=CELLS_SHORT)
        small = cv2.resize(thin, (wide, high), interpolation=cv2.INTER_AREA)
        cells: Cells = np.asarray(small, np.uint8).reshape(high, wide, 3)
        shares = {
            sign: _share(mask, high, wide)
            for sign, mask in zip(_MASKS, _masks(thin), strict=True)
        }
        before, self._cells = self._cells, cells
        if before is None:
            self._shares = shares
            return Glance(cells=cells, beyond=0.0, clue=None)
        change = _beyond(before, cells)
        values = {Sign.LOCAL: _strongest(change)}
        values |= {sign: self._new(sign, now) for sign, now in shares.items()}
        self._shares = shares
        beyond = float(change.max(axis=-1).mean())
        return Glance(cells=cells, beyond=beyond, clue=self._clue(values))

    def _new(self, sign: Sign, now: Shares) -> float:
        before = cv2.dilate(self._shares[sign], _NEIGHBOURS).reshape(now.shape)
        if sign is Sign.TEXT:
            new = (now >= STROKE_DENSITY) & (now > STROKE_GROWTH * before)
            return float(new.sum(axis=1).max())
        new = (now >= NEW_COVER) & (now - before >= NEW_GROWTH)
        return float(new.mean())

    def _clue(self, values: dict[Sign, float]) -> Clue | None:
        best: Clue | None = None
        for sign, value in values.items():
            usual = self._usual[sign]
            recent = max(list(usual)[-RECENT:])
            if sign is Sign.LOCAL:
                need = max(LOCAL_STEP, LOCAL_RATIO * median(usual), LOCAL_RECENT * recent)
            else:
                need = _LEAST[sign] + RATIO * recent
            usual.append(min(value, SPIKE * need))
            strength = value / need
            if strength >= 1.0 and (best is None or strength > best.strength):
                best = Clue(sign=sign, strength=strength)
        return best


_MASKS = (Sign.SKIN, Sign.RED, Sign.TEXT)
_LEAST = {Sign.SKIN: NEW_SHARE, Sign.RED: NEW_SHARE, Sign.TEXT: TEXT_CELLS}


def _masks(thin: Picture) -> tuple[NDArray[np.uint8], ...]:
    """Where the picture is skin-like, saturated red, an upright edge: 255, else 0."""
    chroma = cv2.cvtColor(thin, cv2.COLOR_RGB2YCrCb)
    skin = cv2.inRange(chroma, SKIN_LOW, SKIN_HIGH)
    red, green, blue = cv2.split(thin)
    # Saturating arithmetic: twice a colour above 127 is 255, and no red exceeds that.
    other = cv2.multiply(cv2.max(green, blue), RED_RATIO)
    saturated = cv2.inRange(red, RED_LEAST, 255) & cv2.compare(red, other, cv2.CMP_GT)
    light = cv2.split(chroma)[0]
    edges = np.zeros_like(light)
    if light.shape[1] > 1:
        steps = cv2.absdiff(light[:, 1:], light[:, :-1])
        edges[:, 1:] = cv2.inRange(steps, STROKE_STEP, 255)
    return skin, saturated, edges


def _share(mask: NDArray[np.uint8], high: int, wide: int) -> Shares:
    small = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(high, wide) / np.float32(255.0)


def _beyond(before: Cells, now: Cells) -> Cells:
    """How far each cell lies outside of what was within a cell's distance of it."""
    low, high = cv2.erode(before, _NEIGHBOURS), cv2.dilate(before, _NEIGHBOURS)
    low, high = low.reshape(now.shape), high.reshape(now.shape)
    return np.asarray(cv2.max(cv2.subtract(now, high), cv2.subtract(low, now)), np.uint8)


def _strongest(change: NDArray[np.uint8]) -> float:
    """The mean of the block in which the cells changed most, in grey levels."""
    cells = change.max(axis=-1).astype(np.float32)
    cells = cells.reshape(cells.shape[0], -1)
    high, wide = (min(BLOCK, side) for side in cells.shape)
    means = cv2.boxFilter(cells, -1, (wide, high), anchor=(0, 0)).reshape(cells.shape)
    inside = means[: cells.shape[0] - high + 1, : cells.shape[1] - wide + 1]
    return float(inside.max())
