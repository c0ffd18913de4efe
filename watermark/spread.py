"""Our own blind, keyed video watermark: a periodic tile that moves with the camera."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from watermark.embedder import Embedder
from watermark.follow import seen
from watermark.keys import WatermarkKey
from watermark.lattice import spectrum, whitened
from watermark.looks import Evidence, Looks, gather, period
from watermark.payload import Payload
from watermark.reader import Find, Reader
from watermark.reading import CERTAIN_LOG10_P, Reading, Span, nothing
from watermark.registry import Registry
from watermark.sync import noticed, score_at
from watermark.tile import Pattern, derive_pattern
from watermark.watermarker import Frames, FramesRefused

MIN_SIDE: Final = 128
FLAT_RMS: Final = 0.35
SEEN_SCORE: Final = 3.8
ELSEWHERE: Final = 2.0
"""How much more it takes to believe a mark that moved: any offset could fit by chance."""


class SpreadWatermarker:
    """Spreads a payload over the low spatial frequencies of every frame.

    Marks with the first key and reads with all of them. `flat_rms` is the deviation of the
    mark on flat areas of a 720-line frame, in grey levels; textured areas take more, down to
    `target_psnr_db`. Sources: the design page `docs/watermark.md`.
    """

    def __init__(
        self,
        keys: Sequence[WatermarkKey],
        name: str,
        *,
        target_psnr_db: float = 42.0,
        flat_rms: float = FLAT_RMS,
    ) -> None:
        if not keys:
            raise ValueError("A watermarker needs at least one key.")
        self.name = name
        self._keys = tuple(keys)
        self._target_psnr_db = target_psnr_db
        self._flat_rms = flat_rms
        self._patterns: tuple[Pattern, ...] | None = None

    def embed(
        self, chunks: Iterable[Frames], payload: Payload, *, fps: float
    ) -> Iterator[Frames]:
        """See `Watermarker.embed`; frames of at least 128 pixels a side."""
        pattern = self._derived()[0]
        size: tuple[int, int] | None = None
        embedder: Embedder | None = None
        for chunk in chunks:
            shape = _checked(chunk)
            if embedder is None:
                size = shape
                embedder = Embedder(
                    pattern,
                    payload,
                    size,
                    period=period(fps),
                    flat_rms=self._flat_rms,
                    target_psnr_db=self._target_psnr_db,
                )
            if shape != size:
                raise FramesRefused("All frames of a clip have one size.")
            marked = np.empty_like(chunk)
            embedder.mark(chunk, out=marked)
            yield marked

    def extract(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        candidates: Collection[Payload] = (),
    ) -> Reading:
        """See `Watermarker.extract`; a `Registry` as candidates may hold a million ids."""
        looks = gather(chunks, fps)
        reader = Reader(
            looks=looks,
            patterns=self._derived(),
            registry=Registry.of(candidates),
        )
        find = reader.read() if looks.items else None
        if find is None:
            return nothing(
                algorithm=self.name, frames_read=len(looks.items), pilot_score=reader.best_score
            )
        return Reading(
            payload=find.decoded.payload,
            certain=find.decoded.log10_p <= CERTAIN_LOG10_P,
            log10_p=find.decoded.log10_p,
            key_id=find.pattern.key_id,
            mode=find.mode,
            geometry=find.geometry,
            spans=_spans(find, looks, fps),
            frames_read=len(looks.items),
            pilot_score=find.score,
            algorithm=self.name,
        )

    def _derived(self) -> tuple[Pattern, ...]:
        if self._patterns is None:
            self._patterns = tuple(derive_pattern(key) for key in self._keys)
        return self._patterns


def _checked(chunk: object) -> tuple[int, int]:
    if isinstance(chunk, np.ndarray) and chunk.dtype == np.uint8 and chunk.ndim == 4:
        _, height, width, channels = chunk.shape
        if channels == 3 and min(height, width) >= MIN_SIDE:
            return height, width
    raise FramesRefused("Frames to be marked are uint8[T, H, W, 3] of 128 pixels or more.")


def _spans(find: Find, looks: Looks, fps: float) -> tuple[Span, ...]:
    """Where in time the mark is seen: in frames, or in changes between unclear ones."""
    if not (math.isfinite(fps) and fps > 0):
        return ()
    clear = {one.frame: _seen(one, find, looks) for one in looks.items}
    scores = dict(clear)
    for change in looks.changes if min(clear.values()) < SEEN_SCORE else ():
        if all(clear[frame] < SEEN_SCORE for frame in change.frames):
            score = _seen(change, find, looks)
            scores.update({frame: max(score, scores[frame]) for frame in change.frames})
    spans: list[Span] = []
    for frame, score in sorted(scores.items()):
        if not score >= SEEN_SCORE:
            continue
        start = frame / fps
        end = min(frame + looks.step, looks.frames) / fps
        if spans and start - spans[-1].end < 0.5 / fps:
            start, score = spans[-1].start, max(score, spans[-1].pilot_score)
            spans.pop()
        spans.append(Span(start=start, end=end, pilot_score=score))
    return tuple(spans)


def _seen(one: Evidence, find: Find, looks: Looks) -> float:
    """The pilots' score where it was found, where the camera took it, or elsewhere."""
    geometry = find.geometry
    raw = spectrum(one.both, geometry)
    there = score_at(whitened(raw), find.pattern, geometry.offset_x, geometry.offset_y)
    score = max(abs(there), noticed(raw, find.pattern).score - ELSEWHERE)
    if score >= SEEN_SCORE:
        return score
    moved = seen(one, geometry, looks.since(find.at, one.frame))
    x, y = np.array([geometry.offset_x, geometry.offset_y]) + moved.shift
    along = score_at(moved.white, find.pattern, float(x), float(y))
    return max(score, abs(along), noticed(moved.raw, find.pattern).score - ELSEWHERE)
