"""Flashing light that can bring on a seizure, found in every frame of a clip.

The measure is the "general flash and red flash thresholds" of WCAG 2.2, success criterion
2.3.1. It is stricter than ITU-R BT.1702-3 and Ofcom's guidance on a screen of 200 cd/m²: there
20 cd/m² below 160 cd/m² are the same 10 % of white below 0.80, and more than a quarter of the
screen means more than a quarter of at least one of the nine fields that tile it.

1. Light is relative luminance (linear sRGB); redness is max(0, R - G - B) × 320 in linear sRGB
   (the definition of WCAG 2.0 and 2.1; that of 2.2 asks for a larger change). Both are means
   over the cells of a grid of at most 160 × 90.
2. A cell makes a transition when its light has moved by 0.1 since its last turning point and
   the darker state is below 0.80, or its redness has moved by more than 20 and one of both
   states is saturated: R / (R + G + B) >= 0.8.
3. A transition counts when it is concurrent: in some field of 10 degrees around the cell at
   least ``TOGETHER`` of the area makes the same transition in the same frame, or, within
   ``SOFT_SECONDS``, ``SOFT_TOGETHER`` more of the area than makes the opposing one.
   The field is a third of the picture wide and high, as 341 × 256 is of 1024 × 768.
4. A transition that a shift of the whole picture explains is motion and does not count,
   unless the opposite shift explains it as well (stripes that change places).
5. Per cell, counted transitions within any one second; per count, the largest share of a field
   with that many. Two transitions are a flash, so more than six are more than three flashes.

Not judged: regular patterns that stand still, and patterns that flash in squares below about
0.2 degrees (one cell; WCAG excepts them below 0.1). Rotation and zoom are not taken for motion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from safety.sampling import MAX_FPS, Frames, check_frames
from safety.thumbnail import fit, thumbnail

GRID_LONG = 160
GRID_SHORT = 90
FIELDS = 3
"""A field of 10 degrees is this part of the picture's width and height."""

LIGHT_STEP = 0.1 - 1e-6
BRIGHT = 0.80
RED_STEP = 20.0
RED_SCALE = 320.0
SATURATED = 0.8
BLACK = 1e-6

TOGETHER = 0.20
SOFT_TOGETHER = 0.125
SOFT_SECONDS = 0.1
LEAST_MOVING = 0.02
LEAST_SIDE = 8
"""A share of changed cells, and cells of a side, below which motion is not looked for."""

EXPLAINED_REST = 0.5
MOST_EXPLAINED = 0.6
BOTH_WAYS = 0.75
WITHIN = 0.99

"""A change is explained by a shift that leaves at most ``EXPLAINED_REST`` of it. The shift is
believed if it explains at least ``MOST_EXPLAINED`` of the changed cells, and the opposite shift
less than ``BOTH_WAYS`` of as many."""

REMEMBERED = 12
"""How many transitions of a cell are remembered; more change nothing."""

LIMIT_AREA = 0.25
CLEAR_AREA = 0.30
LIMIT_SCORE = 0.6
CLEAR_SCORE = 0.9
REPORTED_SCORE = 0.4
MAX_EVENTS = 64

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

_COUNT_SCORES = (0, 0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 0.925, 0.95, 0.975, 1.0)
_LINEAR = np.array(
    [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.arange(256) / 255],
    np.float32,
)
_LUMINANCE_AND_SUM = np.array([[0.2126, 0.7152, 0.0722], [1.0, 1.0, 1.0]], np.float32)


class FlashKind(StrEnum):
    """What flashes: the light, or a saturated red."""

    GENERAL = "general"
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class FlashEvent:
    """A time in which the picture flashes, from ``start`` to ``end`` in seconds.

    ``flashes`` is the highest number within one second (half a flash counts as one) and
    ``area`` the share 0..1 of a field of 10 degrees in which they come together, both at the
    moment of the highest ``score``, see ``score``.
    """

    kind: FlashKind
    start: float
    end: float
    flashes: int
    area: float
    score: float


def score(transitions: int, area: float) -> float:
    """How far flashing goes against the norm, 0..1, never falling with either number.

    The lower of two measures: 0.1 per transition within a second up to the 6 that are allowed,
    0.75 at 7, 0.9 at 8 (four flashes) and 1 from 12; and 0.6 at an area of 25 %, 0.9 from
    30 % on, 1 at 100 %. So 0.6 is the edge of what is allowed, and from 0.9 the norm is failed
    beyond what the measurement could blur. A single transition is no flash: 0.
    """
    count = _COUNT_SCORES[min(transitions, REMEMBERED)]
    edges, scores = (0.0, LIMIT_AREA, CLEAR_AREA, 1.0), (0.0, LIMIT_SCORE, CLEAR_SCORE, 1.0)
    return min(float(count), float(np.interp(area, edges, scores)))


class FlashWatch:
    """Watches one clip for flashes, chunk by chunk, in memory that does not grow with it.

    How the clip is cut into chunks changes nothing. Raises ValueError for a frame rate that is
    not a number in 0..1000.
    """

    def __init__(self, *, fps: float) -> None:
        if not 0.0 < fps <= MAX_FPS:
            raise ValueError("The frame rate must be a number above 0 and at most 1000.")
        self._fps = fps
        self._index = 0
        self._seconds = -math.inf
        self._size: tuple[int, ...] | None = None
        self._before: Map | None = None
        self._tracks: tuple[_Track, _Track] | None = None
        self._grid = (1, 1)

    def see(self, frames: Frames, *, seconds: Sequence[float] | None = None) -> None:
        """Takes the next frames of the clip, uint8[T,H,W,3], RGB.

        ``seconds`` are the times at which they are shown, for clips of varying frame rate;
        without it frame n is shown at n / fps. Raises ValueError for a chunk that is no video,
        for a change of size and for times that do not ascend.
        """
        check_frames(frames)
        if self._size not in (None, frames.shape[1:]):
            raise ValueError("All frames of a clip must have the same size.")
        times = self._times(len(frames), seconds)
        if self._tracks is None:
            self._size = frames.shape[1:]
            self._grid = fit(*frames.shape[1:3], long=GRID_LONG, short=GRID_SHORT)
            frame_time = 1.0 / self._fps
            self._tracks = (
                _Track(FlashKind.GENERAL, self._grid, LIGHT_STEP, frame_time),
                _Track(FlashKind.RED, self._grid, RED_STEP, frame_time),
            )
        for frame, time in zip(frames, times, strict=True):
            self._one(frame, time, *self._tracks)

    def events(self) -> tuple[FlashEvent, ...]:
        """What flashed so far with a score of at least 0.4, in the order of its start.

        At most 64 of each kind, the highest scores.
        """
        tracks = self._tracks or ()
        return tuple(sorted((e for t in tracks for e in t.events()), key=lambda e: e.start))

    def _times(self, count: int, seconds: Sequence[float] | None) -> Sequence[float]:
        if seconds is None:
            seconds = [(self._index + n) / self._fps for n in range(count)]
        steps = [self._seconds, *seconds]
        ascend = all(one < two < math.inf for one, two in pairwise(steps))
        if len(seconds) != count or not ascend:
            raise ValueError("The times of the frames must be one number each and ascend.")
        self._index += count
        self._seconds = steps[-1]
        return seconds

    def _one(self, frame: NDArray[np.uint8], time: float, general: _Track, red: _Track) -> None:
        linear = self._linear(frame)
        light, total = cv2.split(cv2.transform(linear, _LUMINANCE_AND_SUM))
        redness = RED_SCALE * np.maximum(2.0 * linear[..., 0] - total, 0.0)
        saturated = linear[..., 0] >= SATURATED * np.maximum(total, BLACK)
        motion = _Motion(before=self._before, now=light)
        general.step(time, light, light < BRIGHT, motion)
        red.step(time, redness, saturated, motion)
        self._before = light

    def _linear(self, frame: NDArray[np.uint8]) -> Map:
        high, wide = self._grid
        # Code values are averaged only over a quarter of a cell: a mean of light, not of codes.
        if frame.shape[0] >= 2 * high and frame.shape[1] >= 2 * wide:
            small = cv2.LUT(thumbnail(frame, 2 * high, 2 * wide), _LINEAR)
            small = cv2.resize(small, (wide, high), interpolation=cv2.INTER_AREA)
        else:
            small = cv2.LUT(thumbnail(frame, high, wide), _LINEAR)
        return np.asarray(small, np.float32).reshape(high, wide, 3)


class _Motion:
    """How far the picture moved between two frames, in cells; found only when asked for."""

    def __init__(self, *, before: Map | None, now: Map) -> None:
        self._pair = (now if before is None else before, now)
        self._shift: tuple[float, float] | None = None

    def without(self, cells: Mask, before: Map, now: Map) -> Mask:
        """``cells`` without those whose change between the two the shift explains."""
        if min(now.shape) < LEAST_SIDE:
            return cells
        if self._shift is None:
            one, two = (np.sqrt(light) for light in self._pair)
            window = cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F)
            shift, _ = cv2.phaseCorrelate(one, two, window)
            self._shift = (shift[0], shift[1])
        there = self._explained(cells, before, now, 1.0)
        back = self._explained(cells, before, now, -1.0)
        explained = there.sum() / max(1, int(cells.sum()))
        if explained < MOST_EXPLAINED or back.sum() >= BOTH_WAYS * there.sum():
            return cells
        # What came in over the edge cannot be explained, and is motion as well.
        within = self._moved(np.ones_like(before), cv2.BORDER_CONSTANT, 1.0) > WITHIN
        return np.asarray(cells & ~there & within, np.bool_)

    def _explained(self, cells: Mask, before: Map, now: Map, sign: float) -> Mask:
        rest = np.abs(now - self._moved(before, cv2.BORDER_REPLICATE, sign))
        return np.asarray(cells & (rest <= EXPLAINED_REST * np.abs(now - before)), np.bool_)

    def _moved(self, before: Map, border: int, sign: float) -> Map:
        x, y = self._shift or (0.0, 0.0)
        move = np.array([[1.0, 0.0, sign * x], [0.0, 1.0, sign * y]], np.float32)
        size = (before.shape[1], before.shape[0])
        moved = cv2.warpAffine(before, move, size, borderMode=border)
        return np.asarray(moved, np.float32).reshape(before.shape)


class _Fields:
    """All fields of 10 degrees that lie in a grid."""

    def __init__(self, grid: tuple[int, int]) -> None:
        self._grid = grid
        self._high, self._wide = (max(1, round(side / FIELDS)) for side in grid)
        self._kernel = np.ones((self._high, self._wide), np.uint8)

    def shares(self, cells: Mask) -> Map:
        """The share of each field that is in ``cells``, at the field's upper left cell."""
        high, wide = self._grid
        size = (self._wide, self._high)
        mean = cv2.boxFilter(cells.astype(np.float32), -1, size, anchor=(0, 0))
        inside = mean.reshape(high, wide)[: high - self._high + 1, : wide - self._wide + 1]
        return np.asarray(inside, np.float32)

    def covered(self, fields: Mask) -> Mask:
        """The cells that lie in at least one of ``fields``."""
        corners = np.zeros(self._grid, np.uint8)
        corners[: fields.shape[0], : fields.shape[1]] = fields
        anchor = (self._wide - 1, self._high - 1)
        spread = cv2.dilate(
            corners, self._kernel, anchor=anchor, borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        return np.asarray(spread.reshape(self._grid) > 0, np.bool_)


class _Track:
    """The transitions of one measure, cell by cell, and the events they make."""

    def __init__(
        self, kind: FlashKind, grid: tuple[int, int], step: float, frame_time: float
    ) -> None:
        self._kind = kind
        self._step = step
        # When within its frame a transition came is unknown, so 3 Hz may look like 7 within
        # a second; the second is therefore one frame shorter.
        self._second = 1.0 - frame_time + 1e-6
        self._soft = max(SOFT_SECONDS - frame_time, 0.0) + 1e-6
        self._fields = _Fields(grid)
        self._before: Map | None = None
        self._low = self._high = np.zeros(grid, np.float32)
        self._low_fits = self._high_fits = np.zeros(grid, np.bool_)
        self._way = np.zeros(grid, np.int8)
        self._turned = {way: np.full(grid, -np.inf) for way in (1, -1)}
        self._waiting = {way: np.zeros(grid, np.bool_) for way in (1, -1)}
        # The latest transition of each cell first.
        self._counted = np.full((REMEMBERED, *grid), -np.inf)
        self._open: FlashEvent | None = None
        self._closed: list[FlashEvent] = []

    def step(self, time: float, value: Map, fits: Mask, motion: _Motion) -> None:
        """Takes the next frame; a change between two states counts if one of them ``fits``."""
        if self._open is not None and time - self._open.end > 1.0:
            self._close()
        if self._before is None:
            self._low = self._high = self._before = value
            self._low_fits = self._high_fits = fits
            return
        rise, fall = self._turns(value, fits)
        changed = rise | fall
        if changed.mean() >= LEAST_MOVING:
            kept = motion.without(changed, self._before, value)
            rise, fall = rise & kept, fall & kept
        self._before = value
        ones = ((1, rise), (-1, fall))
        for way, cells in ones:
            self._turned[way][cells] = time
            self._waiting[way] |= cells
        counted = [self._together(time, way, cells) for way, cells in ones]
        if any(counted):
            self._judge(time)

    def events(self) -> tuple[FlashEvent, ...]:
        return (*self._closed, *([self._open] if self._open is not None else []))

    def _turns(self, value: Map, fits: Mask) -> tuple[Mask, Mask]:
        """The cells that rose and those that fell by a step since they last turned."""
        rise = (self._way <= 0) & (value - self._low > self._step) & (fits | self._low_fits)
        fall = (self._way >= 0) & (self._high - value > self._step) & (fits | self._high_fits)
        fall &= ~rise
        self._way = np.where(rise, np.int8(1), np.where(fall, np.int8(-1), self._way))
        lower, higher = fall | (value < self._low), rise | (value > self._high)
        self._low = np.where(lower, value, self._low)
        self._high = np.where(higher, value, self._high)
        self._low_fits = np.where(lower, fits, self._low_fits)
        self._high_fits = np.where(higher, fits, self._high_fits)
        return rise, fall

    def _together(self, time: float, way: int, cells: Mask) -> bool:
        """Counts the concurrent transitions in one direction; whether there were any."""
        since = time - self._soft
        recent = self._turned[way] >= since
        waiting = self._waiting[way] & recent
        self._waiting[way] = waiting
        if not waiting.any():
            return False
        soft = self._fields.shares(recent) - self._fields.shares(self._turned[-way] >= since)
        counted = waiting & self._fields.covered(soft >= SOFT_TOGETHER)
        counted |= cells & self._fields.covered(self._fields.shares(cells) >= TOGETHER)
        if not counted.any():
            return False
        self._waiting[way] = waiting & ~counted
        np.copyto(self._counted[1:], self._counted[:-1].copy(), where=counted)
        np.copyto(self._counted[0], self._turned[way], where=counted)
        return True

    def _judge(self, time: float) -> None:
        """Looks for the highest score among the transitions of the last second."""
        since = time - self._second
        best, best_count, best_area = 0.0, 0, 0.0
        for count in range(REMEMBERED, 1, -1):
            if score(count, 1.0) <= best:
                break
            often = self._counted[count - 1] >= since
            area = min(1.0, float(self._fields.shares(often).max())) if often.any() else 0.0
            if score(count, area) > best:
                best, best_count, best_area = score(count, area), count, area
        if best >= REPORTED_SCORE:
            first = self._counted[best_count - 1]
            start = float(first.min(where=first >= since, initial=time))
            self._extend(start, time, best_count, best_area, best)

    def _extend(self, start: float, end: float, count: int, area: float, best: float) -> None:
        now = FlashEvent(
            kind=self._kind,
            start=start if self._open is None else min(start, self._open.start),
            end=end,
            flashes=math.ceil(count / 2),
            area=area,
            score=best,
        )
        if self._open is not None and self._open.score >= best:
            earlier = self._open
            now = replace(now, flashes=earlier.flashes, area=earlier.area, score=earlier.score)
        self._open = now

    def _close(self) -> None:
        self._closed.extend(self.events()[len(self._closed) :])
        self._open = None
        if len(self._closed) > MAX_EVENTS:
            self._closed.remove(min(self._closed, key=lambda event: event.score))
