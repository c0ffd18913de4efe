"""Frames picked evenly from a stream whose length nobody knows in advance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.watermarker import Frames

Plane: TypeAlias = NDArray[np.uint8]
"""The luma of one frame, uint8[H, W], at the size that points are looked for in."""

MAX_ASPECT: Final = 4.0
"""Longer frames are looked at in the middle only."""
MIN_SIDE: Final = 16
MAX_FRAME_SIDE: Final = 16384


def plane_of(frame: Frames, short: int) -> Plane | None:
    """Turns one RGB frame into luma with a short side of `short` pixels.

    None for what is no picture: another dtype or shape, or a side outside 16 to 16,384.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        return None
    if not MIN_SIDE <= min(frame.shape[:2]) <= max(frame.shape[:2]) <= MAX_FRAME_SIDE:
        return None
    limit = int(min(frame.shape[:2]) * MAX_ASPECT)
    top, left = (max(0, (side - limit) // 2) for side in frame.shape[:2])
    cut = np.ascontiguousarray(frame[top : top + limit, left : left + limit])
    scale = short / min(cut.shape[:2])
    size = (round(cut.shape[1] * scale), round(cut.shape[0] * scale))
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grey = cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=mode), dtype=np.uint8)


class Picker:
    """Picks at most `count` frames of those that it is shown, evenly spread.

    Which frames are picked depends on the number of frames only, not on the chunks. Holds
    at most 4 × `count` planes, whatever the length: whenever they are reached every second
    one is dropped and the step doubles. What is not a frame is stepped over but counted.
    """

    def __init__(self, count: int, short: int) -> None:
        self._count = count
        self._short = short
        self._held: list[tuple[int, Plane]] = []
        self._step = 1
        self.seen = 0
        """How many frames were shown."""

    def see(self, chunk: Frames) -> None:
        """Looks at the next frames."""
        if getattr(chunk, "ndim", 0) != 4:
            return
        for frame in chunk:
            if self.seen % self._step == 0:
                plane = plane_of(frame, self._short)
                if plane is not None:
                    self._held.append((self.seen, plane))
                if len(self._held) >= 4 * self._count:
                    self._step *= 2
                    self._held = [one for one in self._held if one[0] % self._step == 0]
            self.seen += 1

    def picked(self) -> tuple[tuple[int, Plane], ...]:
        """The position and the plane of each frame that is picked so far."""
        held, count = self._held, self._count
        if len(held) > count:
            middles = ((np.arange(count) + 0.5) * len(held) / count).astype(int)
            held = [held[index] for index in middles]
        return tuple(held)


def pick(
    chunks: Iterable[Frames], count: int, short: int
) -> tuple[tuple[tuple[int, Plane], ...], int]:
    """Picks as `Picker` does from a whole stream; gives (position, plane) and the length."""
    picker = Picker(count, short)
    for chunk in chunks:
        picker.see(chunk)
    return picker.picked(), picker.seen
