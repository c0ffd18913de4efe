"""Synchronisation: how well the pilots fit, and at which offset of the tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.lattice import Spectrum, whitened
from watermark.tile import GRID, SIZE, Pattern

FINE: Final = 256
COARSE: Final = 48
WEIGHT_LIMIT: Final = 1.0
_BATCH: Final = 256

Seen = NDArray[np.complex64]
"""complex64[n, pilots]: whitened spectra at the pilots' places under n geometries."""


@dataclass(frozen=True, kw_only=True)
class Sync:
    """The pilots' score in standard deviations, and the tile's offset in pixels.

    `sign` is -1 for a tile that is turned over, as it is in every other second.
    """

    score: float
    offset_x: float
    offset_y: float
    sign: int = 1


def pilots_of(white: Spectrum, pattern: Pattern) -> Seen:
    """A whitened spectrum at its pilots: complex64[1, pilots]."""
    return np.asarray(white[pattern.pilot_rows, pattern.pilot_columns][None])


def synchronise(seen: Seen, pattern: Pattern, *, grid: int = FINE) -> list[Sync]:
    """Finds for each of n geometries the offset at which the pilots fit best.

    With keyed phases, the score at any one offset exceeds z with probability at most
    2 exp(-z²/2), whatever the frames show (a weighted sum of cosines of uniform phases is
    sub-Gaussian with variance 1/2 per unit weight; either sign will do).
    """
    found: list[Sync] = []
    for first in range(0, len(seen), _BATCH):
        found_at = surfaces(seen[first : first + _BATCH], pattern, grid)
        flat = found_at.reshape(len(found_at), -1)
        for index, best in enumerate(np.abs(flat).argmax(axis=1)):
            row, column = divmod(int(best), grid)
            score = float(flat[index, best])
            found.append(
                Sync(
                    score=abs(score),
                    offset_x=column * SIZE / grid,
                    offset_y=row * SIZE / grid,
                    sign=-1 if score < 0 else 1,
                )
            )
    return found


def best_scores(
    seen: Seen, pattern: Pattern, limit: float = WEIGHT_LIMIT
) -> NDArray[np.float32]:
    """The best score, of either sign, over a coarse grid of offsets: float32[n].

    No wave counts for more than `limit` deviations. A high limit tells good geometries from
    still better ones when a mark is strong.
    """
    parts = [
        np.abs(surfaces(seen[first : first + _BATCH], pattern, COARSE, limit)).max(axis=(1, 2))
        for first in range(0, len(seen), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def score_at(white: Spectrum, pattern: Pattern, offset_x: float, offset_y: float) -> float:
    """The pilots' score of one whitened spectrum at a given offset; below 0 turned over."""
    return float(scores_at(white, pattern, np.array([[offset_x, offset_y]]))[0])


def scores_at(
    white: Spectrum, pattern: Pattern, offsets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The pilots' scores of one whitened spectrum at offsets float64[n, 2]: float64[n]."""
    terms, norm = _terms(pilots_of(white, pattern), pattern)
    turn = np.exp((-2j * np.pi / SIZE) * (offsets @ pattern.pilot_waves.T))
    return np.asarray((turn @ terms[0]).real * np.sqrt(2.0) / norm[0])


def unmoved_offset(shape: tuple[int, ...]) -> tuple[float, float]:
    """Where the middle of an unmoved plane [H, W] lies in a tile."""
    return ((shape[1] - 1) / 2) % SIZE, ((shape[0] - 1) / 2) % SIZE


def at_offset(white: Spectrum, offset_x: float, offset_y: float) -> Spectrum:
    """Takes an offset out of a spectrum: phases then count from the tile's corner."""
    across = np.exp((-2j * np.pi / SIZE) * offset_x * np.arange(GRID + 1))
    down = np.exp((-2j * np.pi / SIZE) * offset_y * np.arange(-GRID, GRID + 1))
    return np.asarray(white * down[:, None] * across[None, :], dtype=np.complex64)


def noticed(raw: Spectrum, pattern: Pattern) -> Sync:
    """Synchronises one spectrum that is not whitened yet."""
    return synchronise(pilots_of(whitened(raw), pattern), pattern)[0]


def _terms(
    seen: Seen, pattern: Pattern, limit: float = WEIGHT_LIMIT
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    size = np.abs(seen)
    weight = np.minimum(size, limit) * pattern.pilot_amplitude.astype(np.float32)
    norm = np.sqrt(np.sum(weight * weight, axis=1)) + np.float32(1e-12)
    if limit > WEIGHT_LIMIT:
        # The whole length counts, not only the direction.
        norm = np.full_like(norm, np.linalg.norm(pattern.pilot_amplitude))
    unit = seen / np.maximum(size, np.float32(1e-12))
    terms = weight * unit * np.conj(pattern.pilots)
    return terms.astype(np.complex64), norm.astype(np.float32)


def surfaces(
    seen: Seen, pattern: Pattern, grid: int, limit: float = WEIGHT_LIMIT
) -> NDArray[np.float32]:
    """The pilots' score at every offset of a grid, row y, column x: float32[n, grid, grid]."""
    terms, norm = _terms(seen, pattern, limit)
    plane = np.zeros((len(seen), grid, grid // 2 + 1), dtype=np.complex64)
    # An inverse real transform of the conjugate adds each term and its mirror image. Columns
    # with kx = 0 have no mirror image of their own, so theirs is written down.
    plane[:, pattern.pilot_rows - GRID, pattern.pilot_columns] = np.conj(terms)
    axis = np.flatnonzero(pattern.pilot_columns == 0)
    plane[:, GRID - pattern.pilot_rows[axis], 0] = terms[:, axis]
    surface = np.fft.irfft2(plane, s=(grid, grid))
    factor = np.sqrt(2.0) * grid * grid / 2 / norm
    return np.asarray(surface * factor[:, None, None], dtype=np.float32)
