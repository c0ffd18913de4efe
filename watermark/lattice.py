"""The spectrum of a residual at the mark's own frequencies, exactly and in bulk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.geometry import Geometry
from watermark.tile import GRID, SIZE

Plane = NDArray[np.float32]
Spectrum = NDArray[np.complex64]
"""complex64[2 * GRID + 1, GRID + 1]: row ky + GRID, column kx, cycles per tile."""

MAX_CANVAS: Final = 1440
_FFT: Final = (1024, 2048)
_MAX_FREQUENCY: Final = 0.36
_NEIGHBOURS: Final = (7, 7)
_AROUND: Final = (57, 113)


def spectrum(plane: Plane, geometry: Geometry) -> Spectrum:
    """The spectrum of a residual float32[H, W] with its geometry undone, but for the offset.

    Phases count from the middle of the plane.
    """
    upright = plane if geometry.unmoved else straightened(plane, geometry)
    across, down = _waves(upright.shape[0], upright.shape[1])
    both = upright @ across
    rows = both[:, : GRID + 1] + 1j * both[:, GRID + 1 :]
    return np.asarray(down @ rows, dtype=np.complex64)


def straightened(plane: Plane, geometry: Geometry) -> Plane:
    """Warps a residual to the marked frame's own grid, its middle staying in the middle."""
    height, width = plane.shape
    middle = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    matrix = geometry.matrix @ middle
    corners = np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1] * 4])
    moved = matrix @ corners
    reach = np.max(np.abs(moved[:2] / np.maximum(moved[2], 0.2)), axis=1)
    columns, rows = (int(min(MAX_CANVAS, 2 * np.ceil(half) + 1)) for half in reach)
    place = np.array([[1, 0, (columns - 1) / 2], [0, 1, (rows - 1) / 2], [0, 0, 1]])
    warped = cv2.warpPerspective(plane, place @ matrix, (columns, rows), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.float32)


@lru_cache(maxsize=8)
def _waves(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.complex64]]:
    def wave(length: int, cycles: NDArray[np.intp]) -> NDArray[np.complex64]:
        at = np.arange(length) - (length - 1) / 2
        return np.exp(-2j * np.pi / SIZE * np.outer(at, cycles)).astype(np.complex64)

    across = wave(width, np.arange(GRID + 1))
    down = wave(height, np.arange(-GRID, GRID + 1))
    return np.concatenate([across.real, across.imag], axis=1), down.T.copy()


def whitened(raw: Spectrum) -> Spectrum:
    """A spectrum divided by its local deviation, over 7 x 7 neighbours."""
    return np.asarray(raw / deviation(raw), dtype=np.complex64)


def deviation(raw: Spectrum) -> NDArray[np.float32]:
    """The local deviation of a spectrum: float32, same shape, never 0."""
    # The other half plane mirrors this one; without it the axis would have half a surround.
    full = np.concatenate([np.conj(raw[::-1, :0:-1]), raw], axis=1)
    power = full.real**2 + full.imag**2
    power[GRID, GRID] = 0
    local = cv2.blur(power.astype(np.float32), _NEIGHBOURS, borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.sqrt(np.maximum(local[:, GRID:], 0)) + np.float32(1e-9))


@dataclass(frozen=True, kw_only=True, eq=False)
class Sheet:
    """The whitened spectrum of a plane on a fine grid, to be looked up at any frequency.

    One transform serves every scale, turn and shear: under the linear map A of a geometry
    (from places read to places marked) the tile's wave k has the frequency k·A / 128.
    """

    values: NDArray[np.complex64]

    def at(self, frequencies: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Looks up float64[..., 2] (x, y in cycles per pixel), bilinearly; 0 out of range."""
        across, down = frequencies[..., 0] * _FFT[1], frequencies[..., 1] * _FFT[0]
        mirrored = across < 0
        across, down = np.abs(across), np.where(mirrored, -down, down)
        outside = (across >= self.values.shape[1] - 1) | (np.abs(down) >= _FFT[0] / 2)
        across = np.where(outside, 0.0, across)
        left, top = np.floor(across).astype(np.intp), np.floor(down).astype(np.intp)
        right, low = (across - left).astype(np.float32), (down - top).astype(np.float32)
        flat, columns = self.values.ravel(), self.values.shape[1]
        first, second = (top % _FFT[0]) * columns + left, ((top + 1) % _FFT[0]) * columns + left
        found = (1 - low) * ((1 - right) * flat[first] + right * flat[first + 1])
        found += low * ((1 - right) * flat[second] + right * flat[second + 1])
        found = np.where(mirrored, np.conj(found), found)
        return np.asarray(np.where(outside, 0, found), dtype=np.complex64)


def sheet(plane: Plane) -> Sheet:
    """Transforms a plane; one larger than 1024 x 2048 is cut to its middle."""
    height, width = (min(side, limit) for side, limit in zip(plane.shape, _FFT, strict=True))
    top, left = (plane.shape[0] - height) // 2, (plane.shape[1] - width) // 2
    padded = np.zeros(_FFT, dtype=np.float32)
    padded[:height, :width] = plane[top : top + height, left : left + width]
    limit = int(_MAX_FREQUENCY * _FFT[1])
    values = np.fft.rfft2(padded)[:, :limit].astype(np.complex64)
    # Counting phases from the middle makes the spectrum smooth enough to interpolate.
    down = np.fft.fftfreq(_FFT[0])[:, None] * ((height - 1) / 2)
    across = np.arange(limit)[None, :] / _FFT[1] * ((width - 1) / 2)
    values *= np.exp(2j * np.pi * down).astype(np.complex64)
    values *= np.exp(2j * np.pi * across).astype(np.complex64)
    power = values.real**2 + values.imag**2
    wide = np.concatenate([power[-_AROUND[0] :], power, power[: _AROUND[0]]])
    local = cv2.blur(wide, _AROUND[::-1], borderType=cv2.BORDER_REFLECT)[
        _AROUND[0] : -_AROUND[0]
    ]
    values /= np.sqrt(np.maximum(local, 1e-12))
    return Sheet(values=values)
