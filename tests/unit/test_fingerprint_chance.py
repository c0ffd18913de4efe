"""How likely a match is by chance: the bound, and geometry that has nothing in common."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watermark.fingerprint.agreement import BY_CHANCE, agreement, chance
from watermark.fingerprint.points import Points


def scattered(rng: np.random.Generator, codes: np.ndarray) -> Points:
    """Points with these codes at places that have nothing to do with each other."""
    places = rng.integers(0, 256, (len(codes), 4), dtype=np.uint8)
    places[:, 2] = rng.integers(60, 190, len(codes), dtype=np.uint8)
    return Points(codes=codes, places=places, aspect=16 / 9)


@given(st.integers(0, 200), st.integers(0, 1000))
def test_the_bound_is_a_probability_that_falls_with_agreement(
    agreeing: int, pairs: int
) -> None:
    bound = chance(agreeing, pairs)
    assert bound <= 0
    assert chance(agreeing + 1, pairs) <= bound


def test_the_bound_is_that_of_the_binomial_tail() -> None:
    pairs, agreeing = 30, 4
    tail = sum(
        math.comb(pairs - 1, k) * BY_CHANCE**k * (1 - BY_CHANCE) ** (pairs - 1 - k)
        for k in range(agreeing - 1, pairs)
    )
    assert chance(agreeing, pairs) == pytest.approx(math.log10(2 * pairs * tail), abs=0.01)
    assert chance(agreeing, pairs) >= math.log10(2 * pairs * tail)


def test_like_codes_at_unrelated_places_keep_to_the_bound() -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 2**64, 40, dtype=np.uint64)
    bounds = np.array(
        [agreement(scattered(rng, codes), scattered(rng, codes)).log10_p for _ in range(1500)]
    )
    for level in (0.5, 1.0, 2.0):
        assert (bounds <= -level).mean() <= 10**-level
    assert bounds.min() > -6


def test_the_same_places_turned_and_scaled_agree_wholly() -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 2**64, 40, dtype=np.uint64)
    clip = scattered(rng, codes)
    places = clip.places.copy()
    places[:, 0], places[:, 1] = 64 + clip.places[:, 0] // 2, 64 + clip.places[:, 1] // 2
    places[:, 2] -= 32
    found = agreement(Points(codes=codes, places=places, aspect=16 / 9), clip)
    assert len(found.members) == 40
    assert found.pairs >= 36
    assert found.visible == 40
    assert found.log10_p < -50


def test_nothing_agrees_with_nothing() -> None:
    none = Points(codes=np.zeros(0, np.uint64), places=np.zeros((0, 4), np.uint8), aspect=1.0)
    some = scattered(np.random.default_rng(5), np.arange(9, dtype=np.uint64))
    assert agreement(none, some).log10_p == 0
    assert agreement(some, none).pairs == 0
