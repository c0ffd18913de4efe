"""Draws the clips the embedded model learns from: one scene and one seed give one clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.training.backdrops import BACKDROPS
from generator.training.shapes import RGB, SHAPES
from generator.world import (
    BACKGROUNDS,
    CANVAS_HEIGHT,
    CANVAS_SLICES,
    CANVAS_WIDTH,
    COLOURS,
    MOTIONS,
    OBJECTS,
    Scene,
    held_out,
)

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
ASPECT = CANVAS_WIDTH / CANVAS_HEIGHT
RADIUS = (0.42, 0.54)


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """A drawn clip: frames uint8[16,H,W,3] RGB and the object's coverage uint8[16,H,W]."""

    frames: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Path:
    """Where the object is in each slice (canvas half-heights) and how large, float32[16]."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    radius: NDArray[np.float32]
    tilt: NDArray[np.float32]


def random_scene(rng: np.random.Generator, *, held: bool) -> Scene:
    """Draws a scene whose triple is held out of training, or is not."""
    while True:
        scene = Scene(
            object=OBJECTS[rng.integers(len(OBJECTS))],
            colour=COLOURS[rng.integers(len(COLOURS))],
            motion=MOTIONS[rng.integers(len(MOTIONS))],
            background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        )
        if held_out(scene) == held:
            return scene


def path(motion: str, rng: np.random.Generator) -> Path:
    """The movement of one clip."""
    s = np.linspace(-1, 1, CANVAS_SLICES, dtype=np.float32)
    still = np.zeros_like(s)
    size = float(rng.uniform(*RADIUS))
    radius = still + np.float32(size)
    x0, y0 = float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.25, 0.2))
    reach_x, reach_y = float(rng.uniform(0.75, 1.0)), float(rng.uniform(0.44, 0.54))
    x, y = still + np.float32(x0), still + np.float32(y0)
    if motion in ("right", "left"):
        x = np.float32(reach_x if motion == "right" else -reach_x) * s
    elif motion in ("up", "down"):
        y = np.float32(reach_y if motion == "up" else -reach_y) * s
    elif motion == "bounce":
        hops = float(rng.uniform(1.8, 2.4))
        phase = float(rng.uniform(0, 1))
        y = (np.abs(np.sin(np.pi * (hops * (s + 1) / 2 + phase))) * 0.95 - 0.5).astype(
            np.float32
        )
    else:
        radius = np.float32(size * 0.95) * (1 + np.float32(0.42) * s)
    wobble = np.float32(rng.uniform(0.03, 0.1))
    tilt = wobble * np.sin(2.5 * s + np.float32(rng.uniform(0, 6)))
    return Path(x=x, y=y, radius=radius, tilt=tilt)


def render(scene: Scene, seed: int, *, scale: int = 1) -> Rendering:
    """Draws a clip at `scale` times the canvas size (80×48); the same seed is the same clip.

    A larger scale shows the same picture, only sharper: nothing random depends on it.
    """
    rng = np.random.default_rng(seed)
    moves = path(scene.motion, rng)
    jitter = rng.normal(0, 0.02, 3)
    light = rng.uniform(0.93, 1.05, 3).astype(np.float32)
    height, width = CANVAS_HEIGHT * scale, CANVAS_WIDTH * scale
    pixel = 2 / height
    rows = 1 - (np.arange(height, dtype=np.float32) + 0.5) * np.float32(pixel)
    columns = (np.arange(width, dtype=np.float32) + 0.5) * np.float32(pixel) - np.float32(
        ASPECT
    )
    x, y = np.meshgrid(columns, rows)
    x, y = x.astype(np.float32), y.astype(np.float32)
    backdrop = np.clip(BACKDROPS[scene.background](x, y, rng, pixel) * light, 0, 1)
    main_value = np.clip(np.array(COLOUR_VALUES[scene.colour]) + jitter, 0, 1)
    main: RGB = (float(main_value[0]), float(main_value[1]), float(main_value[2]))

    r = moves.radius[:, None, None]
    px = (x[None] - moves.x[:, None, None]) / r
    py = (y[None] - moves.y[:, None, None]) / r
    cos, sin = np.cos(moves.tilt)[:, None, None], np.sin(moves.tilt)[:, None, None]
    ox, oy = cos * px + sin * py, cos * py - sin * px
    facing = -1.0 if scene.motion == "left" and scene.object in ("car", "fish", "boat") else 1.0
    frames = np.repeat(backdrop[None].astype(np.float32), CANVAS_SLICES, 0)
    mask = np.zeros(frames.shape[:3], np.float32)
    for distance, colour in SHAPES[scene.object](np.float32(facing) * ox, oy, main):
        alpha = np.clip(0.5 - distance * r / np.float32(pixel), 0, 1)
        shade = 1 + np.float32(0.1) * np.clip(oy - 0.5 * ox, -1.2, 1.2)
        paint = np.clip(np.array(colour, np.float32) * shade[..., None], 0, 1)
        frames += (paint - frames) * alpha[..., None]
        mask = np.maximum(mask, alpha)
    return Rendering(
        frames=np.rint(np.clip(frames, 0, 1) * 255).astype(np.uint8),
        mask=np.rint(mask * 255).astype(np.uint8),
    )
