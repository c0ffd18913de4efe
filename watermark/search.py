"""The search for the geometry under which pilots are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Geometry
from watermark.sync import (
    Kernels,
    batches,
    best_scores,
    kernels,
    mirrored,
    posed_plane,
    spectrum,
    synchronise,
    transform,
)
from watermark.tile import Pattern

SCALE_RANGE: Final = (0.5, 2.1)
SCALE_STEP: Final = 0.005
TURN_SCALE_RANGE: Final = (0.8, 1.3)
TURNS: Final = tuple(sign * 0.8 * step for step in range(1, 14) for sign in (1, -1))
HALVED_BELOW: Final = 1.3
FINALISTS: Final = 10
UNEVEN_MARGIN: Final = 0.1
FINALIST_SCORE: Final = 4.8


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A geometry with its offset, and the pilots' score under it."""

    geometry: Geometry
    score: float


def at_identity(plane: NDArray[np.float32], pattern: Pattern) -> Hypothesis:
    """The best offset when nothing was scaled, turned or mirrored."""
    return _fit(plane, pattern, Geometry())


def scan(plane: NDArray[np.float32], pattern: Pattern) -> Iterator[Hypothesis]:
    """Yields refined hypotheses over scale and mirroring, most promising first."""
    sheets = _Sheets(plane.shape, _steps(*SCALE_RANGE))
    yield from _refined(plane, pattern, sheets.look(plane, pattern, rotation=0.0, mirror=True))


def scan_turned(plane: NDArray[np.float32], pattern: Pattern) -> Iterator[Hypothesis]:
    """Yields refined hypotheses over small rotations, most promising first."""
    sheets = _Sheets(plane.shape, _steps(*TURN_SCALE_RANGE))
    found: list[Hypothesis] = []
    for rotation in TURNS:
        found += sheets.look(plane, pattern, rotation=rotation, mirror=False)
    yield from _refined(plane, pattern, found)


def _steps(low: float, high: float) -> NDArray[np.float64]:
    count = int(np.ceil(np.log(high / low) / SCALE_STEP))
    return np.asarray(low * np.exp(SCALE_STEP * np.arange(count + 1)))


class _Sheets:
    """Looks at planes of one size under a list of scales."""

    def __init__(self, shape: tuple[int, ...], scales: NDArray[np.float64]) -> None:
        height, width = shape
        fine = scales > HALVED_BELOW
        half = (max(1, height // 2), max(1, width // 2))
        self._parts: list[tuple[bool, NDArray[np.float64], Kernels]] = []
        for halved, group in ((True, scales[~fine]), (False, scales[fine])):
            for part in batches(group.size):
                chosen = group[part]
                # A plane of half the size does where that loses nothing.
                size, factor = (half, 2.0) if halved else ((height, width), 1.0)
                ready = kernels(size, chosen * factor, chosen * factor)
                self._parts.append((halved, chosen, ready))

    def look(
        self, plane: NDArray[np.float32], pattern: Pattern, *, rotation: float, mirror: bool
    ) -> list[Hypothesis]:
        posed = posed_plane(plane, flipped=False, rotation=rotation)
        size = (max(1, posed.shape[1] // 2), max(1, posed.shape[0] // 2))
        even = posed[: size[1] * 2, : size[0] * 2]
        small = np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA))
        found: list[Hypothesis] = []
        for halved, scales, ready in self._parts:
            raws = transform(small if halved else posed, ready)
            for flipped in (False, True) if mirror else (False,):
                scores = best_scores(mirrored(raws) if flipped else raws, pattern)
                found += [
                    Hypothesis(
                        geometry=Geometry(
                            scale_x=float(scale),
                            scale_y=float(scale),
                            rotation=rotation,
                            flipped=flipped,
                        ),
                        score=float(score),
                    )
                    for scale, score in zip(scales, scores, strict=True)
                ]
        return found


def _refined(
    plane: NDArray[np.float32], pattern: Pattern, found: list[Hypothesis]
) -> Iterator[Hypothesis]:
    chosen: list[Hypothesis] = []
    for hypothesis in sorted(found, key=lambda one: -one.score):
        if len(chosen) == FINALISTS or hypothesis.score < FINALIST_SCORE:
            break
        if not any(_near(hypothesis.geometry, other.geometry) for other in chosen):
            chosen.append(hypothesis)
    refined = [_refine(plane, pattern, hypothesis) for hypothesis in chosen]
    yield from sorted(refined, key=lambda one: -one.score)


def _near(one: Geometry, other: Geometry) -> bool:
    return (
        one.flipped == other.flipped
        and abs(one.rotation - other.rotation) < 0.1
        and abs(np.log(one.scale_x / other.scale_x)) < 1.5 * SCALE_STEP
    )


def _refine(plane: NDArray[np.float32], pattern: Pattern, start: Hypothesis) -> Hypothesis:
    best = _fit(plane, pattern, start.geometry)
    for step in (0.003, 0.0015, 0.0007):
        for names in (("scale_x", "scale_y"), ("scale_x",), ("scale_y",)):
            for sign in (1, -1):
                best = _climb(plane, pattern, best, names, 1 + sign * step)
        if best.geometry.rotation:
            for turn in (80 * step, -80 * step):
                trial = replace(best.geometry, rotation=best.geometry.rotation + turn)
                fitted = _fit(plane, pattern, trial)
                best = fitted if fitted.score > best.score else best
    return best


def _climb(
    plane: NDArray[np.float32],
    pattern: Pattern,
    best: Hypothesis,
    names: tuple[str, ...],
    factor: float,
) -> Hypothesis:
    for _ in range(3):
        changes = {name: getattr(best.geometry, name) * factor for name in names}
        fitted = _fit(plane, pattern, replace(best.geometry, **changes))
        # An uneven scale is rare: it has to pay for itself.
        if fitted.score <= best.score + (0.0 if len(names) == 2 else UNEVEN_MARGIN):
            break
        best = fitted
    return best


def _fit(plane: NDArray[np.float32], pattern: Pattern, geometry: Geometry) -> Hypothesis:
    sync = synchronise(spectrum(plane, geometry), pattern)
    placed = replace(geometry, offset_x=sync.offset_x, offset_y=sync.offset_y)
    return Hypothesis(geometry=placed, score=sync.score)
