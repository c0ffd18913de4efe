"""The gate combines moderators: the strictest wins, and a broken one never lets a text pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.moderation import MINOR_NOTE, Named, PromptGate, PromptScores
from safety.normalize import MAX_TEXT_CHARS
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action, Category

POLICY = Policy.load(POLICY_PATH)
CLEAN = dict.fromkeys(Category, 0.0)


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A moderator that answers the same for every prompt."""

    scores: Mapping[Category, float]
    notes: tuple[str, ...] = ()
    name: str = "fixed@1"
    promises: frozenset[Category] = field(default=frozenset(Category))

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        return [PromptScores(scores=self.scores, notes=self.notes) for _ in prompts]


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A moderator that raises, or answers for the wrong number of prompts."""

    answers: int | None = None
    name: str = "broken@1"
    promises: frozenset[Category] = frozenset()

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        if self.answers is None:
            raise RuntimeError("no weights")
        return [PromptScores(scores=CLEAN)] * self.answers


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A moderator whose answer has parts of the wrong kind."""

    answer: Any
    name: str = "odd@1"
    promises: frozenset[Category] = field(default=frozenset(Category))

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        return [PromptScores(**self.answer) for _ in prompts]


def gate(*moderators: Fixed | Broken | Odd) -> PromptGate:
    return PromptGate(moderators=moderators, policy=POLICY)


def test_a_prompt_that_nobody_objects_to_passes() -> None:
    verdicts = gate(Fixed(scores=CLEAN), Fixed(scores=CLEAN, name="b@2")).judge(["a", "b"])
    assert [v.action for v in verdicts] == [Action.ALLOW, Action.ALLOW]
    assert verdicts[0].judges == ("fixed@1", "b@2")
    assert verdicts[0].policy == POLICY.hash


@pytest.mark.parametrize("turn", [1, -1])
def test_the_strictest_moderator_wins_in_either_order(turn: int) -> None:
    mild, strict = Fixed(scores=CLEAN), Fixed(scores={**CLEAN, Category.HATE: 1.0})
    [verdict] = gate(*(mild, strict)[::turn]).judge(["a"])
    assert verdict.action is Action.BLOCK
    assert verdict.scores[Category.HATE] == 1.0
    assert verdict.reasons[0].category is Category.HATE


@pytest.mark.parametrize("broken", [Broken(), Broken(answers=0), Broken(answers=2)])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_failing_moderator_holds_the_prompt(broken: Broken, turn: int) -> None:
    [verdict] = gate(*(Fixed(scores=CLEAN), broken)[::turn]).judge(["a"])
    assert verdict.action is Action.REVIEW
    assert any(r.category is None for r in verdict.reasons)


def test_a_failing_moderator_does_not_soften_what_another_blocks() -> None:
    blocking = Fixed(scores={**CLEAN, Category.HATE: 1.0})
    [verdict] = gate(Broken(), blocking).judge(["a"])
    assert verdict.action is Action.BLOCK


def test_a_moderator_that_leaves_out_what_it_promises_holds_the_prompt() -> None:
    partial = Fixed(scores={Category.HATE: 0.0}, name="partial@1")
    [verdict] = gate(Fixed(scores=CLEAN), partial).judge(["a"])
    assert verdict.action is Action.REVIEW
    assert [r.category for r in verdict.reasons] == [None]


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    "answer",
    [
        {"scores": {**CLEAN, Category.HATE: None}},
        {"scores": {**CLEAN, Category.HATE: "0.0"}},
        {"scores": {**CLEAN, Category.HATE: 0j}},
        {"scores": {**CLEAN, Category.HATE: Decimal("NaN")}},
        {"scores": {**CLEAN, Category.HATE: np.zeros(2)}},
        {"scores": {**CLEAN, Category.HATE: False}},
        {"scores": CLEAN, "notes": None},
        {"scores": CLEAN, "notes": MINOR_NOTE},
        {"scores": CLEAN, "named": None},
        {"scores": CLEAN, "named": ("somebody",)},
        {
            "scores": CLEAN,
            "named": (Named(category=Category.PUBLIC_FIGURE, subject="x", score=None),),  # type: ignore[arg-type]
        },
    ],
    ids=range(11),
)
def test_an_answer_of_the_wrong_kind_holds_the_prompt(turn: int, answer: Any) -> None:
    """A score of None was once dropped, and the prompt allowed."""
    odd = Odd(answer=answer)
    [verdict] = gate(*(odd, Fixed(scores=CLEAN))[::turn]).judge(["a"])
    assert verdict.action is Action.REVIEW


def test_numbers_of_numpy_are_scores() -> None:
    scores = {category: np.float32(0.0) for category in Category}
    [verdict] = gate(Fixed(scores=scores)).judge(["a"])
    assert verdict.action is Action.ALLOW


def test_no_moderators_hold_everything() -> None:
    assert gate().judge(["a"])[0].action is Action.REVIEW


def test_no_prompts_give_no_verdicts() -> None:
    assert gate(Fixed(scores=CLEAN)).judge([]) == ()


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("bad", [math.nan, -1.0, 2.0])
def test_a_bad_score_blocks_whichever_moderator_gives_it(turn: int, bad: float) -> None:
    pair = (Fixed(scores=CLEAN), Fixed(scores={**CLEAN, Category.HATE: bad}))
    assert gate(*pair[::turn]).judge(["a"])[0].action is Action.BLOCK


def test_a_text_too_long_to_be_read_whole_is_held() -> None:
    [verdict] = gate(Fixed(scores=CLEAN)).judge(["a" * (MAX_TEXT_CHARS + 1)])
    assert verdict.action is Action.REVIEW


@pytest.mark.parametrize("category", [Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE])
def test_a_minor_beside_a_low_sexual_score_is_blocked_for_ever(category: Category) -> None:
    speaks = Fixed(scores=CLEAN, notes=(MINOR_NOTE,), name="rules@1")
    below = Fixed(scores={**CLEAN, category: POLICY.minor_sexual_limit - 0.01})
    reaching = Fixed(scores={**CLEAN, category: POLICY.minor_sexual_limit})
    assert gate(speaks, below).judge(["a"])[0].action is Action.ALLOW
    [verdict] = gate(speaks, reaching).judge(["a"])
    assert verdict.action is Action.BLOCK
    assert verdict.reasons[0].category is Category.SEXUAL_MINORS
    assert not POLICY.may_release(verdict.action, verdict.grounds)


def test_a_minor_without_any_known_sexual_score_is_blocked() -> None:
    unknown = {c: s for c, s in CLEAN.items() if c is not Category.SEXUAL_EXPLICIT}
    speaks = Fixed(scores=unknown, notes=(MINOR_NOTE,))
    assert gate(speaks).judge(["a"])[0].action is Action.BLOCK


scores = st.dictionaries(st.sampled_from(list(Category)), st.floats())


@given(scores, scores)
@settings(deadline=None)
def test_adding_a_moderator_never_makes_the_gate_milder(
    one: dict[Category, float], other: dict[Category, float]
) -> None:
    alone = gate(Fixed(scores={**CLEAN, **one})).judge(["a"])[0].action
    both = (
        gate(
            Fixed(scores={**CLEAN, **one}),
            Fixed(scores=other, promises=frozenset(), name="b@1"),
        )
        .judge(["a"])[0]
        .action
    )
    assert both.severity >= alone.severity
