"""Reads a mark from a bounded number of frames: as marked, then moved, then bent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import search
from watermark.bend import Anchored, middle_of, unbent
from watermark.demodulate import ATTEMPTS, CHANNELS, Decoded, Soft, decode, recognise, soften
from watermark.geometry import Geometry
from watermark.lattice import Sheet, Spectrum, sheet, spectrum, whitened
from watermark.looks import Look, Looks, Plane
from watermark.reading import CERTAIN_LOG10_P, Mode
from watermark.registry import Registry
from watermark.sync import at_offset, noticed, score_at, scores_at, unmoved_offset
from watermark.tile import Pattern

ALONE: Final = 8
SCANNED: Final = 5
TRIED: Final = 9
TRIED_TOGETHER: Final = 4
TOGETHER: Final = 12
BENT: Final = 3
SEEN_IN_MIDDLE: Final = 4.2
FOLLOWED: Final = 12
CLEAR: Final = 7.0
NEAR: Final = 4
STANDS_OUT: Final = 4.8
SUITS: Final = 2.5
WORTH_DECODING: Final = 3.0
WORTH_MORE: Final = 4.5
RECOGNISED: Final = 4
"""How many of a stage's best attempts are compared with the registry."""

UNCERTAIN_SHARE: Final = 0.5
CHROMA_SEEN: Final = (1.5, 2.2)


@dataclass(frozen=True, kw_only=True)
class Find:
    """A payload that was read, by which key and under which geometry."""

    decoded: Decoded
    pattern: Pattern
    geometry: Geometry
    score: float
    mode: Mode


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trial:
    """Something worth decoding: a spectrum whose offset is taken out."""

    spectrum: Spectrum
    pattern: Pattern
    geometry: Geometry
    score: float


@dataclass(kw_only=True)
class Reader:
    """One reading of one clip; counts what it tries, because each try can err."""

    looks: Looks
    patterns: Sequence[Pattern]
    registry: Registry
    period: int
    best_score: float = 0.0
    _attempts: int = 0
    _doubtful: Find | None = None
    _prepared: list[_Part] | None = None
    _waiting: list[tuple[float, Soft, _Trial]] = field(default_factory=list)

    def read(self) -> Find | None:
        """The first certain find, else a doubtful one, else None.

        Cheap and likely ways come first: single frames as they were marked, all frames
        together, then the search for scale, mirroring and turns in some of the frames.
        """
        for stage in (self._alone, self._together, self._followed, self._moved, self._bent):
            found = self._settle(stage())
            if found is not None:
                return found
        return self._doubtful

    def _settle(self, trials: Iterator[_Trial]) -> Find | None:
        self._waiting.clear()
        for trial in trials:
            self.best_score = max(self.best_score, trial.score)
            found = self._decode(trial)
            if found is not None:
                return found
        # Decoding went first: a strong mark also resembles words somewhat like its own.
        self._waiting.sort(key=lambda one: -one[0])
        for _, soft, trial in self._waiting[:RECOGNISED]:
            found = self._judge(recognise(soft, self.registry), trial, "registry")
            if found is not None:
                return found
        return None

    def _decode(self, trial: _Trial) -> Find | None:
        if trial.score < WORTH_DECODING:
            return None
        for channel in CHANNELS:
            if self._attempts >= ATTEMPTS:
                return None
            if channel is not CHANNELS[0] and trial.score < WORTH_MORE:
                return None
            soft = soften(trial.spectrum, trial.pattern, channel)
            found = self._judge(decode(soft), trial, "self_contained")
            if found is not None:
                return found
            if channel is CHANNELS[0] and len(self.registry):
                self._waiting.append((trial.score, soft, trial))
        return None

    def _judge(self, decoded: Decoded | None, trial: _Trial, mode: Mode) -> Find | None:
        self._attempts += 1
        if decoded is None:
            return None
        find = Find(
            decoded=decoded,
            pattern=trial.pattern,
            geometry=trial.geometry,
            score=trial.score,
            mode=mode,
        )
        if decoded.log10_p <= CERTAIN_LOG10_P:
            return find
        if mode == "self_contained":
            self._doubtful = self._doubtful or find
        return None

    def _alone(self) -> Iterator[_Trial]:
        """Single frames, nothing scaled: where it was marked, or anywhere."""
        for look in self.looks.spread()[:ALONE]:
            for pattern in self.patterns:
                yield from self._trials([look], pattern, Geometry())

    def _together(self) -> Iterator[_Trial]:
        if len(self.looks.items) > 1:
            for pattern in self.patterns:
                yield from self._trials(self.looks.items, pattern, Geometry())

    def _followed(self) -> Iterator[_Trial]:
        """Looks one after the other, each starting from the geometry of the one before.

        A camera that zooms or turns takes the mark along, so that later looks are no longer
        unmoved. Worth the while only where the first look shows the mark.
        """
        looks = self.looks.items[:: -(-len(self.looks.items) // FOLLOWED)]
        for pattern in self.patterns if len(looks) > 1 else ():
            placed: list[tuple[_Seen, float, float]] = []
            matrix = np.eye(2)
            for look in looks:
                found = search.refine([sheet(look.both)], pattern, matrix)
                if found.score < STANDS_OUT:
                    if not placed:
                        break
                    continue
                matrix = found.geometry.matrix[:2, :2]
                seen = _Seen(look=look, geometry=found.geometry)
                placed.append((seen, found.geometry.offset_x, found.geometry.offset_y))
            if len(placed) > 1:
                yield _combined(placed, pattern, placed[0][0].geometry)

    def _moved(self) -> Iterator[_Trial]:
        """What a search finds; the clear cases at once, the others best first."""
        for matrices in (search.upright(), search.turned()):
            yield from self._searched(self._parts(), matrices)
            if matrices is search.upright():
                yield from self._energetic()

    def _energetic(self) -> Iterator[_Trial]:
        """Geometries that the energy on the lattice points to; the pilots only pose them."""
        parts = [part for part in self._parts() if not part.several]
        sheets = [part.sheet for part in parts]
        for group in search.energetic(sheets) if sheets else ():
            for pattern in self.patterns:
                found = search.posed(sheets, pattern, group)
                self.best_score = max(self.best_score, found.score)
                yield self._trial(parts[found.sheet], pattern, found)
                yield from self._several(pattern, found)

    def _bent(self) -> Iterator[_Trial]:
        """Perspective: the middle of the frame is searched, then the rest is fitted to it."""
        whole = [part for part in self._parts() if not part.several]
        middles = [
            _Part(plane=plane, sheet=sheet(plane), several=False)
            for plane in (middle_of(part.plane) for part in whole)
        ]
        if not middles:
            return
        sheets = [part.sheet for part in middles]
        for pattern in self.patterns:
            for found in list(search.scan(sheets, pattern, search.tilted()))[:BENT]:
                anchored = []
                for part, middle in zip(whole, middles, strict=True):
                    sync = noticed(spectrum(middle.plane, found.geometry), pattern)
                    if sync.score >= SEEN_IN_MIDDLE:
                        anchored.append(
                            Anchored(
                                plane=part.plane,
                                offset_x=sync.offset_x,
                                offset_y=sync.offset_y,
                            )
                        )
                if not anchored:
                    continue
                geometry, score = unbent(anchored, pattern, found.geometry)
                self.best_score = max(self.best_score, score)
                if score >= STANDS_OUT:
                    place = anchored[0]
                    geometry = replace(
                        geometry, offset_x=place.offset_x, offset_y=place.offset_y
                    )
                    yield from self._trials(self.looks.items, pattern, geometry)

    def _searched(self, parts: Sequence[_Part], matrices: search.Matrices) -> Iterator[_Trial]:
        waiting: list[tuple[search.Hypothesis, Pattern]] = []
        sheets = [part.sheet for part in parts]
        for pattern in self.patterns if sheets else ():
            for found in search.scan(sheets, pattern, matrices):
                self.best_score = max(self.best_score, found.score)
                if found.score >= CLEAR:
                    yield self._trial(parts[found.sheet], pattern, found)
                    yield from self._several(pattern, found)
                waiting.append((found, pattern))
        waiting.sort(key=lambda one: -one[0].score)
        for found, pattern in waiting[:TRIED]:
            yield self._trial(parts[found.sheet], pattern, found)
        for found, pattern in waiting[:TRIED_TOGETHER]:
            yield from self._several(pattern, found)

    def _parts(self) -> list[_Part]:
        """What is searched: some looks alone, and some that are near each other added up."""
        if self._prepared is None:
            looks = self.looks.items
            planes = [(look.both, False) for look in self.looks.spread()[:SCANNED]]
            near = [look.both for look in looks[:NEAR]]
            if len(near) > 1:
                planes.append((np.sum(near, axis=0), True))
            self._prepared = [
                _Part(plane=plane, sheet=sheet(plane), several=several)
                for plane, several in planes
                if np.ptp(plane) > 0
            ]
        return self._prepared

    def _trial(self, part: _Part, pattern: Pattern, found: search.Hypothesis) -> _Trial:
        geometry = found.geometry
        raw = spectrum(part.plane, geometry)
        total = at_offset(raw, geometry.offset_x, geometry.offset_y)
        return _Trial(
            spectrum=total,
            pattern=pattern,
            geometry=geometry,
            score=found.score,
        )

    def _several(self, pattern: Pattern, found: search.Hypothesis) -> Iterator[_Trial]:
        some = self.looks.spread()[:TOGETHER]
        if len(some) > 1:
            yield from self._trials(some, pattern, found.geometry)

    def _trials(
        self, looks: Sequence[Look], pattern: Pattern, geometry: Geometry
    ) -> Iterator[_Trial]:
        """The looks under a geometry, for each way in which the tile may have shifted.

        Where it lies in one look tells where it can lie in the others: the key's few shifts
        away. They follow each other second by second if nobody changed the speed; failing
        that, each look takes the shift that suits it; or, if it is clear enough, any place.
        """
        seen = [_Seen(look=look, geometry=geometry) for look in looks]
        shifts = pattern.shifts.astype(np.float64)
        if geometry.unmoved:
            origins = np.array([unmoved_offset(looks[0].luma.shape)])
        else:
            origins = np.array([[geometry.offset_x, geometry.offset_y]]) + shifts
        best: tuple[float, list[tuple[_Seen, float, float]]] = (-np.inf, [])
        loose: tuple[float, list[tuple[_Seen, float, float]]] = (-np.inf, [])
        for origin in origins:
            places = origin - shifts
            table = np.stack([scores_at(one.white, pattern, places) for one in seen])
            turns, score = self._scheduled(looks, table)
            if score > best[0]:
                best = score, _placed(seen, places[turns])
            free = table.argmax(axis=1)
            clear = [i for i, turn in enumerate(free) if table[i, turn] >= SUITS]
            score = float(sum(table[i, free[i]] for i in clear))
            if clear and score > loose[0]:
                loose = score, _placed([seen[i] for i in clear], places[free[clear]])
        yield _combined(best[1], pattern, geometry)
        if len(looks) > 1 and loose[1]:
            yield _combined(loose[1], pattern, geometry)
        own = [(one, noticed(one.sum, pattern)) for one in seen]
        standing = [(one, s.offset_x, s.offset_y) for one, s in own if s.score >= STANDS_OUT]
        if standing:
            yield _combined(standing, pattern, geometry)

    def _scheduled(
        self, looks: Sequence[Look], table: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], float]:
        """The turn of each look for the start and the phase that suit all of them best."""
        frames = np.array([look.frame for look in looks])
        best, turns = -np.inf, np.zeros(len(looks), dtype=np.intp)
        for phase in range(0, self.period, self.looks.step):
            passed = (frames + phase) // self.period
            for first in range(table.shape[1]):
                trial = (passed + first) % table.shape[1]
                score = float(table[np.arange(len(looks)), trial].sum())
                if score > best:
                    best, turns = score, trial
        return turns, best


def _placed(
    seen: Sequence[_Seen], places: NDArray[np.float64]
) -> list[tuple[_Seen, float, float]]:
    return [(one, x, y) for one, (x, y) in zip(seen, places.tolist(), strict=True)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """A plane to be searched, with its fine spectrum."""

    plane: Plane
    sheet: Sheet
    several: bool


@dataclass(kw_only=True, eq=False)
class _Seen:
    """One look under one geometry: whitened spectra of luma, Cb and Cr, and their sum."""

    look: Look
    geometry: Geometry

    def __post_init__(self) -> None:
        raws = [spectrum(plane, self.geometry) for plane in self.look.planes]
        self.sum = np.asarray(raws[0] - raws[1], dtype=np.complex64)
        self.white = whitened(self.sum)
        self.channels = [whitened(raw) for raw in raws]


def _combined(
    placed: Sequence[tuple[_Seen, float, float]], pattern: Pattern, geometry: Geometry
) -> _Trial:
    """Adds looks and channels, each weighted by how well its pilots are seen.

    A colour channel counts with its sign: Cb is marked against luma, and turning the hue
    moves its mark elsewhere.
    """
    total = np.zeros_like(placed[0][0].sum)
    for one, x, y in placed:
        for index, white in enumerate(one.channels):
            score = score_at(white, pattern, x, y)
            if index == 0:
                gain = max(score, 0.0) + UNCERTAIN_SHARE
            elif abs(score) >= CHROMA_SEEN[index - 1]:
                gain = score
            else:
                continue
            total += at_offset(white, x, y) * np.float32(gain)
    return _Trial(
        spectrum=total,
        pattern=pattern,
        geometry=replace(geometry, offset_x=placed[0][1], offset_y=placed[0][2]),
        score=score_at(whitened(total), pattern, 0.0, 0.0),
    )
