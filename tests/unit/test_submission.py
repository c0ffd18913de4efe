"""Submissions: parts, lineage, negative prompt and recent prompts, judged alone and as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.moderation import MINOR_NOTE, PromptGate, PromptScores
from safety.policy import FAULT_RULE, POLICY_PATH, Policy
from safety.sequence import MAX_TEXTS
from safety.submission import (
    Part,
    PartKind,
    Submission,
    SubmissionGate,
    strictest,
)
from safety.verdict import Action, Category, Verdict

# What scores high when all of the words stand in one text; nothing else scores.
SECRETS = {
    frozenset({"copper", "marble"}): Category.ILLICIT,
    frozenset({"violet", "marble"}): Category.EXTREMISM_TERROR,
    frozenset({"naked"}): Category.SEXUAL_EXPLICIT,
    frozenset({"forbidden"}): Category.HATE,
    frozenset({"duel"}): Category.VIOLENCE,
}


@dataclass
class WordModerator:
    """Scores by the words of a text, so that a test knows what adds up."""

    name: str = "words@1"
    promises: frozenset[Category] = frozenset(Category)
    asked: list[list[str]] = field(default_factory=list)

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        self.asked.append(list(prompts))
        return [self._score(prompt.lower()) for prompt in prompts]

    def _score(self, prompt: str) -> PromptScores:
        scores = dict.fromkeys(Category, 0.01)
        for words, category in SECRETS.items():
            if all(word in prompt for word in words):
                scores[category] = 0.95
        if "unreadable" in prompt or ("smoke" in prompt and "mirror" in prompt):
            return PromptScores(scores={})
        notes = (MINOR_NOTE,) if "toddler" in prompt else ()
        return PromptScores(scores=scores, notes=notes)


POLICY = Policy.load(POLICY_PATH)
WORDS = WordModerator()
GATE = SubmissionGate(gate=PromptGate(moderators=(WORDS,), policy=POLICY))


def asked(
    prompt: str,
    *,
    recent: Sequence[str] = (),
    lineage: Sequence[str] = (),
    **parts: str,
) -> Submission:
    more = tuple(Part(kind=PartKind(kind), text=text) for kind, text in parts.items())
    return Submission(
        parts=(Part(kind=PartKind.PROMPT, text=prompt), *more),
        lineage=tuple(lineage),
        recent=tuple(recent),
    )


def categories(verdict: Verdict) -> set[Category | None]:
    return {reason.category for reason in verdict.reasons}


def test_harmless_parts_pass() -> None:
    verdict = GATE.weigh(asked("a fox", title="The fox", recent=["a hen", "a farm"]))
    assert (verdict.action, verdict.reasons) == (Action.ALLOW, ())
    assert verdict.judges == ("words@1",)


@pytest.mark.parametrize(
    "kind", sorted(set(PartKind) - {PartKind.PROMPT, PartKind.NEGATIVE_PROMPT})
)
def test_every_part_is_judged(kind: PartKind) -> None:
    assert GATE.weigh(asked("a fox", **{kind: "forbidden"})).action is Action.BLOCK


@pytest.mark.parametrize("kind", [kind for kind in PartKind if kind is not PartKind.PROMPT])
def test_a_part_that_cannot_be_judged_is_held(kind: PartKind) -> None:
    verdict = GATE.weigh(asked("a fox", **{kind: "unreadable"}))
    assert verdict.action is Action.REVIEW
    assert {reason.rule for reason in verdict.reasons} == {FAULT_RULE}


def test_a_request_that_says_nothing_is_held() -> None:
    assert GATE.weigh(Submission(parts=())).action is Action.REVIEW
    only = Submission(parts=(Part(kind=PartKind.NEGATIVE_PROMPT, text="blurry"),))
    assert GATE.weigh(only).action is Action.REVIEW


def test_a_change_is_judged_with_what_it_changes() -> None:
    change = Submission(
        parts=(Part(kind=PartKind.REMIX, text="now on marble"),),
        lineage=("a copper bowl",),
    )
    verdict = GATE.weigh(change)
    assert verdict.action is Action.BLOCK
    assert categories(verdict) == {Category.ILLICIT}
    assert GATE.weigh(asked("now on marble")).action is Action.ALLOW


def test_a_part_that_cannot_be_judged_does_not_hide_what_the_others_say() -> None:
    remix = Submission(
        parts=(
            Part(kind=PartKind.REMIX, text="now on marble"),
            Part(kind=PartKind.TITLE, text="unreadable"),
        ),
        lineage=("a copper bowl",),
    )
    assert GATE.weigh(remix).action is Action.BLOCK
    bare = asked("a toddler", negative_prompt="clothes", title="unreadable")
    assert GATE.weigh(bare).action is Action.BLOCK


def test_a_title_and_a_prompt_are_judged_as_one() -> None:
    assert GATE.weigh(asked("a copper bowl", title="marble")).action is Action.BLOCK


def test_a_minor_in_one_part_and_a_body_in_another_are_blocked() -> None:
    verdict = GATE.weigh(asked("naked truth", character_name="the toddler"))
    assert Category.SEXUAL_MINORS in categories(verdict)
    assert verdict.action is Action.BLOCK


# --- the negative prompt -----------------------------------------------------------------


@pytest.mark.parametrize(
    "unwanted", ["forbidden, duel, naked", "naked toddler", "copper, marble", "blurry"]
)
def test_naming_what_is_not_wanted_is_no_offence(unwanted: str) -> None:
    verdict = GATE.weigh(asked("a woman in a garden", negative_prompt=unwanted))
    assert verdict.action is Action.ALLOW


def test_a_minor_that_is_not_wanted_is_not_added_to_the_scene() -> None:
    alone = GATE.weigh(asked("a naked statue"))
    assert GATE.weigh(asked("a naked statue", negative_prompt="toddler")) == alone


@pytest.mark.parametrize(
    "unwanted",
    [
        "clothes",
        "blurry, (clothes:1.4), low quality",
        "clothes AND bra",
        "clothes\nbra",
        "clothes and shoes",
        "garments of any kind",
        "any clothing",
        "censored",
        "衣服",
        "ropa",
    ],
)
def test_taking_the_clothes_from_people_is_held(unwanted: str) -> None:
    verdict = GATE.weigh(asked("a woman in a garden", negative_prompt=unwanted))
    assert verdict.action is Action.REVIEW
    assert categories(verdict) == {Category.SEXUAL_SUGGESTIVE}
    assert any(judge.startswith("negative-prompt@") for judge in verdict.judges)
    car = GATE.weigh(asked("a car on a coast road", negative_prompt=unwanted))
    assert car.action is Action.ALLOW


def test_taking_the_clothes_from_a_minor_is_blocked() -> None:
    verdict = GATE.weigh(asked("a toddler in a garden", negative_prompt="clothes"))
    assert verdict.action is Action.BLOCK
    assert Category.SEXUAL_MINORS in categories(verdict)


def test_asking_that_nobody_naked_is_grown_up_is_blocked() -> None:
    unwanted = "adult, mature"
    verdict = GATE.weigh(asked("a naked person", negative_prompt=unwanted))
    assert verdict.action is Action.BLOCK
    assert Category.SEXUAL_MINORS in categories(verdict)
    park = GATE.weigh(asked("a toddler plays in the park", negative_prompt=unwanted))
    assert park.action is Action.ALLOW


def test_nobody_may_release_a_scene_without_clothes_and_adulthood() -> None:
    verdict = GATE.weigh(asked("a woman in a garden", negative_prompt="clothed, adult"))
    assert verdict.action is Action.REVIEW
    assert not POLICY.may_release(verdict.action, verdict.grounds)


# --- sequences ---------------------------------------------------------------------------


def test_harm_split_over_requests_is_held_with_its_category_behind() -> None:
    verdict = GATE.weigh(asked("a marble hall", recent=["a fox", "a violet cloth"]))
    assert verdict.action is Action.REVIEW
    assert [r.category for r in verdict.reasons] == [
        Category.TEMPORAL_COMPOSITE,
        Category.EXTREMISM_TERROR,
    ]
    assert POLICY.may_release(verdict.action, verdict.grounds)


def test_harm_split_by_one_request_between_is_held() -> None:
    recent = ["a violet cloth", "a fox in the snow"]
    assert GATE.weigh(asked("a marble hall", recent=recent)).action is Action.REVIEW


def test_requests_that_cannot_be_judged_together_are_held() -> None:
    verdict = GATE.weigh(asked("a mirror", recent=["smoke over a lake"]))
    assert verdict.action is Action.REVIEW
    assert {reason.rule for reason in verdict.reasons} == {FAULT_RULE}
    shots = GATE.weigh(asked("1. smoke 2. a fox 3. a mirror"))
    assert shots.action is Action.REVIEW


def test_what_an_earlier_request_shows_by_itself_is_not_laid_at_this_one() -> None:
    recent = ["a forbidden sign", "a violet marble"]
    assert GATE.weigh(asked("a fox", recent=recent)).action is Action.ALLOW


def test_a_story_with_fights_is_not_held_for_being_long() -> None:
    recent = [f"the duel goes on, take {n}" for n in range(30)]
    fresh = GATE.weigh(asked("they embrace", recent=recent))
    assert fresh.action is Action.ALLOW


def test_every_second_shot_of_a_list_is_judged_as_a_story() -> None:
    plain = "1. a violet cloth 2. a fox 3. a marble hall 4. a hen"
    verdict = GATE.weigh(asked(plain))
    assert categories(verdict) >= {Category.EXTREMISM_TERROR}


def test_a_sequence_costs_few_texts_and_one_batch() -> None:
    WORDS.asked.clear()
    prompt = "1. a fox 2. a hen 3. a barn 4. a mill 5. rain"
    GATE.weigh(asked(prompt, recent=[f"scene {n} of a farm" for n in range(20)]))
    assert len(WORDS.asked) == 1
    assert len(WORDS.asked[0]) <= 1 + MAX_TEXTS


# --- for all submissions ------------------------------------------------------------------

WORDS_OF_TESTS = [
    *("copper", "marble", "violet", "toddler", "naked", "woman", "clothes", "adult", "duel"),
    *("forbidden", "unreadable", "then", "1.", "2.", "shot", "cut", "to", "fox", ",", ";"),
]
texts = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(WORDS_OF_TESTS),
        max_size=8,
    ).map(" ".join),
)
parts = st.builds(Part, kind=st.sampled_from(PartKind), text=texts)
submissions = st.builds(
    Submission,
    parts=st.lists(parts, max_size=5).map(tuple),
    lineage=st.lists(texts, max_size=3).map(tuple),
    recent=st.lists(texts, max_size=8).map(tuple),
)


@given(submission=submissions)
def test_judging_never_raises(submission: Submission) -> None:
    verdict = GATE.weigh(submission)
    assert (verdict.action is Action.ALLOW) == (not verdict.reasons)
    assert verdict.policy == POLICY.hash


@given(submission=submissions, part=parts)
def test_a_part_more_never_makes_a_verdict_milder(submission: Submission, part: Part) -> None:
    more = Submission(
        parts=(*submission.parts, part),
        lineage=submission.lineage,
        recent=submission.recent,
    )
    if submission.positive:
        before, after = GATE.weigh(submission).action, GATE.weigh(more).action
        assert after.severity >= before.severity


@given(submission=submissions)
def test_the_joint_text_keeps_the_order_of_what_was_said(submission: Submission) -> None:
    story, start = submission.whole, 0
    for text in (*submission.lineage, *(part.text for part in submission.positive)):
        words = "".join(c for c in text if c.isalnum())
        if words == text and len(submission.lineage) + len(submission.positive) > 1:
            assert words in story[start:]
            start = story.index(words, start)


def test_the_strictest_of_verdicts_keeps_every_ground_and_the_worst_score() -> None:
    low, high = GATE.judge(["a fox"])[0], GATE.judge(["forbidden"])[0]
    both = strictest([low, high])
    assert (both.action, both.reasons) == (high.action, high.reasons)
    assert both.scores[Category.HATE] == 0.95
    broken = Verdict(
        action=Action.ALLOW, scores={Category.HATE: float("nan")}, reasons=(), policy=""
    )
    for order in ([broken, high], [high, broken]):
        worst = strictest(order).scores[Category.HATE]
        assert worst != worst
    with pytest.raises(ValueError, match="no verdict"):
        strictest([])
