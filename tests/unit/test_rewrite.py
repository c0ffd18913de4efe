"""Another wording says the style without its artist, or says nothing at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.circumstances import Grant
from safety.gazetteer import Gazetteer
from safety.normalize import normal_forms, plain
from safety.rewrite import DEFAULT_STYLE, Rewriter
from safety.verdict import Category

NAMES = Gazetteer.load()
GLOWING = "an ethereal glowing fantasy portrait style"
REWRITER = Rewriter(names=lambda: NAMES)


@pytest.mark.parametrize(
    ("prompt", "offered"),
    [
        (
            "a fox in the style of Banksy",
            "a fox in a stencilled street-art style in black, white and one bright colour",
        ),
        ("a woman painted by Krenz Cushart", f"a woman painted in {DEFAULT_STYLE}"),
        ("in Krenz Cushart's style, a dog", f"in {DEFAULT_STYLE}, a dog"),
        ("a dog, by Krenz Cushart and WLOP", f"a dog, in {DEFAULT_STYLE} and {GLOWING}"),
        ("a Wes Anderson-esque hotel", "a symmetrical pastel storybook film style hotel"),
        ("a hotel, Wes Anderson style", "a hotel, symmetrical pastel storybook film style"),
        ("un château dans le style de Hayao Miyazaki",
         "un château dans un style pictural illustré"),
        ("ein Hund im Stil von Tim Burton", "ein Hund in einem malerischen Illustrationsstil"),
        ("замок в стиле Тима Бёртона", "замок в живописном иллюстративном стиле"),
        ("一座城堡，宫崎骏风格", "一座城堡，绘画插画风格"),
        ("a red Ferrari in the rain", "a red sports car in the rain"),
        ("an Adidas shoe", "a plain sports shoe"),
        ("Greg Rutkowski and Artgerm talk, art by WLOP",
         f"a contemporary artist and a contemporary artist talk, art in {GLOWING}"),
    ],
)  # fmt: skip
def test_a_style_or_a_brand_is_said_otherwise(prompt: str, offered: str) -> None:
    assert REWRITER.offer(prompt) == offered


@pytest.mark.parametrize(
    "prompt",
    [
        "a dog on a beach",
        "a castle in the style of Claude Monet",
        "a portrait of Tim Burton at a cafe",
        "Tom Hanks painted by Krenz Cushart",
        "Mickey Mouse in the style of Banksy",
        "in the style of B4nksy",
        "a dog in the style of Banksy \ue000",
        "",
    ],
)
def test_nothing_is_offered_where_no_wording_helps(prompt: str) -> None:
    assert REWRITER.offer(prompt) is None


def test_who_is_granted_stays() -> None:
    text = "Mickey Mouse in the style of Krenz Cushart"
    mickey = Grant(category=Category.IP_CHARACTER_BRAND, subject="mickey-mouse")
    krenz = Grant(category=Category.LIVING_ARTIST_STYLE, subject="krenz-cushart")
    assert REWRITER.offer(text, granted={mickey}) == f"Mickey Mouse in {DEFAULT_STYLE}"
    assert REWRITER.offer(text, granted={mickey, krenz}) is None


PIECES = st.sampled_from(
    ["in the style of", "by", "Banksy", "Krenz Cushart", "Ferrari", "a", ",", "and", "style",
     "-esque", "Tom Hanks", "dog", "im Stil von", "风格", "’s", "宫崎骏", "\n", "Cafe\u0301"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=10), st.sampled_from(["", " "]))
@settings(deadline=None, max_examples=150)
def test_no_offer_names_anybody_or_leaves_a_mark(pieces: list[str], glue: str) -> None:
    offered = REWRITER.offer(glue.join(pieces))
    if offered is not None:
        assert not any(NAMES.mentions(plain(form)) for form in normal_forms(offered))
        assert not any("\ue000" <= c <= "\uf8ff" for c in offered)
        assert "{" not in offered


@given(st.text(max_size=120))
@settings(deadline=None)
def test_any_text_is_read(text: str) -> None:
    offered = REWRITER.offer(text)
    assert offered is None or offered
