"""The frame gate: what a clip shows, judged on sampled frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from safety.circumstances import STRICTEST, Circumstances
from safety.likeness import ENROLLABLE
from safety.moderation import MINOR_NOTE, RESPECT_LIMIT, Named
from safety.pictures import TELLING_SCORE, PictureScores
from safety.policy import Policy
from safety.sampling import Frames, FrameSampler, Sample
from safety.verdict import Action, Category, FrameScores, PictureNote, Stage, Verdict
from safety.watchers import FrameWatcher, Guarded

SAMPLER = "frame-sampler"
UNNAMED = "@unavailable"
BATCH_FRAMES = 4
"""How many sampled frames wait in memory for the classifiers."""

NAN = float("nan")
_SEXUAL = (Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE)


class FrameClassifier(Protocol):
    """Scores pictures. ``name`` is ``name@version``; it becomes a judge of the verdict."""

    @property
    def name(self) -> str: ...

    @property
    def categories(self) -> frozenset[Category]:
        """The categories for which every row holds a score."""
        ...

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB), scores in 0..1."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassifierFault:
    """A judge that gave no usable answer between two times of the clip, in seconds.

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
    their number, ``total`` the number of frames in the clip. ``notes`` tell what was seen in
    any of them, offence or not.
    """

    verdict: Verdict
    frames: tuple[FrameScores, ...]
    sampled: int
    total: int
    faults: tuple[ClassifierFault, ...] = ()
    notes: frozenset[PictureNote] = frozenset()


@dataclass(frozen=True, kw_only=True)
class FrameGate:
    """Judges a clip: sampler → classifiers → highest score per category → policy.

    Watchers see every frame and add what only their sequence shows.

    Whatever cannot be judged is never allowed: no classifier, no frames, a classifier that
    fails or answers incompletely hold the clip; a score that is not a number in 0..1 survives
    the combination, so that the policy blocks. A frame nobody sampled is not judged; a clip
    with more cuts than may be looked at is held.

    A subject that a classifier recognises counts like a score of its category, unless the
    circumstances hold a grant for exactly this subject and the policy lifts the category's
    rule for the audience; a person's consent does not reach a clip with sexual content. The
    notes of the classifiers join those of the circumstances, for windows that look for them.
    """

    classifiers: tuple[FrameClassifier, ...]
    policy: Policy
    watchers: tuple[FrameWatcher, ...] = ()
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
        watches = [Guarded(watcher, fps=fps) for watcher in self.watchers]
        counted = _Counted(chunks, watches)
        names = self._names()
        looks: list[_Look] = []
        faults: dict[str, ClassifierFault] = {}
        samples = self.sampler.sample(counted, fps=fps)
        for batch in _batches(samples):
            looks.extend(self._look(batch, faults))
        for before, after in zip(names, self._names(), strict=True):
            if before != after or UNNAMED in before:  # it is not known which data judged
                faults[before] = _fault(before, "UnknownData", counted.total / fps)
        if samples.skipped_cuts:
            faults[SAMPLER] = _fault(SAMPLER, "TooManyCuts", counted.total / fps)
        looks.sort(key=lambda look: look.index)
        for watch in watches:
            _hear(looks, watch)
            if watch.error:
                name = _called(watch.watcher)
                faults[name] = _fault(name, watch.error, counted.total / fps)
        lifted = self._lifted(looks, circumstances)
        notes = _taken(looks, circumstances)
        frames = tuple(look.counted(lifted, notes) for look in looks)
        found = tuple(faults.values())
        known = replace(circumstances, notes=circumstances.notes | notes)
        return FrameReport(
            verdict=self._verdict(frames, names, found, known),
            frames=frames,
            sampled=len(frames),
            total=counted.total,
            faults=found,
            notes=notes,
        )

    def _names(self) -> tuple[str, ...]:
        classifiers, watchers = map(_called, self.classifiers), map(_called, self.watchers)
        return (*classifiers, *watchers)

    def _verdict(
        self,
        frames: tuple[FrameScores, ...],
        judges: tuple[str, ...],
        faults: tuple[ClassifierFault, ...],
        circumstances: Circumstances,
    ) -> Verdict:
        verdict = self.policy.judge_frames(frames, judges=judges, circumstances=circumstances)
        fault = self.policy.fault(None, Stage.FRAMES)
        held = [replace(fault, start=each.start, end=each.end) for each in faults]
        held += [self.policy.fault(each, Stage.FRAMES) for each in self._unjudged(verdict)]
        if not self.classifiers:
            held.append(fault)
        if not held:
            return verdict
        return replace(
            verdict,
            action=max(verdict.action, Action.REVIEW, key=lambda action: action.severity),
            reasons=(*verdict.reasons, *held),
        )

    def _unjudged(self, verdict: Verdict) -> list[Category]:
        """What a classifier tells of and the policy says that nobody judges: an oversight."""
        return [
            category
            for category, score in verdict.scores.items()
            if self.policy.rules[category].frames is None and score >= TELLING_SCORE
        ]

    def _lifted(self, looks: Sequence[_Look], circumstances: Circumstances) -> frozenset[Named]:
        """The recognised subjects that a record allows in this clip."""
        chaste = all(
            0.0 <= look.scores.get(category, NAN) < RESPECT_LIMIT
            for look in looks
            for category in _SEXUAL
        )
        return frozenset(
            named
            for look in looks
            for named in look.named
            if named.grant in circumstances.grants
            and self.policy.rules[named.category].may_lift(circumstances.audience)
            and (chaste or named.category not in ENROLLABLE)
        )

    def _look(self, batch: Sequence[Sample], faults: dict[str, ClassifierFault]) -> list[_Look]:
        pixels = np.stack([sample.frame for sample in batch])
        looks = [_Look(index=sample.index, seconds=sample.seconds) for sample in batch]
        for classifier in self.classifiers:
            rows, error = _ask(classifier, pixels)
            for look, row in zip(looks, rows, strict=True):
                look.hear(row)
            if error:
                name = _called(classifier)
                times = [sample.seconds for sample in batch]
                earlier = faults.get(name)
                if earlier is not None:
                    times += [earlier.start, earlier.end]
                faults[name] = ClassifierFault(
                    judge=name,
                    error=earlier.error if earlier else error,
                    start=min(times),
                    end=max(times),
                )
        return looks


@dataclass(kw_only=True)
class _Look:
    """What all classifiers say about one sampled frame."""

    index: int
    seconds: float
    scores: dict[Category, float] = field(default_factory=dict)
    notes: frozenset[PictureNote] = frozenset()
    named: tuple[Named, ...] = ()

    def hear(self, row: PictureScores) -> None:
        _raise_to(self.scores, row.scores)
        self.notes |= row.notes
        self.named += row.named

    def counted(self, lifted: frozenset[Named], notes: frozenset[PictureNote]) -> FrameScores:
        """The scores with those of every subject that no record allows; where a minor may be
        shown, what is explicit is that of a minor.
        """
        scores = dict(self.scores)
        if PictureNote.POSSIBLE_MINOR not in notes:
            _raise_to(scores, {Category.SEXUAL_MINORS: 0.0})
        elif Category.SEXUAL_EXPLICIT in scores:
            explicit = scores[Category.SEXUAL_EXPLICIT]
            _raise_to(scores, {Category.SEXUAL_MINORS: explicit})
        for named in self.named:
            if named not in lifted:
                _raise_to(scores, {named.category: named.score})
        return FrameScores(index=self.index, seconds=self.seconds, scores=scores)


def _fault(judge: str, error: str, seconds: float) -> ClassifierFault:
    """A fault that concerns the whole clip."""
    return ClassifierFault(judge=judge, error=error, start=0.0, end=seconds)


def _hear(looks: Sequence[_Look], watch: Guarded) -> None:
    """Gives each look the score of its moment; a span between two looks counts for the
    nearest. A watch that failed judged nothing, so its categories stay without a score.
    """
    spans = watch.spans()
    if watch.error:
        return
    for look in looks:
        _raise_to(look.scores, dict.fromkeys(watch.watcher.categories, 0.0))
    for span in spans:
        inside = [look for look in looks if span.start <= look.seconds <= span.end]
        nearest = sorted(looks, key=lambda look: abs(look.seconds - span.start))[:1]
        for look in inside or nearest:
            _raise_to(look.scores, {span.category: span.score})


def _taken(looks: Sequence[_Look], circumstances: Circumstances) -> frozenset[PictureNote]:
    """What was seen in any look. No face tells an age for certain: beside words that speak of
    a minor, every face may be one.
    """
    notes = frozenset(note for look in looks for note in look.notes)
    if PictureNote.FACE in notes and MINOR_NOTE in circumstances.notes:
        notes |= {PictureNote.POSSIBLE_MINOR}
    return notes


def _ask(classifier: FrameClassifier, pixels: Frames) -> tuple[list[PictureScores], str]:
    """One row per picture, and what went wrong ("" when nothing did)."""
    nothing = [PictureScores(scores={}) for _ in pixels]
    try:
        rows = [_checked(row) for row in classifier.score(pixels)]
        promised = classifier.categories
    except Exception as error:  # noqa: BLE001 - whatever a model raises holds the clip
        return nothing, type(error).__name__
    if len(rows) != len(pixels):
        return nothing, "IncompleteAnswer"
    complete = all(promised <= row.scores.keys() for row in rows)
    return rows, "" if complete else "IncompleteAnswer"


def _called(judge: FrameClassifier | FrameWatcher) -> str:
    """Its name; one that raises is a fault, for example of a list in a database."""
    try:
        return judge.name
    except Exception:  # noqa: BLE001 - whatever a judge raises holds the clip
        return f"{type(judge).__name__}{UNNAMED}"


def _checked(row: PictureScores) -> PictureScores:
    """The row; raises TypeError for anything but known notes and subjects."""
    if not all(isinstance(note, PictureNote) for note in row.notes):
        raise TypeError("The notes of a classifier must be PictureNote.")
    if not all(isinstance(named, Named) for named in row.named):
        raise TypeError("The subjects of a classifier must be Named.")
    return row


def _raise_to(scores: dict[Category, float], others: Mapping[Category, float]) -> None:
    for category, score in others.items():
        scores[category] = _higher(scores.get(category, 0.0), score)


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
    """The chunks of a clip, shown to every watch, with a count of the frames that went by."""

    def __init__(self, chunks: Iterable[Frames], watches: Sequence[Guarded]) -> None:
        self._chunks = chunks
        self._watches = watches
        self.total = 0

    def __iter__(self) -> Iterator[Frames]:
        for chunk in self._chunks:
            for watch in self._watches:
                watch.see(chunk)
            yield chunk
            self.total += len(chunk)
