"""The seam `Watermarker` for a learned model: keyed, error-corrected, with a proven bound."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import reading
from watermark.keys import WatermarkKey
from watermark.learned.bound import deviations, log10_bound
from watermark.learned.gather import Votes, gather, usual
from watermark.learned.layout import Layout, derive_layout
from watermark.learned.model import LearnedModel, load
from watermark.learned.weights import PinnedWeights
from watermark.payload import ID_BITS, Payload
from watermark.reading import CERTAIN_LOG10_P, Reading, Span
from watermark.watermarker import Frames, FramesRefused

MIN_SIDE: Final = 128
SEEN_SCORE: Final = 4.0
_CANDIDATES_AT_ONCE: Final = 4096


@dataclass(frozen=True, kw_only=True)
class _Find:
    payload: Payload
    log10_p: float
    score: float
    layout: Layout
    mode: reading.Mode


class LearnedWatermarker:
    """Writes payloads into the bits of a pinned model and reads them back.

    Marks with the first key and reads with all of them. The model is loaded on first use.
    The key hides payloads and carries the false-positive bound; it does not stop anyone who
    has the same weights from copying the bits of a marked clip into another one.
    """

    def __init__(self, keys: Sequence[WatermarkKey], name: str, weights: PinnedWeights) -> None:
        if not keys:
            raise ValueError("A watermarker needs at least one key.")
        self.name = name
        self._weights = weights
        self._layouts = tuple(derive_layout(key, weights.bits) for key in keys)
        self._model: LearnedModel | None = None
        self._lock = threading.Lock()

    def embed(
        self, chunks: Iterable[Frames], payload: Payload, *, fps: float
    ) -> Iterator[Frames]:
        """See `Watermarker.embed`; frames of at least 128 pixels a side.

        Raises `MarkingFailed` when the model fails, and `WeightsRefused` when there is none.
        """
        model = self._loaded()
        message = self._layouts[0].message(payload)
        group = np.zeros((0, 0, 0, 3), dtype=np.uint8)
        size: tuple[int, int] | None = None
        for chunk in chunks:
            shape = _checked(chunk)
            if size is None:
                size = shape
                group = np.zeros((0, *size, 3), dtype=np.uint8)
            if shape != size:
                raise FramesRefused("All frames of a clip have one size.")
            marked = np.empty_like(chunk)
            done = 0
            while done < len(chunk):
                # Key frames lie at every step-th frame of the clip, not of the chunk: what
                # belongs to a key frame seen earlier is marked together with it once more.
                known = len(group)
                fresh = chunk[done : done + model.step - known]
                group = np.concatenate([group, fresh])
                marked[done : done + len(fresh)] = model.mark(group, message)[known:]
                done += len(fresh)
                if len(group) == model.step:
                    group = group[:0]
            yield marked

    def extract(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        candidates: Collection[Payload] = (),
    ) -> Reading:
        """See `Watermarker.extract`. The geometry stays unknown: the model does not tell.

        Raises `ReadingFailed` or `WeightsRefused` when the model cannot look: a clip that was
        not looked at must not pass for one without a mark.
        """
        votes = gather(chunks, self._loaded(), fps=fps)
        windows = votes.windows()
        # Each window may be decoded and compared with the candidates, under each key.
        attempts = 2 * len(windows) * len(self._layouts)
        doubtful: _Find | None = None
        for window in windows:
            for layout in self._layouts:
                find = _decoded(window, layout, attempts)
                if find is not None and find.log10_p <= CERTAIN_LOG10_P:
                    return self._report(find, votes, fps, certain=True)
                doubtful = doubtful or find
        best = self._recognised(windows, tuple(candidates), attempts)
        if best is not None and best.log10_p <= CERTAIN_LOG10_P:
            return self._report(best, votes, fps, certain=True)
        if doubtful is not None:
            return self._report(doubtful, votes, fps, certain=False)
        return reading.nothing(
            algorithm=self.name,
            frames_read=votes.frames,
            pilot_score=best.score if best is not None else 0.0,
        )

    def _loaded(self) -> LearnedModel:
        with self._lock:
            if self._model is None:
                self._model = load(self._weights)
            return self._model

    def _recognised(
        self,
        windows: Sequence[NDArray[np.float64]],
        candidates: Sequence[Payload],
        attempts: int,
    ) -> _Find | None:
        """The candidate that agrees best with any window under any key."""
        best: tuple[float, Payload, Layout, NDArray[np.float64]] | None = None
        if not windows:
            return None
        unit = np.stack([window / np.linalg.norm(window) for window in windows])
        for layout in self._layouts:
            for first in range(0, len(candidates), _CANDIDATES_AT_ONCE):
                part = candidates[first : first + _CANDIDATES_AT_ONCE]
                scores = layout.words(part) @ unit.T.astype(np.float32)
                which, where = divmod(int(np.argmax(scores)), len(windows))
                score = float(scores[which, where])
                if best is None or score > best[0]:
                    best = score, part[which], layout, windows[where]
        if best is None:
            return None
        score, payload, layout, window = best
        bound = log10_bound(
            window, layout.words([payload])[0], words=len(candidates), attempts=attempts
        )
        return _Find(
            payload=payload, log10_p=bound, score=score, layout=layout, mode="registry"
        )

    def _report(self, find: _Find, votes: Votes, fps: float, *, certain: bool) -> Reading:
        return Reading(
            payload=find.payload,
            certain=certain,
            log10_p=find.log10_p,
            key_id=find.layout.key_id,
            mode=find.mode,
            geometry=None,
            spans=_spans(find, votes, fps),
            frames_read=votes.frames,
            pilot_score=find.score,
            algorithm=self.name,
        )


def _checked(chunk: object) -> tuple[int, int]:
    if isinstance(chunk, np.ndarray) and chunk.dtype == np.uint8 and chunk.ndim == 4:
        _, height, width, channels = chunk.shape
        if channels == 3 and min(height, width) >= MIN_SIDE:
            return height, width
    raise FramesRefused("Frames to be marked are uint8[T, H, W, 3] of 128 pixels or more.")


def _decoded(window: NDArray[np.float64], layout: Layout, attempts: int) -> _Find | None:
    payload = layout.decode(window)
    if payload is None:
        return None
    word = layout.words([payload])[0]
    return _Find(
        payload=payload,
        log10_p=log10_bound(window, word, words=2.0**ID_BITS, attempts=attempts),
        score=deviations(window, word),
        layout=layout,
        mode="self_contained",
    )


def _spans(find: _Find, votes: Votes, fps: float) -> tuple[Span, ...]:
    """The seconds in which the mark was seen, joined where they touch."""
    if usual(fps) != fps:
        return ()
    word = find.layout.words([find.payload])[0]
    spans: list[Span] = []
    for second in sorted(votes.seconds):
        score = deviations(votes.seconds[second], word)
        if not score >= SEEN_SCORE:
            continue
        start, end = float(second), min(second + 1.0, votes.length)
        if spans and spans[-1].end == start:
            start, score = spans[-1].start, max(score, spans[-1].pilot_score)
            spans.pop()
        spans.append(Span(start=start, end=end, pilot_score=score))
    return tuple(spans)
