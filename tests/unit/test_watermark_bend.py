"""Perspective, found from where the mark lies locally."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.watermark_planes import (
    PATTERN,
    SHAPE,
    apart,
    bent,
    drawn,
    noise,
    seen_at,
    turned,
)
from watermark import bend, search
from watermark.bend import Anchored, middle_of, unbent
from watermark.geometry import Geometry
from watermark.lattice import sheet, spectrum
from watermark.reader import STANDS_OUT
from watermark.sync import noticed

FAINT = 0.12
MILD = {
    "seen from the left": [(0.04, 0.04), (0, 0), (0, 0), (0.04, -0.04)],
    "seen from below": [(0.04, 0), (-0.04, 0), (0.02, 0), (-0.02, 0)],
    "one corner": [(0.04, 0.04), (0, 0), (0, 0), (0, 0)],
    "askew": [(0.03, -0.02), (0.02, 0.03), (-0.02, 0.03), (-0.03, -0.01)],
}


def errors(
    geometry: Geometry, place: Anchored, truth: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far the mark lies from where it is said to lie, in pixels, all over the frame."""
    said = seen_at(geometry.matrix)
    told = np.array([place.offset_x, place.offset_y])
    difference = said + told[:, None, None] - seen_at(truth) - offset[:, None, None]
    wrapped = (difference + 64) % 128 - 64
    return np.asarray(np.hypot(*wrapped)[::20, ::20])


def anchored(planes: list[NDArray[np.float32]], geometry: Geometry) -> list[Anchored]:
    syncs = [noticed(spectrum(middle_of(plane), geometry), PATTERN) for plane in planes]
    return [
        Anchored(plane=plane, offset_x=sync.offset_x, offset_y=sync.offset_y)
        for plane, sync in zip(planes, syncs, strict=True)
    ]


@pytest.mark.parametrize("name", MILD)
def test_a_mild_perspective_is_undone(name: str) -> None:
    rng = np.random.default_rng(len(name))
    truth, offset = bent(MILD[name]), rng.uniform(0, 128, 2)
    planes = [FAINT * drawn(truth, offset) + noise(rng) for _ in range(2)]
    middles = [sheet(middle_of(plane)) for plane in planes]
    start = next(search.scan(middles, PATTERN, search.tilted())).geometry
    places = anchored(planes, start)
    geometry, score = unbent(places, PATTERN, start)
    before, after = (errors(one, places[0], truth, offset) for one in (start, geometry))
    assert score > 9
    assert np.median(after) < 1
    assert np.median(after) < np.median(before)
    assert np.percentile(after, 95) < 0.6 * np.percentile(before, 95)


def test_what_is_not_bent_stays_as_it_is_or_nearly() -> None:
    rng = np.random.default_rng(3)
    matrix = 0.9 * turned(2)
    plane = FAINT * drawn(matrix, (30.0, 40.0)) + noise(rng)
    start = Geometry.affine(matrix)
    geometry, score = unbent(anchored([plane], start), PATTERN, start)
    # The start is the truth: whatever is answered must suit at least as well, and be near.
    assert score >= bend._score(anchored([plane], start), PATTERN, start)
    assert np.abs(seen_at(geometry.matrix) - seen_at(start.matrix)).max() < 2.5


def test_the_answer_is_never_worse_than_the_start() -> None:
    rng = np.random.default_rng(4)
    for amount in (0.0, 0.03, 0.2):
        planes = [amount * drawn(np.eye(2), (5.0, 6.0)) + noise(rng)]
        places = anchored(planes, Geometry())
        geometry, score = unbent(places, PATTERN, Geometry())
        assert score >= bend._score(places, PATTERN, Geometry())
        assert score == pytest.approx(bend._score(places, PATTERN, geometry))


def test_nothing_is_claimed_for_noise() -> None:
    rng = np.random.default_rng(5)
    for _ in range(4):
        places = [
            Anchored(plane=noise(rng), offset_x=x, offset_y=y)
            for x, y in rng.uniform(0, 128, (2, 2))
        ]
        _, score = unbent(places, PATTERN, Geometry())
        assert score < STANDS_OUT


def test_a_plane_that_is_empty_is_left_alone() -> None:
    place = Anchored(plane=np.zeros(SHAPE, dtype=np.float32), offset_x=0.0, offset_y=0.0)
    geometry, score = unbent([place], PATTERN, Geometry())
    assert geometry == Geometry()
    assert math.isfinite(score)


@pytest.mark.parametrize(
    ("moves", "plausible"),
    [
        ([(0, 0)] * 4, True),
        ([(0.05, 0), (0, 0.05), (-0.05, 0), (0, 0)], True),
        ([(0.3, 0), (0, 0), (0, 0), (0, 0)], False),
        ([(0.4, 0.4), (0, 0), (0, 0), (0.4, -0.4)], False),
        ([(1.0, 0), (-1.0, 0), (0, 0), (0, 0)], False),
    ],
)
def test_a_fit_that_moves_a_corner_far_is_refused(
    moves: list[tuple[float, float]],
    plausible: bool,
) -> None:
    assert bend._plausible(bent(moves), *SHAPE) is plausible


def test_a_fit_that_folds_the_frame_is_refused() -> None:
    folded = np.eye(3)
    folded[2, 0] = 1 / 200  # the horizon crosses the frame
    assert not bend._plausible(folded, *SHAPE)


def test_the_middle_of_a_plane_keeps_its_middle_and_loses_its_edges() -> None:
    plane = np.ones(SHAPE, dtype=np.float32)
    faded = middle_of(plane)
    assert faded.shape == SHAPE
    assert float(faded[180, 240]) == pytest.approx(1.0, abs=0.01)
    assert (
        max(float(faded[0].max()), float(faded[:, 0].max()), float(faded[:, -1].max())) < 0.06
    )


def test_offsets_are_compared_across_the_edge_of_a_tile() -> None:
    assert apart((127.5, 0.2), (0.5, 127.2)) == pytest.approx(1.0)
