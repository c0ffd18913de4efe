"""PDQ: Facebook's perceptual hash of a picture, and an index that finds near ones.

After "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm" (Facebook,
2019, hashing.pdf in github.com/facebook/ThreatExchange). A hash says which picture this is,
never what it shows; it survives recompression and scaling, not cropping or a frame around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

HASH_BYTES = 32
HASH_BITS = 256
MATCH_DISTANCE = 31
"""Two pictures are the same one when at most this many of the 256 bits differ."""

MIN_QUALITY = 50
"""Below this quality, in 0..100, a hash says little: neither a match nor its absence."""

MIN_SIDE = 5
SYMMETRIES = 8

_GRID = 64
_KEPT = 16
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_STEADY = 0.1  # grey levels times 8; rounding errors and recompression stay mostly below
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_WORDS = 16
_WORD_VALUES = 1 << 16
_ONE_OFF = np.array([0, *(1 << np.arange(16))], np.uint16)
_FEW = 32768
_BLOCK = 1 << 16

Picture = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PictureHash:
    """The hash of one picture in all eight ways it can be turned and mirrored.

    ``symmetries`` is uint8[8,32], the picture as it is first; the bytes are those of the hex
    form. ``quality`` is 0..100: how much structure the hash rests on. ``unsteady`` is how many
    of the 256 bits the next rounding may turn, as in a picture that mirrors itself.
    ``contrast`` is the range of brightness in grey levels, 0..255, when shrunk to 64x64.
    """

    symmetries: Hashes
    quality: int
    unsteady: int
    contrast: float

    @property
    def hex(self) -> str:
        """The hash of the picture as it is, as ThreatExchange writes it: 64 hex digits."""
        return bytes(self.symmetries[0]).hex()

    @property
    def telling(self) -> bool:
        """Whether the hash can show that this is not a listed picture."""
        return self.quality >= MIN_QUALITY and self.unsteady <= MATCH_DISTANCE


def picture_hash(picture: Picture) -> PictureHash:
    """The hash of a picture, uint8[H,W,3] RGB, of any size.

    A side below MIN_SIDE pixels gives an empty hash of quality 0. Raises ValueError for
    anything that is not such an array.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError("A picture is uint8[H,W,3].")
    height, width, _ = picture.shape
    if min(height, width) < MIN_SIDE:
        empty = np.zeros((SYMMETRIES, HASH_BYTES), np.uint8)
        return PictureHash(symmetries=empty, quality=0, unsteady=HASH_BITS, contrast=0.0)
    luma: _Floats = np.dot(picture.astype(np.float32), _LUMA)
    small: _Floats = np.dot(np.dot(_shrinking(height), luma), _shrinking(width).T)
    waves: _Floats = np.dot(np.dot(_cosines(), small), _cosines().T)
    hashes = np.stack([_bits(turned) for turned in _symmetries(waves)])
    return PictureHash(
        symmetries=hashes,
        quality=_quality(small),
        unsteady=int((np.abs(waves - _lower_median(waves)) < _STEADY).sum()),
        contrast=float(small.max() - small.min()),
    )


def from_hex(text: str) -> bytes:
    """The 32 bytes of a hash in the ThreatExchange form. Raises ValueError.

    The message never holds the text: what is in a list of hashes is not to be repeated.
    """
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    raise ValueError("A PDQ hash is 64 hexadecimal digits.")


def distance(one: bytes, other: bytes) -> int:
    """In how many of the 256 bits two hashes differ."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


@dataclass(frozen=True, kw_only=True)
class Match:
    """An entry of an index near a picture: its place in the index, and the distance."""

    row: int
    distance: int


class HashIndex:
    """Finds all hashes within MATCH_DISTANCE of a picture, exactly.

    ``hashes`` is uint8[N,32]. Up to 31 different bits in 16 words of 16 bits leave one word
    with at most one different bit; so only hashes that share a word, or nearly, are compared.
    Takes about 100 bytes a hash. Nothing changes after the constructor.
    """

    def __init__(self, hashes: Hashes) -> None:
        if hashes.ndim != 2 or hashes.shape[1] != HASH_BYTES or hashes.dtype != np.uint8:
            raise ValueError("Hashes are uint8[N,32].")
        self._hashes = np.ascontiguousarray(hashes).view(np.uint64)
        self._order: list[npt.NDArray[np.intp]] = []
        self._starts: list[npt.NDArray[np.int64]] = []
        if len(hashes) > _FEW:
            words = self._hashes.view(np.uint16)
            for place in range(_WORDS):
                column = words[:, place]
                self._order.append(np.argsort(column, kind="stable").astype(np.uint32))
                counts = np.bincount(column, minlength=_WORD_VALUES)
                self._starts.append(np.concatenate([[0], np.cumsum(counts)]))

    def __len__(self) -> int:
        return len(self._hashes)

    def near(self, hashes: Hashes) -> tuple[Match, ...]:
        """The entries near any of ``hashes`` (uint8[K,32]), each once, the nearest first."""
        queries = np.ascontiguousarray(hashes).view(np.uint64)
        found: dict[int, int] = {}
        for query in queries:
            for row, off in self._near(query):
                found[row] = min(off, found.get(row, off))
        ordered = sorted(found.items(), key=lambda item: (item[1], item[0]))
        return tuple(Match(row=row, distance=off) for row, off in ordered)

    def _near(self, query: npt.NDArray[np.uint64]) -> Iterable[tuple[int, int]]:
        rows = self._candidates(query)
        for start in range(0, len(self) if rows is None else len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = self._hashes[part] if rows is None else self._hashes[rows[part]]
            off = np.bitwise_count(block ^ query).sum(axis=1, dtype=np.uint16)
            for hit in np.flatnonzero(off <= MATCH_DISTANCE):
                row = start + hit if rows is None else rows[start + hit]
                yield int(row), int(off[hit])

    def _candidates(self, query: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp] | None:
        """The rows worth comparing; None for all of them."""
        if not self._order:
            return None
        parts = []
        total = 0
        for order, starts, word in zip(
            self._order, self._starts, query.view(np.uint16), strict=True
        ):
            for near in word ^ _ONE_OFF:
                part = order[starts[near] : starts[near + np.int64(1)]]
                total += len(part)
                parts.append(part)
            if total > len(self):
                return None  # hashes of featureless pictures share their words: compare all
        return np.concatenate(parts).astype(np.intp)


@lru_cache(maxsize=32)
def _shrinking(length: int) -> _Floats:
    """Two box blurs and the choice of 64 points, as one matrix float32[64,length].

    The reference runs them over the whole picture (hashing.pdf, "Jarosz filters"); they are
    linear, so that the 64 points alone can be had. A box reaches ``ahead`` - 1 forward and
    the rest back, and is cut at the border.
    """
    window = -(-length // (2 * _GRID))
    ahead = (window + 2) // 2
    places = np.arange(length)
    first = np.maximum(places - (window - ahead), 0)
    last = np.minimum(places + ahead - 1, length - 1)
    counts = last - first + 1
    points = ((np.arange(_GRID) + 0.5) * length / _GRID).astype(int)
    once = (places >= first[points, None]) & (places <= last[points, None])
    weights = once / counts[points, None] / counts
    sums = np.concatenate([np.zeros((_GRID, 1)), np.cumsum(weights, axis=1)], axis=1)
    begin = np.maximum(places - (ahead - 1), 0)
    end = np.minimum(places + (window - ahead), length - 1) + 1
    matrix: _Floats = (sums[:, end] - sums[:, begin]).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=1)
def _cosines() -> _Floats:
    """Rows 1 to 16 of the 64-point cosine transform, float32[16,64]."""
    row, column = np.arange(1, _KEPT + 1)[:, None], np.arange(_GRID)[None]
    matrix = np.sqrt(2 / _GRID) * np.cos(np.pi / 2 / _GRID * row * (2 * column + 1))
    small: _Floats = matrix.astype(np.float32)
    return small


def _quality(small: _Floats) -> int:
    """0..100 from the steps between neighbours, each in whole hundredths of the range."""
    steps = sum(
        np.abs(np.trunc(np.diff(small, axis=axis) * np.float32(100) / np.float32(255))).sum()
        for axis in (0, 1)
    )
    return min(100, int(steps) // 90)


def _symmetries(
    waves: _Floats,
) -> Iterable[_Floats]:
    """The transform of the turned and mirrored picture: signs change, rows become columns.

    In the order of the reference: as it is, turned by 90, 180 and 270 degrees, mirrored
    upside down, left to right, along one diagonal and the other.
    """
    odd = np.where(np.arange(_KEPT) % 2, 1, -1).astype(np.float32)
    rows, columns = waves * odd[:, None], waves * odd
    both = rows * odd
    return (waves, columns.T, both, rows.T, rows, columns, waves.T, both.T)


def _bits(waves: _Floats) -> Hashes:
    """What lies above the lower median; the last frequency is the first bit of the hex."""
    return np.packbits(waves.reshape(-1)[::-1] > _lower_median(waves))


def _lower_median(waves: _Floats) -> np.float32:
    middle = HASH_BITS // 2 - 1
    lower: np.float32 = np.partition(waves.reshape(-1), middle)[middle]
    return lower
