"""Harmless shapes that a bad detector would take for a hate symbol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from safety.training.frames.symbols import (
    SIDE,
    Drawing,
    Mask,
    Point,
    Rng,
    bar,
    blank,
    circle,
    hooked_arms,
    path,
    polygon,
    ring,
    scribble,
    sig_rune,
    turned,
)


def wrong_hooks(rng: Rng) -> Drawing:
    """Bent arms of the wrong number, to both sides, or with one bend missing."""
    ink = blank()
    arms = int(rng.choice([2, 3, 4, 4, 4, 5, 6, 8]))
    hooks = [int(h) for h in rng.choice([-1, 0, 1], arms)]
    if arms == 4 and len(set(hooks)) == 1:
        hooks[int(rng.integers(4))] = 0 if hooks[0] else 1
    if arms != 4 and rng.random() < 0.6:
        hooks = [1] * arms
    hooked_arms(ink, rng, arms=arms, hooks=hooks, angle=rng.uniform(0, 360))
    return Drawing(ink=ink)


def potent_cross(rng: Rng) -> Drawing:
    """A cross with bars across its ends, or forked ones."""
    ink = blank()
    width, reach = rng.uniform(0.12, 0.3), 0.72
    across = rng.uniform(0.2, 0.5)
    fork = rng.uniform(-0.3, 0.3) if rng.random() < 0.5 else 0.0
    for at in (0, 90, 180, 270):
        bar(ink, (0, 0), turned((reach, 0), at), width)
        for side in (-across, across):
            bar(ink, turned((reach, 0), at), turned((reach + fork, side), at), width)
    return Drawing(ink=ink)


def cross(rng: Rng) -> Drawing:
    """Plus signs, Latin crosses, crosses with widening arms, saltires."""
    ink = blank()
    width, flare = rng.uniform(0.1, 0.5), float(rng.choice([0.0, 0.0, 0.15, 0.3]))
    foot = rng.uniform(0.6, 0.9)
    for at, reach in ((0, 0.6), (90, foot), (180, 0.6), (270, 0.6)):
        ends = [(0, -width / 2), (reach, -width / 2 - flare), (reach, width / 2 + flare)]
        polygon(ink, [turned(p, at) for p in (*ends, (0, width / 2))])
    return Drawing(ink=ink)


def wheel(rng: Rng) -> Drawing:
    """Rims with straight spokes, gears, helms, targets: spokes inside the rim or thin ones."""
    ink = blank()
    spokes = int(rng.choice([0, 2, 3, 4, 4, 5, 6, 8, 8, 10, 12, 12, 16]))
    radius, width = rng.uniform(0.5, 0.75), rng.uniform(0.04, 0.2)
    ring(ink, radius, width)
    beyond = rng.random() < 0.35
    thin = rng.uniform(0.03, 0.06) if beyond and spokes in (2, 4) else width
    start = rng.uniform(0, 360)
    inner = rng.uniform(0.0, 0.3)
    for number in range(spokes):
        at = start + 360 * number / spokes
        end = radius + 0.2 if beyond else radius
        bar(ink, turned((inner, 0), at), turned((end, 0), at), thin)
    if rng.random() < 0.5:
        circle(ink, (0, 0), rng.uniform(0.08, 0.3))
    if rng.random() < 0.25:
        ring(ink, radius * rng.uniform(0.4, 0.8), width * 0.7)
    return Drawing(ink=ink)


def high_cross(rng: Rng) -> Drawing:
    """The Irish high cross: a ring around the middle of a cross with a long foot."""
    ink = blank()
    width = rng.uniform(0.14, 0.26)
    middle = (0.0, rng.uniform(-0.35, -0.25))
    ring(ink, rng.uniform(0.3, 0.4), width * rng.uniform(0.4, 0.8), middle)
    bar(ink, (0, -0.85), (0, 0.9), width)
    arm = rng.uniform(0.45, 0.58)
    bar(ink, (-arm, middle[1]), (arm, middle[1]), width)
    return Drawing(ink=ink, turn=15.0)


def blades(rng: Rng) -> Drawing:
    """Pinwheels, fans, propellers, windmills."""
    ink = blank()
    count = int(rng.choice([2, 3, 4, 4, 4, 5, 6]))
    start, curl, broad = rng.uniform(0, 360), rng.uniform(10, 60), rng.uniform(0.2, 0.6)
    kind = rng.integers(3)
    for number in range(count):
        at = start + 360 * number / count
        if kind == 0:
            polygon(ink, [(0.0, 0.0), turned((0.8, 0), at), turned((0.45, 0), at + curl)])
        elif kind == 1:
            bar(ink, (0, 0), turned((0.8, 0), at), 0.06)
            polygon(
                ink,
                [
                    turned((0.2, 0.0), at),
                    turned((0.8, 0.0), at),
                    turned((0.8, broad * 0.5), at),
                    turned((0.2, broad * 0.5), at),
                ],
            )
        else:
            bend = np.linspace(0, curl, 6)
            line = [turned((0.1 + 0.14 * i, 0), at + float(b)) for i, b in enumerate(bend)]
            path(ink, line, broad * 0.5)
    circle(ink, (0, 0), rng.uniform(0.02, 0.15), int(rng.choice([0, 255])))
    return Drawing(ink=ink)


def rays(rng: Rng) -> Drawing:
    """Stars, suns, snowflakes, compass roses, saw blades, flowers."""
    ink = blank()
    count, kind = int(rng.integers(4, 17)), rng.integers(3)
    inner = rng.uniform(0.2, 0.6)
    start = rng.uniform(0, 360)
    if kind == 0:
        skew = rng.uniform(0.1, 0.9)
        tips: list[Point] = []
        for number in range(count):
            tips.append(turned((0.8, 0), start + 360 * number / count))
            tips.append(turned((0.8 * inner, 0), start + 360 * (number + skew) / count))
        polygon(ink, tips)
    else:
        width = rng.uniform(0.04, 0.14)
        for number in range(count):
            at = start + 360 * number / count
            bar(ink, turned((inner if kind == 1 else 0, 0), at), turned((0.8, 0), at), width)
            if kind == 2:
                for side in (-0.2, 0.2):
                    bar(ink, turned((0.5, 0), at), turned((0.7, side), at), width)
        if kind == 1 and rng.random() < 0.7:
            circle(ink, (0, 0), inner * rng.uniform(0.6, 1.0))
    if rng.random() < 0.3:
        ring(ink, 0.85, rng.uniform(0.03, 0.1))
    return Drawing(ink=ink)


def bolts(rng: Rng) -> Drawing:
    """One, three or two bolts that do not make the double rune; letters like Z, N, W."""
    ink = blank()
    kind = rng.integers(5)
    width, slant = rng.uniform(0.12, 0.3), rng.uniform(-0.1, 0.4)
    if kind == 0:
        sig_rune(ink, rng, 0.0, width, slant, int(rng.choice([-1, 1])))
    elif kind == 1:
        sig_rune(ink, rng, -0.4, width, slant, 1)
        sig_rune(ink, rng, 0.4, width, slant, -1)
    elif kind == 2:
        for x in (-0.6, 0.0, 0.6):
            sig_rune(ink, rng, x, width * 0.7, slant, 1)
    elif kind == 3:
        tip = [
            (0.25, -0.85),
            (-0.45, 0.12),
            (0.0, 0.12),
            (-0.2, 0.85),
            (0.5, -0.15),
            (0.05, -0.15),
        ]
        polygon(ink, tip)
    else:
        ups = rng.integers(2, 6)
        zigzag = [(-0.75 + 1.5 * i / ups, 0.6 if i % 2 else -0.6) for i in range(int(ups) + 1)]
        path(ink, zigzag, width)
    return Drawing(ink=ink, turn=30.0)


def strokes(rng: Rng) -> Drawing:
    """Right-angled strokes on a grid: like many Chinese characters, runes, meanders, mazes."""
    ink = blank()
    cells = int(rng.integers(3, 6))
    grid = np.linspace(-0.7, 0.7, cells)
    width = rng.uniform(0.08, 0.24)
    symmetric = rng.random() < 0.35
    for _ in range(int(rng.integers(2, 4 if symmetric else 7))):
        row, column = rng.integers(0, cells, 2)
        along = int(rng.integers(0, cells))
        start = (float(grid[column]), float(grid[row]))
        end = (
            (float(grid[along]), start[1])
            if rng.random() < 0.5
            else (start[0], float(grid[along]))
        )
        turns = (0, 180) if symmetric else (0,)
        for at in turns:
            bar(ink, turned(start, at), turned(end, at), width)
    return Drawing(ink=ink, turn=20.0)


def meander(rng: Rng) -> Drawing:
    """A piece of Greek key, square spirals, tiles."""
    ink = blank()
    pitch, width = rng.uniform(0.3, 0.7), rng.uniform(0.06, 0.16)
    unit = [(0, 1), (0, 0), (0.8, 0), (0.8, 0.75), (0.35, 0.75), (0.35, 0.4), (0.55, 0.4)]
    mirrored = int(rng.choice([-1, 1]))
    for row in np.arange(-1, 1, pitch * 1.3):
        for column in np.arange(-1, 1, pitch):
            line = [(column + mirrored * x * pitch, row + y * pitch) for x, y in unit]
            path(ink, [(float(x), float(y)) for x, y in line], width * pitch * 2)
        if rng.random() < 0.5:
            break
    return Drawing(ink=ink, turn=45.0)


def peace(rng: Rng) -> Drawing:
    """The peace sign, no-entry signs, circled letters."""
    ink = blank()
    width = rng.uniform(0.08, 0.2)
    ring(ink, 0.7, width)
    if rng.random() < 0.5:
        bar(ink, (0, -0.7), (0, 0.7), width)
        for at in (45, 135):
            bar(ink, (0, 0), turned((0.7, 0), at), width)
    else:
        bar(ink, turned((-0.7, 0), 45), turned((0.7, 0), 45), width)
    return Drawing(ink=ink)


def poster(rng: Rng) -> Drawing:
    """Dark or light panels with a round or square sign or a line of writing, not both alike."""
    field, disc, ink = blank(), blank(), blank()
    high = rng.uniform(0.55, 0.97)
    polygon(field, [(-0.97, -high), (0.97, -high), (0.97, high), (-0.97, high)])
    kind = rng.integers(4)
    place = (rng.uniform(-0.4, 0.4), rng.uniform(-0.2, 0.2))
    if kind == 0:
        circle(disc, place, rng.uniform(0.2, 0.5))
    elif kind == 1:
        for row in np.arange(-0.7 * high, 0.7 * high, rng.uniform(0.2, 0.4)):
            scribble(disc, rng, (-0.8, float(row)), (0.8, float(row)), 0.2, 0.04)
    elif kind == 2:
        circle(disc, (0, -0.15 * high), 0.4 * high)
        for x in (-0.14, 0.14):
            circle(ink, (x * high * 1.2, -0.18 * high), 0.1 * high)
        path(ink, [(-0.1 * high, 0.1 * high), (0.1 * high, 0.1 * high)], 0.05)
        scribble(disc, rng, (-0.5, 0.6 * high), (0.5, 0.6 * high), 0.2, 0.05)
    else:
        size = rng.uniform(0.1, 0.5)
        polygon(disc, [(-size, 0.1), (size, 0.1), (size, 0.1 + size), (-size, 0.1 + size)])
    return Drawing(ink=ink, disc=disc, field=field, turn=20.0, framed=True)


@cache
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def glyph(rng: Rng, font: Path, characters: tuple[int, ...]) -> Drawing:
    """One character of ``font``, or two or three of them."""
    count = 1 if rng.random() < 0.6 else int(rng.integers(2, 4))
    text = "".join(chr(int(rng.choice(characters))) for _ in range(count))
    face = _font(str(font), 90 if count == 1 else 60)
    picture = Image.new("L", (SIDE * 2, SIDE * 2))
    ImageDraw.Draw(picture).text((SIDE, SIDE), text, fill=255, font=face, anchor="mm")
    return Drawing(ink=fitted(np.asarray(picture, np.uint8), rng.uniform(0.6, 0.95)))


def fitted(picture: Mask, spread: float) -> Mask:
    """What is drawn in ``picture``, cut out and fitted into the square."""
    ink = blank()
    rows, columns = np.any(picture > 20, 1).nonzero()[0], np.any(picture > 20, 0).nonzero()[0]
    if not len(rows):
        return ink
    cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = spread * SIDE / max(cut.shape)
    size = (max(1, int(cut.shape[1] * scale)), max(1, int(cut.shape[0] * scale)))
    small = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    ink[top : top + size[1], left : left + size[0]] = small
    return ink


def on_a_disc(drawing: Drawing, rng: Rng) -> Drawing:
    """Any look-alike on the disc and field that a hate flag has."""
    if drawing.field is not None or rng.random() < 0.75:
        return drawing
    disc = blank()
    circle(disc, (0, 0), rng.uniform(0.8, 0.98))
    field = np.full((SIDE, SIDE), 255, np.uint8) if rng.random() < 0.6 else None
    coloured = bool(rng.random() < 0.6)
    return replace(drawing, disc=disc, field=field, flag_colours=coloured)


LOOKALIKES: dict[str, Callable[[Rng], Drawing]] = {
    "wrong_hooks": wrong_hooks,
    "potent_cross": potent_cross,
    "cross": cross,
    "wheel": wheel,
    "high_cross": high_cross,
    "blades": blades,
    "rays": rays,
    "bolts": bolts,
    "strokes": strokes,
    "meander": meander,
    "peace": peace,
    "poster": poster,
}
