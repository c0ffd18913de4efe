"""The arithmetic around the symbol networks, and the drawings they learn from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safety.cards import WeightsMissing
from safety.symbols import (
    BORDER,
    CATEGORY_OF,
    CEILING,
    CLASSES,
    CROP_SIDE,
    HELD,
    HOLD_AT,
    MAY_BE_SURE,
    STRIDE,
    SURE,
    SURE_AT,
    SymbolJudge,
    SymbolPlace,
    _calibrated,
    _crop,
    _levels,
    _peaks,
    _scores,
)
from safety.training.frames.symbols import SYMBOLS
from safety.training.frames.symbols_lookalikes import LOOKALIKES
from safety.training.frames.symbols_styles import HELD_BACK, STYLES, place
from safety.verdict import Category

NAN = float("nan")


def found(symbol: str, score: float) -> SymbolPlace:
    return SymbolPlace(symbol=symbol, score=score, x=1.0, y=1.0, extent=20.0)


def test_every_symbol_has_a_category_of_the_judge():
    assert CATEGORY_OF.keys() == set(CLASSES[1:])
    assert set(CATEGORY_OF.values()) == SymbolJudge.categories


def test_a_picture_with_nothing_found_scores_zero_in_every_category():
    assert _scores(()) == {Category.HATE: 0.0, Category.EXTREMISM_TERROR: 0.0}


@pytest.mark.parametrize("order", [1, -1])
def test_a_place_without_a_number_is_never_hidden_by_another(order):
    places = [found("hooked_cross", 0.8), found("sun_wheel", NAN), found("sig_runes", 0.99)]
    assert math.isnan(_scores(places[::order])[Category.HATE])


@pytest.mark.parametrize("symbol", CLASSES[1:])
def test_the_score_reaches_a_hold_where_it_was_calibrated_and_never_falls(symbol):
    hold = HOLD_AT[symbol]
    assert _calibrated(symbol, hold, hold) == pytest.approx(HELD)
    scores = [_calibrated(symbol, chance, chance) for chance in np.linspace(0, 1, 500)]
    assert scores == sorted(scores)
    assert 0.0 <= scores[0] <= scores[-1] <= 1.0


def test_only_symbols_without_a_harmless_twin_may_be_sure():
    sure = {symbol for symbol in CLASSES[1:] if _calibrated(symbol, 1.0, 1.0) >= SURE}
    assert sure == MAY_BE_SURE
    assert "hooked_cross" not in sure
    assert _calibrated("hooked_cross", 1.0, 1.0) == CEILING


def test_a_place_that_may_be_two_symbols_is_held_and_not_sure():
    assert HELD <= _calibrated("tilted_hooked_cross", 1.0, SURE_AT / 2) < SURE


def test_a_chance_that_is_not_a_number_gives_a_score_that_is_not_a_number():
    for symbol in CLASSES[1:]:
        assert math.isnan(_calibrated(symbol, NAN, NAN))


@pytest.mark.parametrize("size", [(720, 1280), (1280, 720), (40, 60), (7, 5), (90, 4000)])
def test_the_levels_of_a_picture_fit_the_cells_of_the_network(size):
    levels = list(_levels(np.zeros((*size, 3), np.uint8)))
    assert levels
    for level, scale in levels:
        assert level.shape[0] % STRIDE == level.shape[1] % STRIDE == 0
        assert level.shape[0] >= size[0] * scale + 2 * BORDER - 1
    assert sum(level[..., 0].size for level, _ in levels) < 1.9e6


def test_a_peak_lies_where_the_finder_says():
    answer = np.zeros((1, 4, 9, 12), np.float32)
    answer[:, 0] = -9
    answer[0, :, 4, 7] = (3.0, 1.0, 0.5, -0.25)
    ((logit, x, y, extent),) = _peaks(answer, 0.5)
    assert (logit, extent) == (3.0, 96.0)
    assert (x, y) == ((8.0 * STRIDE - BORDER) * 2, (4.25 * STRIDE - BORDER) * 2)


def test_an_answer_of_the_finder_that_is_not_a_number_is_an_error():
    answer = np.zeros((1, 4, 9, 12), np.float32)
    answer[0, 0, 3, 3] = NAN
    with pytest.raises(RuntimeError):
        _peaks(answer, 1.0)


@pytest.mark.parametrize("at", [(0.0, 0.0), (99.0, 59.0), (50.0, 30.0), (-30.0, 80.0)])
@pytest.mark.parametrize("extent", [1.0, 20.0, 300.0])
def test_a_place_at_any_edge_can_be_looked_at(at, extent):
    frame = np.full((60, 100, 3), 77, np.uint8)
    crop = _crop(frame, *at, extent)
    assert crop.shape == (CROP_SIDE, CROP_SIDE, 3)
    assert (crop == 77).all()


def test_a_crop_shows_what_is_at_its_place():
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[90:110, 190:210] = 255
    crop = _crop(frame, 200.0, 100.0, 40.0)
    rows, columns = (crop[..., 0] > 128).nonzero()
    assert rows.mean() == pytest.approx(23.5, abs=1)
    assert columns.mean() == pytest.approx(23.5, abs=1)
    assert np.ptp(rows) + 1 == pytest.approx(CROP_SIDE * 20 / 60, abs=2)


def test_weights_that_differ_from_their_card_judge_nothing(tmp_path):
    with pytest.raises(WeightsMissing):
        SymbolJudge(folder=tmp_path).load()
    with pytest.raises(WeightsMissing):
        SymbolJudge(folder=tmp_path).score(np.zeros((1, 64, 64, 3), np.uint8))


@pytest.mark.parametrize("name", [*SYMBOLS, *LOOKALIKES])
def test_a_drawing_follows_from_its_seed_and_shows_something(name):
    make = {**SYMBOLS, **LOOKALIKES}[name]
    shown = set()
    for seed in range(4):
        one, two = (make(np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(one.ink, two.ink)
        assert one.ink.any() or one.field is not None
        shown.add(one.ink.tobytes())
    assert len(shown) > 1


def test_a_hooked_cross_has_four_arms_alike():
    for seed in range(20):
        drawing = SYMBOLS["tilted_hooked_cross"](np.random.default_rng(seed))
        ink = drawing.ink.astype(float)
        likeness = np.corrcoef(ink.ravel(), np.rot90(ink).ravel())[0, 1]
        assert likeness > 0.9


@pytest.mark.parametrize("style", [*STYLES, *HELD_BACK])
def test_a_placed_drawing_is_where_and_as_large_as_asked(style):
    picture = np.full((200, 300, 3), 128, np.uint8)
    drawing = SYMBOLS["ring_cross"](np.random.default_rng(1))
    rng = np.random.default_rng(2)
    at = place(picture, drawing, rng, x=180, y=90, extent=80, style=style, turn=0.0)
    assert (at.x, at.y) == pytest.approx((180, 90), abs=8)
    assert at.extent == pytest.approx(80, rel=0.3)
    assert (picture != 128).any()


def test_no_style_is_both_learnt_and_held_back():
    assert not STYLES.keys() & HELD_BACK.keys()
