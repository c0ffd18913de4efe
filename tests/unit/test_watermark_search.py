"""The search for scale, turn, aspect and mirroring."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.watermark_planes import PATTERN, POSES, SHAPE, apart, drawn, noise, turned
from watermark import search
from watermark.lattice import sheet
from watermark.reader import CLEAR
from watermark.search import Hypothesis, Matrices, scan

FAINT = 0.12
"""The mark's deviation where the noise has 1: about what an encoder leaves."""

offsets = st.tuples(st.floats(0, 127.9), st.floats(0, 127.9))
seeds = st.integers(0, 2**32 - 1)


def first(
    matrix: NDArray[np.float64], offset: tuple[float, float], seed: int, matrices: Matrices
) -> Hypothesis:
    plane = FAINT * drawn(matrix, offset) + noise(np.random.default_rng(seed))
    return next(scan([sheet(plane)], PATTERN, matrices))


def off(found: Hypothesis, matrix: NDArray[np.float64]) -> float:
    return float(np.abs(found.geometry.matrix[:2, :2] - matrix).max())


def expect(found: Hypothesis, matrix: NDArray[np.float64], offset: tuple[float, float]) -> None:
    assert found.score > CLEAR
    assert off(found, matrix) < 0.012
    assert apart((found.geometry.offset_x, found.geometry.offset_y), offset) < 1.5


@settings(max_examples=8, deadline=None)
@given(st.floats(0.5, 2.0), st.sampled_from(POSES), offsets, seeds)
def test_any_scale_is_found_in_any_pose(
    scale: float, pose: NDArray[np.float64], offset: tuple[float, float], seed: int
) -> None:
    matrix = scale * pose
    expect(first(matrix, offset, seed, search.upright()), matrix, offset)


@settings(max_examples=6, deadline=None)
@given(st.floats(0.8, 1.25), st.booleans(), st.sampled_from(POSES), offsets, seeds)
def test_either_axis_scaled_alone_is_found_in_any_pose(
    stretch: float,
    across: bool,
    pose: NDArray[np.float64],
    offset: tuple[float, float],
    seed: int,
) -> None:
    matrix = np.diag([stretch, 1.0] if across else [1.0, stretch]) @ pose
    expect(first(matrix, offset, seed, search.upright()), matrix, offset)


@settings(max_examples=6, deadline=None)
@given(st.floats(0.78, 1.35), st.floats(-10, 10), st.booleans(), offsets, seeds)
def test_a_small_turn_is_found_mirrored_or_not(
    scale: float,
    degrees: float,
    mirrored: bool,
    offset: tuple[float, float],
    seed: int,
) -> None:
    matrix = scale * turned(degrees) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    matrices = search.turned() if abs(degrees) > 0.4 else search.upright()
    expect(first(matrix, offset, seed, matrices), matrix, offset)


@settings(max_examples=4, deadline=None)
@given(st.tuples(*[st.floats(-0.05, 0.05)] * 4), st.booleans(), offsets, seeds)
def test_small_changes_of_everything_together_are_found(
    amounts: tuple[float, ...],
    mirrored: bool,
    offset: tuple[float, float],
    seed: int,
) -> None:
    matrix = np.eye(2)
    for amount, generator in zip(amounts, search._GENERATORS, strict=True):
        matrix = matrix @ (np.eye(2) + amount * generator)
    matrix = matrix @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    expect(first(matrix, offset, seed, search.tilted()), matrix, offset)


def test_all_eight_poses_are_searched_and_no_candidate_twice() -> None:
    for matrices in (search.upright(), search.turned(), search.tilted()):
        assert len(np.unique(matrices.round(9), axis=0)) == len(matrices)
    distances = np.abs(search.upright()[:, None] - np.stack(POSES)[None]).max(axis=(2, 3))
    assert distances.min(axis=0).max() < 0.01
    assert np.linalg.det(search.turned()).min() < 0 < np.linalg.det(search.turned()).max()


def test_no_scale_falls_between_two_candidates() -> None:
    for scale in np.linspace(0.5, 2.0, 301):
        matrix = np.diag([scale, scale])
        assert (
            np.abs(search.upright() - matrix).max(axis=(1, 2)).min() < 0.0055 * scale / 2 + 1e-6
        )


def test_several_frames_find_what_one_alone_does_not() -> None:
    matrix, missed, frames = 1.31 * POSES[1], 0, 5
    for seed in range(2):
        rng = np.random.default_rng(seed)
        mark = 0.034 * drawn(matrix, (11.0, 70.0))
        sheets = [sheet(mark + noise(rng)) for _ in range(frames)]
        alone = [next(scan([one], PATTERN, search.upright()), None) for one in sheets]
        missed += sum(one is None or off(one, matrix) > 0.012 for one in alone)
        together = scan(sheets, PATTERN, search.upright())
        right = [found.score for found in together if off(found, matrix) < 0.012]
        # The best offset is that of one frame, and may be chance; the score is everyone's.
        assert max(right) > np.mean([one.score for one in alone if one is not None])
    assert missed >= frames / 2


def test_the_sheet_that_is_named_has_the_offset_that_is_told() -> None:
    rng, matrix = np.random.default_rng(9), np.diag([0.8, 0.8])
    places = [(10.0, 20.0), (90.0, 40.0), (60.0, 110.0)]
    shares = (0.6, 0.8, 1.0)
    planes = [
        share * FAINT * drawn(matrix, place) + noise(rng)
        for share, place in zip(shares, places, strict=True)
    ]
    for found in scan([sheet(plane) for plane in planes], PATTERN, search.upright()):
        if found.score > CLEAR:
            told = (found.geometry.offset_x, found.geometry.offset_y)
            assert apart(told, places[found.sheet]) < 1.5


def test_candidates_come_best_first() -> None:
    rng = np.random.default_rng(4)
    sheets = [sheet(noise(rng)) for _ in range(3)]
    scores = [found.score for found in scan(sheets, PATTERN, search.upright())]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) <= search.FINALISTS * 3 + search.JOINT_FINALISTS


def test_noise_is_never_clear() -> None:
    rng = np.random.default_rng(6)
    for _ in range(2):
        sheets = [sheet(noise(rng, SHAPE)) for _ in range(3)]
        for matrices in (search.upright(), search.turned()):
            assert all(found.score < CLEAR for found in scan(sheets, PATTERN, matrices))
