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
from tests.bench.watermark.footage import Clip

Rng = np.random.Generator
Change = Callable[[Clip, float, Rng], Clip]
Family = Literal["codec", "geometry", "colour", "overlay", "filter", "timing", "combination"]
Goal = Literal["99", "95", "80", "90-registry", "reported"]

NORMAL_CRF: Final = 28
HARD_CRF: Final = 23


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One thing done to a published clip.

    `goal` is what natural and textured clips of 480 lines and more are held to. A `single`
    attack does not encode by itself: H.264 follows it, at a quality that the caller names.
    `below` refuses clips whose short side is not above that many lines (nothing would be
    scaled down); `fps` is the rate of the result where it is another one.
    """

    name: str
    family: Family
    goal: Goal
    change: Change
    single: bool = True
    below: int = 0
    fps: float | None = None

    def applies(self, height: int, width: int) -> bool:
        """Whether the attack does anything to frames of this size."""
        return min(height, width) > self.below

    def __call__(
        self, clip: Clip, fps: float, rng: Rng, *, crf: int = NORMAL_CRF
    ) -> tuple[Clip, float]:
        """Damages uint8[T, H, W, 3]; returns the damaged clip and its frame rate."""
        damaged, rate = self.change(clip, fps, rng), self.fps or fps
        if self.single:
            damaged = codec.transcoded(np.ascontiguousarray(damaged), rate, crf)
        return damaged, rate

    def goal_for(self, rank: Rank) -> Goal:
        """The goal for a clip: its own for detailed ones; for hard ones the plan's two."""
        if rank == "detailed":
            return self.goal
        if rank == "hard" and (self.single or self.name in {"published", "crf23"}):
            return "99"
        if rank == "hard" and self.name == "crf30":
            return "90-registry"
        return "reported"


def _codecs() -> list[Attack]:
    def one(name: str, goal: Goal, change: Change) -> Attack:
        return Attack(name=name, family="codec", goal=goal, change=change, single=False)

    def coded(label: str, encoder: str, crfs: dict[int, Goal]) -> list[Attack]:
        return [
            one(
                f"{label}{crf}",
                goal,
                lambda c, fps, rng, crf=crf: codec.transcoded(c, fps, crf, encoder),
            )
            for crf, goal in crfs.items()
        ]

    return [
        one("published", "99", lambda c, fps, rng: c),
        *coded("crf", "libx264", {23: "99", 30: "99", 35: "95", 40: "80", 45: "reported"}),
        *coded("h265-", "libx265", {28: "99", 35: "95", 40: "80"}),
        *coded("vp9-", "libvpx-vp9", {31: "99", 40: "99"}),
        *coded("av1-", "libsvtav1", {35: "99", 45: "99"}),
        one("crf30-twice", "95", lambda c, fps, rng: codec.twice(c, fps, 30)),
        one("vp9-then-h264", "95", lambda c, fps, rng: codec.twice_across(c, fps)),
        Attack(
            name="gif",
            family="codec",
            goal="80",
            fps=10,
            single=False,
            change=lambda c, fps, rng: codec.palette(timing.duplicated_to(c, fps, 10)),
        ),
    ]


def _geometry() -> list[Attack]:
    def one(name: str, change: Change, goal: Goal = "99", below: int = 0) -> Attack:
        return Attack(name=name, family="geometry", goal=goal, change=change, below=below)

    sizes: dict[int, Goal] = {480: "99", 360: "99", 240: "95"}
    crops: dict[int, Goal] = {75: "99", 50: "99", 30: "95"}
    return [
        *(
            one(f"{s}p", lambda c, fps, rng, s=s: geometry.lines(c, s), goal, s)
            for s, goal in sizes.items()
        ),
        *(
            one(f"{s}p-back", lambda c, fps, rng, s=s: geometry.lines_and_back(c, s), goal, s)
            for s, goal in sizes.items()
        ),
        *(
            one(f"crop{a}", lambda c, fps, rng, a=a: geometry.cropped(c, a / 100, rng), goal)
            for a, goal in crops.items()
        ),
        one("aspect120", lambda c, fps, rng: geometry.stretched(c, 1.2)),
        one("aspect80", lambda c, fps, rng: geometry.stretched(c, 0.8)),
        *(
            one(f"rotate{d}", lambda c, fps, rng, d=d: geometry.rotated(c, _signed(d, rng)))
            for d in (2, 5, 10)
        ),
        *(
            one(f"rotate{90 * q}", lambda c, fps, rng, q=q: geometry.quarter_turned(c, q))
            for q in (1, 2, 3)
        ),
        one("hflip", lambda c, fps, rng: c[:, :, ::-1]),
        one("vflip", lambda c, fps, rng: c[:, ::-1]),
        one("perspective", lambda c, fps, rng: geometry.skewed(c, 0.05, rng), "80"),
        one("letterbox", lambda c, fps, rng: geometry.contained(c, pillars=False)),
        one("pillarbox", lambda c, fps, rng: geometry.contained(c, pillars=True)),
        one("pip", lambda c, fps, rng: geometry.inset(c, rng)),
    ]


def _signed(degrees: float, rng: Rng) -> float:
    return degrees if rng.random() < 0.5 else -degrees


def _signal() -> list[Attack]:
    def one(family: Family, name: str, change: Change, goal: Goal = "99") -> Attack:
        return Attack(name=name, family=family, goal=goal, change=change)

    return [
        one("colour", "dark50", lambda c, fps, rng: signal.brightness(c, 0.5)),
        one("colour", "bright150", lambda c, fps, rng: signal.brightness(c, 1.5)),
        one("colour", "contrast50", lambda c, fps, rng: signal.contrast(c, 0.5)),
        one("colour", "contrast150", lambda c, fps, rng: signal.contrast(c, 1.5)),
        one("colour", "gamma07", lambda c, fps, rng: signal.gamma(c, 0.7)),
        one("colour", "gamma14", lambda c, fps, rng: signal.gamma(c, 1.4)),
        one("colour", "saturate50", lambda c, fps, rng: signal.saturation(c, 0.5)),
        one("colour", "saturate150", lambda c, fps, rng: signal.saturation(c, 1.5)),
        one("colour", "hue25", lambda c, fps, rng: signal.hue(c, 0.25)),
        one("colour", "gray", lambda c, fps, rng: signal.saturation(c, 0.0)),
        one("overlay", "logo", lambda c, fps, rng: signal.logo(c)),
        one("overlay", "subtitles", lambda c, fps, rng: signal.subtitles(c, fps)),
        one("overlay", "emoji", lambda c, fps, rng: signal.emoji(c, rng)),
        one("filter", "blur9", lambda c, fps, rng: signal.blurred(c, 9)),
        one("filter", "noise10", lambda c, fps, rng: signal.noisy(c, 10, rng)),
        one("filter", "median5", lambda c, fps, rng: signal.median(c, 5)),
        one("filter", "sharpen", lambda c, fps, rng: signal.sharpened(c)),
        one("filter", "jpeg40", lambda c, fps, rng: codec.jpeg(c, 40)),
        one("filter", "denoise", lambda c, fps, rng: signal.denoised(c), "80"),
        one("filter", "regenerate", lambda c, fps, rng: signal.regenerated(c), "80"),
    ]


def _timing() -> list[Attack]:
    def one(name: str, change: Change, goal: Goal = "99", fps: float | None = None) -> Attack:
        return Attack(name=name, family="timing", goal=goal, change=change, fps=fps)

    return [
        one("fps30", lambda c, fps, rng: timing.duplicated_to(c, fps, 30), fps=30),
        one("fps30-blend", lambda c, fps, rng: timing.blended_to(c, fps, 30), fps=30),
        one("fps15", lambda c, fps, rng: timing.duplicated_to(c, fps, 15), fps=15),
        one("speed80", lambda c, fps, rng: timing.faster(c, 0.8)),
        one("speed125", lambda c, fps, rng: timing.faster(c, 1.25)),
        one("drop20", lambda c, fps, rng: timing.thinned(c, 0.2, rng)),
        one("repeat20", lambda c, fps, rng: timing.stuttered(c, 0.2, rng)),
        one("reversed", lambda c, fps, rng: c[::-1]),
        one("1s", lambda c, fps, rng: timing.excerpt(c, fps, 1.0, rng), "95"),
        one("concat", lambda c, fps, rng: timing.concatenated(c, rng)),
    ]


def _combinations() -> list[Attack]:
    def one(name: str, change: Change, goal: Goal = "95") -> Attack:
        return Attack(name=name, family="combination", goal=goal, change=change, single=False)

    def shared(c: Clip, fps: float, rng: Rng) -> Clip:
        small = geometry.lines(geometry.cropped(c, 0.75, rng), 360)
        return codec.transcoded(signal.brightness(small, 1.2), fps, 30)

    def badged(c: Clip, fps: float, rng: Rng) -> Clip:
        small = geometry.lines(c, min(480, *c.shape[1:3]))
        return codec.transcoded(signal.logo(small), fps, 35)

    def reframed(c: Clip, fps: float, rng: Rng) -> Clip:
        return codec.transcoded(signal.subtitles(geometry.upright(c), fps), fps, 30)

    def filmed(c: Clip, fps: float, rng: Rng) -> Clip:
        return codec.transcoded(signal.screen(geometry.skewed(c, 0.04, rng), rng), fps, 28)

    return [
        one("crop75+360p+crf30+bright", shared),
        one("480p+crf35+logo", badged),
        one("9:16+subtitles+crf30", reframed),
        one("screen", filmed, "80"),
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
