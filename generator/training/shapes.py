"""Signed distances of the eight objects, each as coloured layers painted back to front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
RGB = tuple[float, float, float]
Layer = tuple[Field, RGB]

DARK: RGB = (0.13, 0.13, 0.17)
PALE: RGB = (0.96, 0.96, 0.93)


def _circle(x: Field, y: Field, cx: float, cy: float, r: float) -> Field:
    distance: Field = np.hypot(x - cx, y - cy) - np.float32(r)
    return distance


def _ellipse(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float) -> Field:
    distance: Field = (np.hypot((x - cx) / rx, (y - cy) / ry) - 1) * np.float32(min(rx, ry))
    return distance


def _box(x: Field, y: Field, cx: float, cy: float, w: float, h: float, r: float) -> Field:
    qx = np.abs(x - cx) - (w - r)
    qy = np.abs(y - cy) - (h - r)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    distance: Field = outside + np.minimum(np.maximum(qx, qy), 0) - np.float32(r)
    return distance


def _polygon(x: Field, y: Field, points: list[tuple[float, float]]) -> Field:
    """Signed distance to a simple polygon (edge distance with crossing parity)."""
    best = np.full(x.shape, 1e9, np.float32)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        ex, ey = bx - ax, by - ay
        wx, wy = x - ax, y - ay
        s = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        best = np.minimum(best, (wx - ex * s) ** 2 + (wy - ey * s) ** 2)
        crosses = (y >= min(ay, by)) & (y < max(ay, by))
        if ey != 0:
            inside ^= crosses & (x < ax + (y - ay) * ex / ey)
    edge = np.sqrt(best)
    return np.where(inside, -edge, edge).astype(np.float32)


def _ball(x: Field, y: Field, main: RGB) -> list[Layer]:
    whole = _circle(x, y, 0, 0, 0.95)
    band = np.maximum(np.abs(y + 0.25 * x) - 0.13, whole)
    shine = _ellipse(x, y, -0.35, 0.5, 0.24, 0.15)
    return [(whole, main), (band, PALE if main != PALE else DARK), (shine, (1.0, 1.0, 1.0))]


def _star(x: Field, y: Field, main: RGB) -> list[Layer]:
    angles = np.pi / 2 + np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, 1.05, 0.48)
    points = [
        (float(r * np.cos(a)), float(r * np.sin(a))) for a, r in zip(angles, radii, strict=True)
    ]
    return [(_polygon(x, y, points) - np.float32(0.04), main)]


def _heart(x: Field, y: Field, main: RGB) -> list[Layer]:
    s = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    px = 16 * np.sin(s) ** 3
    py = 13 * np.cos(s) - 5 * np.cos(2 * s) - 2 * np.cos(3 * s) - np.cos(4 * s)
    points = [(float(a) / 17, float(b + 2.5) / 17) for a, b in zip(px, py, strict=True)]
    shine = _ellipse(x + 0.5, y - 0.4, 0, 0, 0.14, 0.2)
    return [(_polygon(x, y, points), main), (shine, (1.0, 1.0, 1.0))]


def _car(x: Field, y: Field, main: RGB) -> list[Layer]:
    roof = _polygon(x, y, [(-0.75, 0.1), (-0.45, 0.6), (0.3, 0.6), (0.65, 0.1)])
    body = np.minimum(_box(x, y, 0, -0.12, 1.15, 0.32, 0.15), roof - np.float32(0.05))
    window = _polygon(x, y, [(-0.58, 0.14), (-0.38, 0.5), (0.24, 0.5), (0.48, 0.14)])
    post = _box(x, y, -0.05, 0.3, 0.05, 0.26, 0.02)
    layers: list[Layer] = [(body, main), (window, (0.75, 0.9, 0.97)), (post, main)]
    for cx in (-0.62, 0.62):
        layers += [(_circle(x, y, cx, -0.45, 0.28), DARK)]
        layers += [(_circle(x, y, cx, -0.45, 0.12), (0.8, 0.8, 0.82))]
    return layers


def _boat(x: Field, y: Field, main: RGB) -> list[Layer]:
    hull = _polygon(x, y, [(-1.05, -0.3), (1.05, -0.3), (0.7, -0.85), (-0.7, -0.85)])
    mast = _box(x, y, -0.02, 0.35, 0.05, 0.7, 0.02)
    sail = _polygon(x, y, [(0.1, -0.15), (0.1, 1.0), (0.85, -0.15)])
    jib = _polygon(x, y, [(-0.14, -0.15), (-0.14, 0.8), (-0.75, -0.15)])
    wood: RGB = (0.45, 0.3, 0.2)
    return [(mast, wood), (sail, main), (jib, PALE), (hull, main)]


def _fish(x: Field, y: Field, main: RGB) -> list[Layer]:
    tail = _polygon(x, y, [(-0.5, 0.0), (-1.15, 0.55), (-0.98, 0.0), (-1.15, -0.55)])
    body = _ellipse(x, y, 0.15, 0, 0.88, 0.58)
    fin = _polygon(x, y, [(-0.3, 0.4), (0.0, 0.9), (0.45, 0.45)])
    stripe = np.maximum(np.abs(x + 0.12) - np.float32(0.09), body)
    return [
        (np.minimum(tail, fin), main),
        (body, main),
        (stripe, PALE),
        (_circle(x, y, 0.6, 0.15, 0.17), (1.0, 1.0, 1.0)),
        (_circle(x, y, 0.64, 0.15, 0.09), DARK),
    ]


def _rocket(x: Field, y: Field, main: RGB) -> list[Layer]:
    flame = _polygon(x, y, [(-0.22, -0.65), (0.22, -0.65), (0.0, -1.15)])
    fins = _polygon(x, y, [(-0.3, -0.1), (-0.75, -0.75), (0.75, -0.75), (0.3, -0.1)])
    hull = _ellipse(x, y, 0, 0.1, 0.4, 1.0)
    hull = np.maximum(hull, -(y + np.float32(0.68)))
    nose = np.maximum(hull, np.float32(0.62) - y)
    grey: RGB = (0.55, 0.57, 0.62)
    return [
        (flame, (1.0, 0.7, 0.15)),
        (fins, grey),
        (hull, main),
        (nose, grey),
        (_circle(x, y, 0, 0.22, 0.2), PALE),
        (_circle(x, y, 0, 0.22, 0.13), (0.35, 0.65, 0.9)),
    ]


def _flower(x: Field, y: Field, main: RGB) -> list[Layer]:
    petals = np.full(x.shape, 1e9, np.float32)
    for k in range(6):
        a = np.pi / 2 + k * np.pi / 3
        petals = np.minimum(petals, _circle(x, y, 0.6 * np.cos(a), 0.6 * np.sin(a), 0.4))
    core: RGB = (0.98, 0.8, 0.2) if main[2] > 0.3 or main[1] < 0.5 else (0.5, 0.3, 0.15)
    return [(petals, main), (_circle(x, y, 0, 0, 0.33), core)]


SHAPES: dict[str, Callable[[Field, Field, RGB], list[Layer]]] = {
    "ball": _ball,
    "star": _star,
    "heart": _heart,
    "car": _car,
    "boat": _boat,
    "fish": _fish,
    "rocket": _rocket,
    "flower": _flower,
}
