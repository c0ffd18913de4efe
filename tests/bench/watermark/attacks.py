"""The benchmark's attacks by name, with the goal that each is held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tests.bench.watermark import attacks_codec as codec
from tests.bench.watermark import attacks_geometry as geometry
from tests.bench.watermark import attacks_signal as signal
from tests.bench.watermark import attacks_time as timing
from tests.bench.watermark.clips import Rank
from tests.bench.watermark.footage import Clip, stranger

Rng = np.random.Generator
Change = Callable[[Clip, float, Rng], Clip]
Family = Literal["codec", "geometry", "colour", "overlay", "filter", "timing", "combination"]
Goal = Literal["99", "95", "80", "90-registry", "reported"]

NORMAL_CRF: Final = 28
HARD_CRF: Final = 23
CONCATENATED_FRAMES: Final = 96


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The encoding that ends an attack."""

    codec: str = "libx264"
    crf: int
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One thing done to a published clip.

    `goal` is what natural and textured clips of 480 lines and more are held to. A `single`
    attack has no encoding of its own: H.264 follows it, at a quality that the caller names.
    Others end in `encoding`, or in none. `below` refuses clips whose short side is not above
    that many lines (nothing would be scaled down); `fps` is the rate of the result where it
    is another one.
    """

    name: str
    family: Family
    goal: Goal
    change: Change
    single: bool = True
    encoding: Encoding | None = None
    below: int = 0
    fps: float | None = None

    def applies(self, height: int, width: int) -> bool:
        """Whether the attack does anything to frames of this size."""
        return min(height, width) > self.below

    def ends_in(self, crf: int) -> Encoding | None:
        """The last encoding, `crf` being the quality that follows single attacks."""
        return Encoding(crf=crf) if self.single else self.encoding

    def __call__(
        self, clip: Clip, fps: float, rng: Rng, *, crf: int = NORMAL_CRF
    ) -> tuple[Clip, float]:
        """Damages uint8[T, H, W, 3]; returns the damaged clip and its frame rate."""
        video, rate = self.video(clip, fps, rng, crf=crf)
        return (codec.decoded(video) if isinstance(video, bytes) else video), rate

    def video(
        self, clip: Clip, fps: float, rng: Rng, *, crf: int = NORMAL_CRF
    ) -> tuple[bytes | Clip, float]:
        """The same, as encoded bytes where the attack ends in an encoding."""
        damaged, rate = self.change(clip, fps, rng), self.fps or fps
        last = self.ends_in(crf)
        if last is None:
            return np.ascontiguousarray(damaged), rate
        return codec.encoded(damaged, rate, last.codec, last.crf, **dict(last.options)), rate

    def goal_for(self, rank: Rank) -> Goal:
        """The goal for a clip: its own for detailed ones; for hard ones the plan's two."""
        if rank == "detailed":
            return self.goal
        if rank == "hard" and (self.single or self.name in {"published", "crf23"}):
            return "99"
        if rank == "hard" and self.name == "crf30":
            return "90-registry"
        return "reported"


def _plain(change: Callable[..., Clip], *more: float) -> Change:
    return lambda clip, fps, rng: change(clip, *more)


def _by_chance(change: Callable[..., Clip], *more: float) -> Change:
    return lambda clip, fps, rng: change(clip, *more, rng)


def _same(clip: Clip, fps: float, rng: Rng) -> Clip:
    return clip


def _codecs() -> list[Attack]:
    def one(name: str, goal: Goal, encoding: Encoding | None, change: Change = _same) -> Attack:
        return Attack(
            name=name,
            family="codec",
            goal=goal,
            change=change,
            single=False,
            encoding=encoding,
        )

    def coded(label: str, encoder: str, crfs: dict[int, Goal]) -> list[Attack]:
        return [
            one(f"{label}{crf}", goal, Encoding(codec=encoder, crf=crf))
            for crf, goal in crfs.items()
        ]

    return [
        one("published", "99", None),
        *coded("crf", "libx264", {23: "99", 30: "99", 35: "95", 40: "80", 45: "reported"}),
        *coded("h265-", "libx265", {28: "99", 35: "95", 40: "80"}),
        *coded("vp9-", "libvpx-vp9", {31: "99", 40: "99"}),
        *coded("av1-", "libsvtav1", {35: "99", 45: "99"}),
        one("crf30-twice", "95", Encoding(crf=30, options=(("g", "240"),)), _once),
        one("vp9-then-h264", "95", Encoding(crf=28), _once_vp9),
        Attack(
            name="gif",
            family="codec",
            goal="80",
            fps=10,
            single=False,
            change=lambda c, fps, rng: codec.palette(timing.duplicated_to(c, fps, 10)),
        ),
    ]


def _once(clip: Clip, fps: float, rng: Rng) -> Clip:
    # The first of two generations, by another hand: other preset, other key frames.
    return codec.transcoded(clip, fps, 30, preset="veryfast", g="60")


def _once_vp9(clip: Clip, fps: float, rng: Rng) -> Clip:
    return codec.transcoded(clip, fps, 34, "libvpx-vp9")


def _geometry() -> list[Attack]:
    def one(name: str, change: Change, goal: Goal = "99", below: int = 0) -> Attack:
        return Attack(name=name, family="geometry", goal=goal, change=change, below=below)

    sizes: dict[int, Goal] = {480: "99", 360: "99", 240: "95"}
    crops: dict[int, Goal] = {75: "99", 50: "99", 30: "95"}
    return [
        *(one(f"{s}p", _plain(geometry.lines, s), goal, s) for s, goal in sizes.items()),
        *(
            one(f"{s}p-back", _plain(geometry.lines_and_back, s), goal, s)
            for s, goal in sizes.items()
        ),
        *(
            one(f"crop{a}", _by_chance(geometry.cropped, a / 100), goal)
            for a, goal in crops.items()
        ),
        one("aspect120", _plain(geometry.stretched, 1.2)),
        one("aspect80", _plain(geometry.stretched, 0.8)),
        *(one(f"rotate{d}", _turned(d)) for d in (2, 5, 10)),
        *(one(f"rotate{90 * q}", _plain(geometry.quarter_turned, q)) for q in (1, 2, 3)),
        one("hflip", lambda c, fps, rng: c[:, :, ::-1]),
        one("vflip", lambda c, fps, rng: c[:, ::-1]),
        one("perspective", _by_chance(geometry.skewed, 0.05), "80"),
        one("letterbox", lambda c, fps, rng: geometry.contained(c, pillars=False)),
        one("pillarbox", lambda c, fps, rng: geometry.contained(c, pillars=True)),
        one("pip", _inset),
    ]


def _inset(clip: Clip, fps: float, rng: Rng) -> Clip:
    height, width = clip.shape[1:3]
    return geometry.inset(clip, stranger(len(clip), width, height), rng)


def _turned(degrees: float) -> Change:
    def turned(clip: Clip, fps: float, rng: Rng) -> Clip:
        return geometry.rotated(clip, degrees if rng.random() < 0.5 else -degrees)

    return turned


def _signal() -> list[Attack]:
    def one(family: Family, name: str, change: Change, goal: Goal = "99") -> Attack:
        return Attack(name=name, family=family, goal=goal, change=change)

    return [
        one("colour", "dark50", _plain(signal.brightness, 0.5)),
        one("colour", "bright150", _plain(signal.brightness, 1.5)),
        one("colour", "contrast50", _plain(signal.contrast, 0.5)),
        one("colour", "contrast150", _plain(signal.contrast, 1.5)),
        one("colour", "gamma07", _plain(signal.gamma, 0.7)),
        one("colour", "gamma14", _plain(signal.gamma, 1.4)),
        one("colour", "saturate50", _plain(signal.saturation, 0.5)),
        one("colour", "saturate150", _plain(signal.saturation, 1.5)),
        one("colour", "hue25", _plain(signal.hue, 0.25)),
        one("colour", "gray", _plain(signal.saturation, 0.0)),
        one("overlay", "logo", _plain(signal.logo)),
        one("overlay", "subtitles", lambda c, fps, rng: signal.subtitles(c, fps)),
        one("overlay", "emoji", _by_chance(signal.emoji)),
        one("filter", "blur9", _plain(signal.blurred, 9)),
        one("filter", "noise10", _by_chance(signal.noisy, 10)),
        one("filter", "median5", _plain(signal.median, 5)),
        one("filter", "sharpen", _plain(signal.sharpened)),
        one("filter", "jpeg40", _plain(codec.jpeg, 40)),
        one("filter", "denoise", _plain(signal.denoised), "80"),
        one("filter", "regenerate", _plain(signal.regenerated), "80"),
    ]


def _concatenated(clip: Clip, fps: float, rng: Rng) -> Clip:
    # One quarter is the clip; long ones are shortened, so that memory stays bounded.
    part = clip[:CONCATENATED_FRAMES]
    other = stranger(3 * len(part), part.shape[2], part.shape[1])
    return timing.concatenated(part, other, rng)


def _timing() -> list[Attack]:
    def one(name: str, change: Change, goal: Goal = "99", fps: float | None = None) -> Attack:
        return Attack(name=name, family="timing", goal=goal, change=change, fps=fps)

    return [
        one("fps30", lambda c, fps, rng: timing.duplicated_to(c, fps, 30), fps=30),
        one("fps30-blend", lambda c, fps, rng: timing.blended_to(c, fps, 30), fps=30),
        one("fps15", lambda c, fps, rng: timing.duplicated_to(c, fps, 15), fps=15),
        one("speed80", _plain(timing.faster, 0.8)),
        one("speed125", _plain(timing.faster, 1.25)),
        one("drop20", _by_chance(timing.thinned, 0.2)),
        one("repeat20", _by_chance(timing.stuttered, 0.2)),
        one("reversed", lambda c, fps, rng: c[::-1]),
        one("1s", lambda c, fps, rng: timing.excerpt(c, fps, 1.0, rng), "95"),
        one("concat", _concatenated),
    ]


def _combinations() -> list[Attack]:
    def one(name: str, crf: int, change: Change, goal: Goal = "95") -> Attack:
        return Attack(
            name=name,
            family="combination",
            goal=goal,
            change=change,
            single=False,
            encoding=Encoding(crf=crf),
        )

    def shared(c: Clip, fps: float, rng: Rng) -> Clip:
        return signal.brightness(geometry.lines(geometry.cropped(c, 0.75, rng), 360), 1.2)

    def badged(c: Clip, fps: float, rng: Rng) -> Clip:
        return signal.logo(geometry.lines(c, min(480, *c.shape[1:3])))

    def reframed(c: Clip, fps: float, rng: Rng) -> Clip:
        return signal.subtitles(geometry.upright(c), fps)

    def filmed(c: Clip, fps: float, rng: Rng) -> Clip:
        return signal.screen(geometry.skewed(c, 0.04, rng), rng)

    return [
        one("crop75+360p+crf30+bright", 30, shared),
        one("480p+crf35+logo", 35, badged),
        one("9:16+subtitles+crf30", 30, reframed),
        one("screen", 28, filmed, "80"),
    ]


ATTACKS: Final = {
    attack.name: attack
    for attack in (
        *_codecs(),
        *_geometry(),
        *_signal(),
        *_timing(),
        *_combinations(),
    )
}
