"""The normaliser undoes disguises, leaves plain text alone and never raises."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safety.normalize import MAX_FORMS, MAX_TEXT_CHARS, fold, is_too_long, normal_forms, plain

SCENE = "a sleeping dragon guards the old bridge"
SPACED = " ".join(SCENE.replace(" ", ""))
ANY_TEXT = st.text(max_size=200) | st.text(
    alphabet=st.characters(categories=["Mn", "Me", "Cf", "Cc", "Cs", "Lo", "Lu", "So", "No"]),
    max_size=60,
)


@pytest.mark.parametrize(
    "disguised",
    [
        "A SLEEPING Dragon guards  the old bridge",
        "a sleeping dr\u200bag\u2060on guards the old br\u00adidge",
        "ａ ｓｌｅｅｐｉｎｇ ｄｒａｇｏｎ ｇｕａｒｄｓ ｔｈｅ ｏｌｄ ｂｒｉｄｇｅ",
        "𝒶 𝓈𝓁𝑒𝑒𝓅𝒾𝓃𝑔 𝒹𝓇𝒶𝑔𝑜𝓃 𝑔𝓊𝒶𝓇𝒹𝓈 𝓉𝒽𝑒 𝑜𝓁𝒹 𝒷𝓇𝒾𝒹𝑔𝑒",
        "a sl\u0335ee\u0337ping d\u0336ra\u0338gon guards the old bridge",
        "а ѕlеерing drаgоn guаrds thе оld bridgе",
        "a sl33ping dr4g0n gu@rds the 0ld br1dge",
        "a s.l.e.e.p.i.n.g dragon g-u-a-r-d-s the o l d bridge",
        "a  s l e e p i n g  d r a g o n  g u a r d s  t h e  o l d  b r i d g e",
        SPACED,
        "a slee_ping dra·gon guar*ds the old bri_dge",
    ],
)
def test_a_disguise_is_undone_in_one_of_the_forms(disguised: str) -> None:
    assert SCENE in normal_forms(disguised)


def test_text_packed_in_base64_is_read() -> None:
    packed = base64.b64encode(SCENE.encode()).decode()
    assert SCENE in normal_forms(f"draw this: {packed}")


@pytest.mark.parametrize(
    "text",
    [
        "a 35mm film from the 1930s, 24fps, 4k, f1.8, in 3d, 2nd take at 5pm, r2d2 and mp4",
        "fünf müde löwen überqueren die straße, 16:9, 120 fps",
        "un chien à côté d'une fenêtre, l'été 1968, vitesse x2",
        "красный кот сидит на окне в 1985 году",
        "一个男人在雨中等公交车，4k，电影感",
        "猫が窓辺で眠っている、35mmフィルム",
        "قطة تنام على النافذة",
        "slow-motion shot of a two-year-old dog, wide-angle, 50-year-old car!",
        "camera: top-down; colours: red, blue (and green). what a day!!",
    ],
)
def test_plain_text_has_one_form(text: str) -> None:
    assert normal_forms(text) == (fold(text),)


@given(ANY_TEXT)
@example("")
@example("\ud800")
@example("ﷺ" * 20)
@example("İstanbul ǅ ß ŉ")
@example("a" + "\u0301" * 100)
@settings(deadline=None)
def test_no_text_makes_the_normaliser_raise(text: str) -> None:
    forms = normal_forms(text)
    assert 1 <= len(forms) <= MAX_FORMS
    assert len(set(forms)) == len(forms)
    assert forms[0] == fold(text)
    assert all(form == fold(form) for form in forms)


@given(ANY_TEXT)
@settings(deadline=None)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert plain(plain(text)) == plain(text)
    assert plain(fold(text)) == plain(text)


@given(st.text(alphabet="k1l .@-_*", min_size=200, max_size=2000))
@settings(max_examples=20, deadline=None)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    began = time.perf_counter()
    normal_forms(text * 10)
    assert time.perf_counter() - began < 5.0


def test_text_beyond_the_limit_is_cut_and_said_to_be_too_long() -> None:
    assert is_too_long("x" * (MAX_TEXT_CHARS + 1))
    assert not is_too_long("x" * MAX_TEXT_CHARS)
    assert len(fold("x" * (2 * MAX_TEXT_CHARS))) == MAX_TEXT_CHARS
