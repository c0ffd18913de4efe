"""Ciphers are undone where that makes words, and emoji are read."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.normalize import normal_forms, whole_forms

SCENE = "a sleeping dragon guards the old bridge in the rain"
RUSSIAN = "мужчина читает газету на старом мосту под дождём"


@pytest.mark.parametrize(
    "disguised",
    [
        SCENE[::-1],
        " ".join(word[::-1] for word in SCENE.split()),
        codecs.encode(SCENE, "rot13"),
    ],
)
def test_a_cipher_is_undone_in_one_of_the_forms(disguised: str) -> None:
    assert SCENE in normal_forms(disguised)


def test_russian_in_latin_letters_is_read_as_russian() -> None:
    typed = "muzhchina chitaet gazetu na starom mostu pod dozhdem"
    assert any("газету на старом мосту" in form for form in normal_forms(typed))


@pytest.mark.parametrize(
    "text",
    [
        "xqzv brrk flimp trazzle gnop",
        "der müde fischer flickt sein netz am hafen",
        "un vieux pêcheur répare son filet au port",
        "bir adam eski köprüde gazete okuyor",
        "kedi pencerede uyuyor ve deniz çok sakin",
        "stary człowiek czyta gazetę na moście",
        RUSSIAN,
    ],
)
def test_text_that_is_no_cipher_is_left_alone(text: str) -> None:
    assert len(normal_forms(text)) == 1


def test_emoji_are_read_by_their_names() -> None:
    assert "a man holds a knife in the kitchen" in normal_forms(
        "a man holds a 🔪 in the kitchen"
    )


def test_one_sign_is_what_it_shows_and_two_of_a_code_are_a_message() -> None:
    single = " ".join(normal_forms("🍆 on the kitchen table"))
    assert "aubergine" in single
    assert "penis" not in single
    assert any("penis" in form for form in normal_forms("she wants his 🍆 💦"))


@given(st.text(alphabet="abcdefgh 🍆🔪💦❄\ufe0f\u200d", max_size=80))
@settings(deadline=None)
def test_forms_of_the_whole_come_first(text: str) -> None:
    whole = whole_forms(text)
    assert normal_forms(text)[: len(whole)] == whole
