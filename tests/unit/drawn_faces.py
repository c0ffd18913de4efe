"""Faces that were never anybody's: simple drawings, and pictures without any."""

from __future__ import annotations

import cv2
import numpy as np

SKIN, HAIR, WHITE, DARK, LIP = (
    (225, 175, 145),
    (70, 45, 30),
    (245, 245, 245),
    (50, 30, 20),
    (175, 70, 75),
)


def drawn_face(size: float = 1.0) -> np.ndarray:
    """uint8[N,N,3] with a face in the middle; N is 260 times ``size``, its eyes 60 apart."""
    side = round(260 * size)
    out = np.full((side, side, 3), (90, 120, 160), np.uint8)
    middle = side / 2

    def oval(x: float, y: float, wide: float, high: float, colour: tuple[int, ...]) -> None:
        centre = (round(middle + x * size), round(middle + y * size))
        axes = (max(1, round(wide * size)), max(1, round(high * size)))
        cv2.ellipse(out, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(0, -10, 88, 112, HAIR)
    oval(0, 8, 72, 95, SKIN)
    for x in (-30, 30):
        oval(x, -30, 20, 4, HAIR)
        oval(x, -12, 15, 8, WHITE)
        oval(x, -12, 7, 7, DARK)
    oval(0, 26, 11, 5, (190, 135, 110))
    oval(0, 52, 26, 9, LIP)
    return cv2.GaussianBlur(out, (0, 0), max(0.3, 1.2 * size))


def on_canvas(face: np.ndarray, *, top: int, left: int) -> np.ndarray:
    """uint8[720,1280,3]: ``face`` on a plain ground."""
    out = np.full((720, 1280, 3), (90, 120, 160), np.uint8)
    out[top : top + face.shape[0], left : left + face.shape[1]] = face
    return out


def ovals(seed: int, side: int) -> np.ndarray:
    """uint8[side,side,3]: six shaded ovals."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side]
    out = np.zeros((side, side, 3)) + rng.integers(20, 200, 3)
    for _ in range(6):
        cx, cy = rng.integers(0, side, 2)
        a, b = rng.integers(side // 14, side // 3, 2)
        d = (((x - cx) / a) ** 2 + ((y - cy) / b) ** 2)[..., None]
        out = np.where(d < 1, rng.integers(30, 250, 3) * (1.1 - 0.6 * d), out)
    return out.clip(0, 255).astype(np.uint8)
