"""The shapes of hate symbols, drawn from numbers so that a detector can be trained on them.

Every shape is drawn on a square of ``SIDE`` pixels that stands for [-1, 1] x [-1, 1], as
separate layers, so that a renderer can colour them. One generator state gives one drawing.
Nothing here is a picture of a real thing; the shapes are described in public registers of hate
symbols and are drawn from their geometry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 160
_SUBPIXEL_BITS = 4

Mask = NDArray[np.uint8]
Point = tuple[float, float]
Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Layers from back to front, uint8[SIDE,SIDE] of 0..255 each: field, disc, ink.

    ``turn`` is how far (degrees) a renderer may turn it without making another symbol of it;
    ``spread`` is how large the ink is within the square, 0..1. ``framed`` says that the field
    belongs to the symbol.
    """

    ink: Mask
    disc: Mask | None = None
    field: Mask | None = None
    turn: float = 180.0
    framed: bool = False
    flag_colours: bool = False


def blank() -> Mask:
    return np.zeros((SIDE, SIDE), np.uint8)


def pixels(points: Iterable[Point]) -> NDArray[np.int32]:
    scale = SIDE / 2 * (1 << _SUBPIXEL_BITS)
    return np.array([[(x + 1) * scale, (y + 1) * scale] for x, y in points]).astype(np.int32)


def polygon(mask: Mask, points: Sequence[Point], value: int = 255) -> None:
    cv2.fillPoly(mask, [pixels(points)], value, cv2.LINE_AA, _SUBPIXEL_BITS)


def bar(mask: Mask, start: Point, end: Point, width: float) -> None:
    """A straight stroke with square ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / length * width / 2, dx / length * width / 2
    (ax, ay), (bx, by) = start, end
    corners = [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)]
    polygon(mask, corners)


def path(mask: Mask, points: Sequence[Point], width: float, *, closed: bool = False) -> None:
    """A stroke along ``points`` with round joints."""
    thick = max(1, round(width * SIDE / 2))
    line = [pixels(points)]
    cv2.polylines(mask, line, closed, 255, thick, cv2.LINE_AA, _SUBPIXEL_BITS)


def circle(mask: Mask, centre: Point, radius: float, value: int = 255) -> None:
    around = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    polygon(
        mask,
        [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in around],
        value,
    )


def ring(mask: Mask, radius: float, width: float, centre: Point = (0.0, 0.0)) -> None:
    around = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    points = [
        (centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in around
    ]
    path(mask, points, width, closed=True)


def turned(point: Point, degrees: float) -> Point:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return point[0] * c - point[1] * s, point[0] * s + point[1] * c


def turned_mask(mask: Mask, degrees: float) -> Mask:
    middle = (SIDE / 2 - 0.5, SIDE / 2 - 0.5)
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(mask, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8
    )


def hooked_arms(
    mask: Mask,
    rng: Rng,
    *,
    arms: int,
    hooks: Sequence[int],
    reach: float = 0.7,
    angle: float = 0.0,
    thickest: float = 0.5,
) -> None:
    """Arms from the middle, each bent at its end: +1 to one side, -1 to the other, 0 not."""
    width = reach * rng.uniform(0.26, thickest)
    hook = (reach - width / 2) * rng.uniform(0.75, 1.0)
    for number in range(arms):
        at = angle + 360 * number / arms
        end = turned((reach, 0), at)
        bar(mask, turned((-width / 2, 0), at), end, width)
        if hooks[number]:
            inner = reach - width / 2
            foot = turned((inner, 0), at)
            bar(mask, foot, turned((inner, hooks[number] * (hook + width / 4)), at), width)


def _hooked_cross(rng: Rng, angle: float, hand: int) -> Mask:
    mask = blank()
    hooked_arms(mask, rng, arms=4, hooks=[hand] * 4, angle=angle, thickest=0.43)
    return mask


def tilted_hooked_cross(rng: Rng) -> Drawing:
    """Standing on a corner, mostly right-facing, often in a disc on a field."""
    hand = 1 if rng.random() < 0.85 else -1
    ink = _hooked_cross(rng, 45 + rng.uniform(-6, 6), hand)
    drawing = Drawing(ink=ink, turn=12.0)
    return _on_a_flag(drawing, rng) if rng.random() < 0.55 else drawing


def hooked_cross(rng: Rng) -> Drawing:
    """Standing upright or at a slight angle, either hand: also the sign of three religions."""
    hand = 1 if rng.random() < 0.5 else -1
    ink = _hooked_cross(rng, rng.uniform(-8, 8), hand)
    if rng.random() < 0.3:
        for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            circle(ink, (x * 0.33, y * 0.33), 0.07)
    drawing = Drawing(ink=ink, turn=16.0)
    if rng.random() < 0.25:
        drawing = replace(_on_a_flag(drawing, rng), flag_colours=False)
    return drawing


def _on_a_flag(drawing: Drawing, rng: Rng) -> Drawing:
    disc, field = blank(), None
    circle(disc, (0, 0), rng.uniform(0.86, 0.98))
    if rng.random() < 0.7:
        field = np.full((SIDE, SIDE), 255, np.uint8)
    return replace(drawing, disc=disc, field=field, flag_colours=bool(rng.random() < 0.7))


def sig_rune(mask: Mask, rng: Rng, x: float, width: float, slant: float, mirrored: int) -> None:
    """One angular bolt of three strokes, its ends cut level."""
    rise = rng.uniform(0.1, 0.3)
    step = rng.uniform(0.2, 0.3)
    line = [(slant, -0.8), (slant / 3 - step, rise), (step - slant / 3, -rise), (-slant, 0.8)]
    line = [(x + mirrored * px, py) for px, py in line]
    half = width / 2
    left = [(px - half, py) for px, py in line]
    right = [(px + half, py) for px, py in reversed(line)]
    polygon(mask, left + right)


def sig_runes(rng: Rng) -> Drawing:
    """The double bolt."""
    ink = blank()
    width, slant = rng.uniform(0.16, 0.28), rng.uniform(-0.05, 0.2)
    apart = rng.uniform(0.3, 0.42)
    state = rng.bit_generator.state
    for x in (-apart, apart):
        rng.bit_generator.state = state
        sig_rune(ink, rng, x, width, slant, 1)
    return Drawing(ink=ink, turn=18.0)


def ring_cross(rng: Rng) -> Drawing:
    """The short Celtic cross of hate groups: equal bars that reach out of a ring."""
    ink = blank()
    reach = 0.8
    width = reach * rng.uniform(0.2, 0.36)
    ring(ink, reach * rng.uniform(0.55, 0.72), width * rng.uniform(0.7, 1.1))
    for at in (0, 90):
        bar(ink, turned((-reach, 0), at), turned((reach, 0), at), width)
    return Drawing(ink=ink, turn=14.0)


def sun_wheel(rng: Rng) -> Drawing:
    """The wheel of twelve bent rays between two rings."""
    ink = blank()
    outer, hand = 0.78, 1 if rng.random() < 0.8 else -1
    inner = outer * rng.uniform(0.2, 0.34)
    width = rng.uniform(0.07, 0.11)
    ring(ink, outer, width * rng.uniform(0.7, 1.2))
    if rng.random() < 0.5:
        circle(ink, (0, 0), inner)
        if rng.random() < 0.5:
            circle(ink, (0, 0), inner * rng.uniform(0.4, 0.7), 0)
    else:
        ring(ink, inner, width)
    bend = rng.uniform(0.5, 0.72)
    step = rng.uniform(14, 22) * hand
    for number in range(12):
        at = 30 * number
        corner = outer * bend
        line = [
            turned((inner, 0), at),
            turned((corner + 0.06, 0), at),
            turned((corner, 0), at + step),
            turned((outer, 0), at + step),
        ]
        path(ink, line, width)
    return Drawing(ink=ink)


def banner(rng: Rng) -> Drawing:
    """A dark flag with a light line of writing over a light, written disc. No real text."""
    field, disc, ink = blank(), blank(), blank()
    high = rng.uniform(0.55, 0.8)
    polygon(field, [(-0.97, -high), (0.97, -high), (0.97, high), (-0.97, high)])
    centre, radius = (rng.uniform(-0.04, 0.04), high * 0.38), high * rng.uniform(0.36, 0.5)
    wobble = rng.uniform(0.0, 0.06, 24)
    polygon(
        disc,
        [
            (
                centre[0] + radius * (1 - w) * math.cos(a),
                centre[1] + radius * (1 - w) * math.sin(a),
            )
            for w, a in zip(wobble, np.linspace(0, 6.283, 24, endpoint=False), strict=True)
        ],
    )
    thin = rng.uniform(0.05, 0.09)
    scribble(disc, rng, (-0.72, -high * 0.52), (0.72, -high * 0.52), high * 0.55, thin)
    for row in (-0.45, 0.05, 0.5):
        y = centre[1] + row * radius
        half = 0.7 * math.sqrt(max(radius**2 - (y - centre[1]) ** 2, 0.0))
        scribble(
            ink, rng, (centre[0] - half, y), (centre[0] + half, y), radius * 0.3, thin * 0.7
        )
    return Drawing(ink=ink, disc=disc, field=field, turn=10.0, framed=True)


def scribble(
    mask: Mask, rng: Rng, start: Point, end: Point, height: float, width: float
) -> None:
    """Curled strokes with dots and uprights along a line, like writing that says nothing."""
    count = max(3, int(abs(end[0] - start[0]) / max(height * 0.42, 0.05)))
    xs = np.linspace(start[0], end[0], count)
    for x in xs:
        y = start[1] + height * rng.uniform(-0.1, 0.1)
        kind = rng.random()
        if kind < 0.35:
            tip = (x + rng.uniform(-0.2, 0.2) * height, y - height * 0.5)
            path(mask, [tip, (x, y + height * 0.3)], width)
        elif kind < 0.8:
            around = np.linspace(rng.uniform(0, 2), rng.uniform(3.5, 6.2), 8)
            curl = [
                (x + 0.34 * height * math.cos(a), y + 0.3 * height * math.sin(a))
                for a in around
            ]
            path(mask, curl, width)
        else:
            circle(mask, (x, y - height * rng.uniform(-0.4, 0.4)), width * 0.75)
    if rng.random() < 0.7:
        base = start[1] + height * 0.28
        path(mask, [(start[0], base), (start[0] * 0.3 + end[0] * 0.7, base)], width)


SYMBOLS: dict[str, Callable[[Rng], Drawing]] = {
    "tilted_hooked_cross": tilted_hooked_cross,
    "hooked_cross": hooked_cross,
    "sig_runes": sig_runes,
    "ring_cross": ring_cross,
    "sun_wheel": sun_wheel,
    "banner": banner,
}
