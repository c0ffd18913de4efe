"""Reads a mark from a bounded number of frames: as marked, then moved, then bent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import numpy as np

from watermark import canonical, search
from watermark.align import Plane
from watermark.bend import Anchored, middle_of, unbent
from watermark.demodulate import ATTEMPTS, CHANNELS, Decoded, Soft, decode, recognise, soften
from watermark.follow import (
    CELL,
    STANDS_OUT,
    Placed,
    Seen,
    Trial,
    at,
    combined,
    followed,
    seen,
    standing,
)
from watermark.geometry import Geometry, Matrix
from watermark.inset import Rectangle, inset
from watermark.lattice import Sheet, sheet, spectrum, whitened
from watermark.looks import Evidence, Looks, spread
from watermark.reading import CERTAIN_LOG10_P, Mode
from watermark.registry import Registry
from watermark.sync import at_offset, noticed, score_at, unmoved_offset
from watermark.tile import Pattern

ALONE: Final = 8
SCANNED: Final = 5
CHANGES_SCANNED: Final = 3
TRIED: Final = 9
TRIED_TOGETHER: Final = 4
TOGETHER: Final = 12
TOGETHER_AT_FIRST: Final = 6
REACHES: Final = (0, 1)
BENT: Final = 3
SEEN_IN_MIDDLE: Final = 4.2
CLEAR: Final = 7.0
WORTH_DECODING: Final = 3.0
WORTH_MORE: Final = 4.5
RECOGNISED: Final = 4
"""How many of a stage's best attempts are compared with the registry."""


@dataclass(frozen=True, kw_only=True)
class Find:
    """A payload that was read, by which key, and under which geometry of the frame `at`."""

    decoded: Decoded
    pattern: Pattern
    geometry: Geometry
    at: int
    score: float
    mode: Mode


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Evidence to be searched, with its fine spectrum."""

    evidence: Evidence
    plane: Plane
    sheet: Sheet


@dataclass(kw_only=True)
class Reader:
    """One reading of one clip; counts what it tries, because each try can err."""

    looks: Looks
    patterns: Sequence[Pattern]
    registry: Registry
    best_score: float = 0.0
    _attempts: int = 0
    _doubtful: Find | None = None
    _prepared: list[_Part] | None = None
    _waiting: list[tuple[float, Soft, Trial]] = field(default_factory=list)

    def read(self) -> Find | None:
        """The first certain find, else a doubtful one, else None.

        Cheap and likely ways come first: single frames as they were marked, all frames
        together, then the search for scale, mirroring and turns in some of the frames.
        """
        stages = (self._alone, self._together, self._inset, self._moved, self._bent)
        for stage in stages:
            found = self._settle(stage())
            if found is not None:
                return found
        return self._doubtful

    def _settle(self, trials: Iterator[Trial]) -> Find | None:
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

    def _decode(self, trial: Trial) -> Find | None:
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

    def _judge(self, decoded: Decoded | None, trial: Trial, mode: Mode) -> Find | None:
        self._attempts += 1
        if decoded is None:
            return None
        find = Find(
            decoded=decoded,
            pattern=trial.pattern,
            geometry=trial.geometry,
            at=trial.at,
            score=trial.score,
            mode=mode,
        )
        if decoded.log10_p <= CERTAIN_LOG10_P:
            return find
        if mode == "self_contained":
            self._doubtful = self._doubtful or find
        return None

    def _alone(self) -> Iterator[Trial]:
        """Single frames and changes, nothing scaled: where it was marked, or anywhere."""
        for group in (self.looks.items, self.looks.changes):
            for one in spread(group)[:ALONE]:
                for pattern in self.patterns:
                    yield from self._trials([one], pattern, Geometry())

    def _together(self) -> Iterator[Trial]:
        if len(self.looks.items) > 1:
            everything = [*self.looks.items, *self.looks.changes]
            for pattern in self.patterns:
                yield from self._trials(everything, pattern, Geometry())

    def _inset(self) -> Iterator[Trial]:
        """A picture in a picture, cut out and read as if it were the whole."""
        some = [look.levels()[0] for look in spread(self.looks.items)[:ALONE]]
        part = inset(some)
        if part is None:
            return
        around = _around(part, some[0].shape)
        looks = self.looks.within(part)
        inner = Reader(looks=looks, patterns=self.patterns, registry=self.registry)
        for trial in chain(inner._alone(), inner._together()):
            matrix = trial.geometry.matrix @ around
            geometry = replace(
                trial.geometry, homography=tuple((matrix / matrix[2, 2]).ravel()[:8].tolist())
            )
            yield replace(trial, geometry=geometry)

    def _moved(self) -> Iterator[Trial]:
        """What a search finds; the clear cases at once, the others best first."""
        for matrices in (search.upright(), search.turned()):
            yield from self._searched(self._parts(), matrices)
            if matrices is search.upright():
                yield from self._energetic()

    def _energetic(self) -> Iterator[Trial]:
        """Geometries that the energy on the lattice points to; the pilots only pose them."""
        parts = self._parts()
        sheets = [part.sheet for part in parts]
        for group in search.energetic(sheets) if sheets else ():
            for pattern in self.patterns:
                found = search.posed(sheets, pattern, group)
                self.best_score = max(self.best_score, found.score)
                yield self._trial(parts[found.sheet], pattern, found)
                yield from self._several(parts[found.sheet], pattern, found)

    def _bent(self) -> Iterator[Trial]:
        """Perspective: the middle of the frame is searched, then the rest is fitted to it."""
        whole = self._parts()
        middles = [
            _Part(evidence=part.evidence, plane=plane, sheet=sheet(plane))
            for part, plane in ((part, middle_of(part.plane)) for part in whole)
        ]
        if not middles:
            return
        sheets = [part.sheet for part in middles]
        for pattern in self.patterns:
            for found in list(search.scan(sheets, pattern, search.tilted()))[:BENT]:
                anchored, evidence = [], []
                for part, middle in zip(whole, middles, strict=True):
                    sync = noticed(spectrum(middle.plane, found.geometry), pattern)
                    if sync.score >= SEEN_IN_MIDDLE:
                        anchored.append(
                            Anchored(
                                plane=part.plane,
                                offset_x=sync.offset_x,
                                offset_y=sync.offset_y,
                                sign=sync.sign,
                            )
                        )
                        evidence.append(part.evidence)
                if not anchored:
                    continue
                geometry, score = unbent(anchored, pattern, found.geometry)
                self.best_score = max(self.best_score, score)
                if score >= STANDS_OUT:
                    place = anchored[0]
                    geometry = replace(
                        geometry, offset_x=place.offset_x, offset_y=place.offset_y
                    )
                    everything = [*self.looks.items, *self.looks.changes]
                    yield from self._trials(everything, pattern, geometry, evidence[0])

    def _searched(self, parts: Sequence[_Part], matrices: search.Matrices) -> Iterator[Trial]:
        waiting: list[tuple[search.Hypothesis, Pattern]] = []
        sheets = [part.sheet for part in parts]
        for pattern in self.patterns if sheets else ():
            for found in search.scan(sheets, pattern, matrices):
                self.best_score = max(self.best_score, found.score)
                if found.score >= CLEAR:
                    yield self._trial(parts[found.sheet], pattern, found)
                    yield from self._several(parts[found.sheet], pattern, found)
                waiting.append((found, pattern))
        waiting.sort(key=lambda one: -one[0].score)
        for found, pattern in waiting[:TRIED]:
            yield self._trial(parts[found.sheet], pattern, found)
        for found, pattern in waiting[:TRIED_TOGETHER]:
            yield from self._several(parts[found.sheet], pattern, found)

    def _parts(self) -> list[_Part]:
        """What is searched: some changes, and some frames as they are."""
        if self._prepared is None:
            changes = spread(self.looks.changes)[:CHANGES_SCANNED]
            frames = spread(self.looks.items)[: SCANNED - len(changes)]
            self._prepared = [
                _Part(evidence=one, plane=one.both, sheet=sheet(one.both))
                for one in (*changes, *frames)
                if np.ptp(one.both) > 0
            ]
        return self._prepared

    def _trial(self, part: _Part, pattern: Pattern, found: search.Hypothesis) -> Trial:
        geometry = found.geometry
        raw = spectrum(part.plane, geometry)
        total = at_offset(raw, geometry.offset_x, geometry.offset_y)
        score = score_at(whitened(total), pattern, 0.0, 0.0)
        return Trial(
            spectrum=-total if score < 0 else total,
            pattern=pattern,
            geometry=geometry,
            at=part.evidence.frame,
            score=found.score,
        )

    def _several(
        self, part: _Part, pattern: Pattern, found: search.Hypothesis
    ) -> Iterator[Trial]:
        count = TOGETHER if found.score >= CLEAR else TOGETHER_AT_FIRST
        some = [*spread(self.looks.changes)[:count], *spread(self.looks.items)[:count]]
        if len(some) > 1:
            yield from self._trials(some, pattern, found.geometry, part.evidence)

    def _trials(
        self,
        evidence: Sequence[Evidence],
        pattern: Pattern,
        geometry: Geometry,
        anchor: Evidence | None = None,
    ) -> Iterator[Trial]:
        """Evidence under a geometry that holds for `anchor`, or else for the first look."""
        if len(evidence) == 1:
            anchor = evidence[0]
        start = self.looks.items[0].frame if anchor is None else anchor.frame
        several = [seen(one, geometry, self.looks.since(start, one.frame)) for one in evidence]
        x, y = geometry.offset_x, geometry.offset_y
        if geometry.unmoved:
            x, y = unmoved_offset(evidence[0].planes[0].shape)
        for placed in self._ways(several, pattern, (x, y)):
            if placed:
                yield combined(placed, pattern, geometry, start)

    def _ways(
        self, several: Sequence[Seen], pattern: Pattern, offset: tuple[float, float]
    ) -> Iterator[list[Placed]]:
        """Where the tile may lie in each piece of evidence, likely ways first."""
        turns = self.looks.turns
        yield at(several, pattern, *offset, turns)
        if len(several) > 1:
            for reach in REACHES:
                yield followed(several, pattern, turns, reach)
            if max(np.abs(one.shift).max() for one in several) > CELL:
                yield followed(several, pattern, turns, 0, carried=False)
        yield standing(several, pattern)


def _around(part: Rectangle, shape: tuple[int, ...]) -> Matrix:
    """From places in a plane [H, W] to those in a part that is read as a whole."""
    height, width = part.bottom - part.top, part.right - part.left
    scale = canonical.SHORT / min(height, width)
    x = (part.left + part.right - shape[1]) / 2
    y = (part.top + part.bottom - shape[0]) / 2
    return np.array([[scale, 0, -scale * x], [0, scale, -scale * y], [0, 0, 1]])
