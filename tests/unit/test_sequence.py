"""Sequences: what parts a text into shots, what is put together, what counts as new."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.sequence import (
    CERTAIN,
    MAX_ACROSS,
    MAX_JOINT_CHARS,
    MAX_SHOTS,
    MAX_WITHIN,
    MIN_JUMP,
    across,
    emergent,
    joined,
    retold,
    shots,
    within,
)
from safety.verdict import Action, Category, Reason, Stage, Verdict


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "1. A man walks. 2. He waits. 3. He leaves.",
            ("A man walks", "He waits", "He leaves"),
        ),
        ("Shot 1: rain; shot 2: sun", ("rain", "sun")),
        ("[00:00-00:03] a forest [00:03-00:06] a fox", ("a forest", "a fox")),
        ("0-3s: a forest\n3-6s: a fox", ("a forest", "a fox")),
        (
            "a man wakes, then he eats, and then he leaves",
            ("a man wakes", "he eats", "he leaves"),
        ),
        ("a door -> a hall -> a stage", ("a door", "a hall", "a stage")),
        ("a street at night. Cut to: a kitchen", ("a street at night", "a kitchen")),
        (
            "Plan 1 : la mer. Plan 2 : le port. Ensuite, la ville",
            ("la mer", "le port", "la ville"),
        ),
        ("Einstellung 1: Wald, dann ein Fuchs", ("Wald", "ein Fuchs")),
        ("Escena 1: el mar; luego el puerto", ("el mar", "el puerto")),
        ("Scena 1: il mare; poi il porto", ("il mare", "il porto")),
        ("Cena 1: o mar; depois o porto", ("o mar", "o porto")),
        ("Кадр 1: дом. Затем лес", ("дом", "лес")),
        ("لقطة 1: بيت. ثم بحر", ("بيت", "بحر")),
        ("镜头1：下雨。镜头2：晴天", ("下雨", "晴天")),
        ("シーン1：雨の街。それから海辺", ("雨の街", "海辺")),
    ],
)
def test_shots_are_parted_in_many_languages(text: str, found: tuple[str, ...]) -> None:
    assert shots(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a man walks along the sea",
        "she lives next to a then-famous shop, 35mm, f/1.8, in 3D",
        "a sunset over 12 ships in 1923",
        "4k, 24 fps, 16:9, 8 mm film",
        "une femme danse au bord de la mer",
        "一只猫在窗台上睡觉",
    ],
)
def test_one_scene_is_no_list(text: str) -> None:
    assert shots(text) == ()


@given(st.text(max_size=300))
def test_parting_never_raises_and_is_bounded(text: str) -> None:
    found = shots(text)
    assert len(found) != 1
    assert len(found) <= MAX_SHOTS
    assert len(within(found)) <= MAX_WITHIN


def test_shots_are_joined_whole_interleaved_and_end_to_end() -> None:
    plans = [c.parts for c in within(["a", "b", "c", "d"])]
    assert plans == [(0, 1, 2, 3), (0, 2), (1, 3), (0, 3)]
    assert [c.parts for c in within(["a", "b"])] == [(0, 1)]
    assert within(["a"]) == ()


def test_a_story_is_joined_in_order_with_an_end_to_each_sentence() -> None:
    assert joined(["one ", "two!", "", "三。"]) == "one. two. 三。"


def test_the_new_prompt_ends_every_combination_and_old_ones_come_in_order() -> None:
    found = across(["a", "b", "c", "d", "e"], "new")
    assert [c.parts for c in found] == [(4,), (3, 4), (3,)]
    assert found[1].text == "d. e. new."
    assert all(c.text.endswith("new.") for c in found)
    assert across([], "new") == ()
    assert [c.parts for c in across(["a"], "new")] == [(0,)]


@given(st.lists(st.text(max_size=800), max_size=25), st.text(max_size=800))
def test_the_window_costs_little_however_much_is_in_it(recent: list[str], prompt: str) -> None:
    found = across(recent, prompt)
    assert len(found) <= MAX_ACROSS
    for combination in found:
        several = len(combination.parts) > 1
        assert not several or len(combination.text) <= MAX_JOINT_CHARS + 4 * 2


def verdict(score: float, category: Category = Category.ILLICIT, *, stops: bool) -> Verdict:
    reason = Reason(
        category=category, stage=Stage.PROMPT, rule="T", text="T.", action=Action.REVIEW
    )
    return Verdict(
        action=Action.REVIEW if stops else Action.ALLOW,
        scores={category: score},
        reasons=(reason,) if stops else (),
        policy="",
    )


def new(tellings: list[Verdict], parts: list[Verdict]) -> list[Category]:
    return [e.category for e in emergent(tellings, parts, minor_limit=0.15)]


def test_only_what_no_part_shows_is_new() -> None:
    whole = verdict(0.95, stops=True)
    low = verdict(0.1, stops=False)
    assert new([whole, whole], [low, low]) == [Category.ILLICIT]
    assert new([whole, whole], [low, verdict(0.95, stops=True)]) == []
    assert new([verdict(0.95, stops=False), whole], [low]) == []


def test_what_shows_in_one_telling_only_is_chance() -> None:
    whole, low = verdict(0.95, stops=True), verdict(0.1, stops=False)
    assert new([whole, verdict(CERTAIN - 0.01, stops=True)], [low]) == []


def test_a_score_that_creeps_up_with_length_is_not_new() -> None:
    near = verdict(0.95 - MIN_JUMP + 0.01, stops=False)
    assert new([verdict(0.95, stops=True)], [near]) == []


def test_a_score_that_is_no_number_is_new() -> None:
    whole = verdict(float("nan"), stops=True)
    assert new([whole, whole], [verdict(0.1, stops=False)]) == [Category.ILLICIT]


def test_a_minor_and_a_body_in_two_requests_need_a_sexual_scene_too() -> None:
    def whole(sexual: float) -> Verdict:
        found = verdict(1.0, Category.SEXUAL_MINORS, stops=True)
        scores = {Category.SEXUAL_EXPLICIT: 0.0, Category.SEXUAL_SUGGESTIVE: sexual}
        return replace(found, scores={**found.scores, **scores})

    part = verdict(0.0, Category.SEXUAL_MINORS, stops=False)
    assert new([whole(0.2), whole(0.15)], [part]) == [Category.SEXUAL_MINORS]
    assert new([whole(0.2), whole(0.14)], [part]) == []
    assert new([whole(0.2), verdict(0.0, Category.SEXUAL_MINORS, stops=False)], [part]) == []


def test_names_styles_fights_and_kisses_do_not_add_up() -> None:
    for category in (
        Category.LIVING_ARTIST_STYLE,
        Category.PROMPT_ATTACK,
        Category.VIOLENCE,
        Category.SEXUAL_SUGGESTIVE,
    ):
        whole = verdict(0.95, category, stops=True)
        assert new([whole], [verdict(0.0, category, stops=False)]) == []


def test_a_story_is_told_again_with_the_same_words() -> None:
    assert retold(["one.", "two"]) == ("two. one.", "one\ntwo", "one, two")
