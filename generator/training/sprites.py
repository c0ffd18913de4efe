"""Draws an object alone on its square: outlined, shaded, with its distance to the outline."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from generator.training.distances import Field
from generator.training.shapes import RGB, SHAPES
from generator.world import SPRITE_EDGE, SPRITE_REACH, SPRITE_SIZE

Sprite = NDArray[np.float32]

COLOUR_VALUES: dict[str, RGB] = {
    "red": (0.88, 0.11, 0.12),
    "orange": (0.98, 0.5, 0.05),
    "yellow": (0.99, 0.87, 0.12),
    "green": (0.1, 0.62, 0.2),
    "blue": (0.12, 0.3, 0.9),
    "purple": (0.5, 0.16, 0.7),
    "pink": (0.98, 0.48, 0.72),
    "white": (0.97, 0.97, 0.95),
}
_OVERSAMPLING = 2
_NEAR = SPRITE_EDGE  # how far beyond the outline its colours are carried on, in radii


def draw_sprite(name: str, colour: str, rng: np.random.Generator) -> Sprite:
    """One object: float32[4,96,96] in −1..1, red, green, blue and distance to the outline.

    The fourth channel is −d / SPRITE_EDGE of the signed distance d, so +1 well inside. Colours
    go on beyond the outline and fade to grey, so that enlarging never mixes in a background.
    """
    size = SPRITE_SIZE * _OVERSAMPLING
    step = 2 * SPRITE_REACH / size
    line = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(step) - np.float32(
        SPRITE_REACH
    )
    x, y = np.meshgrid(line, -line)
    value = np.clip(np.array(COLOUR_VALUES[colour]) + rng.normal(0, 0.02, 3), 0, 1)
    main: RGB = (float(value[0]), float(value[1]), float(value[2]))
    layers = SHAPES[name](x, y, main, rng)
    whole = layers[0][0]
    for distance, _ in layers[1:]:
        whole = np.minimum(whole, distance)
    picture = np.full((size, size, 3), 0.5, np.float32)
    for distance, paint in layers:
        alpha = np.clip(0.5 - distance / np.float32(step), 0, 1)[..., None]
        picture += (np.array(paint, np.float32) - picture) * alpha
    picture = np.clip(picture * _light(whole, x, y, step)[..., None], 0, 1)
    ink = rng.uniform(0.035, 0.06)
    edge = np.clip((whole + np.float32(ink)) / np.float32(step) + 0.5, 0, 1)[..., None]
    picture = picture * (1 - np.float32(0.55) * edge)
    picture = _carried_on(picture, whole, step)
    small = cv2.resize(picture, (SPRITE_SIZE, SPRITE_SIZE), interpolation=cv2.INTER_AREA)
    near = np.clip(-whole / np.float32(SPRITE_EDGE), -1, 1)
    alpha = cv2.resize(near, (SPRITE_SIZE, SPRITE_SIZE), interpolation=cv2.INTER_AREA)
    return np.concatenate([small.transpose(2, 0, 1) * 2 - 1, alpha[None]]).astype(np.float32)


def _light(whole: Field, x: Field, y: Field, step: float) -> Field:
    """Light from the upper left: a slow gradient, and rounded edges."""
    rows, columns = np.gradient(cv2.GaussianBlur(whole, (0, 0), 3), step)
    slope = (-columns * 0.55 + -rows * 0.8).astype(np.float32)
    rim = np.exp(-np.square(whole / np.float32(0.16)))
    light: Field = 1 + np.float32(0.07) * (y - 0.5 * x) + np.float32(0.13) * rim * slope
    return light.astype(np.float32)


def _carried_on(picture: Field, whole: Field, step: float) -> Field:
    """Fills the outside with the colour of the nearest inside pixel, fading to grey."""
    outside = (whole > -step).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.flatnonzero(outside == 0)
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels.flat[inside]] = inside
    filled = picture.reshape(-1, 3)[nearest[labels]]
    fade = np.clip(2 - whole / np.float32(_NEAR), 0, 1)[..., None]
    out: Field = np.float32(0.5) + (filled - np.float32(0.5)) * fade
    return out
