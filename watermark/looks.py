"""The frames of a clip that a reader works on: a bounded number, spread over its length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark import canonical
from watermark.residual import chroma_residual, luma_residual
from watermark.watermarker import Frames

MAX_LOOKS: Final = 32
FIRST_STEP: Final = 4
MIN_SIDE: Final = 16
HALF: Final = canonical.SHORT // 2

Plane = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class Look:
    """One frame on the canonical grid; residuals are made when they are first asked for.

    `luma` is float16[H, W], `chroma` float16[2, H / 2, W / 2] (Cb, Cr), both 0..255.
    """

    frame: int
    luma: NDArray[np.float16]
    chroma: NDArray[np.float16]

    @cached_property
    def planes(self) -> tuple[Plane, Plane, Plane]:
        """The residuals of luma, Cb and Cr, each float32[H, W]."""
        height, width = self.luma.shape
        blue, red = (
            np.asarray(
                cv2.resize(chroma_residual(plane.astype(np.float32)), (width, height)),
                dtype=np.float32,
            )
            for plane in self.chroma
        )
        return luma_residual(self.luma.astype(np.float32)), blue, red

    @cached_property
    def both(self) -> Plane:
        """Luma less Cb, as a mark goes into both, against each other: float32[H, W]."""
        bright, blue, _ = self.planes
        return bright - blue


@dataclass(kw_only=True)
class Looks:
    """Looks at every `step`-th frame of a clip, of which `frames` were sound."""

    items: list[Look] = field(default_factory=list)
    step: int = FIRST_STEP
    frames: int = 0

    def spread(self) -> list[Look]:
        """All looks: the first one first, then ever finer steps between."""
        order: dict[int, None] = {}
        count, parts = len(self.items), 1
        while len(order) < count:
            order.update(dict.fromkeys(part * count // parts for part in range(parts)))
            parts *= 2
        return [self.items[index] for index in order]


def gather(chunks: Iterable[Frames]) -> Looks:
    """Reads a clip to its end and keeps at most 32 of its frames.

    Neighbouring frames tell a reader next to nothing new: an encoder carries mark and
    content along together. So every fourth frame of a short clip is kept, of a longer one
    every eighth, and so on. Frames that are no frames, or of another size than the first,
    are passed over.
    """
    looks = Looks()
    shape: tuple[int, ...] | None = None
    for chunk in chunks:
        for frame in _sound(chunk):
            if shape is None:
                shape = frame.shape
            if frame.shape != shape:
                continue
            index = looks.frames
            looks.frames += 1
            if index % looks.step:
                continue
            if len(looks.items) == MAX_LOOKS:
                del looks.items[1::2]
                looks.step *= 2
                if index % looks.step:
                    continue
            looks.items.append(_look(index, canonical.middle(frame)))
    return looks


def _look(index: int, frame: Frames) -> Look:
    luma, red, blue = cv2.split(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb))
    halves = [
        canonical.to_canonical(np.asarray(plane, dtype=np.uint8), HALF) for plane in (blue, red)
    ]
    level = canonical.to_canonical(np.asarray(luma, dtype=np.uint8))
    return Look(
        frame=index,
        luma=level.astype(np.float16),
        chroma=np.stack(halves).astype(np.float16),
    )


def _sound(chunk: object) -> Frames:
    """The chunk itself when it is frames that can be read, otherwise no frames."""
    none = np.zeros((0, MIN_SIDE, MIN_SIDE, 3), dtype=np.uint8)
    if not isinstance(chunk, np.ndarray) or chunk.dtype != np.uint8 or chunk.ndim != 4:
        return none
    if chunk.shape[3] != 3 or min(chunk.shape[1:3]) < MIN_SIDE:
        return none
    return chunk
