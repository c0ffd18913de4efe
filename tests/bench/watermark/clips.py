"""The benchmark's clips by name, each drawn only when it is asked for.

Half of them may be looked at while the watermark is tuned, the other half only report; the
two halves share no recorded material, seed or prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tests.bench.watermark import drawing as draw
from tests.bench.watermark import footage as film
from tests.bench.watermark.footage import Clip

Kind = Literal["natural", "textured", "cartoon", "flat", "dark", "model", "noisy"]
Use = Literal["tune", "report"]
Rank = Literal["detailed", "hard", "other"]
MIN_GOAL_SECONDS: Final = 4.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A clip by name; `draw` makes uint8[T, height, width, 3] afresh, always the same."""

    name: str
    kind: Kind
    use: Use
    width: int
    height: int
    seconds: float
    draw: Callable[[], Clip]
    fps: float = 24.0

    @property
    def rank(self) -> Rank:
        """Which goals of the plan bind: detailed ≥ 480 lines; flat, dark or 256²; neither."""
        if self.seconds < MIN_GOAL_SECONDS:
            return "other"
        if self.kind in {"flat", "dark", "noisy"} or self.height <= 256:
            return "hard"
        return (
            "detailed"
            if self.kind in {"natural", "textured"} and self.height >= 480
            else "other"
        )


def _photo(
    name: str, width: int, height: int, path: film.CameraPath, light: float = 1.0
) -> Callable[[], Clip]:
    def drawn() -> Clip:
        clip = film.filmed(film.photograph(name), width, height, path)
        return clip if light == 1.0 else draw.dimmed(clip, light)

    return drawn


def _trial(
    name: str,
    kind: Kind,
    use: Use,
    size: tuple[int, int],
    seconds: float,
    drawn: Callable[[], Clip],
    fps: float = 24.0,
) -> Trial:
    return Trial(
        name=name,
        kind=kind,
        use=use,
        width=size[0],
        height=size[1],
        seconds=seconds,
        draw=drawn,
        fps=fps,
    )


P256, P360, P480, P720 = (256, 256), (640, 360), (854, 480), (1280, 720)
glide, shaken = film.glide, film.shaken

_TUNE: Final = (
    _trial(
        "bikes-480",
        "natural",
        "tune",
        P480,
        5,
        lambda: film.recorded("bikes", *P480, first=60, frames=125),
        fps=25,
    ),
    _trial(
        "coffee-720",
        "natural",
        "report",
        P720,
        4,
        _photo("coffee.png", *P720, shaken(glide(96, across=0.5, zoom=(0.75, 0.7)), 1)),
    ),
    _trial(
        "china-480",
        "natural",
        "report",
        P480,
        4,
        _photo("china.jpg", *P480, glide(96, across=0.6, down=0.2, zoom=(0.7, 0.62))),
    ),
    _trial(
        "grass-480",
        "textured",
        "report",
        P480,
        4,
        _photo("grass.png", *P480, shaken(glide(96), 2, 1.5)),
    ),
    _trial(
        "brick-720",
        "textured",
        "tune",
        P720,
        4,
        _photo("brick.png", *P720, shaken(glide(96, across=1.3, zoom=(0.6, 0.6)), 3)),
    ),
    _trial("cartoon-480", "cartoon", "tune", P480, 4, lambda: draw.cartoon(11, *P480)),
    _trial("gradient-480", "flat", "tune", P480, 4, lambda: draw.gradient(*P480)),
    _trial("sky-720", "flat", "tune", P720, 5, lambda: draw.sky(21, *P720, 120)),
    _trial("night-480", "dark", "tune", P480, 4, lambda: draw.scene(42, *P480, light=0.25)),
    _trial("scene-720", "model", "tune", P720, 4, lambda: draw.scene(2, *P720)),
    _trial("scene-360", "model", "tune", P360, 4, lambda: draw.scene(3, *P360)),
    _trial(
        "model-480",
        "model",
        "tune",
        P480,
        4,
        lambda: draw.embedded("a red ball moves to the right over a green meadow", 1, *P480),
    ),
    _trial(
        "grain-480",
        "noisy",
        "tune",
        P480,
        4,
        lambda: draw.grainy(
            film.filmed(
                film.photograph("china.jpg"), *P480, glide(96, across=-0.4, zoom=(0.6, 0.6))
            ),
            31,
        ),
    ),
    _trial(
        "chelsea-256",
        "natural",
        "report",
        P256,
        4,
        _photo("chelsea.png", *P256, shaken(glide(96, start=(100, 20)), 4)),
    ),
    _trial("short-360", "model", "tune", P360, 2, lambda: draw.scene(40, *P360, 48)),
)

_REPORT: Final = (
    _trial(
        "bunny-720",
        "natural",
        "tune",
        P720,
        5.28,
        lambda: film.recorded("bigbuckbunny", *P720),
        fps=25,
    ),
    _trial(
        "motorcycle-720",
        "natural",
        "report",
        P720,
        4,
        _photo("motorcycle_left.png", *P720, shaken(glide(96, across=0.4), 5)),
    ),
    _trial(
        "flower-480",
        "natural",
        "tune",
        P480,
        5,
        _photo("flower.jpg", *P480, glide(120, zoom=(0.7, 0.6), turn=4.0, start=(20, 60))),
    ),
    _trial(
        "astronaut-480",
        "natural",
        "report",
        P480,
        10,
        _photo("astronaut.png", *P480, glide(240, down=0.5, zoom=(0.6, 0.45))),
    ),
    _trial(
        "gravel-480",
        "textured",
        "report",
        P480,
        4,
        _photo("gravel.png", *P480, shaken(glide(96, across=-0.8), 6, 1.2)),
    ),
    _trial("cartoon-720", "cartoon", "report", P720, 4, lambda: draw.cartoon(12, *P720)),
    _trial("glow-720", "flat", "report", P720, 4, lambda: draw.gradient(*P720, kind="round")),
    _trial("dusk-480", "flat", "report", P480, 5, lambda: draw.sky(22, *P480, 120, dusk=True)),
    _trial(
        "rocket-480",
        "dark",
        "report",
        P480,
        4,
        _photo("rocket.jpg", *P480, glide(96, down=0.3, zoom=(0.7, 0.68)), light=0.4),
    ),
    _trial("scene-480", "model", "report", P480, 8, lambda: draw.scene(1041, *P480, 192)),
    _trial(
        "model-720",
        "model",
        "report",
        P720,
        4,
        lambda: draw.embedded("a blue cube rises over the sea at dusk", 7, *P720),
    ),
    _trial(
        "model-360",
        "model",
        "report",
        P360,
        4,
        lambda: draw.embedded("a yellow star falls over a snowy field", 8, *P360),
    ),
    _trial(
        "stars-480",
        "noisy",
        "report",
        P480,
        4,
        lambda: draw.grainy(
            film.filmed(
                film.photograph("hubble_deep_field.jpg"), *P480, shaken(glide(96), 7, 0.6)
            ),
            32,
            0.5,
        ),
    ),
    _trial(
        "carphone-256",
        "natural",
        "tune",
        P256,
        4,
        lambda: film.recorded("carphone_pristine", *P256),
        fps=30000 / 1001,
    ),
    _trial("scene-256", "model", "report", P256, 4, lambda: draw.scene(1042, *P256)),
)

CLIPS: Final = {trial.name: trial for trial in (*_TUNE, *_REPORT)}
