"""Which frames of a clip are looked at.

A frame classifier costs more than a frame is worth, so only some are scored. The sampler
chooses them while the clip flows past, from differences between neighbouring frames:

1. the first frame, and from then on one at least every half second (``per_second``);
2. every cut: a frame that differs from the one before by more than ``HARD_CUT``, or by more
   than ``SOFT_CUT`` and ``CUT_RATIO`` times what has been usual for the last frames. A single
   foreign frame is two cuts, so it is looked at, and so is the first frame after it;
3. of each second the one frame, among those not yet chosen, that differs most from the frame
   chosen before it, if it differs by more than ``STILL``;
4. the last frame.

Bounds: a clip of n frames yields at most n (each once), a quiet one about three per second.
Memory is two frames and a few small arrays, whatever the length. Not promised: a change
smaller than about a tenth of the picture's area, or fainter than ``STILL``, may pass between
two samples.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""A chunk of video: uint8[T,H,W,3], RGB."""

Frame = NDArray[np.uint8]
"""One picture: uint8[H,W,3], RGB."""

DEFAULT_PER_SECOND = 2.0
MAX_FPS = 1000.0
MAX_SIDE = 16_384

SOFT_CUT = 4.0
HARD_CUT = 24.0
STILL = 0.5
"""Differences in grey levels, see ``difference``."""

CUT_RATIO = 2.5
HISTORY = 24
"""How many past differences say what is usual."""

GRID_WIDTH = 16
GRID_HEIGHT = 9
LOCAL_BLOCKS = GRID_WIDTH * GRID_HEIGHT // 9
LOCAL_WEIGHT = 0.5
STRIDE_TARGET = 320


class Why(StrEnum):
    """What made the sampler choose a frame."""

    STEP = "step"
    CUT = "cut"
    MOST_DIFFERENT = "most_different"
    LAST = "last"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One chosen frame; ``frame`` is a copy and belongs to the receiver.

    ``index`` counts the frames of the clip from 0, ``seconds`` is ``index / fps``.
    """

    index: int
    seconds: float
    frame: Frame
    why: Why


def signature(frame: Frame) -> NDArray[np.float32]:
    """The picture in small: float32[9,16,3], mean colour of each block in 0..255."""
    stride = max(1, frame.shape[1] // STRIDE_TARGET)
    thin = np.ascontiguousarray(frame[::stride, ::stride])
    size = (GRID_WIDTH, GRID_HEIGHT)
    small = cv2.resize(thin.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How different two pictures are, in grey levels 0..255.

    The larger of the mean over all blocks and half the mean over the ninth of the blocks that
    changed most, so that a change in one part of the picture counts as well.
    """
    blocks = np.abs(one - other).mean(axis=2).ravel()
    blocks.sort()
    return max(float(blocks.mean()), LOCAL_WEIGHT * float(blocks[-LOCAL_BLOCKS:].mean()))


def check_frames(frames: Frames) -> None:
    """Raises ValueError unless ``frames`` is uint8[T,H,W,3] with sides of 1 to 16,384."""
    fits = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
    if fits and all(1 <= side <= MAX_SIDE for side in frames.shape[1:3]):
        return
    raise ValueError("A chunk of video must be uint8[T,H,W,3].")


@dataclass(frozen=True, kw_only=True)
class FrameSampler:
    """Chooses the frames of a clip that are looked at; holds settings only, no state.

    ``per_second`` is the least number of evenly spaced frames in each second of video.
    """

    per_second: float = DEFAULT_PER_SECOND

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_second) and self.per_second >= DEFAULT_PER_SECOND):
            raise ValueError("At least two frames of each second are looked at.")

    def sample(self, chunks: Iterable[Frames], *, fps: float) -> Iterator[Sample]:
        """Yields the chosen frames of the clip and consumes all of it.

        Each frame comes at most once. The most different frame of a second comes when that
        second is over, all others at once, so indices are not strictly ascending. How the clip
        is cut into chunks changes nothing. Raises ValueError for a frame rate that is not a
        number in 0..1000, for a chunk that is not uint8[T,H,W,3] and for a change of size.
        """
        if not 0.0 < fps <= MAX_FPS:
            raise ValueError("The frame rate must be a number above 0 and at most 1000.")
        return _Run(fps=fps, step=max(1, math.floor(fps / self.per_second))).walk(chunks)


class _Run:
    """One pass over one clip."""

    def __init__(self, *, fps: float, step: int) -> None:
        self._fps = fps
        self._step = step
        self._usual: deque[float] = deque(maxlen=HISTORY)
        self._before: NDArray[np.float32] | None = None
        self._chosen: NDArray[np.float32] | None = None
        self._candidate: Sample | None = None
        self._distance = STILL
        self._second = 0

    def walk(self, chunks: Iterable[Frames]) -> Iterator[Sample]:
        index, taken, last, size = 0, -1, None, None
        for chunk in chunks:
            check_frames(chunk)
            if size not in (None, chunk.shape[1:]):
                raise ValueError("All frames of a clip must have the same size.")
            size = chunk.shape[1:]
            for frame in chunk:
                if int(index / self._fps) != self._second:
                    yield from self._end_second(int(index / self._fps))
                small = signature(frame)
                why = self._why(index, small)
                self._before = small
                if why is not None:
                    taken, self._chosen = index, small
                    yield self._sample(index, frame, why)
                else:
                    self._consider(index, frame, small)
                index += 1
            if len(chunk):
                # The source may write its next chunk into the same memory.
                last = chunk[-1].copy()
        final = index - 1
        if self._candidate is not None and self._candidate.index == final:
            taken = final
        yield from self._end_second(self._second)
        if last is not None and taken != final:
            yield self._sample(final, last, Why.LAST)

    def _why(self, index: int, small: NDArray[np.float32]) -> Why | None:
        if self._before is None:
            return Why.STEP
        change = difference(self._before, small)
        usual = median(self._usual) if self._usual else 0.0
        self._usual.append(change)
        if change > min(HARD_CUT, max(SOFT_CUT, CUT_RATIO * usual)):
            return Why.CUT
        return Why.STEP if index % self._step == 0 else None

    def _consider(self, index: int, frame: Frame, small: NDArray[np.float32]) -> None:
        if self._chosen is None:
            return
        distance = difference(self._chosen, small)
        if distance > self._distance:
            self._distance = distance
            self._candidate = self._sample(index, frame, Why.MOST_DIFFERENT)

    def _end_second(self, following: int) -> Iterator[Sample]:
        if self._candidate is not None:
            yield self._candidate
        self._candidate, self._distance, self._second = None, STILL, following

    def _sample(self, index: int, frame: Frame, why: Why) -> Sample:
        return Sample(index=index, seconds=index / self._fps, frame=frame.copy(), why=why)
