"""Planes with a tile drawn under a known geometry, and what to compare them with."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.tile import SIZE, derive_pattern, synthesise

PATTERN = derive_pattern(WatermarkKey(id="k", secret=b"the key of the plane tests"))
TILE = synthesise(PATTERN, Payload(clip_id=77))
SHAPE = (360, 480)


def turned(degrees: float) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


POSES = [
    turn @ mirror
    for mirror in (np.eye(2), np.diag([-1.0, 1.0]))
    for turn in map(turned, (0, 90, 180, 270))
]
"""All eight ways to turn and mirror a picture."""


def drawn(
    matrix: NDArray[np.float64],
    offset: tuple[float, float] | NDArray[np.float64] = (0.0, 0.0),
    shape: tuple[int, int] = SHAPE,
) -> NDArray[np.float32]:
    """The tile as seen through a linear map [2, 2] or a homography [3, 3]; deviation 1."""
    full = np.eye(3)
    full[: len(matrix), : len(matrix)] = matrix
    places = seen_at(full, shape)
    across, down = (places + np.asarray(offset)[:, None, None]) % SIZE
    ground = np.tile(TILE, (2, 2))[: SIZE + 2, : SIZE + 2]
    return np.asarray(
        cv2.remap(ground, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR)
    )


def seen_at(matrix: NDArray[np.float64], shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
    """Where a homography takes each place of a plane, counted from its middle: [2, H, W]."""
    height, width = shape
    down, across = np.mgrid[:height, :width].astype(float)
    places = np.stack([across - (width - 1) / 2, down - (height - 1) / 2, np.ones_like(across)])
    moved = np.einsum("ij,jhw->ihw", matrix, places)
    return np.asarray(moved[:2] / moved[2])


def bent(moves: Any, shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
    """The homography that moves the four corners by shares of the width and the height."""
    height, width = shape
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([width, height]) / 2
    moved = corners + np.asarray(moves) * np.array([width, height])
    return np.asarray(
        cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
    )


def apart(one: Any, other: Any) -> float:
    """The largest distance between offsets or places, tiles aside."""
    return float(
        np.abs((np.asarray(one) - np.asarray(other) + SIZE / 2) % SIZE - SIZE / 2).max()
    )


def noise(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    return np.asarray(rng.normal(0, 1, shape).astype(np.float32))


def detailed(
    seed: int, shape: tuple[int, int] = SHAPE, *, deviation: float = 24.0
) -> NDArray[np.float32]:
    """Luma of strong texture, detail of every size from two pixels up: float32, 0..255."""
    rng = np.random.default_rng(seed)
    picture = np.zeros(shape, dtype=np.float32)
    for cell in (2, 4, 8, 16, 64):
        coarse = rng.normal(0, 1, (shape[0] // cell + 2, shape[1] // cell + 2))
        part = cv2.resize(
            coarse.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC
        )
        picture += part
    picture *= np.float32(deviation / picture.std())
    return np.asarray(np.clip(picture + 128, 0, 255), dtype=np.float32)
