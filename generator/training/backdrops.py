"""Paints the ten backgrounds as wide still pictures with random details.

Coordinates are those of paths: the frame is 2 high, y runs up, x is 0 in the middle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from generator.training.distances import box, circle, ellipse, limb
from generator.world import BACKDROP_HEIGHT, BACKDROP_WIDTH, VIEW_HEIGHT

Image = NDArray[np.float32]
Field = NDArray[np.float32]
Random = np.random.Generator

_SIDE = 2.05  # half the width of a backdrop


def draw_backdrop(name: str, rng: Random) -> Image:
    """One background: float32[3,120,240] in −1..1."""
    pixel = 2 / VIEW_HEIGHT
    width, height = BACKDROP_WIDTH, BACKDROP_HEIGHT
    columns = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) * np.float32(pixel)
    rows = (height / 2 - np.arange(height, dtype=np.float32) - 0.5) * np.float32(pixel)
    x, y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    light = rng.uniform(0.94, 1.04) * rng.uniform(0.98, 1.02, 3)
    image = np.clip(BACKDROPS[name](x, y, rng, pixel) * light, 0, 1).astype(np.float32)
    return image.transpose(2, 0, 1) * 2 - 1


def _rgb(*values: float) -> Image:
    return np.array(values, np.float32)


def _sky(y: Field, top: Image, bottom: Image) -> Image:
    """Vertical gradient; y runs from 1 (top edge) to -1 (bottom edge)."""
    s = np.clip((y + 1) / 2, 0, 1)[..., None]
    blend: Image = (bottom + (top - bottom) * s).astype(np.float32)
    return blend


def _over(image: Image, distance: Field, colour: Image, pixel: float) -> Image:
    """Paints `colour` where the signed distance is negative, one pixel soft."""
    alpha = np.clip(0.5 - distance / np.float32(pixel), 0, 1)[..., None]
    painted: Image = image + (colour - image) * alpha
    return painted


def _glow(image: Image, distance: Field, colour: Image, reach: float) -> Image:
    """Adds light that fades with the distance."""
    near = np.exp(-np.maximum(distance, 0) / np.float32(reach)).astype(np.float32)
    lit: Image = image + near[..., None] * colour
    return lit


def _ridge(x: Field, rng: Random, level: float, height: float, waves: float) -> Field:
    """A smooth random hill line as a function of x."""
    line = np.full(x.shape, level, np.float32)
    for k in (1.0, 2.1):
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        line += np.float32(height / k) * np.sin(np.float32(waves * k) * x + phase)
    return line


def _hill(image: Image, y: Field, line: Field, near: Image, far: Image, pixel: float) -> Image:
    """Ground below a line, `far` at its crest and `near` half a frame further down."""
    depth = np.clip((line - y) / np.float32(0.6), 0, 1)[..., None]
    return _over(image, y - line, far + (near - far) * depth, pixel)


def _clouds(
    image: Image, x: Field, y: Field, rng: Random, pixel: float, colour: Image
) -> Image:
    for _ in range(3):
        cx, cy = rng.uniform(-1.9, 1.9), rng.uniform(0.5, 0.88)
        size = rng.uniform(0.75, 1.25)
        for dx, dy, r in ((-0.2, 0.0, 0.1), (0.0, 0.05, 0.15), (0.2, 0.0, 0.11)):
            puff = ellipse(x, y, cx + dx * size, cy + dy * size, r * 1.5 * size, r * size)
            puff = np.maximum(puff, np.float32(cy - 0.05) - y)
            image = _over(image, puff, colour, 6 * pixel)
    return image


def _stars(image: Image, x: Field, y: Field, rng: Random, pixel: float, low: float) -> Image:
    for _ in range(34):
        size = rng.uniform(0.01, 0.022)
        point = circle(x, y, rng.uniform(-_SIDE, _SIDE), rng.uniform(low, 1), size)
        image = _over(image, point, _rgb(0.95, 0.95, 0.85), 2 * pixel)
    return image


def _tree(
    image: Image, x: Field, y: Field, at: tuple[float, float], size: float, pixel: float
) -> Image:
    cx, base = at
    trunk = box(x, y, cx, base + 0.3 * size, 0.06 * size, 0.32 * size, 0.02)
    image = _over(image, trunk, _rgb(0.42, 0.29, 0.18), pixel)
    for dx, dy, r, tone in (
        (0.0, 0.75, 0.4, _rgb(0.22, 0.5, 0.22)),
        (-0.1, 0.85, 0.27, _rgb(0.3, 0.58, 0.27)),
    ):
        crown = circle(x, y, cx + dx * size, base + dy * size, r * size)
        image = _over(image, crown, tone, pixel)
    return image


def _meadow(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.32, 0.62, 0.95), _rgb(0.82, 0.93, 1.0))
    sun = circle(x, y, rng.uniform(-1.7, 1.7), 0.75, 0.13)
    image = _glow(image, sun, _rgb(0.25, 0.2, 0.05), 0.3)
    image = _over(image, sun, _rgb(1, 0.95, 0.7), pixel)
    image = _clouds(image, x, y, rng, pixel, _rgb(0.98, 0.99, 1.0))
    far = _ridge(x, rng, 0.0, 0.1, 1.6)
    image = _hill(image, y, far, _rgb(0.42, 0.66, 0.36), _rgb(0.62, 0.82, 0.5), pixel)
    for _ in range(int(rng.integers(1, 4))):
        place = (rng.uniform(-1.9, 1.9), rng.uniform(-0.2, -0.08))
        image = _tree(image, x, y, place, rng.uniform(0.3, 0.45), pixel)
    near = _ridge(x, rng, -0.35, 0.08, 1.2)
    return _hill(image, y, near, _rgb(0.3, 0.58, 0.22), _rgb(0.48, 0.75, 0.32), pixel)


def _sea(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.4, 0.7, 0.97), _rgb(0.95, 0.98, 1.0))
    sun = circle(x, y, rng.uniform(-1.6, 1.6), 0.7, 0.15)
    image = _glow(image, sun, _rgb(0.2, 0.18, 0.05), 0.3)
    image = _over(image, sun, _rgb(1, 0.95, 0.7), pixel)
    image = _clouds(image, x, y, rng, pixel, _rgb(0.98, 0.99, 1.0))
    if rng.random() < 0.5:
        isle = ellipse(x, y, rng.uniform(-1.6, 1.6), -0.06, 0.42, 0.16)
        image = _over(image, isle, _rgb(0.45, 0.62, 0.45), pixel)
    for k in range(5):
        shade = k / 4
        phase = np.float32(rng.uniform(0, 6.28))
        crest = np.float32(-0.05 - 0.22 * k) + np.float32(0.012 + 0.008 * k) * np.sin(
            np.float32(8 - k) * x + phase
        )
        colour = _rgb(0.2, 0.56, 0.76) * (1 - shade) + _rgb(0.03, 0.24, 0.5) * shade
        near, far = colour * np.float32(0.85), colour * np.float32(1.12)
        image = _hill(image, y, crest, near, far, pixel)
    return image


def _night(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.02, 0.03, 0.14), _rgb(0.16, 0.2, 0.42))
    image = _stars(image, x, y, rng, pixel, -0.3)
    mx, my = rng.uniform(-1.6, 1.6), rng.uniform(0.5, 0.7)
    disc = circle(x, y, mx, my, 0.2)
    image = _glow(image, disc, _rgb(0.14, 0.14, 0.16), 0.18)
    moon = np.maximum(disc, -circle(x, y, mx + 0.11, my + 0.06, 0.18))
    image = _over(image, moon, _rgb(1.0, 0.96, 0.75), pixel)
    far = _ridge(x, rng, -0.4, 0.12, 1.7)
    image = _hill(image, y, far, _rgb(0.08, 0.12, 0.24), _rgb(0.1, 0.14, 0.28), pixel)
    near = _ridge(x, rng, -0.62, 0.08, 1.4)
    return _hill(image, y, near, _rgb(0.03, 0.07, 0.1), _rgb(0.06, 0.12, 0.17), pixel)


def _desert(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.5, 0.78, 0.95), _rgb(1.0, 0.93, 0.75))
    sun = circle(x, y, rng.uniform(-1.6, 1.6), 0.65, 0.18)
    image = _glow(image, sun, _rgb(0.2, 0.15, 0.05), 0.35)
    image = _over(image, sun, _rgb(1.0, 0.98, 0.85), pixel)
    tones = (
        (_rgb(0.96, 0.82, 0.56), _rgb(0.85, 0.66, 0.4)),
        (_rgb(0.92, 0.74, 0.46), _rgb(0.8, 0.58, 0.33)),
        (_rgb(0.88, 0.67, 0.4), _rgb(0.74, 0.52, 0.28)),
    )
    for k, (far, near) in enumerate(tones):
        line = _ridge(x, rng, -0.32 * k, 0.12, 1.7)
        image = _hill(image, y, line, near, far, pixel)
        if k == 1 and rng.random() < 0.7:
            cx, high = rng.uniform(-1.8, 1.8), rng.uniform(0.35, 0.5)
            trunk = limb(x, y, (cx, -0.5), (cx, -0.5 + high), 0.055)
            arm = limb(x, y, (cx, -0.35), (cx + 0.14, -0.28), 0.035)
            arm = np.minimum(arm, limb(x, y, (cx + 0.14, -0.28), (cx + 0.14, -0.14), 0.035))
            image = _over(image, np.minimum(trunk, arm), _rgb(0.3, 0.5, 0.28), pixel)
    return image


def _forest(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.58, 0.78, 0.74), _rgb(0.84, 0.92, 0.78))
    for tone, base, size in (
        (_rgb(0.42, 0.62, 0.5), -0.3, 1.0),
        (_rgb(0.24, 0.47, 0.33), -0.45, 1.05),
        (_rgb(0.1, 0.32, 0.2), -0.66, 0.95),
    ):
        shift = rng.uniform(0, 0.4)
        for k in range(-5, 6):
            cx = k * 0.44 + shift + rng.uniform(-0.06, 0.06)
            top = base + size * rng.uniform(0.75, 1.15)
            slope = (np.float32(top) - y) * np.float32(0.22) - np.abs(x - np.float32(cx))
            tree = np.maximum(-slope, np.float32(base) - y) * np.float32(0.95)
            image = _over(image, tree.astype(np.float32), tone, pixel)
        line = np.full(x.shape, base, np.float32)
        image = _hill(image, y, line, tone * np.float32(0.7), tone * np.float32(0.95), pixel)
    line = _ridge(x, rng, -0.78, 0.02, 2.0)
    return _hill(image, y, line, _rgb(0.24, 0.36, 0.16), _rgb(0.33, 0.47, 0.22), pixel)


def _city(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.55, 0.7, 0.88), _rgb(0.93, 0.9, 0.84))
    for tone, low, high in (
        (_rgb(0.68, 0.72, 0.79), 0.15, 0.8),
        (_rgb(0.4, 0.45, 0.54), -0.35, 0.4),
    ):
        left = -2.1 + rng.uniform(-0.2, 0)
        while left < 2.1:
            width = rng.uniform(0.28, 0.44)
            top = rng.uniform(low, high)
            qx = np.abs(x - np.float32(left + width / 2)) - np.float32(width / 2 - 0.02)
            block = np.maximum(qx, y - np.float32(top))
            paint = tone * np.float32(rng.uniform(0.9, 1.08))
            image = _over(image, block, paint, pixel)
            if low < 0:
                lit = np.maximum(
                    np.abs((x - np.float32(left)) % 0.14 - 0.07) - np.float32(0.032),
                    np.abs(y % 0.2 - 0.1) - np.float32(0.045),
                )
                lit = np.maximum(lit, np.maximum(qx + 0.04, y - np.float32(top - 0.08)))
                image = _over(image, lit.astype(np.float32), _rgb(0.97, 0.88, 0.58), pixel)
            left += width
    image = _over(image, y + np.float32(0.58), _rgb(0.62, 0.61, 0.6), pixel)
    image = _over(image, y + np.float32(0.66), _rgb(0.29, 0.3, 0.34), pixel)
    dash = np.maximum(np.abs(y + 0.84) - 0.018, np.abs(x % 0.5 - 0.25) - 0.13)
    return _over(image, dash.astype(np.float32), _rgb(0.9, 0.88, 0.8), pixel)


def _space(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.06, 0.02, 0.13), _rgb(0.17, 0.04, 0.25))
    for _ in range(2):
        cx, cy = rng.uniform(-1.6, 1.6), rng.uniform(-0.6, 0.6)
        cloud = np.exp(-((x - cx) ** 2 + 3 * (y - cy) ** 2) * 1.6)[..., None]
        image = (image + cloud * _rgb(0.22, 0.05, 0.28)).astype(np.float32)
    image = _stars(image, x, y, rng, pixel, -1)
    px, py = rng.choice((-1.0, 1.0)) * rng.uniform(0.9, 1.5), rng.uniform(-0.6, 0.6)
    planet = circle(x, y, px, py, 0.3)
    lit = np.clip(0.75 + 0.9 * ((y - py) - (x - px)), 0.45, 1.15)[..., None]
    tone = (_rgb(0.88, 0.55, 0.38), _rgb(0.4, 0.62, 0.8))[int(rng.integers(2))]
    image = _over(image, planet, (tone * lit).astype(np.float32), pixel)
    ring = np.abs(np.hypot((x - px) / 0.54, (y - py) / 0.13) - 1) * 0.13 - 0.025
    ring = np.maximum(ring, np.minimum(-planet, y - np.float32(py)))
    return _over(image, ring.astype(np.float32), _rgb(0.95, 0.85, 0.65), pixel)


def _room(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    walls = (_rgb(0.95, 0.88, 0.78), _rgb(0.86, 0.89, 0.86), _rgb(0.92, 0.84, 0.84))
    wall = walls[int(rng.integers(3))]
    image = _sky(y, wall, wall * np.float32(0.9))
    line = np.full(x.shape, -0.46, np.float32)
    image = _hill(image, y, line, _rgb(0.47, 0.31, 0.2), _rgb(0.65, 0.46, 0.31), pixel)
    skirting = np.abs(y + np.float32(0.43)) - np.float32(0.04)
    image = _over(image, skirting, _rgb(0.98, 0.96, 0.93), pixel)
    rug = ellipse(x, y, rng.uniform(-0.6, 0.6), -0.78, 0.85, 0.13)
    rugs = (_rgb(0.6, 0.35, 0.35), _rgb(0.4, 0.5, 0.55), _rgb(0.75, 0.66, 0.48))
    image = _over(image, rug, rugs[int(rng.integers(3))], pixel)
    side = rng.choice((-1.0, 1.0))
    cx = side * rng.uniform(0.5, 1.2)
    for half, tone in ((0.42, _rgb(0.99, 0.98, 0.96)), (0.36, _rgb(0.62, 0.82, 0.95))):
        frame = np.maximum(np.abs(x - cx), np.abs(y - 0.36)) - np.float32(half)
        image = _over(image, frame.astype(np.float32), tone, pixel)
    bars = np.minimum(np.abs(x - cx), np.abs(y - 0.36)) - np.float32(0.03)
    bars = np.maximum(bars, np.maximum(np.abs(x - cx), np.abs(y - 0.36)) - np.float32(0.4))
    image = _over(image, bars.astype(np.float32), _rgb(0.99, 0.98, 0.96), pixel)
    hung = box(x, y, -cx, 0.4, 0.26, 0.2, 0.02)
    image = _over(image, hung, _rgb(0.45, 0.32, 0.2), pixel)
    return _over(image, hung + np.float32(0.05), _rgb(0.65, 0.75, 0.68), pixel)


def _sunset(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.38, 0.18, 0.5), _rgb(1.0, 0.6, 0.25))
    image = image + (np.exp(-np.abs(y + 0.25) * 3)[..., None] * _rgb(0.2, 0.12, 0.0))
    sun = circle(x, y, rng.uniform(-1.3, 1.3), -0.1, 0.32)
    image = _glow(image, sun, _rgb(0.25, 0.12, 0.02), 0.3)
    image = _over(image, sun, _rgb(1.0, 0.9, 0.5), pixel)
    for _ in range(3):
        streak = ellipse(
            x, y, rng.uniform(-1.8, 1.8), rng.uniform(0.15, 0.75), rng.uniform(0.3, 0.6), 0.035
        )
        image = _over(image, streak, _rgb(0.86, 0.42, 0.46), 8 * pixel)
    far = _ridge(x, rng, -0.42, 0.08, 1.8)
    image = _hill(image, y, far, _rgb(0.4, 0.16, 0.28), _rgb(0.5, 0.22, 0.32), pixel)
    near = _ridge(x, rng, -0.6, 0.06, 1.4)
    return _hill(image, y, near, _rgb(0.15, 0.06, 0.16), _rgb(0.27, 0.11, 0.23), pixel)


def _mountains(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.42, 0.66, 0.92), _rgb(0.9, 0.95, 0.98))
    image = _clouds(image, x, y, rng, pixel, _rgb(0.98, 0.99, 1.0))
    shift = rng.uniform(-0.4, 0.4)
    for k in (-3, -1, 1, 3, -2, 0, 2):
        cx = k * 0.72 + shift
        top = rng.uniform(0.25, 0.6) + 0.2 * (k % 2)
        slope = (np.float32(top) - y) * np.float32(0.75) - np.abs(x - np.float32(cx))
        rock = -slope * np.float32(0.8)
        bent = np.float32(cx) + np.float32(0.06) * np.sin(y * 9)
        lit = np.clip((bent - x) / np.float32(4 * pixel) + 0.5, 0, 1)[..., None]
        stone = _rgb(0.36, 0.41, 0.52) + (_rgb(0.54, 0.58, 0.66) - _rgb(0.36, 0.41, 0.52)) * lit
        image = _over(image, rock.astype(np.float32), stone, pixel)
        teeth = np.float32(0.06) * np.abs((x - cx) * 7 % 2 - 1)
        cap = np.maximum(rock, np.float32(top - 0.34) + teeth - y)
        snow = _rgb(0.8, 0.86, 0.95) + _rgb(0.18, 0.13, 0.05) * lit
        image = _over(image, cap.astype(np.float32), snow, pixel)
    far = _ridge(x, rng, -0.45, 0.06, 1.9)
    image = _hill(image, y, far, _rgb(0.25, 0.38, 0.32), _rgb(0.38, 0.52, 0.42), pixel)
    near = _ridge(x, rng, -0.66, 0.05, 1.5)
    return _hill(image, y, near, _rgb(0.28, 0.42, 0.26), _rgb(0.42, 0.56, 0.34), pixel)


BACKDROPS: dict[str, Callable[[Field, Field, Random, float], Image]] = {
    "meadow": _meadow,
    "sea": _sea,
    "night": _night,
    "desert": _desert,
    "forest": _forest,
    "city": _city,
    "space": _space,
    "room": _room,
    "sunset": _sunset,
    "mountains": _mountains,
}
