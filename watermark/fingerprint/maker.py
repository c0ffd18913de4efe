"""Makes the fingerprint of a clip that is released, and the query of a copy that came back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.points import Found, Points, find, find_steady
from watermark.fingerprint.query import ADDRESS_BITS, DOUBTS, Query
from watermark.fingerprint.record import MAX_DURATION_MS, MAX_POINTS, Fingerprint
from watermark.fingerprint.sampling import Picker, Plane, pick
from watermark.watermarker import Frames

RECORD_FRAMES: Final = 6
RECORD_SHORT: Final = 180
"""A record holds what is still seen when the picture is small."""
QUERY_FRAMES: Final = 8
QUERY_FRAMES_MAX: Final = 24
SECONDS_PER_QUERY_FRAME: Final = 1.0
QUERY_SHORT: Final = 240
"""A copy is searched more finely: the clip may fill a part of its picture only."""
POINTS_PER_FRAME: Final = 250
MAX_QUERY_POINTS: Final = 900
SAME_IN_RECORD: Final = 8
SAME_IN_QUERY: Final = 3
"""A point whose code is within so many bits of one taken before is the same, seen later."""
MAX_FPS: Final = 1000.0


def fingerprint(chunks: Iterable[Frames], *, fps: float) -> Fingerprint:
    """Makes the record of a clip: uint8[T, H, W, 3] RGB chunks, of any sizes.

    Looks at six frames, keeps at most 128 points. Memory and work do not grow with the clip
    (beyond turning frames to luma while its length is unknown). Never raises on odd frames:
    what is no picture gives no points. Errors of the iterable itself pass through.
    """
    picked, length = pick(chunks, RECORD_FRAMES, RECORD_SHORT)
    frames = [
        found for _, plane in picked if (found := _points(plane, find_steady)) is not None
    ]
    if not frames:
        return Fingerprint(points=_none(), duration_ms=_milliseconds(length, fps))
    taken: list[tuple[int, int]] = []
    codes = np.zeros(0, np.uint64)
    ranks = [0] * len(frames)
    while len(taken) < MAX_POINTS:
        before = len(taken)
        for index, found in enumerate(frames):
            ranks[index] = _next_new(found.points.codes, ranks[index], codes, SAME_IN_RECORD)
            if ranks[index] < len(found.points) and len(taken) < MAX_POINTS:
                taken.append((index, ranks[index]))
                codes = np.append(codes, found.points.codes[ranks[index]])
                ranks[index] += 1
        if len(taken) == before:
            break
    places = [frames[index].points.places[rank] for index, rank in taken]
    points = Points(
        codes=codes,
        places=np.array(places, dtype=np.uint8).reshape(-1, 4),
        aspect=frames[0].points.aspect,
    )
    return Fingerprint(points=points, duration_ms=_milliseconds(length, fps))


def query(chunks: Iterable[Frames], *, fps: float) -> Query:
    """Makes the query of a copy, with the same promises as `fingerprint`.

    Looks at eight frames, or one per second of a longer copy up to 24, so that a clip inside
    a long video is likely to be met; of a video of many minutes only samples are seen.
    """
    onlooker = Onlooker()
    for _ in onlooker.passing(chunks):
        pass
    return onlooker.query(fps=fps)


class Onlooker:
    """Makes the query of a copy whose frames pass by on their way to somebody else."""

    def __init__(self) -> None:
        self._picker = Picker(QUERY_FRAMES_MAX, QUERY_SHORT)

    def passing(self, chunks: Iterable[Frames]) -> Iterator[Frames]:
        """The same chunks, each looked at as it passes."""
        for chunk in chunks:
            self._picker.see(chunk)
            yield chunk

    def query(self, *, fps: float) -> Query:
        """The query of what has passed, as `query` makes it."""
        return _query(self._picker.picked(), self._picker.seen, fps=fps)


def _query(picked: tuple[tuple[int, Plane], ...], length: int, *, fps: float) -> Query:
    wanted = _milliseconds(length, fps) / 1000 / SECONDS_PER_QUERY_FRAME
    count = int(min(max(QUERY_FRAMES, wanted), QUERY_FRAMES_MAX))
    if len(picked) > count:
        middles = ((np.arange(count) + 0.5) * len(picked) / count).astype(int)
        picked = tuple(picked[index] for index in middles)
    rate = fps if 0 < fps <= MAX_FPS else 1.0
    parts: list[Found] = []
    seconds: list[NDArray[np.float32]] = []
    codes = np.zeros(0, np.uint64)
    share = MAX_QUERY_POINTS // max(1, len(picked))
    aspect = 1.0
    for position, plane in picked:
        found = _points(plane, find)
        if found is None or not len(found.points):
            continue
        near = np.bitwise_count(found.points.codes[:, None] ^ codes[None]) <= SAME_IN_QUERY
        new = np.flatnonzero(~near.any(axis=1))[: 2 * share]
        aspect = found.points.aspect if not parts else aspect
        places, values = found.points.places[new], found.values[new]
        points = Points(codes=found.points.codes[new], places=places, aspect=aspect)
        parts.append(Found(points=points, values=values))
        seconds.append(np.full(len(new), position / rate, dtype=np.float32))
        codes = np.concatenate([codes, points.codes])
    if not parts:
        return Query.of(Fingerprint(points=_none(), duration_ms=0))
    kept = _in_turns([len(part.points) for part in parts], MAX_QUERY_POINTS)
    values = np.concatenate([part.values for part in parts])[kept, :ADDRESS_BITS]
    doubts = np.argsort(np.abs(values), axis=1, kind="stable")[:, :DOUBTS]
    return Query(
        points=Points(
            codes=codes[kept],
            places=np.concatenate([part.points.places for part in parts])[kept],
            aspect=aspect,
        ),
        doubts=doubts.astype(np.uint8),
        seconds=np.concatenate(seconds)[kept],
    )


def _points(plane: Plane, look: Callable[[Plane, int], Found]) -> Found | None:
    try:
        return look(plane, POINTS_PER_FRAME)
    except cv2.error:
        return None


def _next_new(
    codes: NDArray[np.uint64], start: int, taken: NDArray[np.uint64], same: int
) -> int:
    """The first rank from `start` on whose code is far from all that are taken."""
    if start >= len(codes) or not len(taken):
        return start
    near = np.bitwise_count(codes[start:, None] ^ taken[None]).min(axis=1) <= same
    return start + (int(np.argmin(near)) if not near.all() else len(near))


def _in_turns(lengths: list[int], limit: int) -> NDArray[np.intp]:
    """Indices into concatenated lists: each list's first, then each one's second, and so on."""
    rank = np.concatenate([np.arange(length) for length in lengths])
    return np.asarray(np.sort(np.argsort(rank, kind="stable")[:limit]), dtype=np.intp)


def _none() -> Points:
    return Points(codes=np.zeros(0, np.uint64), places=np.zeros((0, 4), np.uint8), aspect=1.0)


def _milliseconds(frames: int, fps: float) -> int:
    if not 0 < fps <= MAX_FPS:
        return 0
    return min(round(frames * 1000 / fps), MAX_DURATION_MS)
