"""Paints the ten backgrounds as still pictures with random details."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Field = NDArray[np.float32]
Random = np.random.Generator


def _rgb(*values: float) -> Image:
    return np.array(values, np.float32)


def _sky(y: Field, top: Image, bottom: Image) -> Image:
    """Vertical gradient; y runs from 1 (top edge) to -1 (bottom edge)."""
    s = ((y + 1) / 2)[..., None]
    blend: Image = (bottom + (top - bottom) * s).astype(np.float32)
    return blend


def _over(image: Image, distance: Field, colour: Image, pixel: float) -> Image:
    """Paints `colour` where the signed distance is negative, one pixel soft."""
    alpha = np.clip(0.5 - distance / pixel, 0, 1)[..., None]
    painted: Image = image + (colour - image) * alpha
    return painted


def _ridge(x: Field, rng: Random, level: float, height: float, waves: float) -> Field:
    """A smooth random hill line as a function of x."""
    line = np.full(x.shape, level, np.float32)
    for k in (1.0, 2.1):
        phase = rng.uniform(0, 2 * np.pi)
        line += np.float32(height / k) * np.sin(waves * k * x + phase)
    return line


def _disc(x: Field, y: Field, cx: float, cy: float, r: float) -> Field:
    distance: Field = np.hypot(x - cx, y - cy) - np.float32(r)
    return distance


def _clouds(image: Image, x: Field, y: Field, rng: Random, pixel: float) -> Image:
    for _ in range(2):
        cx, cy = rng.uniform(-1.5, 1.5), rng.uniform(0.55, 0.85)
        for dx, dy, r in ((-0.17, 0, 0.1), (0, 0.05, 0.15), (0.18, 0, 0.11)):
            puff = np.hypot((x - cx - dx) / 1.3, y - cy - dy) - np.float32(r)
            image = _over(image, puff, _rgb(0.97, 0.98, 1.0), pixel)
    return image


def _stars(image: Image, x: Field, y: Field, rng: Random, pixel: float, low: float) -> Image:
    for _ in range(26):
        point = _disc(x, y, rng.uniform(-1.66, 1.66), rng.uniform(low, 1), 0.022)
        image = _over(image, point, _rgb(0.95, 0.95, 0.85), pixel)
    return image


def _meadow(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.36, 0.66, 0.95), _rgb(0.82, 0.93, 1.0))
    image = _clouds(image, x, y, rng, pixel)
    back = y - _ridge(x, rng, 0.0, 0.1, 1.6)
    image = _over(image, back, _rgb(0.55, 0.78, 0.38), pixel)
    front = y - _ridge(x, rng, -0.35, 0.1, 1.2)
    return _over(image, front, _rgb(0.4, 0.68, 0.27), pixel)


def _sea(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.5, 0.78, 0.97), _rgb(0.93, 0.97, 1.0))
    sun = _disc(x, y, rng.uniform(-1.3, 1.3), 0.7, 0.17)
    image = _over(image, sun, _rgb(1.0, 0.95, 0.7), pixel)
    for k, shade in enumerate((0.0, 0.3, 0.6, 1.0)):
        phase = rng.uniform(0, 6.28)
        wave = y + 0.05 + 0.24 * k - np.float32(0.035) * np.sin((7 - k) * x + phase)
        colour = _rgb(0.16, 0.5, 0.72) * (1 - shade) + _rgb(0.03, 0.22, 0.5) * shade
        image = _over(image, wave.astype(np.float32), colour, pixel)
    return image


def _night(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.03, 0.04, 0.16), _rgb(0.14, 0.17, 0.38))
    image = _stars(image, x, y, rng, pixel, -0.3)
    mx, my = rng.uniform(-1.2, 1.2), rng.uniform(0.5, 0.7)
    moon = np.maximum(_disc(x, y, mx, my, 0.22), -_disc(x, y, mx + 0.12, my + 0.06, 0.19))
    image = _over(image, moon, _rgb(1.0, 0.96, 0.75), pixel)
    hills = y - _ridge(x, rng, -0.6, 0.1, 1.5)
    return _over(image, hills, _rgb(0.05, 0.09, 0.14), pixel)


def _desert(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.55, 0.8, 0.95), _rgb(1.0, 0.93, 0.75))
    sun = _disc(x, y, rng.uniform(-1.3, 1.3), 0.65, 0.2)
    image = _over(image, sun, _rgb(1.0, 0.98, 0.85), pixel)
    tones = (_rgb(0.93, 0.77, 0.5), _rgb(0.88, 0.68, 0.4), _rgb(0.8, 0.58, 0.32))
    for level, tone in zip((0.0, -0.3, -0.62), tones, strict=True):
        dune = y - _ridge(x, rng, level, 0.13, 1.7)
        image = _over(image, dune, tone, pixel)
    return image


def _forest(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.62, 0.8, 0.72), _rgb(0.78, 0.88, 0.75))
    for tone, base, size in (
        (_rgb(0.28, 0.5, 0.38), -0.45, 1.25),
        (_rgb(0.1, 0.32, 0.2), -0.7, 1.05),
    ):
        shift = rng.uniform(0, 0.4)
        for k in range(-4, 5):
            cx = k * 0.42 + shift + rng.uniform(-0.06, 0.06)
            top = base + size * rng.uniform(0.8, 1.15)
            slope = (top - y) * np.float32(0.23) - np.abs(x - cx)
            tree = np.maximum(-slope, base - y) * np.float32(0.95)
            image = _over(image, tree.astype(np.float32), tone, pixel)
        image = _over(image, y - np.float32(base), tone * np.float32(0.85), pixel)
    return image


def _city(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.66, 0.75, 0.85), _rgb(0.9, 0.87, 0.82))
    for tone, low, high in (
        (_rgb(0.62, 0.66, 0.72), 0.1, 0.8),
        (_rgb(0.36, 0.4, 0.48), -0.4, 0.4),
    ):
        left = -1.7 + rng.uniform(-0.2, 0)
        while left < 1.7:
            width = rng.uniform(0.26, 0.42)
            top = rng.uniform(low, high)
            qx = np.abs(x - left - width / 2) - np.float32(width / 2 - 0.02)
            image = _over(image, np.maximum(qx, y - np.float32(top)), tone, pixel)
            lit = np.maximum(
                np.abs((x - left) % 0.13 - 0.065) - np.float32(0.025),
                np.abs(y % 0.2 - 0.1) - np.float32(0.04),
            )
            lit = np.maximum(lit, np.maximum(qx + 0.05, y - np.float32(top - 0.08)))
            if low < 0:
                image = _over(image, lit, _rgb(0.95, 0.87, 0.55), pixel)
            left += width
    return _over(image, y + np.float32(0.75), _rgb(0.25, 0.26, 0.29), pixel)


def _space(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.07, 0.02, 0.14), _rgb(0.2, 0.04, 0.27))
    cx, cy = rng.uniform(-1, 1), rng.uniform(-0.5, 0.5)
    glow = np.exp(-((x - cx) ** 2 + 3 * (y - cy) ** 2) * 1.5)[..., None]
    image = (image + glow * _rgb(0.25, 0.05, 0.3)).astype(np.float32)
    image = _stars(image, x, y, rng, pixel, -1)
    px, py = rng.choice((-1.0, 1.0)) * rng.uniform(0.9, 1.3), rng.uniform(-0.6, 0.6)
    planet = _disc(x, y, px, py, 0.3)
    image = _over(image, planet, _rgb(0.85, 0.55, 0.4), pixel)
    ring = np.abs(np.hypot((x - px) / 0.52, (y - py) / 0.13) - 1) * 0.13 - 0.025
    return _over(image, ring.astype(np.float32), _rgb(0.95, 0.85, 0.65), pixel)


def _room(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.93, 0.85, 0.76), _rgb(0.86, 0.77, 0.68))
    image = _over(image, y + np.float32(0.45), _rgb(0.58, 0.4, 0.27), pixel)
    skirting = np.abs(y + np.float32(0.42)) - np.float32(0.04)
    image = _over(image, skirting, _rgb(0.97, 0.95, 0.92), pixel)
    cx = rng.uniform(-1.1, 1.1)
    for half, tone in ((0.42, _rgb(0.98, 0.97, 0.95)), (0.36, _rgb(0.62, 0.82, 0.95))):
        frame = np.maximum(np.abs(x - cx), np.abs(y - 0.38)) - np.float32(half)
        image = _over(image, frame, tone, pixel)
    bars = np.minimum(np.abs(x - cx), np.abs(y - 0.38)) - np.float32(0.03)
    bars = np.maximum(bars, np.maximum(np.abs(x - cx), np.abs(y - 0.38)) - np.float32(0.4))
    return _over(image, bars.astype(np.float32), _rgb(0.98, 0.97, 0.95), pixel)


def _sunset(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.42, 0.2, 0.5), _rgb(1.0, 0.62, 0.25))
    image = image + (np.exp(-np.abs(y + 0.25) * 3)[..., None] * _rgb(0.2, 0.12, 0.0))
    sun = _disc(x, y, rng.uniform(-1, 1), -0.1, 0.34)
    image = _over(image, sun, _rgb(1.0, 0.9, 0.5), pixel)
    ground = y - _ridge(x, rng, -0.5, 0.08, 1.4)
    return _over(image, ground, _rgb(0.25, 0.1, 0.22), pixel)


def _mountains(x: Field, y: Field, rng: Random, pixel: float) -> Image:
    image = _sky(y, _rgb(0.5, 0.7, 0.9), _rgb(0.88, 0.94, 0.98))
    shift = rng.uniform(-0.4, 0.4)
    for k in range(-2, 3):
        cx = k * 0.85 + shift
        top = rng.uniform(0.35, 0.85)
        slope = (top - y) * np.float32(0.75) - np.abs(x - cx)
        image = _over(image, -slope * np.float32(0.8), _rgb(0.42, 0.47, 0.56), pixel)
        teeth = np.float32(0.07) * np.abs((x - cx) * 7 % 2 - 1)
        cap = np.maximum(-slope * np.float32(0.8), np.float32(top - 0.36) + teeth - y)
        image = _over(image, cap.astype(np.float32), _rgb(0.97, 0.98, 1.0), pixel)
    ground = y - _ridge(x, rng, -0.6, 0.06, 1.6)
    return _over(image, ground, _rgb(0.3, 0.42, 0.36), pixel)


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
