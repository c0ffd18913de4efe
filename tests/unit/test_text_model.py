"""What the text classifier promises about its parts; its verdicts are tested with the gate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.encoder import CLAUSE_CHARS, EMBEDDING_WIDTH, MIN_CLAUSE, WINDOW_CHARS, windows
from safety.heads import Heads
from safety.language import Languages
from safety.verdict import Category

LANGUAGES = Languages()
TEXTS = st.text(alphabet="abc .!?。\n", max_size=4000) | st.text(max_size=600)


def heads(**changes: np.ndarray) -> Heads:
    parts = {
        "w1": np.zeros((EMBEDDING_WIDTH, 3), np.float32),
        "b1": np.zeros(3, np.float32),
        "w2": np.zeros((3, 2), np.float32),
        "b2": np.array([-50.0, 50.0], np.float32),
        "scale": np.ones(2, np.float32),
        "shift": np.zeros(2, np.float32),
        "ceiling": np.ones(2, np.float32),
    }
    return Heads(categories=(Category.HATE, Category.VIOLENCE), **(parts | changes))


def test_a_short_text_is_one_window() -> None:
    assert windows("a cat. a dog.") == ("a cat. a dog",)
    assert windows("...") == ("...",)


@given(TEXTS)
@settings(deadline=None)
def test_windows_cover_the_whole_text_and_never_grow(text: str) -> None:
    first, *others = windows(text)
    assert text.startswith(first)
    assert all(len(window) <= WINDOW_CHARS for window in others)
    assert len(others) <= 4 + 3 * len(text) // MIN_CLAUSE
    if len(first) > WINDOW_CHARS:
        assert set(filter(str.isalpha, "".join(others))) == set(filter(str.isalpha, text))


@pytest.mark.parametrize("filler", [3, 12, 150, 400])
def test_no_sentence_of_a_long_text_escapes_a_window_of_its_own(filler: int) -> None:
    padding = "The camera glides over the roofs of the town. " * filler
    text = f"{padding}A fox sleeps under the old wooden bridge. {padding}".strip()
    assert "A fox sleeps under the old wooden bridge" in windows(text)


@pytest.mark.parametrize("glue", [", ", " ", "; ", "、"])
def test_a_text_without_sentences_is_read_in_parts(glue: str) -> None:
    text = glue.join(f"field {number} of green barley in the wind" for number in range(200))
    parts = [window for window in windows(text) if len(window) <= CLAUSE_CHARS]
    assert sum(map(len, parts)) > 0.9 * len(text)


def test_scores_lie_between_0_and_1_even_for_extreme_logits() -> None:
    scores = heads().scores(np.zeros((4, EMBEDDING_WIDTH), np.float32))
    assert scores.shape == (4, 2)
    assert (scores >= 0.0).all()
    assert (scores <= 1.0).all()
    assert scores[0, 0] < 1e-6
    assert scores[0, 1] > 1 - 1e-6


def test_no_score_exceeds_the_ceiling_of_its_head() -> None:
    capped = heads(ceiling=np.array([1.0, 0.8], np.float32))
    scores = capped.scores(np.zeros((1, EMBEDDING_WIDTH), np.float32))
    assert scores[0, 1] == np.float32(0.8)


def test_a_broken_weight_shows_as_nan_and_not_as_a_low_score() -> None:
    broken = heads(b2=np.array([math.nan, 0.0], np.float32))
    scores = broken.scores(np.zeros((1, EMBEDDING_WIDTH), np.float32))
    assert math.isnan(scores[0, 0])


@pytest.mark.parametrize(
    "text",
    [
        "a man rides a horse through a river at dawn",
        "un uomo attraversa il fiume a cavallo all'alba",
        "een man rijdt op een paard door de rivier",
        "ชายคนหนึ่งขี่ม้าข้ามแม่น้ำ",
        "한 남자가 말을 타고 강을 건넌다",
        "bir adam şafakta at sırtında nehri geçiyor",
        "42",
        "",
        "k1ll 3v3ry0ne xyzzy qwrtp",
        "🎈🎈🎈",
    ],
)
def test_texts_that_the_model_can_read_are_not_called_foreign(text: str) -> None:
    assert LANGUAGES.knows((text,))


@pytest.mark.parametrize(
    "text",
    [
        "dva muži opravují starou střechu domu na předměstí",
        "två män lagar ett gammalt tak på ett hus utanför staden",
        "két férfi javítja egy régi ház tetejét a külvárosban",
        "hai người đàn ông đang sửa mái nhà cũ ở ngoại ô",
        "दो आदमी पुराने घर की छत ठीक कर रहे हैं",
        "δύο άντρες επισκευάζουν την παλιά στέγη",
        "שני גברים מתקנים גג ישן",
    ],
)
def test_texts_that_the_model_cannot_read_are_called_foreign(text: str) -> None:
    assert not LANGUAGES.knows((text,))
    assert not LANGUAGES.knows(("a man rides a horse", text))
