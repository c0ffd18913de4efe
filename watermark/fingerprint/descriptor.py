"""A neighbourhood of a point as 64 bits, which tolerate damage and know their mirror image.

A SIFT histogram (Lowe 2004: 4 × 4 places × 8 directions) is taken to square roots
(Arandjelović and Zisserman 2012), then through a cosine transform over the places and a
Fourier transform over the directions; the signs of 64 coefficients are the bits. Nothing is
trained: a coefficient is used when its sign is balanced, and the order is that of the measured
stability, so that the first bits make a good address. The order is part of the stored format.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 64
PLACES: Final = 4
DIRECTIONS: Final = 8

# Three digits per bit: vertical and horizontal frequency of the cosine transform, and the
# direction's term (0 = mean, 1 = cos 1, 2 = sin 1, 3 = cos 2, … 7 = cos 4).
ORDER: Final = (
    "031 002 231 102 011 010 322 101 012 013 014 104 022 004 103 100",
    "201 122 111 202 113 211 015 110 121 124 114 302 212 222 105 033",
    "106 213 131 024 204 016 123 132 214 312 006 324 304 034 303 126",
    "134 030 032 116 331 115 233 210 232 120 224 130 300 017 301 311",
)


def _basis() -> NDArray[np.float32]:
    places = np.arange(PLACES)
    cosine = np.cos(np.pi * (places[None] + 0.5) * places[:, None] / PLACES)
    turns = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    terms = [np.ones(DIRECTIONS)]
    for frequency in (1, 2, 3):
        terms += [np.cos(frequency * turns), np.sin(frequency * turns)]
    terms.append(np.cos(4 * turns))
    rows = []
    for digits in " ".join(ORDER).split():
        down, across, term = (int(digit) for digit in digits)
        row = np.einsum("i,j,k->ijk", cosine[down], cosine[across], terms[term]).ravel()
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, dtype=np.float32)


BASIS: Final = _basis()
WEIGHTS: Final = np.uint64(1) << np.arange(BITS - 1, -1, -1, dtype=np.uint64)
"""The first coefficient is the most significant bit, so that codes sort by their address."""


def coefficients(histograms: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 64 signed coefficients, float32[N, 64], of SIFT histograms float32[N, 128]."""
    total = np.maximum(histograms.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.sqrt(histograms / total) @ BASIS.T, dtype=np.float32)


def codes_of(values: NDArray[np.float32]) -> NDArray[np.uint64]:
    """The signs of coefficients float32[N, 64] as codes uint64[N]."""
    bits = np.where(values > 0, WEIGHTS, np.uint64(0))
    return np.asarray(np.bitwise_or.reduce(bits, axis=1), dtype=np.uint64)


def _mirror() -> np.uint64:
    # A mirrored neighbourhood, turned to its main direction again, is the old one upside
    # down: odd vertical frequencies and sines change their sign, nothing else does.
    flips = [int(d[0]) % 2 != (d[2] in "246") for d in " ".join(ORDER).split()]
    return np.uint64(np.bitwise_or.reduce(np.where(flips, WEIGHTS, np.uint64(0))))


MIRROR: Final = _mirror()
"""`code ^ MIRROR` is the code of the mirrored neighbourhood."""
