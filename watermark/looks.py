"""The frames of a clip that a reader works on: a bounded number, spread over its length."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark import canonical
from watermark.align import Plane, motion, moved, places
from watermark.geometry import Matrix
from watermark.inset import Rectangle
from watermark.residual import chroma_residual, luma_residual
from watermark.tile import PERIOD
from watermark.watermarker import Frames

PER_SECOND: Final = 6
BURST: Final = 12
"""Looks that follow each other closely: two seconds, so that the mark turns over in each."""

BURSTS: Final = 4
USUAL_FPS: Final = 24.0
MIN_SIDE: Final = 16
HALF: Final = canonical.SHORT // 2

Planes = tuple[Plane, Plane, Plane]
_Item = TypeVar("_Item")


@dataclass(kw_only=True, eq=False)
class Evidence(ABC):
    """What a reader looks at: one frame, or the change between two."""

    frame: int

    @abstractmethod
    def levels(self) -> Planes:
        """Luma, Cb and Cr as float32 on the canonical grid, chroma at half the size."""

    @abstractmethod
    def sign(self, phase: int) -> int:
        """Which way up the mark is here if it turned over `phase` frames before the first."""

    @cached_property
    def planes(self) -> Planes:
        """The residuals of luma, Cb and Cr, each float32[H, W]; made once, when asked for."""
        luma, blue, red = self.levels()
        height, width = luma.shape
        first, second = (
            np.asarray(cv2.resize(chroma_residual(plane), (width, height)), dtype=np.float32)
            for plane in (blue, red)
        )
        return luma_residual(luma), first, second

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames that it was made of."""
        return (self.frame,)

    @cached_property
    def both(self) -> Plane:
        """Luma less Cb, as a mark goes into both, against each other: float32[H, W]."""
        bright, blue, _ = self.planes
        return bright - blue


@dataclass(kw_only=True, eq=False)
class Look(Evidence):
    """One frame: `luma` float16[H, W], `chroma` float16[2, H / 2, W / 2] (Cb, Cr), 0..255."""

    luma: NDArray[np.float16]
    chroma: NDArray[np.float16]
    period: int = 24

    def sign(self, phase: int) -> int:
        """Which way up the mark is here if it turned over `phase` frames before the first."""
        return -1 if (self.frame + phase) // self.period % 2 else 1

    def within(self, part: Rectangle) -> Look:
        """A part of the frame, resampled as if it were the whole of it."""
        luma, blue, red = self.levels()
        rows, columns = canonical.size_of(part.bottom - part.top, part.right - part.left)
        cut = luma[part.top : part.bottom, part.left : part.right]
        halves = [
            cv2.resize(
                one[part.top // 2 : part.bottom // 2, part.left // 2 : part.right // 2],
                (columns // 2, rows // 2),
                interpolation=cv2.INTER_CUBIC,
            )
            for one in (blue, red)
        ]
        return replace(
            self,
            luma=cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_CUBIC).astype(
                np.float16
            ),
            chroma=np.stack(halves).astype(np.float16),
        )

    def levels(self) -> Planes:
        """Luma, Cb and Cr of the frame, 0..255."""
        blue, red = self.chroma.astype(np.float32)
        return self.luma.astype(np.float32), blue, red


@dataclass(kw_only=True, eq=False)
class Change(Evidence):
    """What is new in a frame since an earlier one, their content laid over each other.

    Content that stays, or moves as a whole, is gone; a mark that turned over in between is
    there twice.
    """

    earlier: Look
    later: Look

    def levels(self) -> Planes:
        """The difference of luma, Cb and Cr, of either sign."""
        before, after = self.earlier.levels(), self.later.levels()
        where = places(before[0], after[0])
        height, width = after[1].shape
        half = cv2.resize(where, (width, height), interpolation=cv2.INTER_AREA) / 2 - 0.25
        luma, blue, red = (
            new - moved(old, np.asarray(there, dtype=np.float32))
            for old, new, there in zip(before, after, (where, half, half), strict=True)
        )
        return luma, blue, red

    @property
    def frames(self) -> tuple[int, ...]:
        """The two frames."""
        return (self.earlier.frame, self.later.frame)

    def sign(self, phase: int) -> int:
        """The later frame's way up, or 0 if the mark did not turn over in between."""
        return (self.later.sign(phase) - self.earlier.sign(phase)) // 2


@dataclass(kw_only=True)
class Looks:
    """Looks at every `step`-th frame of bursts in a clip of which `frames` were sound."""

    items: list[Look] = field(default_factory=list)
    step: int = 4
    period: int = 24
    frames: int = 0

    @cached_property
    def changes(self) -> list[Change]:
        """From each look to the one a second later, or half as long in very short clips."""
        at = {look.frame: look for look in self.items}
        # One turn of the mark lies between them.
        turn = max(1, round(self.period / self.step))
        gap = self.step * (turn if len(self.items) > turn + 1 else max(1, turn // 2))
        return [
            Change(frame=look.frame + gap, earlier=look, later=at[look.frame + gap])
            for look in self.items
            if look.frame + gap in at
        ]

    @property
    def turns(self) -> range:
        """The phases of turning over that are worth telling apart."""
        return range(0, self.period, self.step)

    @cached_property
    def moved(self) -> dict[int, Matrix]:
        """For each look's frame: from its places to where their content was in the first.

        Counted from the middle; as far as it can be told, else as if nothing moved.
        """
        found: dict[int, Matrix] = {}
        for index, look in enumerate(self.items):
            before = self.items[max(0, index - 1)]
            so_far = found.get(before.frame, np.eye(3))
            if look.frame - before.frame == self.step:
                so_far = so_far @ motion(before.levels()[0], look.levels()[0])
            found[look.frame] = so_far
        return found

    def since(self, start: int, frame: int) -> Matrix:
        """From places in one look's frame to where their content was in another's."""
        if start == frame:
            return np.eye(3)
        return np.asarray(np.linalg.inv(self.moved[start]) @ self.moved[frame])

    def within(self, part: Rectangle) -> Looks:
        """The same looks at a part of the picture only."""
        return replace(self, items=[look.within(part) for look in self.items])


def spread(items: Sequence[_Item]) -> list[_Item]:
    """The same items: the first one first, then ever finer steps between."""
    order: dict[int, None] = {}
    count, parts = len(items), 1
    while len(order) < count:
        order.update(dict.fromkeys(part * count // parts for part in range(parts)))
        parts *= 2
    return [items[index] for index in order]


def gather(chunks: Iterable[Frames], fps: float = USUAL_FPS) -> Looks:
    """Reads a clip to its end and keeps at most 48 of its frames.

    Six looks a second: frames nearer to each other tell a reader nothing new, since an
    encoder carries mark and content along together. A clip of up to eight seconds is seen
    whole; of a longer one every second burst of two seconds is kept, or every fourth, and so
    on. Frames that are no frames, or of another size than the first, are passed over.
    """
    fps = sound_rate(fps)
    looks = Looks(step=max(1, round(fps / PER_SECOND)), period=period(fps))
    shape: tuple[int, ...] | None = None
    stride = 1
    for chunk in chunks:
        for frame in _sound(chunk):
            if shape is None:
                shape = frame.shape
            if frame.shape != shape:
                continue
            index = looks.frames
            looks.frames += 1
            burst = index // (looks.step * BURST)
            if index % looks.step or burst % stride:
                continue
            if len(looks.items) == BURSTS * BURST:
                stride *= 2
                length = stride * looks.step * BURST
                looks.items = [
                    look for look in looks.items if look.frame % length < looks.step * BURST
                ]
                if burst % stride:
                    continue
            looks.items.append(_look(index, canonical.middle(frame), looks.period))
    return looks


def period(fps: float) -> int:
    """Frames after which the mark turns over; of an impossible rate, those of a usual one."""
    return max(1, round(sound_rate(fps) * PERIOD))


def sound_rate(fps: float) -> float:
    """A frame rate that can be reckoned with."""
    return fps if math.isfinite(fps) and 0 < fps < 1e4 else USUAL_FPS


def _look(index: int, frame: Frames, period: int) -> Look:
    luma, red, blue = cv2.split(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb))
    halves = [
        canonical.to_canonical(np.asarray(plane, dtype=np.uint8), HALF) for plane in (blue, red)
    ]
    level = canonical.to_canonical(np.asarray(luma, dtype=np.uint8))
    return Look(
        frame=index,
        luma=level.astype(np.float16),
        chroma=np.stack(halves).astype(np.float16),
        period=period,
    )


def _sound(chunk: object) -> Frames:
    """The chunk itself when it is frames that can be read, otherwise no frames."""
    none = np.zeros((0, MIN_SIDE, MIN_SIDE, 3), dtype=np.uint8)
    if not isinstance(chunk, np.ndarray) or chunk.dtype != np.uint8 or chunk.ndim != 4:
        return none
    if chunk.shape[3] != 3 or min(chunk.shape[1:3]) < MIN_SIDE:
        return none
    return chunk
