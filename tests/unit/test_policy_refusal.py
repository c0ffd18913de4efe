"""What a creator is told: category, stage and rule, never the score or the words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.record import refusal_of
from safety.limits import Rule
from safety.moderation import PromptGate, PromptScores
from safety.policy import FAULT_RULE, Policy
from safety.verdict import Action, Category, FrameScores, Stage, Verdict
from safety.windows import Window
from tests.unit.policies import ASKED, BAD, CLEAN, SCORES, with_window

POLICY = with_window()
WORDS = st.text(alphabet="zqxjkvwäжの7", min_size=6, max_size=12)
PRECISE = st.floats(min_value=0.1, max_value=1).filter(lambda x: len(str(x)) > 7)


@dataclass(frozen=True)
class Echo:
    """A moderator whose notes repeat the prompt, as none should."""

    scores: dict[Category, float]
    name: str = "echo@1"
    promises: frozenset[Category] = field(default=frozenset())

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        return [PromptScores(scores=self.scores, notes=(prompt,)) for prompt in prompts]


def vocabulary(policy: Policy) -> set[Any]:
    """Every value that a refusal may hold."""
    rules: list[Rule | Window] = [*policy.rules.values(), *policy.windows]
    return {
        None,
        "moderation_blocked",
        policy.hash,
        policy.fault_text,
        FAULT_RULE,
        *(rule.rule for rule in rules),
        *(rule.text for rule in rules),
        *(category.value for category in Category),
        *(stage.value for stage in Stage),
    }


def values(refusal: dict[str, Any]) -> set[Any]:
    found: set[Any] = set()
    for value in refusal.values():
        found.update(value if isinstance(value, list) else [value])
    return found


@given(
    st.lists(WORDS, min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(list(Category)), PRECISE, min_size=1),
)
@settings(deadline=None)
def test_a_refusal_holds_nothing_of_the_prompt_or_the_scores(
    words: list[str], scores: dict[Category, float]
) -> None:
    gate = PromptGate(moderators=(Echo({**CLEAN, **scores}),), policy=POLICY)
    (verdict,) = gate.judge([" ".join(words)])
    if verdict.action is Action.ALLOW:
        return
    refusal = refusal_of(verdict)
    assert values(refusal) <= vocabulary(POLICY)
    text = json.dumps({**refusal, "policy": ""}, ensure_ascii=False)
    assert not any(word in text for word in words)
    assert not any(str(score)[2:8] in text for score in scores.values())


@given(SCORES, ASKED, BAD, st.sampled_from(list(Stage)))
@settings(deadline=None)
def test_every_refusal_names_category_stage_and_rule_text(
    scores: dict[Category, float], asked: Any, bad: Any, stage: Stage
) -> None:
    broken: dict[Any, Any] = {**scores, Category.HATE: bad}
    for given_scores in (scores, broken, {}):
        verdict = judged(given_scores, stage, asked)
        if verdict.action is Action.ALLOW:
            continue
        refusal = refusal_of(verdict)
        assert values(refusal) <= vocabulary(POLICY)
        assert refusal["stage"] == stage.value
        worst = [r for r in verdict.reasons if r.action is verdict.action]
        assert (refusal["category"], refusal["message"]) in {
            (r.category and r.category.value, r.text) for r in worst
        }
        assert set(refusal["rules"]) == {r.rule for r in verdict.reasons} != set()


def judged(scores: Any, stage: Stage, asked: Any) -> Verdict:
    if stage is Stage.PROMPT:
        return POLICY.judge(scores, stage=stage, judges=("a@1",), circumstances=asked)
    clip = [FrameScores(index=0, seconds=0.0, scores=scores)]
    return POLICY.judge_frames(clip, judges=("a@1",), circumstances=asked)
