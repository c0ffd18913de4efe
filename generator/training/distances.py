"""Signed distances of simple shapes: negative inside, in the units of x and y (y is up)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def circle(x: Field, y: Field, cx: float, cy: float, r: float) -> Field:
    """A disc."""
    distance: Field = np.hypot(x - cx, y - cy) - np.float32(r)
    return distance


def ellipse(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float) -> Field:
    """An ellipse along the axes; the distance is exact only on its outline."""
    u, v = (x - cx) / np.float32(rx), (y - cy) / np.float32(ry)
    near = np.hypot(u, v)
    slope = np.hypot(u / np.float32(rx), v / np.float32(ry))
    distance: Field = (near * (near - 1) / np.maximum(slope, 1e-3)).astype(np.float32)
    return distance


def box(x: Field, y: Field, cx: float, cy: float, w: float, h: float, r: float) -> Field:
    """A box of half sizes w and h with corners of radius r."""
    qx = np.abs(x - cx) - (w - r)
    qy = np.abs(y - cy) - (h - r)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    distance: Field = outside + np.minimum(np.maximum(qx, qy), 0) - np.float32(r)
    return distance.astype(np.float32)


def limb(
    x: Field, y: Field, start: tuple[float, float], end: tuple[float, float], r: float
) -> Field:
    """A stroke with round ends of radius r."""
    ex, ey = end[0] - start[0], end[1] - start[1]
    wx, wy = x - start[0], y - start[1]
    s = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
    distance: Field = np.hypot(wx - ex * s, wy - ey * s) - np.float32(r)
    return distance.astype(np.float32)


def polygon(x: Field, y: Field, points: list[tuple[float, float]], r: float = 0.0) -> Field:
    """A simple polygon, grown by r with round corners (edge distance, crossing parity)."""
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
    return (np.where(inside, -edge, edge) - r).astype(np.float32)
