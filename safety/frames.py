"""The frame gate: what a clip shows, judged on sampled frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from safety.circumstances import STRICTEST, Circumstances
from safety.policy import Policy
from safety.sampling import Frames, FrameSampler, Sample
from safety.verdict import Action, Category, FrameScores, Stage, Verdict

BATCH_FRAMES = 4
"""How many sampled frames wait in memory for the classifiers."""

NAN = float("nan")


class FrameClassifier(Protocol):
    """Scores pictures. ``name`` is ``name@version``; it becomes a judge of the verdict."""

    @property
    def name(self) -> str: ...

    @property
    def categories(self) -> frozenset[Category]:
        """The categories for which every row holds a score."""
        ...

    def score(self, frames: Frames) -> Sequence[Mapping[Category, float]]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB), scores in 0..1."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassifierFault:
    """A classifier that gave no usable answer between two times of the clip, in seconds.

    ``error`` is the name of the exception, or "IncompleteAnswer" for wrong or missing rows.
    """

    judge: str
    error: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class FrameReport:
    """The verdict on a clip with its evidence.

    ``frames`` are the scores of every sampled frame in the order of the clip, ``sampled`` is
    their number, ``total`` the number of frames in the clip.
    """

    verdict: Verdict
    frames: tuple[FrameScores, ...]
    sampled: int
    total: int
    faults: tuple[ClassifierFault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FrameGate:
    """Judges a clip: sampler → classifiers → highest score per category → policy.

    Whatever cannot be judged is never allowed: no classifier, no frames, a classifier that
    fails or answers incompletely hold the clip; a score that is not a number in 0..1 survives
    the combination, so that the policy blocks. A frame nobody sampled is not judged.
    """

    classifiers: tuple[FrameClassifier, ...]
    policy: Policy
    sampler: FrameSampler = field(default_factory=FrameSampler)

    def judge(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        circumstances: Circumstances = STRICTEST,
    ) -> Verdict:
        """The verdict of ``report``."""
        return self.report(chunks, fps=fps, circumstances=circumstances).verdict

    def report(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        circumstances: Circumstances = STRICTEST,
    ) -> FrameReport:
        """Judges the clip in ``chunks`` (uint8[T,H,W,3], RGB) and consumes all of it.

        Memory does not grow with the clip but for the scores. Raises ValueError for a frame
        rate or a chunk that makes no sense; an error of the source passes through. In both
        cases there is no verdict and so nothing may be released.
        """
        counted = _Counted(chunks)
        frames: list[FrameScores] = []
        faults: dict[str, ClassifierFault] = {}
        for batch in _batches(self.sampler.sample(counted, fps=fps)):
            frames.extend(self._score(batch, faults))
        ordered = tuple(sorted(frames, key=lambda frame: frame.index))
        found = tuple(faults.values())
        return FrameReport(
            verdict=self._verdict(ordered, found, circumstances),
            frames=ordered,
            sampled=len(ordered),
            total=counted.total,
            faults=found,
        )

    def _verdict(
        self,
        frames: tuple[FrameScores, ...],
        faults: tuple[ClassifierFault, ...],
        circumstances: Circumstances,
    ) -> Verdict:
        judges = tuple(classifier.name for classifier in self.classifiers)
        verdict = self.policy.judge_frames(frames, judges=judges, circumstances=circumstances)
        if self.classifiers and not faults:
            return verdict
        fault = self.policy.fault(None, Stage.FRAMES)
        spans = [replace(fault, start=each.start, end=each.end) for each in faults]
        return replace(
            verdict,
            action=max(verdict.action, Action.REVIEW, key=lambda action: action.severity),
            reasons=(*verdict.reasons, *(spans or [fault])),
        )

    def _score(
        self, batch: Sequence[Sample], faults: dict[str, ClassifierFault]
    ) -> list[FrameScores]:
        pixels = np.stack([sample.frame for sample in batch])
        combined: list[dict[Category, float]] = [{} for _ in batch]
        for classifier in self.classifiers:
            rows, error = _ask(classifier, pixels)
            for scores, row in zip(combined, rows, strict=True):
                for category, score in row.items():
                    scores[category] = _higher(scores.get(category, 0.0), score)
            if error:
                times = [sample.seconds for sample in batch]
                earlier = faults.get(classifier.name)
                if earlier is not None:
                    times += [earlier.start, earlier.end]
                faults[classifier.name] = ClassifierFault(
                    judge=classifier.name,
                    error=earlier.error if earlier else error,
                    start=min(times),
                    end=max(times),
                )
        return [
            FrameScores(index=sample.index, seconds=sample.seconds, scores=scores)
            for sample, scores in zip(batch, combined, strict=True)
        ]


def _ask(
    classifier: FrameClassifier, pixels: Frames
) -> tuple[list[Mapping[Category, float]], str]:
    """One row per picture, and what went wrong ("" when nothing did)."""
    nothing: list[Mapping[Category, float]] = [{} for _ in pixels]
    try:
        rows = [dict(row) for row in classifier.score(pixels)]
    except Exception as error:  # noqa: BLE001 - whatever a model raises holds the clip
        return nothing, type(error).__name__
    if len(rows) != len(pixels):
        return nothing, "IncompleteAnswer"
    complete = all(classifier.categories <= row.keys() for row in rows)
    return [*rows], "" if complete else "IncompleteAnswer"


def _higher(one: float, other: object) -> float:
    """The higher of two scores; NaN when either is not a number in 0..1."""
    if isinstance(other, bool) or not isinstance(other, int | float | np.floating):
        return NAN
    if 0.0 <= one <= 1.0 and 0.0 <= other <= 1.0:
        return max(one, float(other))
    return NAN


def _batches(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == BATCH_FRAMES:
            yield batch
            batch = []
    if batch:
        yield batch


class _Counted:
    """The chunks of a clip, with a count of the frames that went by."""

    def __init__(self, chunks: Iterable[Frames]) -> None:
        self._chunks = chunks
        self.total = 0

    def __iter__(self) -> Iterator[Frames]:
        for chunk in self._chunks:
            yield chunk
            self.total += len(chunk)
