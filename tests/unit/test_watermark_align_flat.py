"""One frame laid over another: a camera, things that move, and nothing to go by."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import pytest
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
