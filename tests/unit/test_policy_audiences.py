"""Who asks: a vetted audience may be treated less strictly, never more."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings

from safety.circumstances import Audience, Circumstances
from safety.limits import VETTING, Rule
from safety.policy import Policy, PolicyInvalid
from safety.soundness import LIFTABLE
from safety.verdict import Action, Category, Stage, Verdict
from tests.unit.policies import (
    ASKED,
    BAD,
    CLEAN,
    CONTENT,
    POLICY,
    SCORES,
    SEEDS,
    beside,
    random_policy,
    random_window,
)

RESTRICTED = '[tiers.restricted]\nat_review = "review"\nat_block = "block"\n'
GORE = "[categories.gore_graphic]"
HELD = '{ at_review = "review", at_block = "review" }'
PROMPT = "prompt = { review = 0.6, block = 0.9 }"


def changed(old: str, new: str, *, after: str = "") -> bytes:
    text = CONTENT.decode()
    start = text.index(after)
    assert old in text[start:]
    return (text[:start] + text[start:].replace(old, new, 1)).encode()


def judged(policy: Policy, audience: Audience, **scores: float) -> Action:
    given_scores = {**CLEAN, **{Category(name): score for name, score in scores.items()}}
    asked = Circumstances(audience=audience)
    return policy.judge(given_scores, stage=Stage.PROMPT, judges=(), circumstances=asked).action


def test_a_restricted_category_is_refused_to_the_public_and_held_for_a_studio() -> None:
    assert judged(POLICY, Audience.PUBLIC, gore_graphic=0.95) is Action.BLOCK
    assert judged(POLICY, Audience.STUDIO, gore_graphic=0.95) is Action.REVIEW
    assert judged(POLICY, Audience.INTERNAL, gore_graphic=0.95) is Action.REVIEW


def test_no_vetting_replaces_the_consent_of_a_person_or_owner() -> None:
    for category in ("public_figure", "ip_character_brand", "living_artist_style"):
        assert judged(POLICY, Audience.INTERNAL, **{category: 1.0}) is Action.BLOCK


def test_an_audience_that_is_not_named_is_treated_as_the_one_before_it() -> None:
    text = changed(RESTRICTED, RESTRICTED + '# studio = { at_review = "allow" }\n')
    for policy in (POLICY, Policy.parse(text)):
        rule = policy.rules[Category.GORE_GRAPHIC]
        assert rule.prompt[Audience.STUDIO] == rule.prompt[Audience.INTERNAL]
        hate = policy.rules[Category.HATE]
        assert len(set(hate.prompt.values())) == 1


def test_thresholds_may_differ_for_each_audience_of_a_category() -> None:
    higher = "prompt = { review = 0.6, block = 0.9, studio = { review = 0.8, block = 1.0 } }"
    policy = Policy.parse(changed(PROMPT, higher, after=GORE))
    assert judged(policy, Audience.PUBLIC, gore_graphic=0.7) is Action.REVIEW
    assert judged(policy, Audience.STUDIO, gore_graphic=0.7) is Action.ALLOW
    assert judged(policy, Audience.INTERNAL, gore_graphic=0.7) is Action.ALLOW
    assert judged(policy, Audience.STUDIO, gore_graphic=0.8) is Action.REVIEW


@pytest.mark.parametrize(
    ("old", "new", "after"),
    [
        # A vetted audience treated more strictly: by thresholds, by actions, by both.
        (PROMPT, PROMPT[:-2] + ", studio = { review = 0.5, block = 0.9 } }", GORE),
        (PROMPT, PROMPT[:-2] + ", internal = { review = 0.6, block = 0.8 } }", GORE),
        (
            PROMPT,
            PROMPT[:-2]
            + ", studio = { review = 0.8, block = 0.9 }"
            + ", internal = { review = 0.7, block = 0.9 } }",
            GORE,
        ),
        (
            'at_review = "review"\nat_block = "review"',
            f'at_review = "allow"\nat_block = "review"\ninternal = {HELD}',
            "[tiers.signal]",
        ),
        (
            'studio = { at_review = "allow", at_block = "allow" }',
            'studio = { at_review = "allow", at_block = "block" }',
            "[tiers.sensitive]",
        ),
        # Prohibited for somebody only.
        (
            'at_block = "block"',
            'at_block = "block"\ninternal = { at_review = "review", at_block = "review" }',
            "[tiers.prohibited]",
        ),
        # Milder where scores are higher.
        (
            'studio = { at_review = "review", at_block = "review" }',
            'studio = { at_review = "review", at_block = "allow" }',
            "[tiers.restricted]",
        ),
        # A difference between audiences for sexual_minors.
        (
            "block = 0.05 }",
            "block = 0.05, studio = { review = 0.06, block = 0.06 } }",
            "[categories.sexual_minors]",
        ),
        # Half an override, an unknown audience, a second word for the public.
        (PROMPT, PROMPT[:-2] + ", studio = { review = 0.8 } }", GORE),
        (PROMPT, PROMPT[:-2] + ", friends = { review = 0.8, block = 0.9 } }", GORE),
        (PROMPT, PROMPT[:-2] + ", public = { review = 0.8, block = 0.9 } }", GORE),
        # Numbers and words that are not what they should be.
        (PROMPT, "prompt = { review = true, block = true }", GORE),
        (PROMPT, 'prompt = { review = "0.6", block = 0.9 }', GORE),
        (PROMPT, "prompt = { review = 0.6, block = 1.5 }", GORE),
        (PROMPT, "prompt = { review = 0.6, block = inf }", GORE),
        (PROMPT, "prompt = { review = 0, block = 1 }", GORE),
        (PROMPT, "prompt = { review = 2026-11-22, block = 0.9 }", GORE),
        ("overridable = true", "overridable = 1", GORE),
        ("overridable = true", 'overridable = "yes"', GORE),
        ("judged = false", "judged = 0", GORE),
        ("sexual_score = 0.15", "sexual_score = true", "[minors]"),
        ("sexual_score = 0.15", 'sexual_score = "0.15"', "[minors]"),
        # Lifting where nobody's consent was missing.
        ("overridable = true", "overridable = true\nliftable = true", GORE),
        ("overridable = false", "overridable = false\nliftable = true", "[categories.sexual_m"),
        ("liftable = true", 'liftable = "true"', "[categories.public_figure]"),
        ("liftable = true", 'liftable_from = "studio"', "[categories.public_figure]"),
        # One id, two meanings.
        ('rule = "CG-V2"', 'rule = "CG-V1"', GORE),
        ('rule = "CG-V2"', 'rule = "CG-FAULT"', GORE),
    ],
)
def test_a_policy_that_is_unsound_is_refused(old: str, new: str, after: str) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.parse(changed(old, new, after=after))


def test_what_is_prohibited_is_prohibited_for_every_audience() -> None:
    text = changed(
        'at_block = "block"', f'at_block = "block"\ninternal = {HELD}', after="[tiers.prohib"
    )
    with pytest.raises(PolicyInvalid, match="hate is prohibited"):
        Policy.parse(text)


def test_a_fault_in_a_file_names_the_place_and_not_only_the_fault() -> None:
    text = changed(PROMPT, "prompt = { review = true, block = 0.9 }", after=GORE)
    with pytest.raises(PolicyInvalid, match=r"categories\.gore_graphic\.prompt\.review"):
        Policy.parse(text)


def test_a_record_lifts_likeness_brand_and_style_and_nothing_else() -> None:
    liftable = {category for category, rule in POLICY.rules.items() if rule.liftable}
    assert liftable == LIFTABLE
    for category, rule in POLICY.rules.items():
        for audience in Audience:
            assert rule.may_lift(audience) is (category in LIFTABLE)


def test_a_policy_says_from_which_audience_a_record_lifts() -> None:
    text = changed(
        "liftable = true",
        'liftable = true\nliftable_from = "studio"',
        after="[categories.private_likeness]",
    )
    rule = Policy.parse(text).rules[Category.PRIVATE_LIKENESS]
    assert [rule.may_lift(audience) for audience in VETTING] == [False, True, True]


def test_an_audience_nobody_knows_is_treated_as_the_public() -> None:
    rule = POLICY.rules[Category.VIOLENCE]
    stranger: Audience = "admin"  # type: ignore[assignment]
    assert rule.limits(Stage.PROMPT, stranger) == rule.prompt[Audience.PUBLIC]
    assert not POLICY.rules[Category.PUBLIC_FIGURE].may_lift(stranger)


def test_a_rule_that_forgets_an_audience_makes_no_policy() -> None:
    rule = POLICY.rules[Category.HATE]
    partial = {Audience.PUBLIC: rule.prompt[Audience.PUBLIC]}
    holed: Rule = replace(rule, prompt=partial)
    with pytest.raises(PolicyInvalid, match="every audience"):
        replace(POLICY, rules={**POLICY.rules, Category.HATE: holed})


def by_category(verdict: Verdict) -> dict[Category | None, int]:
    found: dict[Category | None, int] = {}
    for reason in verdict.reasons:
        found[reason.category] = max(found.get(reason.category, 0), reason.action.severity)
    return found


@given(SEEDS, SCORES, ASKED)
@settings(deadline=None, max_examples=150)
def test_a_more_vetted_audience_is_never_treated_more_strictly(
    seed: int, scores: dict[Category, float], asked: Circumstances
) -> None:
    policy = random_policy(seed)
    policy = beside(policy, *(random_window(seed + n, policy, f"XX-W{n}") for n in range(2)))
    for stage in Stage:
        verdicts = [
            policy.judge(
                scores,
                stage=stage,
                judges=(),
                circumstances=replace(asked, audience=audience),
            )
            for audience in VETTING
        ]
        for less, more in pairwise(verdicts):
            assert more.action.severity <= less.action.severity
            stricter, milder = by_category(less), by_category(more)
            assert all(milder[c] <= stricter.get(c, 0) for c in milder)


@given(SEEDS, SCORES, ASKED, BAD)
@settings(deadline=None, max_examples=150)
def test_a_score_that_is_none_stops_under_every_policy(
    seed: int, scores: dict[Category, float], asked: Circumstances, bad: object
) -> None:
    policy = random_policy(seed)
    policy = beside(policy, random_window(seed, policy))
    broken: dict[Any, Any] = {**scores, Category.HATE: bad}
    unknown: dict[Any, Any] = {**scores, "astrology": 0.0}
    missing: dict[Any, Any] = {c: s for c, s in scores.items() if c is not Category.HATE}
    for wrong in (broken, unknown):
        verdict = policy.judge(
            wrong,
            stage=Stage.PROMPT,
            judges=(),
            circumstances=asked,
        )
        assert verdict.action is Action.BLOCK
    verdict = policy.judge(missing, stage=Stage.PROMPT, judges=(), circumstances=asked)
    assert verdict.action is not Action.ALLOW


@given(SEEDS, SCORES, ASKED)
@settings(deadline=None, max_examples=60)
def test_sexual_minors_blocks_whoever_asks_wherever_and_whenever(
    seed: int, scores: dict[Category, float], asked: Circumstances
) -> None:
    policy = random_policy(seed)
    policy = beside(policy, random_window(seed, policy))
    reached = {**scores, Category.SEXUAL_MINORS: 0.1}
    verdict = policy.judge(reached, stage=Stage.PROMPT, judges=(), circumstances=asked)
    assert verdict.action is Action.BLOCK
    assert not policy.may_release(verdict.action, verdict.grounds)
