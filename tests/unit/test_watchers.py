"""Watchers see every frame, and a watcher that fails holds the clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from safety.frames import FrameGate, FrameReport
from safety.pictures import PictureScores
from safety.policy import POLICY_PATH, Policy
from safety.sampling import Frames
from safety.verdict import Action, Category
from safety.watchers import FlashingLight, FrameWatcher, Span, Watch

POLICY = Policy.load(POLICY_PATH)
FLASHING = Category.FLASHING_LIGHT
FPS = 24.0


@dataclass(frozen=True)
class Clean:
    """A classifier that finds nothing of what no watcher judges."""

    name: str = "clean@1"
    categories: frozenset[Category] = frozenset(
        c for c in Category if POLICY.rules[c].frames is not None and c is not FLASHING
    )

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        return [PictureScores(scores=dict.fromkeys(self.categories, 0.0))] * len(frames)


@dataclass
class Scripted:
    """A watcher that answers with ``found`` and counts what it was shown."""

    found: Callable[[], Sequence[Span]] = tuple
    broken: frozenset[str] = frozenset()
    name: str = "scripted@1"
    categories: frozenset[Category] = frozenset({FLASHING})
    seen: list[int] = field(default_factory=list)

    def begin(self, *, fps: float) -> Watch:
        self._fail("begin")
        return self

    def see(self, frames: Frames) -> None:
        self._fail("see")
        self.seen.append(len(frames))

    def spans(self) -> Sequence[Span]:
        self._fail("spans")
        return self.found()

    def _fail(self, step: str) -> None:
        if step in self.broken:
            raise RuntimeError(step)


def span(start: float, end: float, score: float) -> Span:
    return Span(category=FLASHING, start=start, end=end, score=score)


def still(frames: int = 48) -> list[Frames]:
    clip = np.full((frames, 36, 64, 3), 90, np.uint8)
    return [clip[start : start + 16] for start in range(0, frames, 16)]


def report(watcher: FrameWatcher, clip: Sequence[Frames]) -> FrameReport:
    gate = FrameGate(classifiers=(Clean(),), watchers=(watcher,), policy=POLICY)
    return gate.report(clip, fps=FPS)


def test_a_watcher_sees_every_frame_and_is_named_as_a_judge() -> None:
    watcher = Scripted()
    found = report(watcher, still())
    assert watcher.seen == [16, 16, 16]
    assert found.verdict.action is Action.ALLOW
    assert found.verdict.judges == ("clean@1", "scripted@1")


def test_a_span_is_told_with_its_time() -> None:
    found = report(Scripted(lambda: [span(0.5, 1.0, 0.8)]), still())
    (reason,) = found.verdict.reasons
    assert (found.verdict.action, reason.rule) == (Action.REVIEW, "CG-F1")
    assert (reason.start, reason.end) == (0.5, 1.0)


def test_a_span_between_two_looks_is_not_lost() -> None:
    found = report(Scripted(lambda: [span(0.6, 0.7, 0.8)]), still())
    (reason,) = found.verdict.reasons
    assert reason.start == reason.end == 0.5


@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.5, None])
def test_a_score_that_is_no_number_blocks(bad: float) -> None:
    found = report(Scripted(lambda: [span(0.0, 2.0, bad)]), still())
    assert found.verdict.action is Action.BLOCK


@pytest.mark.parametrize("step", ["begin", "see", "spans"])
def test_a_watcher_that_fails_holds_the_clip(step: str) -> None:
    found = report(Scripted(broken=frozenset({step})), still())
    assert found.verdict.action is Action.REVIEW
    (fault,) = found.faults
    assert (fault.judge, fault.error) == ("scripted@1", "RuntimeError")
    assert (fault.start, fault.end) == (0.0, 2.0)


def test_a_watcher_that_answers_with_something_else_holds_the_clip() -> None:
    found = report(Scripted(lambda: ["flash"]), still())  # type: ignore[list-item]
    assert found.verdict.action is Action.REVIEW


def test_without_a_watcher_what_only_it_judges_is_missing() -> None:
    gate = FrameGate(classifiers=(Clean(),), policy=POLICY)
    assert gate.judge(still(), fps=FPS).action is Action.REVIEW


def test_a_strobe_is_held_and_a_still_clip_is_not() -> None:
    strobe = np.full((48, 36, 64, 3), 10, np.uint8)
    strobe[np.arange(48) // 3 % 2 == 1] = 240
    clip = [strobe[start : start + 16] for start in range(0, 48, 16)]
    held = report(FlashingLight(), clip).verdict
    assert held.action is not Action.ALLOW
    assert {reason.category for reason in held.reasons} == {FLASHING}
    assert report(FlashingLight(), still()).verdict.action is Action.ALLOW
