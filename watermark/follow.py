"""Finds a mark in many frames at once, along the way that the camera carried it.

Where the mark lies in one frame tells where it may lie in the next: as far away as the
camera moved, give or take a little, and turned over every second. The best such way through
all frames is found by dynamic programming over offsets ("track before detect", Barniv 1985),
so that a mark far too faint to be seen in any one frame is still found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Geometry, Matrix
from watermark.lattice import Spectrum, spectrum, whitened
from watermark.looks import Evidence
from watermark.sync import at_offset, noticed, pilots_of, score_at, scores_at, surfaces
from watermark.tile import SIZE, Pattern

CELLS: Final = 64
CELL: Final = SIZE / CELLS
WANDER_COST: Final = 0.15
"""Score that a step of one cell away from where the camera points has to be worth."""

RESTART_COST: Final = 6.0
"""The same for a step to anywhere, as at a cut."""

UNCHANGED: Final = 0.002
UNCERTAIN_SHARE: Final = 0.5
CHROMA_SEEN: Final = (1.5, 2.2)
STANDS_OUT: Final = 4.8
_AROUND: Final = np.array([[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """Something worth decoding: a spectrum whose offset is taken out, right way up.

    The geometry is that of the frame `at`.
    """

    spectrum: Spectrum
    pattern: Pattern
    geometry: Geometry
    at: int
    score: float


@dataclass(kw_only=True, eq=False)
class Seen:
    """Evidence under one geometry.

    `shift` is how far the camera has carried the tile, in its pixels (x, y).
    """

    evidence: Evidence
    geometry: Geometry
    shift: NDArray[np.float64]

    @cached_property
    def raw(self) -> Spectrum:
        """The spectrum of luma less Cb."""
        return spectrum(self.evidence.both, self.geometry)

    @cached_property
    def white(self) -> Spectrum:
        """The same, whitened."""
        return whitened(self.raw)

    @cached_property
    def channels(self) -> tuple[Spectrum, ...]:
        """The whitened spectra of luma, Cb and Cr, each by itself."""
        planes = self.evidence.planes
        return tuple(whitened(spectrum(plane, self.geometry)) for plane in planes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """Where, and which way up, a tile is taken to lie in a piece of evidence."""

    seen: Seen
    offset_x: float
    offset_y: float
    sign: int


def seen(evidence: Evidence, geometry: Geometry, moved: Matrix) -> Seen:
    """Looks at evidence under a geometry that holds before the camera moved.

    `moved` maps a place of this evidence to where its content was then; float64[3, 3].
    """
    matrix = geometry.matrix @ moved
    shift = matrix[:2, 2] / matrix[2, 2]
    back = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]], [0, 0, 1]])
    matrix = back @ matrix
    matrix /= matrix[2, 2]
    if np.abs(matrix - geometry.matrix)[:2, :2].max() >= UNCHANGED:
        geometry = replace(geometry, homography=tuple(matrix.ravel()[:8].tolist()))
    return Seen(evidence=evidence, geometry=geometry, shift=shift)


def at(
    several: Sequence[Seen], pattern: Pattern, x: float, y: float, turns: Iterable[int]
) -> list[Placed]:
    """All at one offset, if the camera went where it seemed to go; see `turns`."""
    offsets = np.array([x, y]) + np.stack([one.shift for one in several])
    scores = np.array(
        [
            score_at(one.white, pattern, *offset)
            for one, offset in zip(several, offsets, strict=True)
        ]
    )
    best, signs = -math.inf, np.sign(scores).astype(np.intp)
    if len(several) > 1:
        for trial in _schedules(several, turns):
            used = max(int(np.count_nonzero(trial)), 1)
            score = float(trial @ scores) / math.sqrt(used)
            if abs(score) > best:
                best, signs = abs(score), trial if score > 0 else -trial
    return [
        Placed(seen=one, offset_x=offset[0], offset_y=offset[1], sign=int(sign))
        for one, offset, sign in zip(several, offsets.tolist(), signs, strict=True)
        if sign
    ]


def standing(several: Sequence[Seen], pattern: Pattern) -> list[Placed]:
    """Those in which the pilots stand out by themselves, wherever they lie."""
    own = [(one, noticed(one.raw, pattern)) for one in several]
    return [
        Placed(seen=one, offset_x=sync.offset_x, offset_y=sync.offset_y, sign=sync.sign)
        for one, sync in own
        if sync.score >= STANDS_OUT
    ]


def followed(
    several: Sequence[Seen],
    pattern: Pattern,
    turns: Iterable[int],
    reach: int,
    *,
    carried: bool = True,
) -> list[Placed]:
    """All along the best way, at most `reach` cells of two pixels a step from the camera's.

    `turns` are the frames, counted back from 0, at which the mark may have turned over last.
    What is not `carried` along stands still although the camera moved, as a picture in a
    picture does.
    """
    cells = [_cells(one) if carried else np.zeros(2, dtype=np.intp) for one in several]
    times = sorted({one.evidence.frame for one in several})
    signs = np.array(list(_schedules(several, turns)))
    signs = np.concatenate([signs, -signs]).astype(np.float32)
    layers = np.zeros((len(times), len(signs), CELLS, CELLS), dtype=np.float32)
    for index, one in enumerate(several):
        surface = surfaces(pilots_of(one.white, pattern), pattern, CELLS)[0]
        level = np.roll(surface, -cells[index][::-1], (0, 1))
        layers[times.index(one.evidence.frame)] += signs[:, index, None, None] * level
    chosen, way = _best_way(layers, reach)
    placed = []
    for index, one in enumerate(several):
        sign = int(signs[chosen, index])
        if not sign:
            continue
        cell = way[times.index(one.evidence.frame)] + cells[index]
        near = cell * CELL + _AROUND
        x, y = near[int((sign * scores_at(one.white, pattern, near)).argmax())].tolist()
        placed.append(Placed(seen=one, offset_x=x % SIZE, offset_y=y % SIZE, sign=sign))
    return placed


def combined(
    placed: Sequence[Placed], pattern: Pattern, geometry: Geometry, at: int = 0
) -> Trial:
    """Adds evidence and channels, each weighted by how well its pilots are seen.

    A colour channel counts with its sign: Cb is marked against luma, and turning the hue
    moves its mark elsewhere.
    """
    total = np.zeros_like(placed[0].seen.raw)
    for one in placed:
        for index, white in enumerate(one.seen.channels):
            score = score_at(white, pattern, one.offset_x, one.offset_y)
            if index == 0:
                gain = one.sign * (max(one.sign * score, 0.0) + UNCERTAIN_SHARE)
            elif abs(score) >= CHROMA_SEEN[index - 1]:
                gain = score
            else:
                continue
            total += at_offset(white, one.offset_x, one.offset_y) * np.float32(gain)
    first = placed[0]
    x, y = (np.array([first.offset_x, first.offset_y]) - first.seen.shift) % SIZE
    return Trial(
        spectrum=total,
        pattern=pattern,
        geometry=replace(geometry, offset_x=float(x), offset_y=float(y)),
        at=at,
        score=score_at(whitened(total), pattern, 0.0, 0.0),
    )


def _schedules(several: Sequence[Seen], turns: Iterable[int]) -> Iterable[NDArray[np.intp]]:
    """The sign of each piece of evidence, or 0, for each phase of turning over."""
    for phase in turns:
        yield np.array([one.evidence.sign(phase) for one in several])


def _cells(one: Seen) -> NDArray[np.intp]:
    return np.rint(one.shift / CELL).astype(np.intp)


def _best_way(layers: NDArray[np.float32], reach: int) -> tuple[int, NDArray[np.intp]]:
    """The hypothesis and the cells (x, y) at each time with the highest sum of scores."""
    steps = [(x, y) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    cost = np.array([WANDER_COST * (x * x + y * y) for x, y in steps], dtype=np.float32)
    total = layers[0].copy()
    history: list[tuple[NDArray[np.int8], NDArray[np.intp]]] = []
    for layer in layers[1:]:
        wide = np.pad(total, ((0, 0), (reach, reach), (reach, reach)), mode="wrap")
        options = np.stack(
            [
                wide[:, reach + y : reach + y + CELLS, reach + x : reach + x + CELLS] - price
                for (x, y), price in zip(steps, cost, strict=True)
            ]
        )
        choice = options.argmax(axis=0).astype(np.int8)
        best = options.max(axis=0)
        flat = total.reshape(len(total), -1)
        top = flat.argmax(axis=1)
        anywhere = (flat[np.arange(len(flat)), top] - RESTART_COST)[:, None, None]
        choice[best < anywhere] = len(steps)
        history.append((choice, top))
        total = np.maximum(best, anywhere) + layer
    chosen, cell = divmod(int(total.argmax()), CELLS * CELLS)
    row, column = divmod(cell, CELLS)
    way = [(column, row)]
    for choice, top in reversed(history):
        step = int(choice[chosen, row, column])
        if step == len(steps):
            row, column = divmod(int(top[chosen]), CELLS)
        else:
            row, column = (row + steps[step][1]) % CELLS, (column + steps[step][0]) % CELLS
        way.append((column, row))
    return chosen, np.array(way[::-1])
