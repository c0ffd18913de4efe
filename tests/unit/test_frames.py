"""The frame gate allows what every classifier could score, and holds the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.circumstances import Circumstances, Grant
from safety.frames import FrameClassifier, FrameGate, FrameReport
from safety.moderation import Named
from safety.pictures import PictureScores
from safety.policy import POLICY_PATH, Policy
from safety.sampling import Frames
from safety.verdict import Action, Category, PictureNote

EXPLICIT, SUGGESTIVE = Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE
POLICY = Policy.load(POLICY_PATH)
JUDGED = frozenset(c for c in Category if POLICY.rules[c].frames is not None)
CLEAN: Mapping[Category, float] = {
    **dict.fromkeys(JUDGED, 0.0), EXPLICIT: 0.01, SUGGESTIVE: 0.02
}  # fmt: skip
FPS = 8.0


@dataclass
class Scripted:
    """A classifier whose rows are what ``rows`` makes of the pictures."""

    rows: Callable[[Frames], Sequence[Mapping[Category, float]]]
    name: str = "scripted@1"
    categories: frozenset[Category] = JUDGED
    seen: list[int] = field(default_factory=list)

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        self.seen.append(len(frames))
        return [PictureScores(scores=row) for row in self.rows(frames)]


def saying(
    scores: Mapping[Category, object], name: str = "scripted@1", **kw: object
) -> Scripted:
    return Scripted(lambda frames: [scores for _ in frames], name=name, **kw)  # type: ignore


def bright(frames: Frames) -> list[dict[Category, float]]:
    """Explicit where the picture is white."""
    return [{**CLEAN, EXPLICIT: float(f.mean() / 255)} for f in frames]


def gate(*classifiers: FrameClassifier) -> FrameGate:
    return FrameGate(classifiers=classifiers, policy=POLICY)


def clip(count: int = 40) -> list[Frames]:
    frames = np.zeros((count, 18, 32, 3), np.uint8)
    return [frames[start : start + 16] for start in range(0, count, 16)]


def test_a_clip_that_every_classifier_clears_is_allowed():
    verdict = gate(saying(CLEAN, "one@1"), saying(CLEAN, "two@2")).judge(clip(), fps=FPS)
    assert verdict.action is Action.ALLOW
    assert verdict.judges == ("one@1", "two@2")
    assert verdict.scores == CLEAN


@pytest.mark.parametrize("order", [1, -1])
def test_the_higher_score_counts_whoever_gives_it(order):
    pair = (saying(CLEAN, "one@1"), saying({**CLEAN, EXPLICIT: 0.95, SUGGESTIVE: 0.1}, "two@1"))
    verdict = gate(*pair[::order]).judge(clip(), fps=FPS)
    assert verdict.action is Action.BLOCK
    assert verdict.scores == {**CLEAN, EXPLICIT: 0.95, SUGGESTIVE: 0.1}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("bad", [float("nan"), 1.5, -0.5, float("inf"), None, "0.1", False])
def test_a_score_that_is_no_number_between_0_and_1_is_never_lost(bad, order):
    pair = (saying(CLEAN, "one@1"), saying({**CLEAN, EXPLICIT: bad}, "two@1"))
    verdict = gate(*pair[::order]).judge(clip(), fps=FPS)
    assert verdict.action is Action.BLOCK


def test_a_score_that_is_no_number_in_a_single_frame_is_never_lost():
    def rows(frames: Frames) -> list[Mapping[Category, float]]:
        return [{**CLEAN, EXPLICIT: float("nan")} if f.any() else CLEAN for f in frames]

    chunks = clip()
    chunks[1][3] = 255
    assert gate(Scripted(rows)).judge(chunks, fps=FPS).action is Action.BLOCK


def failing(frames: Frames) -> list[Mapping[Category, float]]:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    "rows",
    [
        failing,
        lambda frames: [],
        lambda frames: [CLEAN] * (len(frames) + 1),
        lambda frames: [CLEAN] * (len(frames) - 1),
        lambda frames: [{SUGGESTIVE: 0.0}] * len(frames),
        lambda frames: [{}] * len(frames),
        lambda frames: None,
        lambda frames: [None] * len(frames),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_classifier_that_fails_holds_the_clip_whatever_the_other_says(rows, order):
    pair = (Scripted(rows, name="broken@1"), saying(CLEAN, "two@1"))
    report = gate(*pair[::order]).report(clip(), fps=FPS)
    assert report.verdict.action is Action.REVIEW
    assert [fault.judge for fault in report.faults] == ["broken@1"]
    reason = report.verdict.reasons[0]
    assert (reason.start, reason.end) == (0.0, 39 / FPS)


def test_a_classifier_that_fails_once_holds_the_clip_and_says_when():
    def rows(frames: Frames) -> list[Mapping[Category, float]]:
        if frames.any():
            raise MemoryError
        return [CLEAN for _ in frames]

    chunks = clip(80)
    chunks[3][0] = 255
    report = gate(Scripted(rows)).report(chunks, fps=FPS)
    assert report.verdict.action is Action.REVIEW
    (fault,) = report.faults
    assert fault.error == "MemoryError"
    assert 3 < fault.start <= 48 / FPS <= fault.end < 9


def test_a_fault_never_softens_a_block():
    pair = (
        Scripted(failing, name="broken@1"),
        saying({**CLEAN, EXPLICIT: 0.95, SUGGESTIVE: 0.1}),
    )
    assert gate(*pair).judge(clip(), fps=FPS).action is Action.BLOCK


def test_without_a_classifier_the_clip_is_held():
    report = gate().report(clip(), fps=FPS)
    assert report.verdict.action is Action.REVIEW
    assert None in {reason.category for reason in report.verdict.reasons}
    assert report.sampled > 0


def test_classifiers_that_promise_nothing_hold_the_clip():
    classifier = saying({}, categories=frozenset())
    assert gate(classifier).judge(clip(), fps=FPS).action is Action.REVIEW


@pytest.mark.parametrize("chunks", [[], [np.zeros((0, 18, 32, 3), np.uint8)]])
def test_a_clip_without_frames_is_held(chunks):
    report = gate(saying(CLEAN)).report(iter(chunks), fps=FPS)
    assert report.verdict.action is Action.REVIEW
    assert (report.sampled, report.total, report.frames) == (0, 0, ())


@given(at=st.integers(0, 79))
def test_a_single_bad_frame_anywhere_stops_the_clip_and_is_named(at):
    chunks = clip(80)
    chunks[at // 16][at % 16] = 255
    report = gate(Scripted(bright)).report(chunks, fps=FPS)
    assert report.verdict.action is Action.BLOCK
    reason = report.verdict.reasons[0]
    assert (reason.category, reason.start, reason.end) == (EXPLICIT, at / FPS, at / FPS)


def test_the_report_holds_every_sampled_frame_in_order_and_counts_all():
    classifier = Scripted(bright)
    brighter = np.arange(100, dtype=np.uint8)[:, None, None, None] + np.zeros_like(
        clip()[0][:1]
    )
    report = gate(classifier).report(iter([brighter[:60], brighter[60:]]), fps=FPS)
    indices = [frame.index for frame in report.frames]
    assert indices == sorted(indices)
    assert len(indices) == report.sampled == sum(classifier.seen)
    assert report.total == 100
    assert max(classifier.seen) <= 4


def test_the_whole_stream_is_consumed_even_after_a_block():
    left = iter(clip(80))
    gate(saying({**CLEAN, EXPLICIT: 1.0, SUGGESTIVE: 1.0})).judge(left, fps=FPS)
    assert next(left, None) is None


def test_an_error_of_the_source_is_not_a_verdict():
    def source():
        yield from clip()
        raise OSError("decoder died")

    with pytest.raises(OSError, match="decoder"):
        gate(saying(CLEAN)).judge(source(), fps=FPS)


PERSON = Named(category=Category.PUBLIC_FIGURE, subject="person-1", score=0.95)
WITH_LIKENESS = dataclasses.replace(
    POLICY,
    rules={
        **POLICY.rules,
        Category.PUBLIC_FIGURE: dataclasses.replace(
            POLICY.rules[Category.PUBLIC_FIGURE],
            frames=POLICY.rules[Category.PUBLIC_FIGURE].prompt,
        ),
    },
)


@dataclass
class Recogniser:
    """A classifier that recognises one person in every picture."""

    named: tuple[Named, ...] = (PERSON,)
    scores: Mapping[Category, float] = field(
        default_factory=lambda: {**CLEAN, Category.PUBLIC_FIGURE: 0.0}
    )
    notes: frozenset[PictureNote] = frozenset({PictureNote.FACE})
    name: str = "recogniser@1"

    @property
    def categories(self) -> frozenset[Category]:
        return frozenset(self.scores)

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        row = PictureScores(scores=self.scores, notes=self.notes, named=self.named)
        return [row] * len(frames)


def recognised(classifier: Recogniser, *grants: Grant) -> FrameReport:
    likeness = FrameGate(classifiers=(classifier,), policy=WITH_LIKENESS)
    return likeness.report(
        clip(), fps=FPS, circumstances=Circumstances(grants=frozenset(grants))
    )


def test_a_recognised_person_counts_unless_a_record_allows_exactly_this_person():
    assert recognised(Recogniser()).verdict.action is Action.BLOCK
    other = Grant(category=Category.PUBLIC_FIGURE, subject="person-2")
    assert recognised(Recogniser(), other).verdict.action is Action.BLOCK
    allowed = recognised(Recogniser(), PERSON.grant)
    assert allowed.verdict.action is Action.ALLOW
    assert allowed.notes == {PictureNote.FACE}


def test_a_record_does_not_reach_a_clip_with_sexual_content():
    bare = Recogniser(scores={**CLEAN, SUGGESTIVE: 0.5, Category.PUBLIC_FIGURE: 0.0})
    assert recognised(bare, PERSON.grant).verdict.action is Action.BLOCK


def test_a_subject_whose_score_is_no_number_blocks():
    nobody = dataclasses.replace(PERSON, score=float("nan"))
    assert recognised(Recogniser(named=(nobody,))).verdict.action is Action.BLOCK


@pytest.mark.parametrize("field", [{"notes": frozenset({"face"})}, {"named": ("person",)}])
def test_a_row_with_unknown_notes_or_subjects_holds_the_clip(field):
    report = recognised(Recogniser(**field))
    assert report.verdict.action is Action.REVIEW
    assert [fault.error for fault in report.faults] == ["TypeError"]


@pytest.mark.parametrize(("score", "action"), [(0.4, Action.ALLOW), (0.5, Action.REVIEW)])
def test_what_a_classifier_tells_and_the_policy_does_not_ask_for_is_held(score, action):
    unasked = sorted(set(Category) - JUDGED)[0]
    verdict = gate(saying({**CLEAN, unasked: score})).judge(clip(), fps=FPS)
    assert verdict.action is action
    assert {reason.category for reason in verdict.reasons} == (
        {unasked} if score > 0.4 else set()
    )


def test_a_clip_with_more_cuts_than_may_be_looked_at_is_held():
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (48, 6, 8, 3)).astype(np.uint8)
    cuts = noise.repeat(6, axis=1).repeat(6, axis=2)
    report = gate(saying(CLEAN)).report([cuts[:16], cuts[16:32], cuts[32:]], fps=24.0)
    assert report.verdict.action is Action.REVIEW
    assert [fault.error for fault in report.faults] == ["TooManyCuts"]
    assert report.sampled <= 2 * 9


@dataclass
class Listed:
    """A classifier by data that an operator may change, or lose, at any time."""

    versions: list[str]
    gone: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        self._open("name")
        return f"listed@{self.versions[0]}"

    @property
    def categories(self) -> frozenset[Category]:
        self._open("categories")
        return JUDGED

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        self._open("score")
        if len(self.versions) > 1:
            del self.versions[0]
        return [PictureScores(scores=CLEAN)] * len(frames)

    def _open(self, what: str) -> None:
        if what in self.gone:
            raise OSError("the database is gone")


@pytest.mark.parametrize("gone", [{"name", "score"}, {"name"}, {"categories"}, {"score"}])
def test_a_classifier_whose_data_is_gone_holds_the_clip_and_is_no_end(gone):
    report = gate(Listed(["1"], frozenset(gone)), saying(CLEAN)).report(clip(), fps=FPS)
    assert report.verdict.action is Action.REVIEW
    assert {fault.error for fault in report.faults} <= {"OSError", "UnknownData"}
    assert report.faults
    assert report.verdict.judges[1] == "scripted@1"


def test_a_classifier_whose_data_changes_within_a_clip_holds_it():
    report = gate(Listed(["1", "2"])).report(clip(), fps=FPS)
    assert report.verdict.action is Action.REVIEW
    assert [fault.error for fault in report.faults] == ["UnknownData"]
    assert gate(Listed(["1"])).judge(clip(), fps=FPS).action is Action.ALLOW
