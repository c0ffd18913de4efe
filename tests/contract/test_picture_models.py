"""The symbol judge with its real weights: input convention, known answers, and its promises."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from safety.cards import WeightsCard
from safety.symbols import CATEGORY_OF, CLASSES, HELD, SURE, SYMBOLS_FOLDER, SymbolJudge
from safety.training.frames.symbols import SYMBOLS
from safety.training.frames.symbols_lookalikes import LOOKALIKES
from safety.training.frames.symbols_styles import place

JUDGE = SymbolJudge()

FINDER_ANSWER = (2.085, 501.7, 303.1, 62.58)
READER_ANSWER = (0.185, -3.141, -3.012, -1.410, 7.027, -4.392, -2.333)


def soft_ground(seed: int, size: tuple[int, int] = (720, 1280)) -> np.ndarray:
    coarse = np.random.default_rng([seed, 1]).integers(60, 200, (5, 9, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def shown(name: str, *, seed: int = 0, extent: float = 160.0) -> np.ndarray:
    picture = soft_ground(seed)
    drawing = {**SYMBOLS, **LOOKALIKES}[name](np.random.default_rng([seed, 2]))
    rng = np.random.default_rng([seed, 3])
    place(picture, drawing, rng, x=500, y=300, extent=extent, turn=4.0)
    return picture


@pytest.mark.parametrize("name", CLASSES[1:])
def test_each_symbol_in_plain_sight_is_held_in_its_category_where_it_is(name):
    picture = shown(name)
    (row,) = JUDGE.score(picture[None])
    assert row.scores[CATEGORY_OF[name]] >= HELD
    seen = [p for p in JUDGE.places(picture) if p.score >= HELD]
    assert {place.symbol for place in seen} & {name}
    assert (seen[0].x, seen[0].y) == pytest.approx((500, 300), abs=40)
    assert seen[0].extent == pytest.approx(160, rel=0.5)


def test_a_symbol_that_fills_the_picture_is_held():
    picture = soft_ground(1)
    drawing = SYMBOLS["tilted_hooked_cross"](np.random.default_rng(5))
    rng = np.random.default_rng(6)
    place(picture, drawing, rng, x=640, y=360, extent=640, turn=0.0)
    assert max(JUDGE.score(picture[None])[0].scores.values()) >= HELD


def test_an_upright_hooked_cross_is_left_to_a_person():
    for seed in range(3):
        (row,) = JUDGE.score(shown("hooked_cross", seed=seed)[None])
        assert HELD <= max(row.scores.values()) < SURE


@pytest.mark.parametrize("seed", range(3))
def test_soft_colours_are_not_held(seed):
    (row,) = JUDGE.score(soft_ground(seed)[None])
    assert all(score < HELD for score in row.scores.values())


def test_the_networks_compute_what_they_computed_when_they_were_measured():
    # Known answers of the shipped weights on picture values 0..1, RGB.
    picture = shown("ring_cross", seed=4, extent=70.0)
    finder, reader = JUDGE.answers(picture, x=500.0, y=300.0, extent=70.0)
    assert finder == pytest.approx(FINDER_ANSWER, abs=0.1)
    assert reader == pytest.approx(READER_ANSWER, abs=0.05)


def test_each_picture_gets_a_row_with_every_promised_category():
    rows = JUDGE.score(np.stack([soft_ground(seed, (90, 160)) for seed in range(3)]))
    assert len(rows) == 3
    for row in rows:
        assert row.scores.keys() == JUDGE.categories
        assert all(0.0 <= score <= 1.0 for score in row.scores.values())
    assert len(JUDGE.score(np.zeros((0, 9, 9, 3), np.uint8))) == 0


def test_the_company_of_a_picture_does_not_change_its_score():
    frames = np.stack([shown("sun_wheel"), soft_ground(2), shown("sig_runes")])
    together = JUDGE.score(frames)
    assert [JUDGE.score(frame[None])[0] for frame in frames] == list(together)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (719, 33), (64, 64)])
def test_pictures_of_odd_sizes_are_judged(size):
    frames = np.random.default_rng(1).integers(0, 256, (1, *size, 3)).astype(np.uint8)
    assert JUDGE.score(frames)[0].scores.keys() == JUDGE.categories


def test_the_card_belongs_to_the_judge_and_says_that_it_learnt_from_drawings():
    card = WeightsCard.load(SYMBOLS_FOLDER)
    assert card.label == JUDGE.name
    assert card.files.keys() == {"finder.onnx", "reader.onnx"}
    assert any("real footage" in limit for limit in card.limits)
