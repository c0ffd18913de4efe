"""A record lifts exactly its subject; the rest of the text is judged as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.circumstances import Audience, Circumstances, Grant
from safety.gazetteer import Gazetteer, ProtectedName
from safety.masking import NameMask, spans
from safety.moderation import Named, PromptGate, PromptScores
from safety.policy import POLICY_PATH, Policy
from safety.rules import RuleBook, RuleModerator
from safety.verdict import Action, Category

POLICY = Policy.load(POLICY_PATH)
BOOK = RuleBook.load()
FIGURE, PROPERTY = Category.PUBLIC_FIGURE, Category.IP_CHARACTER_BRAND
ARTIST = Category.LIVING_ARTIST_STYLE
CLEAN = dict.fromkeys(Category, 0.0)
HANKS = Grant(category=FIGURE, subject="tom-hanks")
MICKEY = Grant(category=PROPERTY, subject="mickey-mouse")
KUSAMA = Grant(category=ARTIST, subject="yayoi-kusama")


@dataclass
class Head:
    """A classifier that scores words: the highest of those that occur in the text."""

    words: dict[str, dict[Category, float]]
    name: str = "head@1"
    promises: frozenset[Category] = field(default=frozenset(Category))
    asked: list[str] = field(default_factory=list)

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        self.asked += prompts
        return [self._score(prompt.lower()) for prompt in prompts]

    def _score(self, prompt: str) -> PromptScores:
        scores = dict(CLEAN)
        for word, found in self.words.items():
            if word in prompt:
                scores |= {c: max(s, scores[c]) for c, s in found.items()}
        return PromptScores(scores=scores)


def head(**words: dict[Category, float]) -> Head:
    return Head(words=words)


def gate(*heads: Head, names: Gazetteer = BOOK.names, mask: bool = True) -> PromptGate:
    rules = RuleModerator(book=BOOK, names=lambda: names)
    return PromptGate(
        moderators=(rules, *heads),
        policy=POLICY,
        mask=NameMask(names=lambda: names) if mask else None,
    )


def action(text: str, *grants: Grant, by: PromptGate | None = None) -> Action:
    known = Circumstances(grants=frozenset(grants))
    [verdict] = (by or gate()).judge([text], circumstances=known)
    return verdict.action


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("Tom Hanks feeds pigeons", HANKS),
        ("Mickey Mouse paints a fence", MICKEY),
        ("#mickeymouse paints a fence", MICKEY),
        ("a temple painted by Yayoi Kusama", KUSAMA),
    ],
)
def test_a_record_lifts_its_subject(text: str, grant: Grant) -> None:
    assert action(text) is Action.BLOCK
    assert action(text, grant) is Action.ALLOW


@pytest.mark.parametrize(
    "grant",
    [
        Grant(category=FIGURE, subject="tom-cruise"),
        Grant(category=PROPERTY, subject="tom-hanks"),
        Grant(category=ARTIST, subject="tom-hanks"),
        Grant(category=FIGURE, subject="nobody-known"),
        Grant(category=FIGURE, subject=""),
        Grant(category=FIGURE, subject="Tom Hanks"),
        Grant(category=Category.HATE, subject="tom-hanks"),
    ],
)
def test_another_record_lifts_nothing(grant: Grant) -> None:
    assert action("Tom Hanks feeds pigeons", grant) is Action.BLOCK


@pytest.mark.parametrize(
    ("lifted_from", "audience", "expected"),
    [
        (None, Audience.INTERNAL, Action.BLOCK),
        (Audience.STUDIO, Audience.PUBLIC, Action.BLOCK),
        (Audience.STUDIO, Audience.STUDIO, Action.ALLOW),
        (Audience.STUDIO, Audience.INTERNAL, Action.ALLOW),
    ],
)
def test_the_policy_says_for_whom_a_record_lifts(
    lifted_from: Audience | None, audience: Audience, expected: Action
) -> None:
    rule = replace(POLICY.rules[FIGURE], lifted_from=lifted_from)
    policy = replace(POLICY, rules={**POLICY.rules, FIGURE: rule})
    judge = replace(gate(), policy=policy)
    known = Circumstances(audience=audience, grants=frozenset({HANKS}))
    [verdict] = judge.judge(["Tom Hanks feeds pigeons"], circumstances=known)
    assert verdict.action is expected


def test_one_record_of_two_that_are_needed_is_not_enough() -> None:
    text = "Tom Hanks meets Mickey Mouse"
    assert action(text, HANKS) is Action.BLOCK
    assert action(text, MICKEY) is Action.BLOCK
    assert action(text, HANKS, MICKEY) is Action.ALLOW


def test_the_classifier_is_not_asked_about_a_granted_name() -> None:
    knows = head(hanks={FIGURE: 0.97}, pigeons={Category.VIOLENCE: 0.2})
    verdicts = gate(knows).judge(
        ["Tom Hanks feeds pigeons"], circumstances=Circumstances(grants=frozenset({HANKS}))
    )
    assert verdicts[0].action is Action.ALLOW
    assert verdicts[0].scores[Category.VIOLENCE] == 0.2
    assert knows.asked == ["Tom Hanks feeds pigeons", "a person feeds pigeons"]


def test_somebody_whom_only_the_classifier_knows_still_counts() -> None:
    knows = head(hanks={FIGURE: 0.97}, president={FIGURE: 0.95})
    assert action("Tom Hanks meets the president", HANKS, by=gate(knows)) is Action.BLOCK


def test_without_a_mask_the_classifier_keeps_its_word() -> None:
    knows = head(hanks={FIGURE: 0.97})
    assert action("Tom Hanks sings", HANKS, by=gate(knows, mask=False)) is Action.BLOCK


def test_a_name_in_disguise_cannot_be_masked_and_stays_with_the_classifier() -> None:
    knows = head(h4nks={FIGURE: 0.97})
    assert action("T0m H4nks sings", HANKS, by=gate(knows)) is Action.BLOCK
    assert action("T0m H4nks sings", HANKS) is Action.ALLOW


@pytest.mark.parametrize(
    "category",
    [Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE, Category.HARASSMENT],
)
def test_consent_does_not_reach_into_an_intimate_or_humiliating_context(
    category: Category,
) -> None:
    knows = head(context={category: 0.45})
    text = "Tom Hanks in some context"
    assert POLICY.rules[category].prompt[Circumstances().audience].review > 0.45
    [verdict] = gate(knows).judge([text], circumstances=Circumstances(grants={HANKS}))  # type: ignore[arg-type]
    assert verdict.action is Action.BLOCK
    assert verdict.reasons[0].category is FIGURE
    assert action("Mickey Mouse in some context", MICKEY, by=gate(knows)) is Action.ALLOW


def test_a_broken_mask_lifts_no_score() -> None:
    class Broken:
        def masked(self, prompt: str, granted: object) -> str | None:
            raise RuntimeError("no names")

    knows = head(hanks={FIGURE: 0.97})
    broken = PromptGate(
        moderators=(RuleModerator(book=BOOK), knows), policy=POLICY, mask=Broken()
    )
    assert action("Tom Hanks sings", HANKS, by=broken) is Action.BLOCK


def test_names_that_change_while_they_are_read_hold_the_prompt() -> None:
    shrinking = [Gazetteer(names=BOOK.names.names[:n]) for n in (9, 8, 7, 6, 5, 4, 3, 2)]
    unsteady = RuleModerator(book=BOOK, names=lambda: shrinking.pop())
    judge = PromptGate(moderators=(unsteady,), policy=POLICY)
    assert judge.judge(["a red ball"])[0].action is Action.REVIEW


def test_names_that_change_before_the_mask_leave_the_classifier_its_word() -> None:
    later = Gazetteer(names=BOOK.names.names[:-1])
    force = [later] * 9 + [BOOK.names] * 3
    knows = head(hanks={FIGURE: 0.97})
    rules = RuleModerator(book=BOOK, names=lambda: force.pop() if len(force) > 1 else later)
    mask = NameMask(names=lambda: BOOK.names)
    judge = PromptGate(moderators=(rules, knows), policy=POLICY, mask=mask)
    assert action("Tom Hanks sings", HANKS, by=judge) is Action.BLOCK


def test_names_that_cannot_be_read_hold_the_prompt() -> None:
    def broken() -> Gazetteer:
        raise OSError("the database is away")

    rules = RuleModerator(book=BOOK, names=broken)
    judge = PromptGate(moderators=(rules,), policy=POLICY)
    assert judge.judge(["a red ball"])[0].action is Action.REVIEW


def test_new_names_count_at_once_and_show_in_the_judge() -> None:
    force = [BOOK.names]
    rules = RuleModerator(book=BOOK, names=lambda: force[-1])
    judge = PromptGate(moderators=(rules,), policy=POLICY)
    [before] = judge.judge(["Ada Quill sings"])
    quill = ProtectedName(category=FIGURE, subject="ada-quill", name="Ada Quill")
    force.append(BOOK.names.extended([quill]))
    [after] = judge.judge(["Ada Quill sings"])
    assert (before.action, after.action) == (Action.ALLOW, Action.BLOCK)
    assert before.judges != after.judges


def test_prompts_judged_together_do_not_mix_their_masks() -> None:
    knows = head(hanks={FIGURE: 0.97}, cruise={FIGURE: 0.97}, mickey={PROPERTY: 0.95})
    texts = ["a ball", "Tom Hanks sings", "Tom Cruise sings", "Mickey Mouse and Tom Hanks"]
    known = Circumstances(grants=frozenset({HANKS, MICKEY}))
    actions = [v.action for v in gate(knows).judge(texts, circumstances=known)]
    assert actions == [Action.ALLOW, Action.ALLOW, Action.BLOCK, Action.ALLOW]


WORDS = st.sampled_from(
    ["Tom Hanks", "Mickey Mouse", "Donald Trump", "pigeons", "fence", "painted by", "rages",
     "Yayoi Kusama", "a ball", "Cafe\u0301", "ß", "皮卡丘", "  ", "T0m H4nks", "\u200b"]
)  # fmt: skip
GRANTS = st.frozensets(st.sampled_from([HANKS, MICKEY, KUSAMA]))


@given(st.lists(WORDS, min_size=1, max_size=8), GRANTS)
@settings(deadline=None, max_examples=60)
def test_a_lift_never_touches_another_category(
    words: list[str], grants: frozenset[Grant]
) -> None:
    text = " ".join(words)
    knows = head(
        hanks={FIGURE: 0.8, Category.VIOLENCE: 0.3},
        person={Category.VIOLENCE: 0.1, Category.GORE_GRAPHIC: 0.9},
        rages={Category.HARASSMENT: 0.5},
    )
    judge = gate(knows)
    [strict] = judge.judge([text])
    [lifted] = judge.judge([text], circumstances=Circumstances(grants=grants))
    touched = {grant.category for grant in grants}
    for category in Category:
        if category in touched:
            assert lifted.scores[category] <= strict.scores[category]
        else:
            assert lifted.scores[category] == strict.scores[category]


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["Tom Hanks", "TOM  HANKS"]))
@settings(deadline=None, max_examples=100)
def test_a_mask_leaves_the_rest_of_the_text_as_it_was(head: str, tail: str, name: str) -> None:
    text = f"{head} {name} {tail}"
    masked = NameMask(names=lambda: BOOK.names).masked(text, {HANKS})
    found = [s for s in spans(text, BOOK.names) if s.grant == HANKS]
    if masked is not None:
        assert "hanks" not in masked.lower()
        assert masked.startswith(text[: found[0].start])
        assert masked.endswith(text[found[-1].end :])


def test_a_mask_without_anything_to_mask_is_none() -> None:
    mask = NameMask(names=lambda: BOOK.names)
    assert mask.masked("a ball", {HANKS}) is None
    assert mask.masked("Tom Cruise", {HANKS}) is None
    assert mask.masked("Tom Hanks’s hat", {HANKS}) == "a person’s hat"
    assert mask.masked("東京の皮卡丘!", {Grant(category=PROPERTY, subject="pikachu")}) == (
        "東京のa character!"
    )


def test_what_is_named_is_told_apart_from_the_scores() -> None:
    [answer] = RuleModerator(book=BOOK).score(["Tom Hanks feeds pigeons"])
    assert answer.named == (Named(category=FIGURE, subject="tom-hanks", score=0.95),)
    assert answer.scores[FIGURE] == 0.0
