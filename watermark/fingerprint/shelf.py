"""A shelf of an index: many clips' points in arrays, and the sorted list of their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.points import SIZE_STEPS, Points
from watermark.fingerprint.query import ADDRESS_BITS, DOUBTS, Query
from watermark.fingerprint.record import ASPECT_UNIT, MAX_POINTS, MIN_POINTS, Fingerprint

LISTED: Final = 64
"""So many points of a clip, its most telling, are listed by address."""
LIKE: Final = 9
"""A listed point within so many bits of a query's point is a hit."""
MAX_LIST: Final = 4096
"""Of an address that more points share, only so many are looked at."""
MAX_LOOKED_AT: Final = 2_000_000
TURN_BINS: Final = 8
BIN_OCTAVES: Final = 1.0

Codes = NDArray[np.uint64]


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
        """Removes a clip's points; only their addresses remain, and lead nowhere."""
        self.codes[row] = 0
        self.places[row] = 0
        self.counts[row] = 0

    def likely(self, query: Query, limit: int) -> NDArray[np.intp]:
        """The rows of at most `limit` clips with most hits that agree in turn and size."""
        direct = self._hits(query, query.points.codes)
        mirror = query.points.mirrored()
        turned = self._hits(query, mirror.codes)
        owners = np.concatenate([direct[1], turned[1]])
        rows = owners // LISTED
        hits = np.bincount(rows, minlength=len(self)) if len(rows) else np.zeros(0, np.intp)
        if not len(rows):
            return np.zeros(0, np.intp)
        several = hits[rows] >= 2
        side = np.repeat([0, 1], [len(direct[0]), len(turned[0])])[several]
        asked = np.concatenate([direct[0], turned[0]])[several]
        rows, slots = rows[several].astype(np.int64), (owners % LISTED)[several]
        places = (
            np.where(
                side[:, None] == 0, query.points.places[asked], mirror.places[asked]
            ).astype(np.int64)
            - self.places[rows, slots]
        )
        turn = (places[:, 3] % 256) * TURN_BINS / 256
        size = places[:, 2] / SIZE_STEPS / BIN_OCTAVES + 16
        best = np.zeros(len(self), np.int64)
        for half_turn in (0.0, 0.5):
            for half_size in (0.0, 0.5):
                turn_bin = (turn + half_turn).astype(np.int64) % TURN_BINS
                size_bin = (size + half_size).astype(np.int64)
                key = ((rows * 2 + side) * TURN_BINS + turn_bin) * 64 + size_bin
                keys, votes = np.unique(key, return_counts=True)
                np.maximum.at(best, keys // (2 * TURN_BINS * 64), votes)
        many = np.flatnonzero(best >= 2)
        order = np.lexsort((-hits[many], -best[many]))[:limit]
        return np.asarray(many[order], dtype=np.intp)

    def _hits(self, query: Query, codes: Codes) -> tuple[NDArray[np.intp], NDArray[np.uint32]]:
        """Which of the query's points hit which listed points."""
        flips = np.zeros((len(codes), 2**DOUBTS), np.uint64)
        one = np.uint64(1) << (np.uint64(63) - query.doubts.astype(np.uint64))
        for pattern in range(2**DOUBTS):
            for bit in range(DOUBTS):
                if pattern >> bit & 1:
                    flips[:, pattern] ^= one[:, bit]
        address = ((codes[:, None] ^ flips) >> np.uint64(self.shift)).astype(np.int64)
        # On a small shelf, doubtful bits may lie outside the address.
        if self.shift > 64 - ADDRESS_BITS:
            address = np.sort(address, axis=1)
            again = np.zeros(address.shape, bool)
            again[:, 1:] = address[:, 1:] == address[:, :-1]
        else:
            again = np.zeros(address.shape, bool)
        start = self.starts[address].astype(np.int64)
        length = np.minimum(self.starts[address + 1] - start, MAX_LIST)
        length[again] = 0
        start, length = start.ravel(), length.ravel()
        total = int(length.sum())
        if total > MAX_LOOKED_AT:
            order = np.argsort(length, kind="stable")
            allowed = np.cumsum(length[order]) <= MAX_LOOKED_AT
            length[order[~allowed]] = 0
            total = int(length.sum())
        asked = np.repeat(np.arange(len(codes)).repeat(2**DOUBTS), length)
        ends = np.cumsum(length)
        at = np.arange(total) + np.repeat(start - (ends - length), length)
        near = np.bitwise_count(self.listed[at] ^ codes[asked]) <= LIKE
        return asked[near], self.owners[at[near]]
