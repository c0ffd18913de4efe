"""What differs between two policies, and which of them is stricter there."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings

from safety.circumstances import Circumstances
from safety.difference import Effect, differences
from safety.policy import Policy
from safety.soundness import remarks
from safety.verdict import Category, Stage
from tests.unit.policies import (
    ASKED,
    CONTENT,
    ELECTION,
    NOON,
    POLICY,
    SCORES,
    SEEDS,
    beside,
    random_policy,
    random_window,
    with_window,
)

HATE = "[categories.hate]"
PROMPT = "prompt = { review = 0.6, block = 0.9 }"


def found(old: str, new: str, *, after: str = "") -> list[tuple[str, str, str, Effect]]:
    text = CONTENT.decode()
    start = text.index(after)
    assert old in text[start:]
    changed = text[:start] + text[start:].replace(old, new, 1)
    return [
        (d.place, d.was, d.now, d.effect)
        for d in differences(POLICY, Policy.parse(changed.encode()))
    ]


def test_a_comment_is_no_difference() -> None:
    assert differences(POLICY, Policy.parse(CONTENT + b"# more\n")) == ()


@pytest.mark.parametrize(
    ("new", "told", "effect"),
    [
        ("review = 0.5, block = 0.9", "held from 0.5, refused from 0.9", Effect.STRICTER),
        ("review = 0.6, block = 1.0", "held from 0.6, refused from 1", Effect.MILDER),
        ("review = 0.5, block = 1.0", "held from 0.5, refused from 1", Effect.MIXED),
        ("review = 0.8, block = 0.8", "refused from 0.8", Effect.MIXED),
    ],
)
def test_changed_thresholds_are_told_as_consequences(
    new: str, told: str, effect: Effect
) -> None:
    was = "held from 0.6, refused from 0.9"
    expected = [("hate, prompt", was, told, effect)]
    assert found(PROMPT, f"prompt = {{ {new} }}", after=HATE) == expected


def test_audiences_that_fare_alike_are_told_once() -> None:
    new = PROMPT[:-2] + ", studio = { review = 0.8, block = 0.9 } }"
    ((place, _, told, effect),) = found(PROMPT, new, after=HATE)
    assert place == "hate, prompt, studio and internal"
    assert (told, effect) == ("held from 0.8, refused from 0.9", Effect.MILDER)


def test_a_category_that_is_no_longer_judged_is_told_as_milder() -> None:
    explicit = found(
        "frames = { review = 0.7, block = 0.9 }",
        "frames = { judged = false }",
        after="[categories.sexual_explicit]",
    )
    assert [(now, effect) for _, _, now, effect in explicit] == [("not judged", Effect.MILDER)]


def test_words_and_rights_of_persons_and_records_are_told() -> None:
    assert found('rule = "CG-H2"', 'rule = "CG-H9"')[0][3] is Effect.WORDING
    assert found("overridable = true", "overridable = false", after=HATE) == [
        ("hate, a person may release it", "yes", "no", Effect.STRICTER)
    ]
    assert found("liftable = true\n", "", after="[categories.public_figure]") == [
        ("public_figure, a record lifts it for", "public, studio, internal", "nobody",
         Effect.STRICTER)
    ]  # fmt: skip
    ((_, _, _, effect),) = found("sexual_score = 0.15", "sexual_score = 0.2")
    assert effect is Effect.MILDER


def test_a_window_is_told_when_it_comes_goes_or_changes() -> None:
    assert [d.effect for d in differences(POLICY, with_window())] == [Effect.STRICTER]
    (gone,) = differences(with_window(), POLICY)
    assert (gone.place, gone.now, gone.effect) == ("window EX-W1", "none", Effect.MILDER)
    for old, new, effect in (
        ("multiply = 0.5", "multiply = 0.4", Effect.STRICTER),
        ('["FR"]', '"*"', Effect.STRICTER),
        ('["FR"]', '["DE"]', Effect.MIXED),
        ("2027-04-05", "2027-04-06", Effect.MILDER),
        ('"block" }', '"review" }', Effect.MILDER),
        ('["political_election", "deception_misinfo"]', '["deception_misinfo"]', Effect.MILDER),
    ):
        changed = with_window(ELECTION.replace(old, new, 1))
        effects = {d.effect for d in differences(with_window(), changed)}
        assert effects - {Effect.WORDING} == {effect}, new


@given(SEEDS, SCORES, ASKED)
@settings(deadline=None, max_examples=150)
def test_a_policy_said_to_be_stricter_everywhere_is_stricter(
    seed: int, scores: dict[Category, float], asked: Circumstances
) -> None:
    old = random_policy(seed)
    other = random_policy(seed + 1).rules[Category.HATE]
    changed = replace(old, rules={**old.rules, Category.HATE: other})
    windowed = beside(old, random_window(seed, old))
    assert {d.effect for d in differences(old, windowed)} == {Effect.STRICTER}
    for before, after in ((old, changed), (old, windowed), (windowed, old)):
        effects = {d.effect for d in differences(before, after)} - {Effect.WORDING}
        for stage in Stage:
            was, now = (
                each.judge(scores, stage=stage, judges=(), circumstances=asked).action.severity
                for each in (before, after)
            )
            if effects <= {Effect.STRICTER}:
                assert was <= now
            if effects <= {Effect.MILDER}:
                assert was >= now


def test_remarks_say_what_may_not_be_meant() -> None:
    idle = ELECTION.replace('["political_election", ', '["prompt_attack", ').replace(
        'multiply = 0.5, at_least = "block"', 'at_least = "block"'
    )
    policy = with_window(
        idle.replace('"block"', '"review"').replace("deception_misinfo", "violence")
    )
    told = " ".join(remarks(policy.rules, policy.windows, now=NOON))
    assert "Not judged on frames: violence" in told
    assert "for studio or internal: violence, disturbing" in told
    assert "EX-W1 changes nothing for: prompt_attack" in told
    assert "is over" not in told
    later = NOON + dt.timedelta(days=60)
    assert "EX-W1 is over" in " ".join(remarks(policy.rules, policy.windows, now=later))
