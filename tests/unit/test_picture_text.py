"""The judge of text in pictures, with a reader and moderators made for the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan

import numpy as np
import pytest

from safety.cards import WeightsMissing
from safety.frames import FrameGate
from safety.moderation import Named, PromptScores
from safety.ocr_boxes import TextBox
from safety.ocr_page import Line, Page
from safety.picture_text import MAX_TEXTS, WORDS_HARM, PictureTextJudge
from safety.pictures import PictureNote
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Category

BOX = TextBox(corners=((0, 0), (90, 0), (90, 30), (0, 30)), certainty=0.9)
ZEROS = dict.fromkeys(WORDS_HARM, 0.0)


@dataclass
class Shelf:
    """A reader that finds the page whose number is the first value of the picture."""

    pages: Sequence[Page]
    name: str = "shelf@1"

    def load(self) -> None:
        raise WeightsMissing("nothing to open")

    def read(self, frame: np.ndarray) -> Page:
        return self.pages[int(frame[0, 0, 0])]


@dataclass
class Listener:
    """A moderator that answers with what ``says`` makes of a text, and remembers the texts."""

    says: Callable[[str], Mapping[Category, float]]
    promises: frozenset[Category] = frozenset(Category)
    named: tuple[Named, ...] = ()
    name: str = "listener@1"
    asked: list[str] = field(default_factory=list)

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        self.asked += prompts
        return [PromptScores(scores=self.says(p), named=self.named) for p in prompts]


def everything(value: float = 0.1) -> Callable[[str], Mapping[Category, float]]:
    return lambda text: dict.fromkeys(Category, value)


def page(*said: str, **more: object) -> Page:
    lines = []
    for number, text in enumerate(said):
        top = 200.0 * number
        corners = ((0.0, top), (90.0, top), (90.0, top + 30), (0.0, top + 30))
        found = TextBox(corners=corners, certainty=0.9)
        lines.append(Line(text=text, certainty=0.95, box=found))
    return Page(lines=tuple(lines), **more)


def judged(pages: Sequence[Page], *moderators: Listener, **more):
    judge = PictureTextJudge(reader=Shelf(pages), moderators=moderators, **more)
    return judge.score(pictures(len(pages)))


def pictures(number: int) -> np.ndarray:
    frames = np.zeros((number, 8, 8, 3), np.uint8)
    frames[:, 0, 0, 0] = np.arange(number)
    return frames


def test_a_picture_without_text_scores_nothing_in_every_category():
    listener = Listener(everything(0.9))
    (row,) = judged([Page()], listener)
    assert row.scores == ZEROS
    assert row.notes == frozenset()
    assert listener.asked == []


def test_text_is_scored_as_the_strictest_moderator_scores_it():
    (row,) = judged([page("any text")], Listener(everything(0.2)), Listener(everything(0.7)))
    assert row.scores == dict.fromkeys(WORDS_HARM, 0.7)
    assert row.notes == {PictureNote.TEXT}


def test_each_picture_is_scored_by_its_own_text():
    def says(text: str) -> Mapping[Category, float]:
        return dict.fromkeys(Category, 0.8 if "bad" in text else 0.1)

    rows = judged([page("good day"), Page(), page("bad day")], Listener(says))
    assert [row.scores[Category.HATE] for row in rows] == [0.1, 0.0, 0.8]


def test_a_bad_line_counts_by_itself_among_harmless_ones():
    def says(text: str) -> Mapping[Category, float]:
        return dict.fromkeys(Category, 0.9 if text == "bad" else 0.1)

    (row,) = judged([page("good", "bad", "fine")], Listener(says))
    assert row.scores[Category.HATE] == 0.9


def test_many_texts_are_judged_as_one():
    listener = Listener(everything())
    judged([page(*(f"sign {n}" for n in range(MAX_TEXTS + 5)))], listener)
    assert len(listener.asked) == 1
    assert all(f"sign {n}" in listener.asked[0] for n in range(MAX_TEXTS + 5))


@pytest.mark.parametrize("said", ["7", "x", "12:45", "—", "…", "24 / 7"])
def test_single_letters_and_numbers_are_no_text(said):
    listener = Listener(everything(0.9))
    (row,) = judged([page(said)], listener)
    assert row.scores == ZEROS
    assert row.notes == frozenset()
    assert listener.asked == []


def test_a_bad_reading_is_never_an_attack_and_a_word_never_the_sight():
    (row,) = judged([page("zq xv")], Listener(everything(1.0)))
    for category in (Category.PROMPT_ATTACK, Category.VIOLENCE, Category.PUBLIC_FIGURE):
        assert category not in row.scores


# --- what could not be judged --------------------------------------------------------------


def test_letters_that_cannot_be_read_leave_every_category_out():
    (row,) = judged([page("good day", unread=(BOX,))], Listener(everything()))
    assert row.scores == {}
    assert row.notes == {PictureNote.TEXT}


def test_letters_for_which_no_room_was_left_count_as_unread():
    assert judged([Page(left_out=(BOX,))], Listener(everything()))[0].scores == {}


def test_an_offence_counts_even_beside_letters_that_cannot_be_read():
    (row,) = judged([page("bad", unread=(BOX,))], Listener(everything(0.9)))
    assert row.scores == dict.fromkeys(WORDS_HARM, 0.9)


def test_a_moderator_that_leaves_out_a_category_leaves_it_out_of_the_picture():
    partly = Listener(lambda text: {c: 0.1 for c in Category if c is not Category.HATE})
    (row,) = judged([page("text")], Listener(everything()), partly)
    assert row.scores.keys() == WORDS_HARM - {Category.HATE}


def test_a_category_that_nobody_promises_is_left_out():
    partly = Listener(lambda text: {}, promises=frozenset({Category.HATE}))
    assert judged([page("text")], partly)[0].scores == {}
    assert judged([page("text")])[0].scores == {}


def test_a_moderator_that_raises_leaves_all_out_but_an_offence_that_another_sees():
    def fails(text: str) -> Mapping[Category, float]:
        raise OSError("no disk")

    def hateful(text: str) -> Mapping[Category, float]:
        return dict.fromkeys(Category, 0.1) | {Category.HATE: 0.8}

    (row,) = judged([page("text")], Listener(fails), Listener(hateful))
    assert row.scores == {Category.HATE: 0.8}


def test_a_moderator_that_miscounts_leaves_all_out():
    class Short(Listener):
        def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
            return list(super().score(prompts))[:-1]

    assert judged([page("text")], Short(everything()))[0].scores == {}


def test_a_score_that_is_no_number_is_kept_for_the_policy_to_block():
    (row,) = judged([page("text")], Listener(everything(0.9)), Listener(everything(nan)))
    assert all(isnan(score) for score in row.scores.values())


def test_a_score_that_is_no_number_counts_even_beside_letters_that_cannot_be_read():
    (row,) = judged([page("text", unread=(BOX,))], Listener(everything(nan)))
    assert row.scores.keys() == WORDS_HARM


def test_a_reader_that_fails_gives_no_rows():
    with pytest.raises(IndexError):
        PictureTextJudge(reader=Shelf([]), moderators=()).score(pictures(1))


def test_weights_that_are_missing_are_told_when_the_judge_is_loaded():
    with pytest.raises(WeightsMissing):
        PictureTextJudge(reader=Shelf([]), moderators=()).load()


# --- names ---------------------------------------------------------------------------------


def test_brands_are_named_so_that_a_record_can_lift_them_and_people_are_not():
    brand = Named(category=Category.IP_CHARACTER_BRAND, subject="a-brand", score=0.9)
    person = Named(category=Category.PUBLIC_FIGURE, subject="a-person", score=0.9)
    (row,) = judged([page("text")], Listener(everything(), named=(brand, person)))
    assert row.named == (brand,)


def test_the_name_follows_what_the_moderators_know():
    listener = Listener(everything())
    judge = PictureTextJudge(reader=Shelf([]), moderators=(listener,))
    before = judge.name
    assert before.startswith("picture-text@shelf.1+")
    listener.name = "listener@2"
    assert judge.name != before


def test_a_moderator_without_a_name_does_not_break_the_judges():
    class Nameless:
        @property
        def name(self) -> str:
            raise WeightsMissing("gone")

    judge = PictureTextJudge(reader=Shelf([]), moderators=(Nameless(),))  # type: ignore[arg-type]
    assert judge.name.startswith("picture-text@")


# --- the same caption for many frames ------------------------------------------------------


def test_a_caption_that_stays_is_asked_about_once():
    listener = Listener(everything(0.3))
    judge = PictureTextJudge(reader=Shelf([page("same words")] * 3), moderators=(listener,))
    first, again = judge.score(pictures(3)), judge.score(pictures(3))
    assert first == again
    assert listener.asked == ["same words"]


def test_a_caption_is_asked_about_again_when_the_moderators_know_more():
    listener = Listener(everything(0.3))
    judge = PictureTextJudge(reader=Shelf([page("same words")]), moderators=(listener,))
    judge.score(pictures(1))
    listener.name, listener.says = "listener@2", everything(0.9)
    assert judge.score(pictures(1))[0].scores[Category.HATE] == 0.9


def test_an_answer_that_lacks_something_is_not_remembered():
    listener = Listener(lambda text: {})
    judge = PictureTextJudge(reader=Shelf([page("same words")]), moderators=(listener,))
    assert judge.score(pictures(1))[0].scores == {}
    listener.says = everything(0.2)
    assert judge.score(pictures(1))[0].scores == dict.fromkeys(WORDS_HARM, 0.2)


# --- at the gate ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "faults"),
    [(page("hello"), []), (page("hello", unread=(BOX,)), ["IncompleteAnswer"])],
)
def test_the_gate_is_told_when_letters_cannot_be_read(shown, faults):
    judge = PictureTextJudge(reader=Shelf([shown]), moderators=(Listener(everything()),))
    gate = FrameGate(classifiers=(judge,), policy=Policy.load(POLICY_PATH))
    report = gate.report([np.zeros((4, 8, 8, 3), np.uint8)], fps=4.0)
    assert [fault.error for fault in report.faults] == faults
