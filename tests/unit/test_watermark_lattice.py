"""The fine spectrum that answers for every geometry at once, and the exact one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.watermark_planes import POSES, drawn, noise, turned
from watermark.geometry import Geometry
from watermark.lattice import Sheet, sheet, spectrum, straightened, whitened
from watermark.tile import GRID, K_MAX, K_MIN, SIZE

ROWS, COLUMNS = np.mgrid[-GRID : GRID + 1, 0 : GRID + 1]
RADIUS = np.hypot(ROWS, COLUMNS)
USED = ((COLUMNS > 0) | (ROWS > 0)) & (RADIUS >= K_MIN) & (RADIUS <= K_MAX)
WAVES = np.stack([COLUMNS, ROWS], axis=-1)[USED].astype(float)


def smooth_noise(seed: int, shape: tuple[int, int] = (360, 480)) -> NDArray[np.float32]:
    plane = cv2.GaussianBlur(noise(np.random.default_rng(seed), shape), (0, 0), 1.0)
    return np.asarray(plane / plane.std(), dtype=np.float32)


def alike(one: NDArray[np.complex64], other: NDArray[np.complex64]) -> float:
    """The correlation of complex values; phases have to agree, too."""
    return float(np.vdot(one, other).real / np.linalg.norm(one) / np.linalg.norm(other))


@settings(max_examples=12, deadline=None)
@given(
    st.floats(0.6, 1.7),
    st.floats(-180, 180),
    st.floats(0.85, 1.18),
    st.sampled_from(POSES),
    st.integers(0, 2**32 - 1),
)
def test_one_transform_answers_for_every_linear_geometry(
    scale: float, degrees: float, aspect: float, pose: NDArray[np.float64], seed: int
) -> None:
    matrix = scale * turned(degrees) @ np.diag([aspect, 1 / aspect]) @ pose
    plane = drawn(matrix, (11.0, 70.0)) + smooth_noise(seed)
    looked_up = sheet(plane).at(WAVES @ matrix / SIZE)
    exact = whitened(spectrum(plane, Geometry.affine(matrix)))[USED]
    assert alike(looked_up, exact) > 0.98
    elsewhere = sheet(plane).at(WAVES @ (matrix @ turned(3)) / SIZE)
    assert abs(alike(elsewhere, exact)) < 0.5


@pytest.mark.parametrize("shape", [(360, 360), (361, 639), (128, 300), (1100, 2100)])
def test_planes_of_any_shape_count_their_phases_from_the_middle(shape: tuple[int, int]) -> None:
    plane = drawn(np.eye(2), (31.0, 90.0), shape) + smooth_noise(3, shape)
    exact = whitened(spectrum(plane, Geometry()))[USED]
    # What is larger than a sheet is cut to its middle, so that less of the noise is shared.
    assert alike(sheet(plane).at(WAVES / SIZE), exact) > (0.9 if shape[0] > 1024 else 0.97)


def test_frequencies_out_of_range_are_zero_and_the_others_are_not() -> None:
    one = sheet(smooth_noise(1))
    outside = np.array([[0.361, 0.0], [-0.4, 0.1], [0.1, 0.51], [0.0, -0.5], [9.0, 9.0]])
    assert not one.at(outside).any()
    inside = np.array([[0.35, 0.0], [0.1, 0.49], [0.0, -0.49], [-0.3, 0.3]])
    assert np.abs(one.at(inside)).all()


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.35, 0.35), st.floats(-0.49, 0.49)), min_size=1, max_size=9)
)
def test_opposite_frequencies_are_conjugate(places: list[tuple[float, float]]) -> None:
    one = _sheet_once()
    at = np.array(places)
    at = at[np.abs(at[:, 0]) > 1e-3]  # rows of the first column agree only up to rounding
    assert np.allclose(one.at(-at), np.conj(one.at(at)), atol=1e-5)


def test_on_the_axis_both_halves_agree() -> None:
    down = np.linspace(0.01, 0.48, 60)
    axis = np.stack([np.zeros_like(down), down], axis=-1)
    one = _sheet_once()
    assert alike(one.at(-axis), np.conj(one.at(axis))) > 0.99


def test_frequencies_keep_their_shape() -> None:
    assert _sheet_once().at(np.zeros((3, 5, 2)) + 0.1).shape == (3, 5)


def test_the_spectrum_of_a_moved_tile_is_that_of_the_tile_once_straightened() -> None:
    matrix = 1.1 * turned(7)
    straight = spectrum(drawn(np.eye(2), (20.0, 5.0)), Geometry())[USED]
    moved = spectrum(drawn(matrix, (20.0, 5.0)), Geometry.affine(matrix))[USED]
    assert alike(moved, straight) > 0.97


def test_straightening_keeps_the_middle_in_the_middle_and_the_size_bounded() -> None:
    plane = np.zeros((361, 481), dtype=np.float32)
    plane[180, 240] = 1
    for scale in (0.5, 1.3, 100.0):
        upright = straightened(plane, Geometry.affine(np.diag([scale, scale])))
        assert max(upright.shape) <= 1441
        middle = tuple(side // 2 for side in upright.shape)
        assert float(upright[middle]) > 0.9


def test_a_whitened_spectrum_has_no_loud_places() -> None:
    plane = drawn(np.eye(2)) + 30 * drawn(np.diag([0.4, 0.4])) + smooth_noise(5)
    raw = spectrum(plane, Geometry())[USED]
    white = whitened(spectrum(plane, Geometry()))[USED]
    assert np.abs(raw).max() / np.median(np.abs(raw)) > 2 * np.abs(white).max()
    assert np.abs(white).max() < 7.1  # one among 7 x 7 neighbours that are all empty


def test_nothing_at_all_has_a_finite_spectrum() -> None:
    plane = np.zeros((128, 300), dtype=np.float32)
    assert not whitened(spectrum(plane, Geometry())).any()
    assert np.isfinite(sheet(plane).at(WAVES / SIZE)).all()


def _sheet_once() -> Sheet:
    return sheet(smooth_noise(2, (200, 300)))
