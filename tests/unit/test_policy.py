"""What the policy promises: it covers everything, and doubt never passes."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.circumstances import Audience
from safety.limits import Limits
from safety.policy import FAULT_RULE, POLICY_PATH, Policy, PolicyInvalid
from safety.soundness import SEEN_ONLY
from safety.verdict import Action, Category, FrameScores, Stage

CONTENT = POLICY_PATH.read_bytes()
POLICY = Policy.parse(CONTENT)
CLEAN = dict.fromkeys(Category, 0.0)


def judge(scores: dict[Category, float]) -> Action:
    return POLICY.judge(scores, stage=Stage.PROMPT, judges=("test@1",)).action


def limits(category: Category) -> Limits:
    return POLICY.rules[category].prompt[Audience.PUBLIC]


def frame(index: int, **scores: float) -> FrameScores:
    given = {Category(name): score for name, score in scores.items()}
    return FrameScores(index=index, seconds=index / 2, scores={**CLEAN, **given})


def test_the_hash_of_a_policy_is_that_of_its_file() -> None:
    assert POLICY.hash == hashlib.sha256(CONTENT).hexdigest()
    assert POLICY.judge(CLEAN, stage=Stage.PROMPT, judges=()).policy == POLICY.hash
    assert Policy.load(POLICY_PATH) == POLICY


def test_a_changed_comment_changes_the_hash() -> None:
    assert Policy.parse(CONTENT + b"# a\n").hash != POLICY.hash


@pytest.mark.parametrize("forgotten", list(Category))
def test_a_policy_that_forgets_a_category_cannot_be_constructed(forgotten: Category) -> None:
    text = CONTENT.decode()
    start = text.index(f"[categories.{forgotten.value}]\n")
    end = text.find("\n[", start + 1)
    cut = text[:start] + (text[end:] if end > 0 else "")
    assert forgotten.value not in tomllib.loads(cut)["categories"]
    with pytest.raises(PolicyInvalid, match=forgotten.value):
        Policy.parse(cut.encode())


@pytest.mark.parametrize("limit", ["0.51", "1.0", "0.0", "nan", "true", "1" * 5_000])
def test_the_limit_beside_a_minor_must_be_a_low_number(limit: str) -> None:
    """At 1.0 the rule would be off; a number of 5,000 digits is no TOML but a ValueError."""
    changed = CONTENT.replace(b"sexual_score = 0.15", f"sexual_score = {limit}".encode())
    assert changed != CONTENT
    with pytest.raises(PolicyInvalid):
        Policy.parse(changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "overridable = false\nprompt = { review = 0.05, block = 0.05 }",
            "overridable = true\nprompt = { review = 0.05, block = 0.05 }",
        ),
        ("prompt = { review = 0.05, block = 0.05 }", "prompt = { review = 0.05, block = 0.5 }"),
        ("prompt = { review = 0.05, block = 0.05 }", "prompt = { review = nan, block = 0.05 }"),
        ("prompt = { review = 0.05, block = 0.05 }", "prompt = { review = 0.05 }"),
        ("prompt = { review = 0.05, block = 0.05 }", "prompt = { judged = false }"),
        ("\nframes = { judged = false }", "\nframes = { judged = true }"),
        ("\nframes = { judged = false }", ""),
        ('at_block = "block"', 'at_block = "allow"'),
        ('at_block = "block"', 'at_block = "shrug"'),
        ("[fault]", "surprise = 1\n[fault]"),
        ("[tiers.signal]", "[tiers.other]"),
        ("sexual_score = 0.15", "sexual_score = 0.0"),
        ("version = ", "vers = "),
    ],
)
def test_a_policy_with_a_hole_in_it_cannot_be_constructed(old: str, new: str) -> None:
    text = CONTENT.decode()
    assert old in text
    with pytest.raises(PolicyInvalid):
        Policy.parse(text.replace(old, new, 1).encode())


def test_a_policy_that_is_no_toml_or_absent_is_refused() -> None:
    for content in (b"\xff", b"[", b""):
        with pytest.raises(PolicyInvalid):
            Policy.parse(content)
    with pytest.raises(PolicyInvalid):
        Policy.load(POLICY_PATH.with_name("nowhere.toml"))


def test_an_item_without_findings_passes_without_a_reason() -> None:
    verdict = POLICY.judge(CLEAN, stage=Stage.PROMPT, judges=("test@1",))
    assert verdict.action is Action.ALLOW
    assert verdict.reasons == ()
    assert verdict.judges == ("test@1",)


@pytest.mark.parametrize("category", sorted(set(Category) - SEEN_ONLY))
def test_a_missing_score_holds(category: Category) -> None:
    scores = {c: s for c, s in CLEAN.items() if c is not category}
    verdict = POLICY.judge(scores, stage=Stage.PROMPT, judges=())
    assert verdict.action is Action.REVIEW
    assert [(r.category, r.rule) for r in verdict.reasons] == [(category, FAULT_RULE)]
    assert category not in verdict.scores


@pytest.mark.parametrize("category", sorted(set(Category) - SEEN_ONLY))
def test_whatever_words_can_say_must_be_judged_on_prompts(category: Category) -> None:
    unjudged = dataclasses.replace(POLICY.rules[category], prompt=None)
    with pytest.raises(PolicyInvalid, match=f"{category.value} must be judged on prompts"):
        dataclasses.replace(POLICY, rules={**POLICY.rules, category: unjudged})


def test_what_only_pictures_show_is_not_asked_of_words() -> None:
    for category in SEEN_ONLY:
        scores = {c: s for c, s in CLEAN.items() if c is not category}
        assert POLICY.judge(scores, stage=Stage.PROMPT, judges=()).action is Action.ALLOW


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -math.inf, -0.001, 1.001, None, "0.1", True]
)
@pytest.mark.parametrize("stage", list(Stage))
def test_a_score_that_is_no_number_between_0_and_1_blocks(bad: object, stage: Stage) -> None:
    for category in Category:
        scores = {**CLEAN, category: bad}
        verdict = POLICY.judge(scores, stage=stage, judges=())  # type: ignore[arg-type]
        assert verdict.action is Action.BLOCK
        assert category not in verdict.scores


def test_an_unknown_category_blocks() -> None:
    assert judge({**CLEAN, "astrology": 0.0}) is Action.BLOCK  # type: ignore[dict-item]


def test_no_scores_at_all_hold() -> None:
    assert judge({}) is Action.REVIEW


def test_whatever_reaches_the_limit_of_sexual_minors_is_blocked_and_never_released() -> None:
    limit = limits(Category.SEXUAL_MINORS).review
    scores = {**CLEAN, Category.SEXUAL_MINORS: limit}
    verdict = POLICY.judge(scores, stage=Stage.PROMPT, judges=())
    assert verdict.action is Action.BLOCK
    assert not POLICY.may_release(verdict.action, verdict.grounds)


def test_a_person_may_release_a_held_item_but_never_a_blocked_one() -> None:
    held = POLICY.judge(
        {**CLEAN, Category.HATE: limits(Category.HATE).review}, stage=Stage.PROMPT, judges=()
    )
    blocked = POLICY.judge({**CLEAN, Category.HATE: 1.0}, stage=Stage.PROMPT, judges=())
    assert held.action is Action.REVIEW
    assert POLICY.may_release(held.action, held.grounds)
    assert blocked.action is Action.BLOCK
    assert not POLICY.may_release(blocked.action, blocked.grounds)


def test_nobody_releases_what_has_no_ground_an_unknown_one_or_one_beyond_people() -> None:
    for grounds in ((), ("unheard_of:CG-X1",), ("sexual_minors:CG-FAULT",), ("hate:CG-H1", "")):
        assert not POLICY.may_release(Action.REVIEW, grounds)
    assert POLICY.may_release(Action.REVIEW, ("-:CG-FAULT",))


def test_a_policy_that_says_nothing_of_review_wants_two_people_for_everything() -> None:
    silent = Policy.parse(CONTENT.replace(b"[review]", b"[never]").partition(b"[never]")[0]
                          + b"[minors]" + CONTENT.partition(b"[minors]")[2])  # fmt: skip
    assert all(silent.review.people(frozenset({category})) == 2 for category in Category)
    assert POLICY.review.people(frozenset({Category.HATE})) == 1
    assert POLICY.review.people(frozenset({Category.HATE, Category.PUBLIC_FIGURE})) == 2


@pytest.mark.parametrize("wrong", ["0", "721", "1.5", "true", '"24"'])
def test_an_answer_takes_a_whole_number_of_hours_up_to_a_month(wrong: str) -> None:
    with pytest.raises(PolicyInvalid, match="answer_hours"):
        Policy.parse(CONTENT.replace(b"answer_hours = 24", f"answer_hours = {wrong}".encode()))


def test_an_item_that_lacks_the_score_for_sexual_minors_is_not_released() -> None:
    scores = {c: s for c, s in CLEAN.items() if c is not Category.SEXUAL_MINORS}
    verdict = POLICY.judge(scores, stage=Stage.PROMPT, judges=())
    assert not POLICY.may_release(verdict.action, verdict.grounds)


@given(st.dictionaries(st.sampled_from(list(Category)), st.floats()))
@settings(deadline=None)
def test_the_policy_answers_for_any_scores_and_doubt_never_passes(
    scores: dict[Category, float],
) -> None:
    for stage in Stage:
        verdict = POLICY.judge(scores, stage=stage, judges=())
        sound = all(0.0 <= s <= 1.0 for s in scores.values())
        if verdict.action is Action.ALLOW:
            assert sound
        if not sound:
            assert verdict.action is Action.BLOCK


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=2, max_size=2))
@settings(deadline=None)
def test_a_higher_score_is_never_treated_more_mildly(pair: list[float]) -> None:
    low, high = sorted(pair)
    for category in Category:
        mild = judge({**CLEAN, category: low})
        strict = judge({**CLEAN, category: high})
        assert mild.severity <= strict.severity


def test_no_frames_are_held() -> None:
    verdict = POLICY.judge_frames((), judges=())
    assert verdict.action is Action.REVIEW
    assert verdict.reasons[0].category is None
    assert verdict.stage is Stage.FRAMES


def test_the_strictest_frame_decides_and_the_reason_says_when() -> None:
    frames = [frame(i) for i in range(6)]
    frames[2] = frame(2, sexual_explicit=1.0)
    frames[3] = frame(3, sexual_explicit=0.99)
    frames[5] = frame(5, sexual_explicit=1.0)
    verdict = POLICY.judge_frames(frames, judges=())
    assert verdict.action is Action.BLOCK
    assert [(r.start, r.end) for r in verdict.reasons] == [(1.0, 1.5), (2.5, 2.5)]
    assert verdict.scores[Category.SEXUAL_EXPLICIT] == 1.0


@pytest.mark.parametrize("position", range(3))
def test_nan_in_any_frame_blocks_wherever_it_stands(position: int) -> None:
    frames = [frame(i, sexual_explicit=0.1) for i in range(3)]
    frames[position] = frame(position, sexual_explicit=math.nan)
    verdict = POLICY.judge_frames(frames, judges=())
    assert verdict.action is Action.BLOCK
    assert verdict.reasons[0].start == position / 2


def test_a_judged_category_that_one_frame_lacks_holds_the_clip() -> None:
    partial = {c: 0.0 for c in Category if c is not Category.SEXUAL_EXPLICIT}
    frames = [frame(0), FrameScores(index=1, seconds=0.5, scores=partial)]
    verdict = POLICY.judge_frames(frames, judges=())
    assert verdict.action is Action.REVIEW
    assert verdict.reasons[0].category is Category.SEXUAL_EXPLICIT


def test_a_category_that_no_frame_model_judges_may_be_missing() -> None:
    judged = {c: 0.0 for c, rule in POLICY.rules.items() if rule.frames is not None}
    assert len(judged) < len(Category)
    clip = [FrameScores(index=0, seconds=0.0, scores=judged)]
    assert POLICY.judge_frames(clip, judges=()).action is Action.ALLOW


def test_a_frame_without_a_usable_time_is_held() -> None:
    for seconds in (math.nan, math.inf, -1.0):
        clip = [frame(0), FrameScores(index=1, seconds=seconds, scores=CLEAN)]
        assert POLICY.judge_frames(clip, judges=()).action is Action.REVIEW


def test_rule_texts_are_sentences_and_rule_ids_differ() -> None:
    assert len({r.rule for r in POLICY.rules.values()}) == len(Category)
    assert all(r.text.endswith(".") for r in POLICY.rules.values())
