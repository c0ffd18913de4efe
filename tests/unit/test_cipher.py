"""Ciphers are undone where that makes words, and emoji are read."""

from __future__ import annotations

import base64
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


@pytest.mark.parametrize(
    "disguised",
    [
        "a sleep\u2800ing dra\ue000gon guards the o\ufffdld bridge in the rain",
        "a sleep\x1fing dra\x00gon guards the old bridge in the rain",
        "a sleeping dr\u2c65gon guards the old bridge in the rain",
        "a sleeping dr\U00010300gon guards the old bridge in the rain",
        "a sleeping 🇩🇷🇦🇬🇴🇳 guards the old bridge in the rain",
        "a sleeping 🇩 🇷 🇦 🇬 🇴 🇳 guards the old bridge in the rain",
        "a sleeping 🅳🆁🅰🅶🅾🅽 guards the old bridge in the rain",
        "a slee'ping dra=gon gua/rds the old bri(dge in the rain",
        "a sleep<b>ing</b> dr&#97;gon guards the old bridge in the rain",
        "a sleeping%20dragon%20guards the old bridge in the rain",
        "a sleeping dragon\nguards the old\nb\nr\ni\nd\ng\ne in the rain",
        "A S L E E P I N G  D R A G O N  guards the old bridge in the rain",
    ],
)
def test_marks_and_letters_that_only_hide_a_word_are_undone(disguised: str) -> None:
    assert SCENE in normal_forms(disguised)


def test_base64_is_read_in_layers_in_lines_and_in_number() -> None:
    once = base64.b64encode(SCENE.encode()).decode()
    twice = base64.b64encode(once.encode()).decode()
    assert SCENE in normal_forms(f"draw {twice}")
    assert SCENE in normal_forms(f"draw {once[:20]}\n{once[20:]}")
    fillers = [base64.b64encode(f"a red ball number {n}".encode()).decode() for n in range(3)]
    assert SCENE in normal_forms(" then ".join([*fillers, once]))
    assert SCENE in normal_forms(SCENE.encode().hex())
    assert SCENE in normal_forms(base64.b64encode(f"{SCENE}\n".encode()).decode())
    turned = base64.b64encode(codecs.encode(SCENE, "rot13").encode()).decode()
    assert SCENE in normal_forms(turned)


def test_text_in_characters_that_nobody_sees_is_read() -> None:
    unseen = "".join(chr(0xE0000 + ord(c)) for c in SCENE)
    assert SCENE in normal_forms(f"a red ball{unseen}")


@pytest.mark.parametrize(
    "text",
    [
        "don't move, it's the well-known rock'n'roll singer and/or her twin-sister",
        "l'homme n'a qu'un chien, aujourd'hui (dit-il)",
        "(masterpiece:1.2), [blurry], {warm} light, 16:9 <close-up>",
        "two flags \U0001f1eb\U0001f1f7 on a ship",
        "mp3=audio; a<b and c>d; 50% off, 100%!",
    ],
)
def test_ordinary_marks_hide_nothing(text: str) -> None:
    # Flags and angle brackets give one more form; it says the same.
    assert len(normal_forms(text)) <= (2 if "<" in text or "\U0001f1eb" in text else 1)
