"""Synchronisation: the spectrum of a residual under a geometry, and how well pilots fit it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Geometry
from watermark.tile import GRID, SIZE, Pattern

FINE: Final = 256
COARSE: Final = 96
WEIGHT_LIMIT: Final = 1.0

Spectrum = NDArray[np.complex64]
"""complex64[2 * GRID + 1, GRID + 1]: row ky + GRID, column kx, cycles per tile."""

Spectra = NDArray[np.complex64]
"""complex64[n, 2 * GRID + 1, GRID + 1]."""

_LOW = np.arange(GRID + 1)
_ALL = np.arange(-GRID, GRID + 1)
_BATCH: Final = 32


@dataclass(frozen=True, kw_only=True)
class Sync:
    """Pilots found: their score in standard deviations, and the tile's offset in pixels."""

    score: float
    offset_x: float
    offset_y: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Kernels:
    """The waves that n pairs of scales need for planes of one size; costly, so kept."""

    across: NDArray[np.float32]
    down: NDArray[np.complex64]


def kernels(
    shape: tuple[int, int], scales_x: NDArray[np.float64], scales_y: NDArray[np.float64]
) -> Kernels:
    """Prepares transforms of planes [H, W] at the given scales, at most 32 at a time."""
    height, width = shape
    waves = _waves(width, np.repeat(scales_x, _LOW.size), np.tile(_LOW, scales_x.size))
    down = _waves(height, np.repeat(scales_y, _ALL.size), np.tile(_ALL, scales_y.size))
    return Kernels(
        across=np.concatenate([waves.real, waves.imag], axis=1),
        down=np.ascontiguousarray(down.T).reshape(scales_y.size, _ALL.size, height),
    )


def transform(plane: NDArray[np.float32], prepared: Kernels) -> Spectra:
    """The spectra of one plane: a direct transform at stretched frequencies.

    Nothing is resampled, and tiles add up by themselves because the pattern is periodic.
    """
    both = plane @ prepared.across
    half = both.shape[1] // 2
    rows = (both[:, :half] + 1j * both[:, half:]).reshape(len(plane), -1, _LOW.size)
    return np.asarray(prepared.down @ rows.transpose(1, 0, 2))


def batches(count: int) -> Iterator[slice]:
    """Cuts n scales into what is transformed at once."""
    yield from (slice(first, first + _BATCH) for first in range(0, count, _BATCH))


def _waves(
    length: int, scale: NDArray[np.float64], cycles: NDArray[np.intp]
) -> NDArray[np.complex64]:
    """exp(-2πi · tile coordinate · frequency); scaling keeps pixel centres in place."""
    at = (np.arange(length)[:, None] + 0.5) * scale - 0.5
    angle = (at * cycles * (-2 * np.pi / SIZE)).astype(np.float32)
    waves = np.empty(angle.shape, dtype=np.complex64)
    waves.real, waves.imag = np.cos(angle), np.sin(angle)
    return waves


def spectrum(plane: NDArray[np.float32], geometry: Geometry) -> Spectrum:
    """The spectrum of a plane under a geometry, its offset not yet taken out."""
    posed = posed_plane(plane, flipped=geometry.flipped, rotation=geometry.rotation)
    scales = (np.array([geometry.scale_x]), np.array([geometry.scale_y]))
    rows, columns = posed.shape
    return np.asarray(transform(posed, kernels((rows, columns), *scales))[0])


def mirrored(raws: Spectra) -> Spectra:
    """Spectra of the mirrored plane, but for an offset."""
    return np.conj(raws[..., ::-1, :])


def posed_plane(
    plane: NDArray[np.float32], *, flipped: bool, rotation: float
) -> NDArray[np.float32]:
    """Mirrors and turns a plane back."""
    posed = np.ascontiguousarray(plane[:, ::-1]) if flipped else plane
    if rotation == 0.0:
        return posed
    height, width = posed.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -rotation, 1.0)
    return np.asarray(cv2.warpAffine(posed, matrix, (width, height)), dtype=np.float32)


def deviations(raws: Spectra) -> NDArray[np.float32]:
    """The local deviation of spectra, over 7 x 7 neighbours: float32[n, 41, 21]."""
    # The other half plane mirrors this one; without it the axis would have half a surround.
    full = np.concatenate([np.conj(raws[:, ::-1, :0:-1]), raws], axis=2)
    power = full.real**2 + full.imag**2
    power[:, GRID, GRID] = 0
    stacked = np.ascontiguousarray(power.transpose(1, 2, 0))
    local = cv2.blur(stacked, (7, 7), borderType=cv2.BORDER_REFLECT)
    kept = local.reshape(stacked.shape).transpose(2, 0, 1)[:, :, GRID:]
    return np.asarray(np.sqrt(np.maximum(kept, 0)) + np.float32(1e-9))


def _pilot_terms(
    raws: Spectra, pattern: Pattern
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    white = raws / deviations(raws)
    seen = white[:, pattern.pilot_rows, pattern.pilot_columns]
    size = np.abs(seen)
    weight = np.minimum(size, WEIGHT_LIMIT) * pattern.pilot_amplitude.astype(np.float32)
    norm = np.sqrt(np.sum(weight * weight, axis=1)) + np.float32(1e-12)
    unit = seen / np.maximum(size, np.float32(1e-12))
    terms = weight * unit * np.conj(pattern.pilots)
    return terms.astype(np.complex64), norm.astype(np.float32)


def _surfaces(raws: Spectra, pattern: Pattern, grid: int) -> NDArray[np.float32]:
    """The pilots' score at every offset of a grid: float32[n, grid, grid]."""
    terms, norm = _pilot_terms(raws, pattern)
    plane = np.zeros((len(raws), grid, grid // 2 + 1), dtype=np.complex64)
    # An inverse real transform of the conjugate adds each term and its mirror image. Columns
    # with kx = 0 have no mirror image of their own, so theirs is written down.
    plane[:, pattern.pilot_rows - GRID, pattern.pilot_columns] = np.conj(terms)
    axis = np.flatnonzero(pattern.pilot_columns == 0)
    plane[:, GRID - pattern.pilot_rows[axis], 0] = terms[:, axis]
    surface = np.fft.irfft2(plane, s=(grid, grid))
    factor = np.sqrt(2.0) * grid * grid / 2 / norm
    return np.asarray(surface * factor[:, None, None], dtype=np.float32)


def synchronise(raw: Spectrum, pattern: Pattern, *, grid: int = FINE) -> Sync:
    """Finds the offset at which the pilots fit best.

    With keyed phases, the score at any one offset exceeds z with probability at most
    exp(-z²/2), whatever the frames show (a weighted sum of cosines of uniform phases is
    sub-Gaussian with variance 1/2 per unit weight).
    """
    surface = _surfaces(raw[None], pattern, grid)[0]
    row, column = divmod(int(np.argmax(surface)), grid)
    return Sync(
        score=float(surface[row, column]),
        offset_x=column * SIZE / grid,
        offset_y=row * SIZE / grid,
    )


def best_scores(raws: Spectra, pattern: Pattern) -> NDArray[np.float32]:
    """The best score of each of n spectra over a coarse grid of offsets: float32[n]."""
    return np.asarray(_surfaces(raws, pattern, COARSE).max(axis=(1, 2)))


def score_at(raw: Spectrum, pattern: Pattern, offset_x: float, offset_y: float) -> float:
    """The pilots' score at a given offset."""
    terms, norm = _pilot_terms(raw[None], pattern)
    rows = (pattern.pilot_rows - GRID).astype(np.float64)
    angle = (-2 * np.pi / SIZE) * (pattern.pilot_columns * offset_x + rows * offset_y)
    return float(np.sum((terms[0] * np.exp(1j * angle)).real) * np.sqrt(2.0) / norm[0])
