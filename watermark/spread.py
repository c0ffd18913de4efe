"""Our own blind, keyed video watermark: a periodic tile that moves with the camera."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import reading, search
from watermark.demodulate import CHANNELS, Decoded, decode, recognise, soften
from watermark.embedder import Embedder
from watermark.gather import Gathered, gather
from watermark.geometry import Geometry
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.reading import CERTAIN_LOG10_P, Reading, Span
from watermark.sync import score_at, spectrum
from watermark.tile import Pattern, derive_pattern, synthesise
from watermark.watermarker import Frames, FramesRefused

MIN_SIDE: Final = 128
FLAT_RMS: Final = 0.32
SEEN_SCORE: Final = 3.0
WORTH_DECODING: Final = 2.5


@dataclass(frozen=True, kw_only=True)
class _Find:
    decoded: Decoded
    pattern: Pattern
    hypothesis: search.Hypothesis
    mode: reading.Mode


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
        tile = synthesise(self._derived()[0], payload)
        size: tuple[int, int] | None = None
        embedder: Embedder | None = None
        for chunk in chunks:
            shape = _checked(chunk)
            if embedder is None:
                size = shape
                embedder = Embedder(
                    tile, size, flat_rms=self._flat_rms, target_psnr_db=self._target_psnr_db
                )
            if shape != size:
                raise FramesRefused("All frames of a clip have one size.")
            marked = np.empty_like(chunk)
            for index, frame in enumerate(chunk):
                embedder.mark(frame, out=marked[index])
            yield marked

    def extract(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        candidates: Collection[Payload] = (),
    ) -> Reading:
        """See `Watermarker.extract`: identity first, then scale and mirroring, then turns."""
        gathered = gather(chunks)
        best_score = 0.0
        doubtful: _Find | None = None
        if gathered.segments:
            registered = tuple(candidates)
            planes = _planes(gathered)
            for hypothesis, pattern, plane in self._hypotheses(planes):
                best_score = max(best_score, hypothesis.score)
                find = _try(plane, hypothesis, pattern, registered)
                if find is None:
                    continue
                if find.decoded.log10_p <= CERTAIN_LOG10_P:
                    return self._report(find, gathered, fps, certain=True)
                doubtful = doubtful or find
        if doubtful is not None:
            return self._report(doubtful, gathered, fps, certain=False)
        return reading.nothing(
            algorithm=self.name, frames_read=gathered.frames, pilot_score=best_score
        )

    def _hypotheses(
        self, planes: Sequence[NDArray[np.float32]]
    ) -> Iterator[tuple[search.Hypothesis, Pattern, NDArray[np.float32]]]:
        patterns = self._derived()
        for pattern in patterns:
            for plane in planes:
                unmoved = Geometry()
                score = score_at(spectrum(plane, unmoved), pattern, 0.0, 0.0)
                yield search.Hypothesis(geometry=unmoved, score=score), pattern, plane
                moved = search.at_identity(plane, pattern)
                if moved.score > max(score, search.FINALIST_SCORE):
                    yield moved, pattern, plane
        planes = [plane for plane in planes if np.ptp(plane) > 0]
        for scan in (search.scan, search.scan_turned):
            for pattern in patterns:
                for plane in planes:
                    for hypothesis in scan(plane, pattern):
                        yield hypothesis, pattern, plane

    def _derived(self) -> tuple[Pattern, ...]:
        if self._patterns is None:
            self._patterns = tuple(derive_pattern(key) for key in self._keys)
        return self._patterns

    def _report(self, find: _Find, gathered: Gathered, fps: float, *, certain: bool) -> Reading:
        return Reading(
            payload=find.decoded.payload,
            certain=certain,
            log10_p=find.decoded.log10_p,
            key_id=find.pattern.key_id,
            mode=find.mode,
            geometry=find.hypothesis.geometry,
            spans=_spans(find, gathered, fps),
            frames_read=gathered.frames,
            pilot_score=find.hypothesis.score,
            algorithm=self.name,
        )


def _checked(chunk: object) -> tuple[int, int]:
    if isinstance(chunk, np.ndarray) and chunk.dtype == np.uint8 and chunk.ndim == 4:
        _, height, width, channels = chunk.shape
        if channels == 3 and min(height, width) >= MIN_SIDE:
            return height, width
    raise FramesRefused("Frames to be marked are uint8[T, H, W, 3] of 128 pixels or more.")


def _planes(gathered: Gathered) -> tuple[NDArray[np.float32], ...]:
    """The sums worth reading: everything as it lies, and the longest tracked chain."""
    segments = gathered.segments
    plain = _total([segment.plain for segment in segments])
    chains: dict[int, int] = {}
    for segment in segments:
        if segment.moved:
            chains[segment.chain] = chains.get(segment.chain, 0) + segment.frames
    if not chains:
        return (plain,)
    longest = max(chains, key=lambda chain: chains[chain])
    tracked = [segment.tracked for segment in segments if segment.chain == longest]
    return _total(tracked), plain


def _total(planes: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    total = planes[0].copy()
    for plane in planes[1:]:
        total += plane
    return total


def _try(
    plane: NDArray[np.float32],
    hypothesis: search.Hypothesis,
    pattern: Pattern,
    candidates: Sequence[Payload],
) -> _Find | None:
    geometry = hypothesis.geometry
    if hypothesis.score < WORTH_DECODING:
        return None
    raw = spectrum(plane, geometry)
    doubtful: _Find | None = None
    for channel in CHANNELS:
        soft = soften(raw, geometry.offset_x, geometry.offset_y, pattern, channel)
        # Decoding goes first: a strong mark also resembles words somewhat like its own.
        mode: reading.Mode = "self_contained"
        decoded = decode(soft)
        if decoded is None:
            decoded, mode = recognise(soft, candidates), "registry"
        if decoded is None:
            continue
        find = _Find(decoded=decoded, pattern=pattern, hypothesis=hypothesis, mode=mode)
        if decoded.log10_p <= CERTAIN_LOG10_P:
            return find
        if mode == "self_contained":
            doubtful = doubtful or find
    return doubtful


def _spans(find: _Find, gathered: Gathered, fps: float) -> tuple[Span, ...]:
    if not (math.isfinite(fps) and fps > 0):
        return ()
    geometry = find.hypothesis.geometry
    spans: list[Span] = []
    for segment in gathered.segments:
        raw = spectrum(segment.tracked, geometry)
        score = score_at(raw, find.pattern, geometry.offset_x, geometry.offset_y)
        if not score >= SEEN_SCORE:
            continue
        start, end = segment.start / fps, (segment.start + segment.frames) / fps
        if spans and start - spans[-1].end < 0.5 / fps:
            start, score = spans[-1].start, max(score, spans[-1].pilot_score)
            spans.pop()
        spans.append(Span(start=start, end=end, pilot_score=score))
    return tuple(spans)
