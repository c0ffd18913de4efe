"""The search for the geometry under which pilots are seen.

A geometry's linear part is a matrix A: a place x of the frame read, counted from its middle,
lies at A x + offset in the tile. Candidates are looked up in one fine spectrum (`Sheet`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Geometry
from watermark.lattice import Sheet
from watermark.sync import FINE, best_scores, synchronise
from watermark.tile import GRID, K_MIN, SIZE, Pattern, profile

Matrices = NDArray[np.float64]
"""float64[n, 2, 2]."""

SCALES: Final = (0.46, 2.15)
UNEVEN: Final = (0.66, 1.52)
TURNED_SCALES: Final = (0.75, 1.4)
TURNS: Final = tuple(sign * 0.8 * step for step in range(1, 15) for sign in (1, -1))
STEP: Final = 0.005
TURNED_STEP: Final = 0.008
FINALISTS: Final = 5
FINALIST_SCORE: Final = 5.0
JOINT_FINALISTS: Final = 6
ENERGETIC: Final = 4
ENERGY_LIMIT: Final = 4.0
ENERGY_RADIUS: Final = 16.0
CHANCE: Final = 4.1
"""The score that chance alone reaches in one sheet, over all offsets."""

SAME: Final = 0.003
TILTS: Final = (0.05, 0.05, 0.05, 0.05)
TILT_STEPS: Final = 3
CLIMB: Final = ((0.004, 1.0), (0.002, 1.0), (0.002, 4.0), (0.001, 4.0), (0.0005, 4.0))
"""Steps of the climb, and how many deviations a pilot may count for in each."""

_BETWEEN: Final = (
    ((0.0, 0.0), 1.0),
    ((0.5, 0.5), -1 / 3),
    ((0.5, 0.0), -1 / 3),
    ((0.0, 0.5), -1 / 3),
)
_GENERATORS: Final = (
    np.array([[1.0, 0.0], [0.0, 1.0]]),
    np.array([[0.0, -1.0], [1.0, 0.0]]),
    np.array([[1.0, 0.0], [0.0, -1.0]]),
    np.array([[0.0, 1.0], [1.0, 0.0]]),
)


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A geometry with its offset in one of the sheets, and the pilots' score under it."""

    geometry: Geometry
    score: float
    sheet: int = 0

    @property
    def linear(self) -> NDArray[np.float64]:
        """The linear part of the geometry, float64[2, 2]."""
        return self.geometry.matrix[:2, :2]


@cache
def _upright_base() -> Matrices:
    even = [np.diag([s, s]) for s in _steps(*SCALES, STEP)]
    uneven = [
        matrix
        for s in _steps(*UNEVEN, STEP)
        for matrix in (np.diag([s, 1.0]), np.diag([1.0, s]))
        if abs(s - 1) > 0.02
    ]
    return np.stack(even + uneven)


@cache
def upright() -> Matrices:
    """Every scale, and either axis scaled alone, in all eight ways to turn and mirror."""
    return np.concatenate([_upright_base() @ pose for pose in _poses()])


@cache
def turned() -> Matrices:
    """Small rotations at scales near 1, either mirrored or not."""
    scales = _steps(*TURNED_SCALES, TURNED_STEP)
    turns = np.stack([_rotation(math.radians(turn)) for turn in TURNS])
    base = (scales[:, None, None, None] * turns[None]).reshape(-1, 2, 2)
    return np.concatenate([base, base @ np.diag([-1.0, 1.0])])


@cache
def tilted() -> Matrices:
    """Small changes of scale, turn, aspect and shear together: the middle of a perspective."""
    base = np.eye(2)[None]
    for generator, reach in zip(_GENERATORS, TILTS, strict=True):
        steps = np.linspace(-reach, reach, 2 * TILT_STEPS + 1)
        base = (base[:, None] @ (np.eye(2) + steps[:, None, None] * generator)).reshape(
            -1, 2, 2
        )
    return np.concatenate([base @ pose for pose in (np.eye(2), np.diag([-1.0, 1.0]))])


def scan(sheets: Sequence[Sheet], pattern: Pattern, matrices: Matrices) -> Iterator[Hypothesis]:
    """Yields the most promising candidates, refined, best first.

    Each sheet proposes what suits it best, and all together what suits their sum: the mark
    lies under one geometry in all of them, chance under a different one in each.
    """
    places = _frequencies(matrices, pattern)
    scores = np.stack([best_scores(sheet.at(places), pattern) for sheet in sheets])
    found: list[Hypothesis] = []
    for index, sheet in enumerate(sheets):
        for start in _peaks(scores[index], matrices, FINALISTS, FINALIST_SCORE):
            found.append(refine([sheet], pattern, start, first=index))
    if len(sheets) > 1:
        for start in _peaks(scores.sum(axis=0), matrices, JOINT_FINALISTS, 0.0):
            found.append(refine(sheets, pattern, start))
    kept: list[Hypothesis] = []
    for one in sorted(found, key=lambda one: -one.score):
        near = (
            np.abs(one.linear - other.linear).max()
            for other in kept
            if other.sheet == one.sheet
        )
        if all(distance > SAME for distance in near):
            kept.append(one)
    yield from kept


def energetic(sheets: Sequence[Sheet]) -> list[Matrices]:
    """The upright maps under which most energy lies on the lattice, each in its eight poses.

    Needs no key: a mark lifts every wave of the tile above the waves half-way between them,
    wherever the tile lies and whatever it says. Data and pilots speak together here, so this
    sees marks whose pilots alone are lost.
    """
    base = _upright_base()
    energy = np.sum([_energy(sheet, base) for sheet in sheets], axis=0)
    poses = np.stack(list(_poses()))
    return [matrix @ poses for matrix in _peaks(energy, base, ENERGETIC, -math.inf)]


def _energy(sheet: Sheet, matrices: Matrices) -> NDArray[np.float32]:
    """Energy on the lattice less that between, weighted like the mark's power: float32[n]."""
    waves, weight = _lattice()
    total = np.zeros(len(matrices), dtype=np.float32)
    for between, share in _BETWEEN:
        seen = np.abs(sheet.at((waves + np.array(between)) @ matrices / SIZE)) ** 2
        total += np.float32(share) * (np.minimum(seen, ENERGY_LIMIT) @ weight)
    return total


@cache
def _lattice() -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    rows, columns = np.mgrid[-GRID : GRID + 1, 0 : GRID + 1]
    radius = np.hypot(rows, columns)
    used = ((columns > 0) | (rows > 0)) & (radius >= K_MIN) & (radius <= ENERGY_RADIUS)
    waves = np.stack([columns[used], rows[used]], axis=1).astype(np.float64)
    return waves, (profile(radius[used]) ** 2).astype(np.float32)


def posed(sheets: Sequence[Sheet], pattern: Pattern, group: Matrices) -> Hypothesis:
    """The best of several linear maps for all sheets together, refined."""
    places = _frequencies(group, pattern)
    scores = np.sum([best_scores(sheet.at(places), pattern) for sheet in sheets], axis=0)
    return refine(sheets, pattern, group[int(scores.argmax())])


def _peaks(
    scores: NDArray[np.float32], matrices: Matrices, count: int, least: float
) -> list[NDArray[np.float64]]:
    chosen: list[int] = []
    for index in np.argsort(-scores):
        if len(chosen) == count or scores[index] < least:
            break
        apart = (np.abs(matrices[index] - matrices[other]).max() for other in chosen)
        if all(distance > 1.5 * STEP for distance in apart):
            chosen.append(int(index))
    return [matrices[index] for index in chosen]


def refine(
    sheets: Sequence[Sheet], pattern: Pattern, start: NDArray[np.float64], first: int = 0
) -> Hypothesis:
    """Climbs from a linear map to the best one nearby: scale, turn, aspect and shear.

    The score is the pilots' mean over the sheets, raised so that it can be compared with
    the score of one: chance rarely suits several. The offset is that of the best sheet.
    """
    matrix = start
    for step, limit in CLIMB:
        for _ in range(4):
            trials = np.stack(
                [matrix]
                + [
                    matrix @ (np.eye(2) + sign * step * generator)
                    for generator in _GENERATORS
                    for sign in (1, -1)
                ]
            )
            places = _frequencies(trials, pattern)
            scores = sum(best_scores(sheet.at(places), pattern, limit) for sheet in sheets)
            index = int(np.argmax(scores))
            matrix = trials[index]
            if index == 0:
                break
    place = _frequencies(matrix[None], pattern)
    syncs = [synchronise(sheet.at(place), pattern, grid=FINE)[0] for sheet in sheets]
    at = int(np.argmax([sync.score for sync in syncs]))
    mean = sum(sync.score for sync in syncs) / len(syncs)
    score = CHANCE + (mean - CHANCE) * math.sqrt(len(syncs))
    return Hypothesis(
        geometry=Geometry.affine(matrix, syncs[at].offset_x, syncs[at].offset_y),
        score=score,
        sheet=first + at,
    )


def _frequencies(matrices: Matrices, pattern: Pattern) -> NDArray[np.float64]:
    return pattern.pilot_waves @ matrices / SIZE


def _steps(low: float, high: float, step: float) -> NDArray[np.float64]:
    count = int(np.ceil(np.log(high / low) / step))
    return np.asarray(low * np.exp(step * np.arange(count + 1)))


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _poses() -> Iterator[NDArray[np.float64]]:
    for mirror in (np.diag([1.0, 1.0]), np.diag([-1.0, 1.0])):
        for quarter in range(4):
            yield mirror @ np.rint(_rotation(quarter * math.pi / 2))
