"""How a drawn shape is put into a picture: surface, colours, distortion, damage.

``STYLES`` train a detector. ``HELD_BACK`` are other surfaces and distortions that it never
sees in training; only figures measured with them are reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from safety.training.frames.symbols import SIDE, Drawing, Mask, Rng

Picture = NDArray[np.uint8]
Colour = NDArray[np.float32]

RED = (200, 25, 30)
WHITE = (240, 240, 235)
BLACK = (18, 16, 18)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where a drawing ended up: middle and longest side of its box, in pixels."""

    x: float
    y: float
    extent: float


def place(
    picture: Picture,
    drawing: Drawing,
    rng: Rng,
    *,
    x: float,
    y: float,
    extent: float,
    style: str = "solid",
    turn: float | None = None,
) -> Placed:
    """Puts ``drawing`` into ``picture`` (uint8[H,W,3], changed in place) around (x, y).

    ``extent`` is the longest side of what makes the symbol, in pixels. ``turn`` in degrees is
    drawn from the drawing's own range when it is None.
    """
    surface = {**STYLES, **HELD_BACK}[style]
    layers = _layers(drawing)
    box = layers[:, :, 0 if drawing.framed else 2]
    rows, columns = np.any(box > 60, 1).nonzero()[0], np.any(box > 60, 0).nonzero()[0]
    if not len(rows):
        return Placed(x=x, y=y, extent=0.0)
    inked = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    scale = extent / inked
    shrink = min(1.0, 2.0 * scale)
    if shrink < 1:
        side = max(8, round(SIDE * shrink))
        layers = cv2.resize(layers, (side, side), interpolation=cv2.INTER_AREA)
    layers = surface.shape(layers, rng)
    angle = rng.uniform(-drawing.turn, drawing.turn) if turn is None else turn
    matrix = _homography(len(layers), extent * SIDE / inked, angle, x, y, rng)
    size = (picture.shape[1], picture.shape[0])
    warped = cv2.warpPerspective(layers, matrix, size, flags=cv2.INTER_LINEAR)
    _paint(picture, warped, drawing, surface, rng)
    box = warped[:, :, 0 if drawing.framed else 2]
    rows, columns = np.any(box > 60, 1).nonzero()[0], np.any(box > 60, 0).nonzero()[0]
    if not len(rows):
        return Placed(x=x, y=y, extent=0.0)
    return Placed(
        x=float(columns[0] + columns[-1] + 1) / 2,
        y=float(rows[0] + rows[-1] + 1) / 2,
        extent=float(max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1),
    )


def _layers(drawing: Drawing) -> Mask:
    empty = np.zeros((SIDE, SIDE), np.uint8)
    field = empty if drawing.field is None else drawing.field
    disc = empty if drawing.disc is None else drawing.disc
    return np.dstack([field, disc, drawing.ink])


def _homography(
    side: int, size: float, angle: float, x: float, y: float, rng: Rng
) -> NDArray[np.float64]:
    """From the square of layers to the picture: turn, stretch, tilt of the camera."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    stretch = np.array([rng.uniform(0.82, 1.0), 1.0])
    corners = corners * (stretch if rng.random() < 0.5 else stretch[::-1])
    corners += rng.normal(0, 0.045, (4, 2))
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    rotated = corners @ np.array([[c, s], [-s, c]])
    target = (rotated * size / 2 + np.array([x, y])).astype(np.float32)
    source = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, target), np.float64)


def _paint(
    picture: Picture, layers: Mask, drawing: Drawing, surface: Surface, rng: Rng
) -> None:
    alpha = layers.astype(np.float32) / np.float32(255)
    under = picture.astype(np.float32)
    field, disc, ink = _colours(under, alpha, drawing, rng)
    if drawing.field is not None:
        under += alpha[:, :, :1] * (field - under)
    if drawing.disc is not None:
        under += alpha[:, :, 1:2] * (disc - under)
    picture[:] = surface.ink(under, alpha[:, :, 2], ink, rng).clip(0, 255).astype(np.uint8)


def _colours(
    under: NDArray[np.float32], alpha: NDArray[np.float32], drawing: Drawing, rng: Rng
) -> tuple[Colour, Colour, Colour]:
    def near(colour: tuple[int, int, int]) -> Colour:
        return np.asarray(np.array(colour) + rng.normal(0, 16, 3), np.float32)

    if drawing.flag_colours:
        return near(RED), near(WHITE), near(BLACK)
    if drawing.framed:
        dark, light = near(BLACK), near(WHITE)
        if rng.random() < 0.1:
            dark, light = light, dark
        return dark, light, dark
    field = np.asarray(rng.uniform(0, 255, 3), np.float32)
    disc = _against(field, rng)
    if drawing.disc is not None:
        return field, disc, _against(disc, rng)
    where = alpha[:, :, 2] > 0.4
    behind = under[where].mean(0) if where.any() else under.mean((0, 1))
    return field, disc, _against(np.asarray(behind, np.float32), rng)


def _against(behind: Colour, rng: Rng) -> Colour:
    """A colour that can be told from ``behind``."""
    while True:
        grey = rng.random() < 0.4
        colour = np.asarray(rng.uniform(0, 255, 1 if grey else 3) * np.ones(3), np.float32)
        if np.abs(colour - behind).mean() > 40:
            return colour


@dataclass(frozen=True, kw_only=True)
class Surface:
    """What happens to the layers before they are warped, and how ink lies on the picture."""

    shape: Callable[[Mask, Rng], Mask]
    ink: Callable[[NDArray[np.float32], NDArray[np.float32], Colour, Rng], NDArray[np.float32]]


def _as_drawn(layers: Mask, rng: Rng) -> Mask:
    return layers


def _flat(
    under: NDArray[np.float32], alpha: NDArray[np.float32], ink: Colour, rng: Rng
) -> NDArray[np.float32]:
    return under + alpha[..., None] * (ink - under)


def _thick(layers: Mask) -> int:
    return max(1, round(len(layers) * 0.03))


def _outlined(layers: Mask, rng: Rng) -> Mask:
    size = _thick(layers)
    kernel = np.ones((2 * size + 1, 2 * size + 1), np.uint8)
    edge = cv2.morphologyEx(layers[:, :, 2], cv2.MORPH_GRADIENT, kernel)
    return np.dstack([layers[:, :, 0], layers[:, :, 1], edge])


def _worn(layers: Mask, rng: Rng) -> Mask:
    holes = clouds(rng, len(layers), 9) < rng.uniform(0.1, 0.3)
    worn = np.where(holes, layers[:, :, 2] // 4, layers[:, :, 2]).astype(np.uint8)
    return np.dstack([layers[:, :, 0], layers[:, :, 1], worn])


def _translucent(
    under: NDArray[np.float32], alpha: NDArray[np.float32], ink: Colour, rng: Rng
) -> NDArray[np.float32]:
    return _flat(under, alpha * np.float32(rng.uniform(0.55, 0.9)), ink, rng)


def _shaded(
    under: NDArray[np.float32], alpha: NDArray[np.float32], ink: Colour, rng: Rng
) -> NDArray[np.float32]:
    high, wide = alpha.shape
    slope = rng.normal(0, 0.5, 2)
    y, x = np.mgrid[-0.5 : 0.5 : high * 1j, -0.5 : 0.5 : wide * 1j]
    light = (1 + slope[0] * x + slope[1] * y)[..., None].clip(0.4, 1.6)
    return np.asarray(_flat(under, alpha, ink, rng) * light, np.float32)


def _bordered(
    under: NDArray[np.float32], alpha: NDArray[np.float32], ink: Colour, rng: Rng
) -> NDArray[np.float32]:
    """Ink with a rim of another colour, as on badges and flags."""
    size = max(1, round(math.sqrt(float((alpha > 0.5).sum())) * 0.06))
    wider = cv2.dilate(alpha, np.ones((2 * size + 1, 2 * size + 1), np.uint8))
    return _flat(_flat(under, wider, _against(ink, rng), rng), alpha, ink, rng)


def _brush(layers: Mask, rng: Rng) -> Mask:
    """Held back: dry brush, streaks along one direction and frayed edges."""
    side = len(layers)
    streaks = cv2.GaussianBlur(
        rng.random((side, side)).astype(np.float32), (0, 0), 4, sigmaY=0.7
    )
    streaks = (streaks - streaks.mean()) / (streaks.std() + 1e-6)
    frayed = layers[:, :, 2].astype(np.float32) * (streaks > -1.0) + 40 * streaks
    kept = np.where(layers[:, :, 2] > 90, frayed, 0)
    return np.dstack([layers[:, :, 0], layers[:, :, 1], kept.clip(0, 255).astype(np.uint8)])


def _dots(layers: Mask, rng: Rng) -> Mask:
    """Held back: lamps or mosaic pieces on a grid."""
    side = len(layers)
    pitch = max(3, round(side * rng.uniform(0.05, 0.07)))
    y, x = np.mgrid[0:side, 0:side] % pitch - (pitch - 1) / 2
    lamp = (x * x + y * y < (0.46 * pitch) ** 2).astype(np.uint8)
    return np.dstack([layers[:, :, 0], layers[:, :, 1], layers[:, :, 2] * lamp])


def _cloth(layers: Mask, rng: Rng) -> Mask:
    """Held back: a waving flag."""
    side = len(layers)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    phase, waves = rng.uniform(0, 6.28), rng.uniform(1.2, 2.6)
    swing = np.float32(side * rng.uniform(0.03, 0.06))
    wave = np.sin(x / side * 6.28 * waves + phase, dtype=np.float32)
    wave_y = np.cos(x / side * 6.28 * waves + phase, dtype=np.float32)
    return np.asarray(
        cv2.remap(layers, x + swing * 0.5 * wave_y, y + swing * wave, 1), np.uint8
    )


def _barrel(layers: Mask, rng: Rng) -> Mask:
    """Held back: a wide lens, or a ball."""
    side = len(layers)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    bend = 1 + np.float32(rng.uniform(0.12, 0.3)) * (x * x + y * y - 0.5)
    to = np.float32((side - 1) / 2)
    return np.asarray(cv2.remap(layers, (x * bend + 1) * to, (y * bend + 1) * to, 1), np.uint8)


def _relief(
    under: NDArray[np.float32], alpha: NDArray[np.float32], ink: Colour, rng: Rng
) -> NDArray[np.float32]:
    """Held back: carved into the ground, seen by light and shadow alone."""
    size = max(1, round(math.sqrt(float((alpha > 0.5).sum())) * 0.05))
    step = np.roll(alpha, (size, size), (0, 1)) - np.roll(alpha, (-size, -size), (0, 1))
    return np.asarray(under * (1 - 0.1 * alpha[..., None]) + 90 * step[..., None], np.float32)


def _neon(
    under: NDArray[np.float32], alpha: NDArray[np.float32], ink: Colour, rng: Rng
) -> NDArray[np.float32]:
    """Held back: bright tubes with a glow."""
    bright = 255 - (255 - ink) * np.float32(0.25)
    spread = max(1.0, 0.1 * math.sqrt(float((alpha > 0.5).sum())))
    glow = cv2.GaussianBlur(alpha, (0, 0), spread)[..., None]
    return np.asarray(_flat(under * 0.5, alpha, bright, rng) + 0.8 * glow * ink, np.float32)


def _shadow_of_clouds(
    under: NDArray[np.float32], alpha: NDArray[np.float32], ink: Colour, rng: Rng
) -> NDArray[np.float32]:
    """The folds of cloth as light and dark."""
    fold = np.sin(np.linspace(0, rng.uniform(8, 18), alpha.shape[1]), dtype=np.float32)
    shaded = _flat(under, alpha, ink, rng) * (1 + 0.25 * fold[None, :, None])
    return np.asarray(shaded, np.float32)


STYLES: dict[str, Surface] = {
    "solid": Surface(shape=_as_drawn, ink=_flat),
    "translucent": Surface(shape=_as_drawn, ink=_translucent),
    "shaded": Surface(shape=_as_drawn, ink=_shaded),
    "bordered": Surface(shape=_as_drawn, ink=_bordered),
    "worn": Surface(shape=_worn, ink=_flat),
    "outlined": Surface(shape=_outlined, ink=_flat),
}
HELD_BACK: dict[str, Surface] = {
    "brush": Surface(shape=_brush, ink=_flat),
    "dots": Surface(shape=_dots, ink=_flat),
    "cloth": Surface(shape=_cloth, ink=_shadow_of_clouds),
    "barrel": Surface(shape=_barrel, ink=_shaded),
    "relief": Surface(shape=_as_drawn, ink=_relief),
    "neon": Surface(shape=_as_drawn, ink=_neon),
}


def clouds(rng: Rng, side: int, cells: int) -> NDArray[np.float32]:
    """A smooth random field, float32[side,side] in about 0..1."""
    coarse = rng.random((cells, cells)).astype(np.float32)
    return np.asarray(
        cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.float32
    )


def damaged(picture: Picture, rng: Rng) -> Picture:
    """The picture as a camera and a codec leave it: exposure, blur, noise, compression."""
    out = picture.astype(np.float32)
    if rng.random() < 0.6:
        out = (out - 128) * rng.uniform(0.5, 1.2) + 128 + rng.uniform(-40, 40)
    if rng.random() < 0.15:
        out[:] = out.mean(2, keepdims=True)
    if rng.random() < 0.5:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.4:
        out += rng.normal(0, rng.uniform(1, 10), out.shape)
    done: Picture = out.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(22, 95))]
        coded = cv2.imencode(".jpg", np.ascontiguousarray(done[:, :, ::-1]), quality)[1]
        decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        done = decoded[:, :, ::-1]
    return done
