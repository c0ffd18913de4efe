"""Puts the layers of a clip together: frames of any size, at any moment, chunk by chunk.

A sprite is placed on a backdrop by an affine map, as in spatial transformers (Jaderberg et al.
2015) and layered video models (Wang and Adelson 1994). Nothing here knows a prompt, an object
or a place: what is drawn, where and when is in the layers, which networks made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.clip import MAX_CHUNK, Frames
from generator.world import (
    BACKDROP_HEIGHT,
    BACKDROP_WIDTH,
    KEYS,
    PATH_NUMBERS,
    SPRITE_EDGE,
    SPRITE_REACH,
    VIEW_HEIGHT,
    VIEW_WIDTH,
)

_Image = NDArray[np.float32]
# Bounds of what a path may ask for, so that no weights can make a frame unbounded in cost.
LOWEST_SIZE, HIGHEST_SIZE = 0.05, 1.4
FARTHEST = 4.0
THINNEST = 0.08
# Half height of a shadow and its reach, as shares of the object's radius.
SHADOW_HEIGHT, SHADOW_WIDTH = 0.16, 0.85
MAX_SIDE = 4096


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What the networks draw for one clip.

    `backdrop` float32[3,120,240] RGB and `sprite` float32[4,96,96] RGB and distance to the
    outline, both nominally −1..1; `path` float32[24,8] in the units of `PATH_NUMBERS`.
    """

    backdrop: _Image
    sprite: _Image
    path: _Image

    def __post_init__(self) -> None:
        """Refuses numbers that are not finite (ValueError)."""
        for layer in (self.backdrop, self.sprite, self.path):
            if not np.isfinite(layer).all():
                raise ValueError("A layer holds numbers that are not finite.")


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A clip of `frame_count` frames, put together afresh from its layers on each pass.

    Holds the layers and at most one chunk.
    """

    layers: Layers
    width: int
    height: int
    frame_count: int

    def __iter__(self) -> Iterator[Frames]:
        """Yields uint8[T,height,width,3] RGB, T ≤ 16."""
        stage = _Stage(self.layers, self.width, self.height)
        for start in range(0, self.frame_count, MAX_CHUNK):
            numbers = range(start, min(start + MAX_CHUNK, self.frame_count))
            yield np.stack([stage.frame(k / max(1, self.frame_count - 1)) for k in numbers])

    def at(self, count: int) -> Frames:
        """`count` frames spread evenly over the clip, uint8[count,height,width,3]."""
        stage = _Stage(self.layers, self.width, self.height)
        return np.stack([stage.frame(k / max(1, count - 1)) for k in range(count)])

    def moment(self, part: float) -> NDArray[np.uint8]:
        """The frame at `part` (0 the first, 1 the last) of the clip, uint8[height,width,3]."""
        return _Stage(self.layers, self.width, self.height).frame(part)


class _Stage:
    """The layers of one clip made ready for one frame size."""

    def __init__(self, layers: Layers, width: int, height: int) -> None:
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise ValueError(f"A frame has sides of 1 to {MAX_SIDE} pixels.")
        self.width, self.height = width, height
        self.unit = height / 2  # pixels per unit of a path
        # A frame wider than 16:9 sees less of the height, never beyond the sides.
        self.scale = max(height / VIEW_HEIGHT, width / VIEW_WIDTH)
        self.path = layers.path
        picture = np.clip(layers.backdrop.transpose(1, 2, 0) / 2 + 0.5, 0, 1)
        self.backdrop = np.ascontiguousarray(picture, np.float32)
        sprite = np.ascontiguousarray(layers.sprite.transpose(1, 2, 0), np.float32)
        colours = np.clip(sprite[..., :3] / 2 + 0.5, 0, 1)
        self.sprite = np.dstack([colours, sprite[..., 3:]])

    def frame(self, moment: float) -> NDArray[np.uint8]:
        """The frame at `moment` (0 the first, 1 the last) of the clip."""
        now = dict(zip(PATH_NUMBERS, position(self.path, moment), strict=True))
        size = float(np.clip(np.exp(np.clip(now["size"], -9, 9)), LOWEST_SIZE, HIGHEST_SIZE))
        x = self.width / 2 + float(np.clip(now["x"], -FARTHEST, FARTHEST)) * self.unit
        y = self.height / 2 - float(np.clip(now["y"], -FARTHEST, FARTHEST)) * self.unit
        image = self._view(float(np.clip(now["pan"], -1, 1)))
        ground = self.height / 2 - float(np.clip(now["ground"], -2, 2)) * self.unit
        radius = size * self.unit
        self._shade(image, x, ground, radius, float(np.clip(now["shadow"], 0, 1)))
        # Turned around like a sheet of paper, never so thin that it vanishes.
        facing = float(np.clip(2 * now["facing"], -1, 1))
        facing = facing if abs(facing) > THINNEST else THINNEST
        self._place(image, x, y, radius, float(now["tilt"]), facing)
        return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)

    def _view(self, pan: float) -> _Image:
        """The part of the backdrop the camera sees, enlarged to the frame."""
        import cv2

        left = (BACKDROP_WIDTH - self.width / self.scale) / 2
        shift = left + pan * (BACKDROP_WIDTH - VIEW_WIDTH) / 2
        top = (BACKDROP_HEIGHT - self.height / self.scale) / 2
        # From frame to backdrop, both measured at pixel centres.
        step = 1 / self.scale
        half = step / 2 - 0.5
        image: _Image = cv2.warpAffine(
            self.backdrop,
            np.array([[step, 0, shift + half], [0, step, top + half]], np.float64),
            (self.width, self.height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return image

    def _shade(
        self, image: _Image, x: float, ground: float, radius: float, strength: float
    ) -> None:
        """Darkens a soft ellipse on the ground, in place."""
        wide, high = SHADOW_WIDTH * radius, SHADOW_HEIGHT * radius
        box = self._box(x, ground, 2 * wide, 2 * high)
        if box is None or strength < 1 / 255:
            return
        rows, columns = box
        v = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - ground) / high
        u = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - x) / wide
        dark = np.exp(-np.square(np.square(u)[None] + np.square(v)[:, None]))
        image[rows, columns] *= (1 - strength * dark[..., None]).astype(np.float32)

    def _place(
        self, image: _Image, x: float, y: float, radius: float, tilt: float, facing: float
    ) -> None:
        """Lays the turned and scaled sprite over the image, in place."""
        import cv2

        reach = SPRITE_REACH * radius
        turned = reach * (abs(np.cos(tilt)) + abs(np.sin(tilt)))
        box = self._box(x, y, turned, turned)
        if box is None:
            return
        rows, columns = box
        side = self.sprite.shape[0]
        step = side / (2 * reach)  # sprite pixels per frame pixel
        cos, sin = step * np.cos(tilt), step * np.sin(tilt)
        u, v = columns.start + 0.5 - x, rows.start + 0.5 - y
        middle = side / 2 - 0.5
        # A positive tilt turns the object against the clock; rows grow downwards.
        matrix = np.array([[cos, -sin, cos * u - sin * v], [sin, cos, sin * u + cos * v]])
        matrix[0] /= facing
        matrix[:, 2] += middle
        laid = cv2.warpAffine(
            self.sprite,
            matrix,
            (columns.stop - columns.start, rows.stop - rows.start),
            flags=(cv2.INTER_CUBIC if step < 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(0.5, 0.5, 0.5, -1.0),
        )
        # The distance in frame pixels, so that the edge is one pixel soft at any size.
        inside = laid[..., 3] * np.float32(SPRITE_EDGE * radius)
        alpha = np.clip(inside + np.float32(0.5), 0, 1)[..., None]
        target = image[rows, columns]
        target += (np.clip(laid[..., :3], 0, 1) - target) * alpha

    def _box(self, x: float, y: float, wide: float, high: float) -> tuple[slice, slice] | None:
        """The pixels within `wide` and `high` of a point, cut to the frame."""
        left, right = max(0, int(x - wide)), min(self.width, int(x + wide) + 2)
        top, bottom = max(0, int(y - high)), min(self.height, int(y + high) + 2)
        if left >= right or top >= bottom:
            return None
        return slice(top, bottom), slice(left, right)


def position(path: _Image, moment: float) -> _Image:
    """A path's numbers at `moment` in 0..1: Catmull-Rom through its keys, float32[8]."""
    place = min(max(moment, 0.0), 1.0) * (KEYS - 1)
    left = min(int(place), KEYS - 2)
    t = np.float32(place - left)
    before, start = path[max(left - 1, 0)], path[left]
    end, after = path[left + 1], path[min(left + 2, KEYS - 1)]
    out: _Image = np.float32(0.5) * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t * t
        + (3 * start - before - 3 * end + after) * t * t * t
    )
    return out


__all__ = ["Composed", "Layers", "position"]
