"""Which frames of a clip are looked at.

A frame classifier costs more than a frame is worth, so only some are scored. The sampler
chooses them while the clip flows past, from differences between neighbouring frames:

1. the first frame, and from then on one at least every half second (``per_second``);
2. every cut: a frame that differs from the one before by more than ``HARD_CUT``, or by more
   than ``SOFT_CUT`` and ``CUT_RATIO`` times what has been usual for the last frames; and
   either by ``RECENT_RATIO`` times more than the last few frames did, or in colours that are
   not explained by motion. A single foreign frame is a cut, so it is looked at;
3. of each second up to three frames in which something small appears (``safety.scout``);
4. of each second the one frame, among those not yet chosen, that differs most from the frame
   chosen before it, if it differs by more than ``STILL``;
5. the last frame.

Bounds: of 2 to 4 only six in each second are looked at, whatever the clip does; a quiet one
costs about three looks per second, any other at most nine. Cuts come before clues, the most
different first; a cut to a picture that was looked at lately (nowhere a part of 2 % differs by
four grey levels) is not looked at again. What the six leave out is counted, never silent:
``Samples.skipped_cuts`` is above 0 whenever the promise of 2 was not kept, and then the clip
as a whole was not fully looked at. Memory is ten frames and a few small arrays, whatever the
length.

Not promised: a change of less than about 2 % of the picture's area, or in a part that moves
fast anyway, or fainter than ``STILL``, may pass between two samples.
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

from safety.scout import THIN_LONG, THIN_SHORT, Cells, Clue, Scout
from safety.shortlist import Shortlist
from safety.thumbnail import Picture, fit, thumbnail

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
RECENT_RATIO = 1.6
NEW_LEAST = 1.0
NEW_ALWAYS = 12.0
NEW_RATIO = 1.5
"""Grey levels beyond motion (``safety.scout.Glance``): too little to be new, new in any case,
and by how much else they must exceed those of the last few frames."""

HISTORY = 24
RECENT = 3
SPIKE = 2.0
"""How many past differences say what is usual and what was recent. For the latter none counts
for more than ``SPIKE`` times its limit: one cut must not hide the next."""

GRID_WIDTH = 16
GRID_HEIGHT = 9
LOCAL_BLOCKS = GRID_WIDTH * GRID_HEIGHT // 9
LOCAL_WEIGHT = 0.5
KNOWN_SIGNATURES = 16


class Why(StrEnum):
    """What made the sampler choose a frame; the last four are ``safety.scout.Sign``."""

    STEP = "step"
    CUT = "cut"
    MOST_DIFFERENT = "most_different"
    LAST = "last"
    LOCAL = "local"
    SKIN = "skin"
    RED = "red"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One chosen frame; ``frame`` is a copy and belongs to the receiver.

    ``index`` counts the frames of the clip from 0, ``seconds`` is ``index / fps``.
    """

    index: int
    seconds: float
    frame: Frame
    why: Why


def thin(frame: Frame) -> Picture:
    """The thumbnail that all signals are taken from: uint8, at most 320 × 180."""
    return thumbnail(frame, *fit(*frame.shape[:2], long=THIN_LONG, short=THIN_SHORT))


def signature(frame: Frame) -> NDArray[np.float32]:
    """The picture in small: float32[9,16,3], mean colour of each block in 0..255."""
    return _signature(thin(frame))


def _signature(thumb: Picture) -> NDArray[np.float32]:
    size = (GRID_WIDTH, GRID_HEIGHT)
    small = cv2.resize(thumb.astype(np.float32), size, interpolation=cv2.INTER_AREA)
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

    def sample(self, chunks: Iterable[Frames], *, fps: float) -> Samples:
        """Yields the chosen frames of the clip and consumes all of it.

        Each frame comes at most once. The frames at even steps come at once, all others when
        their second is over, so indices are not strictly ascending. How the clip is cut into
        chunks changes nothing. Raises ValueError for a frame rate that is not a number in
        0..1000, for a chunk that is not uint8[T,H,W,3] and for a change of size.
        """
        if not 0.0 < fps <= MAX_FPS:
            raise ValueError("The frame rate must be a number above 0 and at most 1000.")
        return Samples(chunks, fps=fps, step=max(1, math.floor(fps / self.per_second)))


class Samples(Iterator[Sample]):
    """The chosen frames of one clip; one pass.

    When it is exhausted, ``skipped_cuts`` is the number of cuts that were not looked at because
    their second had too many, and ``skipped_clues`` that of smaller changes. A clip with
    skipped cuts was not fully looked at.
    """

    def __init__(self, chunks: Iterable[Frames], *, fps: float, step: int) -> None:
        self._fps = fps
        self._step = step
        self._scout = Scout()
        self._shortlist: Shortlist[Sample] = Shortlist()
        self._cuts = _Cuts()
        self._known: deque[NDArray[np.float32]] = deque(maxlen=KNOWN_SIGNATURES)
        self._candidate: Sample | None = None
        self._distance = STILL
        self._second = 0
        self._taken = -1
        self._walk = self._samples(chunks)

    @property
    def skipped_cuts(self) -> int:
        return self._shortlist.skipped_cuts

    @property
    def skipped_clues(self) -> int:
        return self._shortlist.skipped_clues

    def __next__(self) -> Sample:
        return next(self._walk)

    def _samples(self, chunks: Iterable[Frames]) -> Iterator[Sample]:
        index, last, size = 0, None, None
        for chunk in chunks:
            check_frames(chunk)
            if size not in (None, chunk.shape[1:]):
                raise ValueError("All frames of a clip must have the same size.")
            size = chunk.shape[1:]
            for frame in chunk:
                if int(index / self._fps) != self._second:
                    yield from self._end_second()
                    self._second = int(index / self._fps)
                yield from self._see(index, frame)
                index += 1
            if len(chunk):
                # The source may write its next chunk into the same memory.
                last = chunk[-1].copy()
        yield from self._end_second()
        if last is not None and self._taken != index - 1:
            yield self._sample(index - 1, last, Why.LAST)

    def _see(self, index: int, frame: Frame) -> Iterator[Sample]:
        """The frame if it is looked at in any case; else it is put where it may wait."""
        thumb = thin(frame)
        small = _signature(thumb)
        glance = self._scout.see(thumb)
        cells, clue = glance.cells, glance.clue
        cut = self._cuts.see(small, glance.beyond)
        if index % self._step == 0:
            self._known.append(small)
            self._shortlist.remember(cells)
            self._taken = index
            yield self._sample(index, frame, Why.CUT if cut else Why.STEP)
        elif cut or clue is not None:
            self._offer(index, frame, small, cells, None if cut else clue)
        else:
            self._consider(index, frame, small)

    def _offer(
        self,
        index: int,
        frame: Frame,
        small: NDArray[np.float32],
        cells: Cells,
        clue: Clue | None,
    ) -> None:
        if clue is None:
            strength, why = min(difference(known, small) for known in self._known), Why.CUT
        else:
            strength, why = clue.strength, Why(clue.sign.value)
        sample = self._sample(index, frame, why)
        self._shortlist.offer(sample, cells, strength, cut=clue is None)
        self._known.append(small)

    def _consider(self, index: int, frame: Frame, small: NDArray[np.float32]) -> None:
        distance = difference(self._known[-1], small)
        if distance > self._distance:
            self._distance = distance
            self._candidate = self._sample(index, frame, Why.MOST_DIFFERENT)

    def _end_second(self) -> Iterator[Sample]:
        for sample in self._shortlist.take(self._candidate):
            self._taken = max(self._taken, sample.index)
            yield sample
        self._candidate, self._distance = None, STILL

    def _sample(self, index: int, frame: Frame, why: Why) -> Sample:
        return Sample(index=index, seconds=index / self._fps, frame=frame.copy(), why=why)


class _Cuts:
    """Tells where a new picture begins."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._usual: deque[float] = deque(maxlen=HISTORY)
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._recently_new: deque[float] = deque(maxlen=RECENT)

    def see(self, small: NDArray[np.float32], beyond: float) -> bool:
        """Whether the frame with this signature is a cut; ``beyond`` is that of its glance."""
        before, self._before = self._before, small
        if before is None:
            return False
        change = difference(before, small)
        usual = median(self._usual) if self._usual else 0.0
        limit = min(HARD_CUT, max(SOFT_CUT, CUT_RATIO * usual))
        least = max(NEW_LEAST, NEW_RATIO * max(self._recently_new, default=0.0))
        sudden = change > RECENT_RATIO * max(self._recent, default=0.0)
        self._usual.append(change)
        self._recent.append(min(change, SPIKE * limit))
        self._recently_new.append(min(beyond, SPIKE * least))
        return change > limit and (sudden or beyond > min(least, NEW_ALWAYS))
