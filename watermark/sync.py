"""Synchronisation: the spectrum of a residual under a geometry, and how well pilots fit it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Geometry
from watermark.tile import GRID, SIZE, Pattern

FINE: Final = 256
COARSE: Final = 64
WEIGHT_LIMIT: Final = 2.0

Spectrum = NDArray[np.complex64]
"""complex64[2 * GRID + 1, GRID + 1]: row ky + GRID, column kx, cycles per tile."""


@dataclass(frozen=True, kw_only=True)
class Sync:
    """Pilots found: their score in standard deviations, and the tile's offset in pixels."""

    score: float
    offset_x: float
    offset_y: float


def spectra(
    plane: NDArray[np.float32], scales_x: NDArray[np.float64], scales_y: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """The spectra of one plane under n pairs of scales: complex64[n, 41, 21].

    A direct transform at the stretched frequencies: no resampling, and tiles add up by
    themselves because the pattern is periodic.
    """
    height, width = plane.shape
    low = np.arange(GRID + 1)
    all_y = np.arange(-GRID, GRID + 1)
    out = np.empty((len(scales_x), 2 * GRID + 1, GRID + 1), dtype=np.complex64)
    step = 16
    for first in range(0, len(scales_x), step):
        part = scales_x[first : first + step]
        columns = len(part) * len(low)
        kernel = _waves(width, np.repeat(part, len(low)), np.tile(low, len(part)))
        both = plane @ np.concatenate([kernel.real, kernel.imag], axis=1)
        rows = both[:, :columns] + 1j * both[:, columns:]
        for index in range(len(part)):
            kernel = _waves(height, np.full(len(all_y), scales_y[first + index]), all_y)
            block = rows[:, index * len(low) : (index + 1) * len(low)]
            out[first + index] = kernel.T @ block
    return out


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
    return np.asarray(
        spectra(posed, np.array([geometry.scale_x]), np.array([geometry.scale_y]))[0]
    )


def mirrored(raw: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Spectra of the mirrored plane, but for an offset: complex64[..., 41, 21]."""
    return np.conj(raw[..., ::-1, :])


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


def whiten(raw: Spectrum) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Divides a spectrum by its local deviation; returns the quotient and the deviation."""
    # The other half plane mirrors this one; without it the axis would have half a surround.
    full = np.concatenate([np.conj(raw[::-1, :0:-1]), raw], axis=1)
    power = (full.real**2 + full.imag**2).astype(np.float64)
    power[GRID, GRID] = 0
    local = cv2.blur(power, (7, 7), borderType=cv2.BORDER_REFLECT)
    deviation = np.sqrt(local[:, GRID:]) + 1e-9
    return raw / deviation, deviation


def _pilot_terms(raw: Spectrum, pattern: Pattern) -> tuple[NDArray[np.complex128], float]:
    white, _ = whiten(raw)
    seen = white[pattern.pilot_rows, pattern.pilot_columns]
    size = np.abs(seen)
    weight = np.minimum(size, WEIGHT_LIMIT) * pattern.pilot_amplitude
    norm = float(np.sqrt(np.sum(weight * weight)))
    unit = seen / np.maximum(size, 1e-12)
    return weight * unit * np.conj(pattern.pilots), max(norm, 1e-12)


def synchronise(raw: Spectrum, pattern: Pattern, *, grid: int = FINE) -> Sync:
    """Finds the offset at which the pilots fit best.

    With keyed phases, the score at any one offset exceeds z with probability at most
    exp(-z²/2), whatever the frames show (a weighted sum of cosines of uniform phases is
    sub-Gaussian with variance 1/2 per unit weight).
    """
    terms, norm = _pilot_terms(raw, pattern)
    plane = np.zeros((grid, grid), dtype=np.complex64)
    plane[pattern.pilot_rows - GRID, pattern.pilot_columns] = terms
    surface = cv2.dft(plane.view(np.float32).reshape(grid, grid, 2), flags=0)[..., 0]
    best = int(np.argmax(surface))
    row, column = divmod(best, grid)
    score = float(surface[row, column] * np.sqrt(2.0) / norm)
    return Sync(score=score, offset_x=column * SIZE / grid, offset_y=row * SIZE / grid)


def score_at(raw: Spectrum, pattern: Pattern, offset_x: float, offset_y: float) -> float:
    """The pilots' score at a given offset."""
    terms, norm = _pilot_terms(raw, pattern)
    turn = np.exp(
        (-2j * np.pi / SIZE)
        * (
            pattern.pilot_columns * offset_x
            + (pattern.pilot_rows - GRID).astype(np.float64) * offset_y
        )
    )
    return float(np.sum((terms * turn).real)) * float(np.sqrt(2.0)) / norm
