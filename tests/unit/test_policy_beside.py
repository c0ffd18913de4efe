"""What is seen beside an offence makes the policy stricter, and only that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from safety.circumstances import STRICTEST, Circumstances
from safety.difference import summary
from safety.frames import FrameGate
from safety.moderation import MINOR_NOTE
from safety.pictures import PictureScores
from safety.policy import POLICY_PATH, Policy, PolicyInvalid
from safety.sampling import Frames
from safety.verdict import Action, Category, PictureNote, Stage

CONTENT = POLICY_PATH.read_text("utf-8")
POLICY = Policy.parse(CONTENT.encode())
SPEAKS_OF_A_MINOR = Circumstances(notes=frozenset({MINOR_NOTE}))


@dataclass(frozen=True)
class Seen:
    """A classifier that gives every picture the same explicit score and notes."""

    explicit: float
    notes: frozenset[PictureNote] = frozenset()
    name: str = "seen@1"
    categories: frozenset[Category] = frozenset(c for c in Category if POLICY.rules[c].frames)

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        scores = {
            **dict.fromkeys(self.categories, 0.0),
            Category.SEXUAL_EXPLICIT: self.explicit,
        }
        return [PictureScores(scores=scores, notes=self.notes)] * len(frames)


def judged(
    explicit: float, *notes: PictureNote, circumstances: Circumstances = STRICTEST
) -> tuple[Action, set[str]]:
    gate = FrameGate(classifiers=(Seen(explicit, frozenset(notes)),), policy=POLICY)
    clip = [np.zeros((2, 8, 8, 3), np.uint8)]
    verdict = gate.judge(clip, fps=2.0, circumstances=circumstances)
    return verdict.action, {reason.rule for reason in verdict.reasons}


def test_less_is_enough_beside_a_face() -> None:
    assert judged(0.6) == (Action.ALLOW, set())
    assert judged(0.6, PictureNote.FACE) == (Action.REVIEW, {"CG-W1"})
    assert judged(0.6, PictureNote.TEXT) == (Action.ALLOW, set())


def test_much_less_is_enough_beside_a_possible_minor() -> None:
    assert judged(0.35, PictureNote.FACE) == (Action.ALLOW, set())
    assert judged(0.35, PictureNote.POSSIBLE_MINOR) == (Action.REVIEW, {"CG-W2"})
    assert judged(0.75, PictureNote.POSSIBLE_MINOR)[0] is Action.BLOCK
    assert judged(0.1, PictureNote.POSSIBLE_MINOR)[0] is Action.ALLOW


def test_a_face_beside_words_for_a_minor_may_be_a_minor() -> None:
    about = SPEAKS_OF_A_MINOR
    assert judged(0.35, circumstances=about) == (Action.ALLOW, set())
    assert judged(0.35, PictureNote.FACE, circumstances=about)[0] is Action.REVIEW


def test_what_is_explicit_beside_a_possible_minor_is_never_released() -> None:
    gate = FrameGate(classifiers=(Seen(0.75, frozenset({PictureNote.FACE})),), policy=POLICY)
    clip = [np.zeros((2, 8, 8, 3), np.uint8)]
    verdict = gate.judge(clip, fps=2.0, circumstances=SPEAKS_OF_A_MINOR)
    assert verdict.action is Action.BLOCK
    assert "CG-M1" in {reason.rule for reason in verdict.reasons}
    adult = gate.judge(clip, fps=2.0)
    assert "CG-M1" not in {reason.rule for reason in adult.reasons}


def test_what_was_seen_is_kept_for_a_policy_that_judges_later() -> None:
    gate = FrameGate(classifiers=(Seen(0.35, frozenset({PictureNote.FACE})),), policy=POLICY)
    verdict = gate.judge(
        [np.zeros((2, 8, 8, 3), np.uint8)], fps=2.0, circumstances=SPEAKS_OF_A_MINOR
    )
    again = Circumstances.from_words(verdict.circumstances)
    assert again.notes == {MINOR_NOTE, "face", "possible-minor"}
    assert again.words() == verdict.circumstances
    scores = verdict.scores
    later = POLICY.judge(scores, stage=Stage.FRAMES, judges=(), circumstances=again)
    assert later.action is verdict.action


def test_prompts_are_judged_without_what_only_pictures_show() -> None:
    scores = {**dict.fromkeys(Category, 0.0), Category.SEXUAL_EXPLICIT: 0.5}
    assert POLICY.judge(scores, stage=Stage.PROMPT, judges=()).action is Action.ALLOW


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('beside = "face"', 'beside = "faces"'),
        ('beside = "face"', ""),
        ('beside = "face"', 'beside = "face"\nfrom = 2027-04-05T00:00:00Z'),
        (
            'beside = "face"',
            'beside = "face"\nfrom = 2027-04-05T00:00:00Z\nto = 2027-05-05T00:00:00Z',
        ),
        ('["sexual_explicit", "sexual_suggestive"]', '["sexual_minors"]'),
        ("{ multiply = 0.8 }", "{ multiply = 1.0 }"),
    ],
)
def test_a_window_that_is_not_clear_is_refused(old: str, new: str) -> None:
    assert old in CONTENT
    with pytest.raises(PolicyInvalid):
        Policy.parse(CONTENT.replace(old, new, 1).encode())


def test_a_window_without_dates_says_so() -> None:
    face, minor = POLICY.windows
    assert summary(face).startswith("everywhere, at any time, beside face, sexual_explicit")
    assert dataclasses.replace(face, beside=None).is_open(STRICTEST)
    assert not minor.is_open(STRICTEST)
