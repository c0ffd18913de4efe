"""The sixteen objects: coloured layers of signed distances, painted back to front.

Each fits in a circle of radius 1.15. Proportions and details differ from one drawing to the
next; what makes an object that object does not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from generator.training.distances import Field, box, circle, ellipse, limb, polygon

RGB = tuple[float, float, float]
Layer = tuple[Field, RGB]
Random = np.random.Generator

DARK: RGB = (0.14, 0.14, 0.19)
PALE: RGB = (0.97, 0.96, 0.92)
GREY: RGB = (0.58, 0.6, 0.66)
GLASS: RGB = (0.68, 0.87, 0.97)
WOOD: RGB = (0.5, 0.33, 0.2)
LEAF: RGB = (0.22, 0.6, 0.28)
SUITS: tuple[RGB, ...] = ((0.17, 0.19, 0.26), (0.24, 0.22, 0.24), (0.2, 0.25, 0.36))
SKINS: tuple[RGB, ...] = ((0.98, 0.82, 0.68), (0.86, 0.64, 0.46), (0.56, 0.38, 0.26))
HAIRS: tuple[RGB, ...] = ((0.2, 0.14, 0.1), (0.45, 0.28, 0.14), (0.12, 0.1, 0.1))


def _tone(colour: RGB, factor: float) -> RGB:
    """The colour darker (below 1) or towards white (above 1)."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    part = factor - 1
    r, g, b = (value + (1 - value) * part for value in colour)
    return (r, g, b)


def _ball(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    whole = circle(x, y, 0, 0, 1.0)
    turn = rng.uniform(-0.5, 0.5)
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    curve = v + np.float32(0.25) * u * u
    band = np.maximum(np.abs(curve) - np.float32(rng.uniform(0.12, 0.2)), whole)
    pale = PALE if min(main) < 0.9 else (0.45, 0.6, 0.8)
    layers: list[Layer] = [(whole, main), (band, pale)]
    if rng.random() < 0.5:
        layers.append((circle(u, v, 0.0, -0.05, 0.24), pale))
    return layers


def _star(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    angles = np.pi / 2 + np.arange(10) * np.pi / 5
    waist = rng.uniform(0.44, 0.54)
    radii = np.where(np.arange(10) % 2 == 0, 1.05, waist)
    points = [
        (float(r * np.cos(a)), float(r * np.sin(a))) for a, r in zip(angles, radii, strict=True)
    ]
    inner = [(0.55 * px, 0.55 * py) for px, py in points]
    return [(polygon(x, y, points, 0.06), main), (polygon(x, y, inner), _tone(main, 1.22))]


def _heart(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    s = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    wide = rng.uniform(15.5, 17.5)
    px = 16 * np.sin(s) ** 3
    py = 13 * np.cos(s) - 5 * np.cos(2 * s) - 2 * np.cos(3 * s) - np.cos(4 * s)
    points = [(float(a) / wide, float(b + 2.5) / 16) for a, b in zip(px, py, strict=True)]
    shine = ellipse(x + np.float32(0.5), y - np.float32(0.42), 0, 0, 0.14, 0.2)
    return [(polygon(x, y, points), main), (shine, _tone(main, 1.75))]


def _car(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    high, back = rng.uniform(0.52, 0.66), rng.uniform(-0.85, -0.7)
    roof = polygon(x, y, [(back, 0.1), (back + 0.25, high), (0.28, high), (0.62, 0.1)], 0.05)
    body = np.minimum(box(x, y, 0, -0.14, 1.12, 0.32, 0.16), roof)
    glass = polygon(
        x, y, [(back + 0.16, 0.12), (back + 0.33, high - 0.1), (0.22, high - 0.1), (0.46, 0.12)]
    )
    post = box(x, y, -0.12, 0.3, 0.045, 0.26, 0.02)
    lamp = ellipse(x, y, 1.0, -0.05, 0.1, 0.09)
    trim = np.maximum(np.abs(y + np.float32(0.3)) - np.float32(0.035), body)
    layers: list[Layer] = [
        (body, main),
        (glass, GLASS),
        (np.maximum(post, body), main),
        (trim, _tone(main, 0.7)),
        (lamp, (1.0, 0.93, 0.6)),
    ]
    for cx in (-0.62, 0.62):
        layers += [(circle(x, y, cx, -0.47, 0.29), DARK)]
        layers += [(circle(x, y, cx, -0.47, 0.14), (0.82, 0.82, 0.85))]
    return layers


def _boat(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    hull = polygon(x, y, [(-1.02, -0.36), (1.02, -0.36), (0.68, -0.84), (-0.68, -0.84)], 0.05)
    mast = box(x, y, -0.02, 0.32, 0.05, 0.74, 0.02)
    tall = rng.uniform(0.85, 1.05)
    sail = polygon(x, y, [(0.1, -0.16), (0.1, tall), (0.85, -0.16)], 0.02)
    jib = polygon(x, y, [(-0.14, -0.16), (-0.14, tall - 0.2), (-0.75, -0.16)], 0.02)
    rim = np.maximum(np.abs(y + np.float32(0.4)) - np.float32(0.06), hull)
    return [
        (mast, WOOD),
        (sail, main),
        (jib, PALE if min(main) < 0.9 else (0.75, 0.82, 0.9)),
        (hull, main),
        (rim, _tone(main, 0.7)),
    ]


def _fish(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    flap = rng.uniform(0.45, 0.6)
    tail = polygon(x, y, [(-0.5, 0.0), (-1.08, flap), (-0.9, 0.0), (-1.08, -flap)], 0.05)
    body = ellipse(x, y, 0.15, 0, 0.9, rng.uniform(0.52, 0.62))
    fin = polygon(x, y, [(-0.3, 0.4), (0.0, 0.88), (0.45, 0.45)], 0.03)
    below = polygon(x, y, [(0.0, -0.4), (-0.15, -0.8), (0.3, -0.5)], 0.03)
    layers: list[Layer] = [
        (np.minimum(np.minimum(tail, fin), below), _tone(main, 0.85)),
        (body, main),
    ]
    pale = PALE if min(main) < 0.9 else (0.6, 0.7, 0.82)
    for at in (-0.32, 0.06)[: int(rng.integers(1, 3))]:
        stripe = np.maximum(np.abs(x - np.float32(at)) - np.float32(0.08), body)
        layers.append((stripe, pale))
    return [
        *layers,
        (circle(x, y, 0.62, 0.14, 0.18), (1.0, 1.0, 1.0)),
        (circle(x, y, 0.66, 0.14, 0.1), DARK),
    ]


def _rocket(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    wide = rng.uniform(0.38, 0.45)
    flame = polygon(x, y, [(-0.2, -0.65), (0.2, -0.65), (0.0, -1.1)], 0.04)
    spark = polygon(x, y, [(-0.09, -0.65), (0.09, -0.65), (0.0, -0.9)], 0.03)
    fins = polygon(x, y, [(-0.3, -0.1), (-0.75, -0.75), (0.75, -0.75), (0.3, -0.1)], 0.04)
    hull = np.maximum(ellipse(x, y, 0, 0.1, wide, 1.0), -(y + np.float32(0.68)))
    nose = np.maximum(hull, np.float32(0.6) - y)
    return [
        (flame, (1.0, 0.55, 0.1)),
        (spark, (1.0, 0.9, 0.4)),
        (fins, _tone(main, 0.62)),
        (hull, main if min(main) < 0.9 else PALE),
        (nose, _tone(main, 0.62)),
        (circle(x, y, 0, 0.2, 0.21), PALE if min(main) < 0.9 else GREY),
        (circle(x, y, 0, 0.2, 0.14), GLASS),
    ]


def _flower(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    count = int(rng.integers(5, 8))
    turn = rng.uniform(0, 2)
    petals = np.full(x.shape, 1e9, np.float32)
    for k in range(count):
        a = turn + k * 2 * np.pi / count
        petals = np.minimum(
            petals, circle(x, y, 0.44 * np.cos(a), 0.3 + 0.44 * np.sin(a), 1.6 / count)
        )
    stem = limb(x, y, (0.0, 0.0), (0.02, -1.08), 0.06)
    leaf = ellipse(x + y * np.float32(0.5), y, 0.0, -0.72, 0.33, 0.11)
    core: RGB = (0.98, 0.8, 0.2) if main[2] > 0.3 or main[1] < 0.45 else (0.55, 0.33, 0.16)
    return [
        (np.minimum(stem, leaf), LEAF),
        (petals, main),
        (circle(x, y, 0, 0.3, 0.26), core),
    ]


def _balloon(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    bag = ellipse(x, y, 0, 0.34, rng.uniform(0.62, 0.7), 0.8)
    knot = polygon(x, y, [(0.0, -0.42), (-0.12, -0.58), (0.12, -0.58)], 0.03)
    bend = rng.uniform(-0.12, 0.12)
    string = np.minimum(
        limb(x, y, (0.0, -0.55), (bend, -0.85), 0.03),
        limb(x, y, (bend, -0.85), (-bend, -1.12), 0.03),
    )
    shine = ellipse(x + np.float32(0.25), y - np.float32(0.62), 0, 0, 0.13, 0.2)
    return [(string, GREY), (np.minimum(bag, knot), main), (shine, _tone(main, 1.7))]


def _bird(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    lift = rng.uniform(0.55, 0.95)
    tail = polygon(x, y, [(-0.5, -0.05), (-1.1, 0.2), (-1.12, -0.16), (-0.55, -0.3)], 0.03)
    body = ellipse(x, y, -0.05, -0.15, 0.72, 0.4)
    head = circle(x, y, 0.6, 0.18, 0.32)
    beak = polygon(x, y, [(0.84, 0.28), (1.13, 0.12), (0.84, 0.04)], 0.02)
    wing = polygon(
        x, y, [(-0.32, -0.05), (-0.52, lift), (0.02, lift - 0.2), (0.28, -0.02)], 0.06
    )
    return [
        (beak, (1.0, 0.62, 0.1)),
        (np.minimum(tail, np.minimum(body, head)), main),
        (wing, _tone(main, 0.75)),
        (circle(x, y, 0.66, 0.24, 0.1), (1.0, 1.0, 1.0)),
        (circle(x, y, 0.69, 0.24, 0.06), DARK),
    ]


def _umbrella(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    dome = np.maximum(circle(x, y, 0, -0.08, 1.05), np.float32(-0.02) - y)
    for cx in (-0.7, 0.0, 0.7):
        dome = np.maximum(dome, -ellipse(x, y, cx, -0.04, 0.34, 0.15))
    tip = box(x, y, 0, 1.0, 0.04, 0.12, 0.03)
    pole = box(x, y, 0, -0.3, 0.045, 0.62, 0.03)
    hook = np.maximum(
        np.abs(circle(x, y, 0.15, -0.88, 0.15)) - np.float32(0.05), y + np.float32(0.88)
    )
    panel = np.maximum(np.abs(x) - np.float32(0.36) * (1.05 - 0.75 * np.clip(y, 0, 1)), dome)
    shade = rng.uniform(0.72, 0.82)
    return [
        (np.minimum(np.minimum(pole, hook), tip), WOOD),
        (dome, main),
        (panel.astype(np.float32), _tone(main, shade)),
    ]


def _butterfly(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    side = np.abs(x)
    high = rng.uniform(0.38, 0.46)
    upper = ellipse(side - y * np.float32(0.25), y, 0.46, 0.38, 0.52, high)
    lower = ellipse(side + y * np.float32(0.2), y, 0.36, -0.46, 0.38, 0.36)
    spot = circle(side, y, 0.66, 0.42, rng.uniform(0.13, 0.19))
    small = circle(side, y, 0.44, -0.5, 0.13)
    body = ellipse(x, y, 0, -0.05, 0.11, 0.62)
    feelers = limb(side, y, (0.03, 0.5), (0.22, 0.88), 0.035)
    pale = PALE if min(main) < 0.9 else (0.5, 0.55, 0.7)
    return [
        (feelers, DARK),
        (lower, _tone(main, 0.82)),
        (upper, main),
        (np.minimum(spot, small), pale),
        (body, DARK),
    ]


def _house(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    wall = box(x, y, 0, -0.42, 0.76, 0.52, 0.03)
    roof = polygon(x, y, [(-0.98, 0.1), (0.98, 0.1), (0.0, rng.uniform(0.85, 1.0))], 0.04)
    chimney = box(x, y, 0.48, 0.62, 0.12, 0.34, 0.02)
    at = rng.choice((-0.32, 0.32))
    door = box(x, y, float(at), -0.62, 0.17, 0.32, 0.04)
    window = box(x, y, float(-at), -0.4, 0.2, 0.2, 0.02)
    bars = np.minimum(np.abs(x + np.float32(at)), np.abs(y + np.float32(0.4)))
    tile = (0.62, 0.3, 0.22) if main[0] < 0.7 or main[1] > 0.7 else (0.36, 0.34, 0.4)
    return [
        (chimney, GREY),
        (wall, main),
        (roof, tile),
        (door, WOOD),
        (window, GLASS),
        (np.maximum(bars - np.float32(0.03), window).astype(np.float32), PALE),
    ]


def _cat(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    lift = rng.uniform(0.0, 0.5)
    tail = np.minimum(
        limb(x, y, (-0.62, -0.3), (-0.95, 0.0), 0.1),
        limb(x, y, (-0.95, 0.0), (-0.88, 0.2 + lift), 0.1),
    )
    body = ellipse(x, y, -0.15, -0.3, 0.66, 0.36)
    legs = np.minimum(
        np.minimum(
            box(x, y, -0.62, -0.7, 0.12, 0.36, 0.1), box(x, y, -0.3, -0.72, 0.11, 0.34, 0.1)
        ),
        np.minimum(
            box(x, y, 0.1, -0.72, 0.11, 0.34, 0.1), box(x, y, 0.36, -0.7, 0.12, 0.36, 0.1)
        ),
    )
    head = ellipse(x, y, 0.5, 0.28, 0.45, 0.39)
    ears = np.minimum(
        polygon(x, y, [(0.12, 0.48), (0.14, 0.92), (0.44, 0.64)], 0.03),
        polygon(x, y, [(0.56, 0.64), (0.86, 0.92), (0.88, 0.48)], 0.03),
    )
    eyes = np.minimum(
        ellipse(x, y, 0.35, 0.32, 0.07, 0.1), ellipse(x, y, 0.66, 0.32, 0.07, 0.1)
    )
    nose = polygon(x, y, [(0.45, 0.17), (0.57, 0.17), (0.51, 0.09)], 0.02)
    return [
        (np.minimum(tail, legs), _tone(main, 0.85)),
        (np.minimum(body, np.minimum(head, ears)), main),
        (ellipse(x, y, 0.51, 0.12, 0.22, 0.14), _tone(main, 1.45)),
        (eyes, DARK),
        (nose, (0.95, 0.55, 0.6)),
    ]


def _figure(
    x: Field, y: Field, shirt: RGB, trousers: RGB, hand: RGB, rng: Random
) -> list[Layer]:
    """A standing figure without a head: neck at (0, 0.42), soles at y −1.1."""
    swing = rng.uniform(0.12, 0.3)
    legs = np.minimum(
        limb(x, y, (-0.12, -0.4), (-0.17, -0.95), 0.12),
        limb(x, y, (0.12, -0.4), (0.17, -0.95), 0.12),
    )
    shoes = np.minimum(
        ellipse(x, y, -0.2, -1.04, 0.18, 0.08), ellipse(x, y, 0.22, -1.04, 0.18, 0.08)
    )
    arms = np.minimum(
        limb(x, y, (-0.3, 0.22), (-0.42 - swing, -0.28), 0.1),
        limb(x, y, (0.3, 0.22), (0.42 + swing, -0.28), 0.1),
    )
    hands = np.minimum(
        circle(x, y, -0.44 - swing, -0.36, 0.11), circle(x, y, 0.44 + swing, -0.36, 0.11)
    )
    trunk = box(x, y, 0, -0.05, 0.34, 0.42, 0.17)
    return [
        (hands, hand),
        (arms, _tone(shirt, 0.88)),
        (legs, trousers),
        (shoes, DARK),
        (trunk, shirt),
    ]


def _person(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    skin, hair = SKINS[rng.integers(3)], HAIRS[rng.integers(3)]
    head = circle(x, y, 0, 0.7, 0.33)
    crown = np.maximum(circle(x, y, 0, 0.74, 0.37), np.float32(0.76) - y)
    long = rng.random() < 0.4
    locks = np.maximum(ellipse(x, y, 0, 0.62, 0.42, 0.4), y - np.float32(0.8))
    layers: list[Layer] = [(locks, hair)] if long else []
    layers += _figure(x, y, main, (0.25, 0.3, 0.45), skin, rng)
    return [
        *layers,
        (head, skin),
        (crown, hair),
        (np.minimum(circle(x, y, -0.12, 0.68, 0.045), circle(x, y, 0.12, 0.68, 0.045)), DARK),
        (box(x, y, 0, 0.52, 0.09, 0.02, 0.02), (0.75, 0.35, 0.32)),
    ]


def _balloon_man(x: Field, y: Field, main: RGB, rng: Random) -> list[Layer]:
    suit = SUITS[rng.integers(3)]
    layers = _figure(x, y, suit, _tone(suit, 0.85), SKINS[rng.integers(3)], rng)
    bag = ellipse(x, y, 0, 0.74, rng.uniform(0.38, 0.43), 0.4)
    knot = polygon(x, y, [(0.0, 0.38), (-0.09, 0.28), (0.09, 0.28)], 0.02)
    front = polygon(x, y, [(-0.13, 0.36), (0.13, 0.36), (0.0, 0.0)])
    tie = polygon(
        x, y, [(-0.03, 0.26), (0.03, 0.26), (0.05, 0.05), (0.0, -0.02), (-0.05, 0.05)]
    )
    shine = ellipse(x + np.float32(0.16), y - np.float32(0.88), 0, 0, 0.08, 0.11)
    return [
        *layers,
        (front, PALE),
        (tie, (0.7, 0.14, 0.16)),
        (np.minimum(bag, knot), main),
        (shine, _tone(main, 1.7)),
    ]


SHAPES: dict[str, Callable[[Field, Field, RGB, Random], list[Layer]]] = {
    "ball": _ball,
    "star": _star,
    "heart": _heart,
    "car": _car,
    "boat": _boat,
    "fish": _fish,
    "rocket": _rocket,
    "flower": _flower,
    "balloon": _balloon,
    "bird": _bird,
    "umbrella": _umbrella,
    "butterfly": _butterfly,
    "house": _house,
    "cat": _cat,
    "person": _person,
    "balloon man": _balloon_man,
}
