"""One frame laid over another: a camera, things that move, and nothing to go by."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.watermark_planes import TILE, detailed, turned
from watermark.align import Places, Plane, motion, moved, places

SHAPE = (270, 360)
EDGE = 24


@functools.cache
def ground(seed: int = 1) -> Plane:
    """A picture larger than a frame by 40 pixels on each side."""
    return detailed(seed, (SHAPE[0] + 80, SHAPE[1] + 80))


def standing(shape: tuple[int, ...] = SHAPE) -> Places:
    down, across = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.dstack([across, down])


def similarity(
    across: float = 0.0, down: float = 0.0, zoom: float = 1.0, degrees: float = 0.0
) -> NDArray[np.float64]:
    """From places of the later frame, counted from the middle, to the earlier."""
    matrix = np.eye(3)
    matrix[:2, :2] = zoom * turned(degrees)
    matrix[:2, 2] = across, down
    return matrix


def view(matrix: NDArray[np.float64], picture: Plane | None = None) -> Plane:
    """What a camera shows whose places lie in the picture where `matrix` says."""
    picture = ground() if picture is None else picture
    there = told(matrix) + 40
    return np.asarray(cv2.remap(picture, there, None, cv2.INTER_LANCZOS4), dtype=np.float32)


def told(matrix: NDArray[np.float64]) -> Places:
    """The places under a similarity that counts from the middle."""
    middle = np.array([(SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2])
    linear = (standing() - middle) @ matrix[:2, :2].T + matrix[:2, 2] + middle
    return np.asarray(linear, dtype=np.float32)


def off(one: Places, other: Places) -> NDArray[np.float32]:
    """How far places lie apart, but for the edges."""
    return np.asarray(np.linalg.norm(one - other, axis=2)[EDGE:-EDGE, EDGE:-EDGE])


def marked(plane: Plane, deviation: float) -> Plane:
    height, width = plane.shape
    tile = np.tile(TILE, (math.ceil(height / 128), math.ceil(width / 128)))
    return np.asarray(plane + deviation * tile[:height, :width], dtype=np.float32)


MOVES = {
    "a pan": similarity(5.3, -2.6),
    "a long pan": similarity(17.0, 6.0),
    "a step of a third of a pixel": similarity(1 / 3, -1 / 3),
    "zooming in": similarity(zoom=0.98),
    "zooming out": similarity(zoom=1.02),
    "a turn": similarity(degrees=1.0),
    "all together": similarity(4.0, 3.0, 1.02, -1.0),
}


def test_two_frames_alike_stand() -> None:
    frame = view(similarity())
    assert np.array_equal(places(frame, frame), standing())
    assert np.array_equal(motion(frame, frame), np.eye(3))


@pytest.mark.parametrize("name", MOVES)
def test_a_camera_is_followed_to_a_fraction_of_a_pixel(name: str) -> None:
    matrix = MOVES[name]
    earlier, later = view(similarity()), view(matrix)
    found = motion(earlier, later)
    for place in ((-150, -100), (150, -100), (0, 0), (150, 100)):
        there = np.array([*place, 1.0])
        assert np.linalg.norm((found @ there - matrix @ there)[:2]) < 0.3
    where = places(earlier, later)
    assert float(np.percentile(off(where, told(matrix)), 95)) < 0.3
    # The wrong way round, it would be twice as far away as nothing at all.
    left = later - moved(earlier, where)
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    assert float(np.std(left[inner])) < 0.25 * float(np.std((later - earlier)[inner]))


@pytest.mark.parametrize("background", ["still", "panned"])
def test_a_thing_that_moves_by_itself_is_followed_and_the_rest_is_not(background: str) -> None:
    thing = detailed(5, (110, 130))
    matrix = similarity(3.0, 1.0) if background == "panned" else similarity()
    earlier, later = view(similarity()), view(matrix)
    earlier[80:190, 90:220] = thing
    later[83:193, 96:226] = thing
    where = places(earlier, later)
    truth = told(matrix)
    inside = (slice(105, 171), slice(118, 204))
    assert float(np.median(np.linalg.norm(where - standing() - (-6, -3), axis=2)[inside])) < 0.3
    outside = np.linalg.norm(where - truth, axis=2)[EDGE:-EDGE, 250:-EDGE]
    assert float(np.percentile(outside, 95)) < 0.3
    assert np.allclose(motion(earlier, later), matrix, atol=0.3)


def test_a_mark_that_goes_with_the_camera_is_left_over_when_content_is_gone() -> None:
    matrix = similarity(6.0, -3.0)
    earlier, later = (
        marked(view(similarity()), 0.0),
        view(matrix),
    )
    mark = marked(np.zeros((SHAPE[0] + 80, SHAPE[1] + 80), dtype=np.float32), 1.2)
    earlier += view(similarity(), mark)
    later -= view(matrix, mark)
    change = later - moved(earlier, places(earlier, later))
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    before, after = (
        abs(float(np.corrcoef(one[inner].ravel(), view(matrix, mark)[inner].ravel())[0, 1]))
        for one in (later, change)
    )
    assert after > 0.5
    assert after > 5 * before


def test_noise_leaves_the_camera_where_it_is() -> None:
    rng = np.random.default_rng(6)
    earlier, later = (rng.uniform(0, 255, SHAPE).astype(np.float32) for _ in range(2))
    assert np.array_equal(motion(earlier, later), np.eye(3))


def test_a_cut_leaves_the_camera_where_it_is() -> None:
    earlier, later = view(similarity()), view(similarity(), ground(2))
    assert np.array_equal(motion(earlier, later), np.eye(3))


@pytest.mark.parametrize("zoom", [0.02, 40.0])
def test_what_no_camera_does_is_not_a_camera(
    zoom: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A collapse would explain a frame of one colour, and cannot be undone.
    answer = np.array([[zoom, 0, 90.0], [0, zoom, 60.0]])
    monkeypatch.setattr(cv2, "estimateAffinePartial2D", lambda *a, **k: (answer, None))
    plain = np.full(SHAPE, float(ground()[100, 130]), dtype=np.float32)
    assert np.array_equal(motion(view(np.eye(3)), plain), np.eye(3))


def test_a_moved_plane_lies_where_its_places_say() -> None:
    plane = ground()
    there = moved(plane, standing(plane.shape)[30:130, 50:170])
    assert there.dtype == np.float32
    assert np.allclose(there, plane[30:130, 50:170], atol=1e-3)


EXTREME = {
    "black": lambda shape, rng: np.zeros(shape),
    "white": lambda shape, rng: np.full(shape, 255.0),
    "noise": lambda shape, rng: rng.uniform(0, 255, shape),
    "black and white": lambda shape, rng: 255.0 * rng.integers(0, 2, shape),
    "stripes": lambda shape, rng: np.broadcast_to(255.0 * (np.arange(shape[1]) % 2), shape),
    "waves": lambda shape, rng: np.broadcast_to(128 + 90 * np.sin(np.arange(shape[1])), shape),
    "one spot": lambda shape, rng: np.pad([[255.0]], [(0, shape[0] - 1), (0, shape[1] - 1)]),
    "out of range": lambda shape, rng: rng.normal(0, 1e4, shape),
}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([*EXTREME]),
    st.sampled_from([*EXTREME]),
    st.tuples(st.integers(16, 96), st.integers(16, 96)),
    st.integers(0, 2**32 - 1),
)
def test_frames_of_any_kind_have_places_that_are_numbers(
    one: str, other: str, shape: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    earlier, later = (
        np.ascontiguousarray(EXTREME[name](shape, rng), dtype=np.float32)
        for name in (one, other)
    )
    where = places(earlier, later)
    assert where.shape == (*shape, 2)
    assert where.dtype == np.float32
    assert np.isfinite(where).all()
    assert np.isfinite(moved(earlier, where)).all()
    matrix = motion(earlier, later)
    assert matrix.shape == (3, 3)
    assert np.isfinite(matrix).all()
    assert abs(np.linalg.det(matrix)) > 1e-6


@pytest.mark.parametrize("deviation", [0.3, 0.6])
def test_a_mark_that_turned_over_is_not_taken_for_a_movement(deviation: float) -> None:
    rng = np.random.default_rng(4)
    slope = np.broadcast_to(np.linspace(90, 150, SHAPE[1], dtype=np.float32), SHAPE)
    for wall in (np.full(SHAPE, 120, dtype=np.float32), slope):
        grain = [rng.normal(0, 0.5, SHAPE).astype(np.float32) for _ in range(2)]
        earlier, later = marked(wall, deviation) + grain[0], marked(wall, -deviation) + grain[1]
        where = places(earlier, later)
        assert float(np.mean(off(where, standing()) > 0.01)) < 0.02
        assert np.array_equal(motion(earlier, later), np.eye(3))
        # The mark itself is still there, twice.
        change = (later - moved(earlier, where)).ravel()
        mark = (marked(np.zeros(SHAPE, dtype=np.float32), 1.0)).ravel()
        assert float(np.corrcoef(change, -mark)[0, 1]) > 0.55
