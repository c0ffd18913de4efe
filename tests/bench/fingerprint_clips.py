"""Distinct clips for the fingerprint: photographs under a camera, real and drawn ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from tests.bench.watermark import drawing as draw
from tests.bench.watermark import footage as film
from tests.bench.watermark.footage import Clip

FPS: Final = 12.0
FRAMES: Final = 24
WIDTH, HEIGHT = 480, 270

PHOTOGRAPHS: Final = (
    "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "retina.jpg",
    "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "ihc.png", "brick.png",
    "grass.png", "gravel.png", "coins.png", "page.png", "china.jpg", "flower.jpg",
)  # fmt: skip
TWICE: Final = ("coffee.png", "china.jpg", "rocket.jpg", "retina.jpg", "moon.png", "ihc.png")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A clip by name; clips of one `family` show the same things, if other parts of them."""

    name: str
    family: str
    kind: str
    draw: Callable[[], Clip]


def _photo(name: str, seed: int) -> Callable[[], Clip]:
    def drawn() -> Clip:
        picture = film.photograph(name)
        rng = np.random.default_rng(seed)
        rows, columns = picture.shape[:2]
        scale = min(rows / HEIGHT, columns / WIDTH) * rng.uniform(0.45, 0.8)
        room = np.array([columns - WIDTH * scale, rows - HEIGHT * scale])
        start, end = room * rng.random(2), room * rng.random(2)
        speed = (end - start) / FRAMES * 0.5
        path = film.glide(
            FRAMES,
            across=speed[0],
            down=speed[1],
            zoom=(scale, scale * rng.uniform(0.9, 1.1)),
            start=(start[0], start[1]),
        )
        return film.filmed(picture, WIDTH, HEIGHT, film.shaken(path, seed))

    return drawn


def _recorded(name: str, first: int) -> Callable[[], Clip]:
    # Every second frame: the clips have 25 to 30 per second, the benchmark has 12.
    return lambda: film.recorded(name, WIDTH, HEIGHT, first=first, frames=2 * FRAMES)[::2]


def _scene(seed: int, light: float) -> Callable[[], Clip]:
    return lambda: draw.scene(seed, WIDTH, HEIGHT, 2 * FRAMES, light=light)[::2]


def _trial(name: str, kind: str, drawn: Callable[[], Clip], family: str = "") -> Trial:
    return Trial(name=name, family=family or name, kind=kind, draw=drawn)


def trials() -> tuple[Trial, ...]:
    """The clips that must be found again, and two that are too plain for it."""
    real = [("bikes", 0), ("bikes", 90), ("bikes", 170), ("bigbuckbunny", 0),
            ("bigbuckbunny", 60), ("carphone_pristine", 0)]  # fmt: skip
    found = [_trial(f"{n}-{f}", "natural", _recorded(n, f), n) for n, f in real]
    found += [
        _trial(f"{name}-{take}", "natural", _photo(name, 100 * take + number), name)
        for take, names in ((1, PHOTOGRAPHS), (2, TWICE))
        for number, name in enumerate(names)
    ]
    found += [_trial(f"scene-{s}", "model", _scene(s, 1.0), "scenes") for s in range(12)]
    found += [_trial(f"dark-{s}", "dark", _scene(s, 0.25), "scenes") for s in (50, 51)]
    found += [
        _trial(
            f"cartoon-{s}",
            "cartoon",
            lambda s=s: draw.cartoon(s, WIDTH, HEIGHT, FRAMES),
            "cartoons",
        )  # type: ignore[misc]
        for s in (11, 12)
    ]
    found += [
        _trial("sky", "flat", lambda: draw.sky(21, WIDTH, HEIGHT, FRAMES)),
        _trial("gradient", "flat", lambda: draw.gradient(WIDTH, HEIGHT, FRAMES)),
    ]
    return tuple(found)
