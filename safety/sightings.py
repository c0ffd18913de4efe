"""Sightings: frames that were flagged for the same reason, one after another, as one ground."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real

from safety.verdict import FrameScores, Reason, Sighting

MAX_SHOWN = 12
"""How many frames of one sighting a reviewer is shown, the strongest ones."""


@dataclass
class _Run:
    """An unbroken run of looks with one reason: (score, seconds, index) of each."""

    reason: Reason
    last: int
    looks: list[tuple[float | None, float | None, int]] = field(default_factory=list)


def grounds(
    frames: Sequence[FrameScores], reasons: Iterable[Sequence[Reason]]
) -> tuple[Reason, ...]:
    """The reasons of single frames as the reasons of a clip, with times and sightings.

    ``reasons`` has the reasons of each of ``frames``. Neighbouring looks with the same
    category, rule and action become one; a look without it in between makes two.
    """
    runs: dict[Reason, list[_Run]] = {}
    for position, (frame, found) in enumerate(zip(frames, reasons, strict=True)):
        for reason in dict.fromkeys(found):
            begun = runs.setdefault(reason, [])
            if not begun or begun[-1].last != position - 1:
                begun.append(_Run(reason=reason, last=position))
            begun[-1].last = position
            score = None if reason.category is None else frame.scores.get(reason.category)
            begun[-1].looks.append((_number(score), _time(frame.seconds), frame.index))
    return tuple(_ground(run, len(frames)) for begun in runs.values() for run in begun)


def is_time(seconds: object) -> bool:
    """True for a finite number of seconds from 0 on."""
    return (
        isinstance(seconds, float | int)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and seconds >= 0.0
    )


def _ground(run: _Run, total: int) -> Reason:
    times = [seconds for _, seconds, _ in run.looks if seconds is not None]
    strongest = sorted(run.looks, key=lambda look: -(2.0 if look[0] is None else look[0]))
    score, seconds, _ = strongest[0]
    return replace(
        run.reason,
        start=min(times, default=None),
        end=max(times, default=None),
        sighting=Sighting(
            peak=score,
            peak_at=seconds,
            looks=len(run.looks),
            share=len(run.looks) / total,
            frames=tuple(index for _, _, index in strongest[:MAX_SHOWN]),
        ),
    )


def _number(score: object) -> float | None:
    """The score if it is a number in 0..1; else None, which counts as the strongest."""
    if isinstance(score, bool) or not isinstance(score, Real):
        return None
    number = float(score)
    return number if 0.0 <= number <= 1.0 else None


def _time(seconds: float) -> float | None:
    return float(seconds) if is_time(seconds) else None
