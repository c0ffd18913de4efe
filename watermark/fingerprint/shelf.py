"""A shelf of an index: many clips' points in arrays, and the sorted list of their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.points import Points, positions
from watermark.fingerprint.query import ADDRESS_BITS, DOUBTS
from watermark.fingerprint.record import (
    ASPECT_UNIT,
    LISTED,
    MAX_POINTS,
    MIN_POINTS,
    Fingerprint,
)
from watermark.fingerprint.voting import votes

LIKE: Final = 10
"""A listed point within so many bits of a query's point is a hit."""
MAX_LIST: Final = 1024
"""Of an address that more points share, only so many are looked at."""
MAX_LOOKED_AT: Final = 2_000_000
MIN_HITS: Final = 2

Codes = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Likely:
    """A clip to compare in full: its row, which side hit it, how many hits agree."""

    row: int
    side: int
    votes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Shelf:
    """N clips. `codes` uint64[N, 128] and `places` uint8[N, 128, 4] hold their points, of
    which `counts` int32[N] are real (0: removed); `aspects` is uint16[N]. `listed` is the
    sorted codes of the first points, `owners` uint32 says whose: clip × 64 + point.
    """

    codes: Codes
    places: NDArray[np.uint8]
    counts: NDArray[np.int32]
    aspects: NDArray[np.uint16]
    listed: Codes
    owners: NDArray[np.uint32]
    starts: NDArray[np.uint32]
    shift: int

    @classmethod
    def of(cls, fingerprints: Sequence[Fingerprint]) -> Shelf:
        """Fills a shelf with fingerprints."""
        size = len(fingerprints)
        codes = np.zeros((size, MAX_POINTS), np.uint64)
        places = np.zeros((size, MAX_POINTS, 4), np.uint8)
        counts = np.zeros(size, np.int32)
        aspects = np.zeros(size, np.uint16)
        for row, one in enumerate(fingerprints):
            count = len(one.points)
            codes[row, :count] = one.points.codes
            places[row, :count] = one.points.places
            counts[row] = count
            aspects[row] = round(one.points.aspect * ASPECT_UNIT)
        return cls.over(codes, places, counts, aspects)

    @classmethod
    def over(
        cls,
        codes: Codes,
        places: NDArray[np.uint8],
        counts: NDArray[np.int32],
        aspects: NDArray[np.uint16],
    ) -> Shelf:
        """Lists the points of arrays that are already filled."""
        enough = np.where(counts >= MIN_POINTS, counts, 0)
        real = np.arange(LISTED)[None] < enough[:, None]
        listed = codes[:, :LISTED][real]
        owners = np.flatnonzero(real.ravel()).astype(np.uint32)
        order = np.argsort(listed)
        listed, owners = listed[order], owners[order]
        # About one address per listed point: the table stays small for a small shelf.
        bits = min(ADDRESS_BITS, max(8, len(listed).bit_length()))
        edges = np.arange(2**bits + 1, dtype=np.uint64)[:-1] << np.uint64(64 - bits)
        starts = np.append(np.searchsorted(listed, edges), len(listed)).astype(np.uint32)
        return cls(
            codes=codes,
            places=places,
            counts=counts,
            aspects=aspects,
            listed=listed,
            owners=owners,
            starts=starts,
            shift=64 - bits,
        )

    @classmethod
    def joined(cls, shelves: Sequence[Shelf], kept: NDArray[np.bool_]) -> Shelf:
        """One shelf with the kept rows of several."""
        return cls.over(
            np.concatenate([shelf.codes for shelf in shelves])[kept],
            np.concatenate([shelf.places for shelf in shelves])[kept],
            np.concatenate([shelf.counts for shelf in shelves])[kept],
            np.concatenate([shelf.aspects for shelf in shelves])[kept],
        )

    def __len__(self) -> int:
        return len(self.counts)

    def points(self, row: int) -> Points:
        """The points of the clip in that row."""
        count = int(self.counts[row])
        return Points(
            codes=self.codes[row, :count],
            places=self.places[row, :count],
            aspect=float(self.aspects[row]) / ASPECT_UNIT,
        )

    def erase(self, row: int) -> None:
        """Overwrites a clip's points, in the list too: by the next foreign entry there.

        The list stays sorted and as long as it was. Of a shelf's only clip the listed codes
        remain; drop such a shelf.
        """
        for code in np.unique(self.codes[row, : min(LISTED, int(self.counts[row]))]):
            at = int(np.searchsorted(self.listed, code))
            stop = int(np.searchsorted(self.listed, code, side="right"))
            for place in range(at, stop):
                if self.owners[place] // LISTED == row:
                    self._overwrite(place, row)
        self.codes[row] = 0
        self.places[row] = 0
        self.counts[row] = 0

    def _overwrite(self, place: int, row: int) -> None:
        other = place
        while other < len(self.owners) and self.owners[other] // LISTED == row:
            other += 1
        if other == len(self.owners):
            while other > 0 and self.owners[other - 1] // LISTED == row:
                other -= 1
            other -= 1
        if other >= 0:
            self.listed[place], self.owners[place] = self.listed[other], self.owners[other]

    def likely(
        self, sides: tuple[Points, Points], doubts: NDArray[np.uint8], limit: int
    ) -> tuple[Likely, ...]:
        """At most `limit` clips with most hits that agree on where it lies.

        `sides` are a query's points and their mirror image.
        """
        found = [self._hits(points.codes, doubts) for points in sides]
        asked = np.concatenate([hits[0] for hits in found])
        owners = np.concatenate([hits[1] for hits in found]).astype(np.int64)
        mirrored = np.repeat(np.arange(2), [len(hits[0]) for hits in found])
        views = owners // LISTED * 2 + mirrored
        order = np.argsort(views, kind="stable")
        views = views[order]
        if not len(views):
            return ()
        # One listed point that many of the query's points hit is one hit.
        hit_views = np.unique(views * LISTED + owners[order] % LISTED) // LISTED
        view, hits = np.unique(hit_views, return_counts=True)
        several = np.isin(views, view[hits >= MIN_HITS])
        order, views = order[several], views[several]
        if not len(views):
            return ()
        side, asked = mirrored[order], asked[order]
        rows, slots = owners[order] // LISTED, owners[order] % LISTED
        places = np.stack([points.places for points in sides])[side, asked]
        to = np.stack([points.positions() for points in sides])[side, asked]
        came = positions(self.places[rows, slots], self.aspects[rows] / ASPECT_UNIT)
        moved = places.astype(np.int64) - self.places[rows, slots]
        agreeing = votes(views, slots, to, came, moved)
        # The most votes of a view stand first; np.unique keeps the first of each view.
        best = np.lexsort((-agreeing, views))
        view, at = np.unique(views[best], return_index=True)
        vote = agreeing[best][at]
        chosen = np.flatnonzero(vote >= MIN_HITS)
        chosen = chosen[np.argsort(-vote[chosen], kind="stable")[:limit]]
        return tuple(
            Likely(row=int(view[at]) // 2, side=int(view[at]) % 2, votes=int(vote[at]))
            for at in chosen
        )

    def _hits(
        self, codes: Codes, doubts: NDArray[np.uint8]
    ) -> tuple[NDArray[np.intp], NDArray[np.uint32]]:
        """Which of the codes, and whose listed points they hit."""
        patterns = np.arange(2**DOUBTS)
        one = np.uint64(1) << (np.uint64(63) - doubts.astype(np.uint64))
        flips = np.zeros((len(codes), len(patterns)), np.uint64)
        for bit in range(DOUBTS):
            flips ^= np.where(patterns >> bit & 1, one[:, bit, None], np.uint64(0))
        address = ((codes[:, None] ^ flips) >> np.uint64(self.shift)).astype(np.int64)
        start = self.starts[address].astype(np.int64)
        length = np.minimum(self.starts[address + 1] - start, MAX_LIST)
        if self.shift > 64 - ADDRESS_BITS:
            # On a small shelf a doubtful bit may lie outside the address: look there once.
            order = np.argsort(address, axis=1, kind="stable")
            ordered = np.take_along_axis(address, order, axis=1)
            again = np.zeros(address.shape, bool)
            np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
            length[again] = 0
        start, length = start.ravel(), length.ravel()
        if length.sum() > MAX_LOOKED_AT:
            order = np.argsort(length, kind="stable")
            length[order[np.cumsum(length[order]) > MAX_LOOKED_AT]] = 0
        asked = np.repeat(np.arange(len(codes)).repeat(len(patterns)), length)
        before = np.cumsum(length) - length
        at = np.arange(len(asked)) + np.repeat(start - before, length)
        near = np.bitwise_count(self.listed[at] ^ codes[asked]) <= LIKE
        return asked[near], self.owners[at[near]]
