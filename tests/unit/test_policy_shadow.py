"""Another policy in the shadow of the one in force, and over verdicts of the past."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.circumstances import STRICTEST, Audience, Circumstances
from safety.explanation import explain
from safety.policy import FAULT_RULE, Policy
from safety.shadow import Scored, Shadowed, compare
from safety.verdict import Action, Category, FrameScores, Stage
from tests.unit.policies import (
    ASKED,
    CLEAN,
    CONTENT,
    POLICY,
    SCORES,
    SEEDS,
    beside,
    random_policy,
    random_window,
    with_window,
)

STRICTER = with_window()
ODD = {**CLEAN, Category.POLITICAL_ELECTION: 0.4}
GORY = {**CLEAN, Category.GORE_GRAPHIC: 0.95}


def scored(scores: Any, *, subject: str = "video_1", policy: Policy = POLICY) -> Scored:
    verdict = policy.judge(scores, stage=Stage.PROMPT, judges=("a@1",))
    return Scored.of(subject, verdict, STRICTEST)


def test_a_shadow_is_told_and_decides_nothing() -> None:
    policy = Shadowed.beside(POLICY, STRICTER)
    verdict = policy.judge(ODD, stage=Stage.PROMPT, judges=("a@1",))
    assert verdict == replace(
        POLICY.judge(ODD, stage=Stage.PROMPT, judges=("a@1",)), shadow=verdict.shadow
    )
    assert verdict.action is Action.ALLOW
    assert verdict.shadow == {"policy": STRICTER.hash, "action": "block"}
    assert policy.hash == POLICY.hash


def test_a_shadow_is_told_for_frames_as_a_whole() -> None:
    text = CONTENT.decode().replace(
        "review = 0.7, block = 0.9 }", "review = 0.7, block = 0.8 }"
    )
    policy = Shadowed.beside(POLICY, Policy.parse(text.encode()))
    scores = [{**CLEAN, Category.SEXUAL_EXPLICIT: s} for s in (0.0, 0.85, 0.1)]
    clip = [FrameScores(index=i, seconds=i / 2, scores=s) for i, s in enumerate(scores)]
    verdict = policy.judge_frames(clip, judges=("a@1",))
    assert verdict.action is Action.REVIEW
    assert verdict.shadow is not None
    assert verdict.shadow["action"] == "block"


class Broken(Policy):
    """A trial that cannot judge."""

    def judge(self, *args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("a secret prompt")

    judge_frames = judge


class Silly(Policy):
    """A trial that answers nonsense."""

    def judge(self, *args: Any, **kwargs: Any) -> Any:
        return None

    judge_frames = judge


@pytest.mark.parametrize("kind", [Broken, Silly])
def test_a_shadow_that_fails_is_logged_and_changes_nothing(
    kind: type[Policy], caplog: pytest.LogCaptureFixture
) -> None:
    trial = kind(**{name: getattr(POLICY, name) for name in Policy.__dataclass_fields__})
    policy = Shadowed.beside(POLICY, trial)
    clip = [FrameScores(index=0, seconds=0.0, scores=CLEAN)]
    with caplog.at_level(logging.ERROR):
        verdict = policy.judge(GORY, stage=Stage.PROMPT, judges=("a@1",))
        assert policy.judge_frames(clip, judges=()) == POLICY.judge_frames(clip, judges=())
    assert verdict == POLICY.judge(GORY, stage=Stage.PROMPT, judges=("a@1",))
    assert [record.getMessage().split()[0] for record in caplog.records] == [
        "shadow.failed",
        "shadow.failed",
    ]
    assert "secret" not in caplog.text


@given(SEEDS, SCORES, ASKED)
@settings(deadline=None, max_examples=100)
def test_a_shadow_never_changes_the_verdict_of_the_policy_in_force(
    seed: int, scores: dict[Category, float], asked: Circumstances
) -> None:
    policy, trial = random_policy(seed), random_policy(seed + 1)
    both = Shadowed.beside(policy, trial)
    for stage in Stage:
        verdict = both.judge(scores, stage=stage, judges=(), circumstances=asked)
        alone = policy.judge(scores, stage=stage, judges=(), circumstances=asked)
        other = trial.judge(scores, stage=stage, judges=(), circumstances=asked)
        assert replace(verdict, shadow=None) == alone
        assert verdict.shadow == {"policy": trial.hash, "action": str(other.action)}
        assert both.may_release(verdict.action, verdict.grounds) == policy.may_release(
            alone.action, alone.grounds
        )


def test_a_report_says_how_many_would_change_and_which() -> None:
    items = [scored(CLEAN), scored(ODD, subject="video_2"), scored(GORY, subject="video_3")]
    report = compare(items, STRICTER)
    assert report.compared == 3
    assert dict(report.moves) == {
        (Action.ALLOW, Action.ALLOW): 1,
        (Action.ALLOW, Action.BLOCK): 1,
        (Action.BLOCK, Action.BLOCK): 1,
    }
    (change,) = report.changes
    assert (change.subject, change.was, change.now) == ("video_2", Action.ALLOW, Action.BLOCK)
    assert change.grounds == (Category.POLITICAL_ELECTION,)
    assert report.by_ground() == {
        Category.POLITICAL_ELECTION: {(Action.ALLOW, Action.BLOCK): 1}
    }
    assert report.by_audience() == {Audience.PUBLIC: {(Action.ALLOW, Action.BLOCK): 1}}
    assert report.policy == STRICTER.hash


def test_what_was_said_counts_and_not_what_the_old_policy_would_say_now() -> None:
    item = replace(scored(CLEAN), said={Category.HATE: Action.BLOCK})
    assert dict(compare([item], POLICY).moves) == {(Action.BLOCK, Action.ALLOW): 1}
    assert dict(compare([item], STRICTER, old=POLICY).moves) == {
        (Action.ALLOW, Action.ALLOW): 1
    }


def test_a_fault_of_the_past_stops_under_every_policy() -> None:
    broken: dict[Any, Any] = {**CLEAN, Category.HATE: math.nan}
    item = scored(broken)
    assert item.faults == {Category.HATE: Action.BLOCK}
    assert Category.HATE not in item.scores
    assert dict(compare([item], STRICTER).moves) == {(Action.BLOCK, Action.BLOCK): 1}
    partial = {c: s for c, s in CLEAN.items() if c is not Category.HATE}
    assert dict(compare([scored(partial)], STRICTER).moves) == {
        (Action.REVIEW, Action.REVIEW): 1
    }


def test_what_the_gate_stopped_for_its_own_reasons_stays_stopped() -> None:
    item = replace(scored(ODD), said={Category.SEXUAL_MINORS: Action.REVIEW})
    assert dict(compare([item], POLICY).moves) == {(Action.REVIEW, Action.ALLOW): 1}
    read = item.read_with(POLICY)
    assert dict(compare([read], POLICY).moves) == {(Action.REVIEW, Action.REVIEW): 1}
    assert dict(compare([read], STRICTER).moves) == {(Action.REVIEW, Action.BLOCK): 1}
    assert scored(GORY).read_with(POLICY) == scored(GORY)


def test_a_verdict_without_the_scores_is_not_compared_and_said_to_be_so() -> None:
    item = Scored(
        subject="video_9",
        stage=Stage.FRAMES,
        scores={c: 0.0 for c in Category if POLICY.rules[c].frames is not None},
    )
    text = CONTENT.decode()
    start = text.index("[categories.violence]")
    judged = text[:start] + text[start:].replace(
        "frames = { judged = false }", "frames = { review = 0.6, block = 0.9 }", 1
    )
    report = compare([item, scored({}, subject="video_8")], Policy.parse(judged.encode()))
    assert report.compared == 0
    assert report.incomparable[0].missing == (Category.VIOLENCE,)
    assert report.incomparable[1].subject == "video_8"
    assert compare([item], POLICY).compared == 1


@given(SEEDS, st.lists(SCORES, min_size=1, max_size=4), ASKED)
@settings(deadline=None, max_examples=100)
def test_the_highest_scores_of_a_clip_lead_to_its_action(
    seed: int, rows: list[dict[Category, float]], asked: Circumstances
) -> None:
    """What makes a replay of frames exact although only the highest scores are on record."""
    policy = random_policy(seed)
    policy = beside(policy, random_window(seed, policy))
    clip = [FrameScores(index=i, seconds=float(i), scores=row) for i, row in enumerate(rows)]
    verdict = policy.judge_frames(clip, judges=(), circumstances=asked)
    item = Scored.of("video_1", verdict, asked)
    assert item.under(policy) == item.said
    assert compare([item], policy).changes == ()


@given(SEEDS, SCORES, ASKED)
@settings(deadline=None, max_examples=100)
def test_an_explanation_agrees_with_the_verdict(
    seed: int, scores: dict[Category, float], asked: Circumstances
) -> None:
    policy = random_policy(seed)
    policy = beside(policy, random_window(seed, policy))
    verdict = policy.judge(scores, stage=Stage.PROMPT, judges=(), circumstances=asked)
    found = explain(policy, Scored.of("prompt", verdict, asked))
    assert found.action is verdict.action
    assert len(found.lines) == len(Category)
    for line in found.lines:
        assert line.score is not None
        held = line.held_from is not None and line.score >= line.held_from
        refused = line.refused_from is not None and line.score >= line.refused_from
        expected = Action.BLOCK if refused else Action.REVIEW if held else Action.ALLOW
        assert line.action is expected


def test_an_explanation_names_the_windows_and_what_is_missing() -> None:
    partial: dict[Any, Any] = {c: s for c, s in ODD.items() if c is not Category.HATE}
    found = explain(STRICTER, scored(partial, policy=STRICTER))
    first, second = found.lines[:2]
    assert (first.category, first.windows) == (Category.POLITICAL_ELECTION, ("EX-W1",))
    assert (first.held_from, first.refused_from) == (0.3, 0.3)
    assert (second.category, second.score, second.action) == (
        Category.HATE,
        None,
        Action.REVIEW,
    )
    rules = {r.rule for r in STRICTER.judge(partial, stage=Stage.PROMPT, judges=()).reasons}
    assert rules == {"EX-W1", FAULT_RULE}
