"""The periodic tile that carries a mark, and its keyed spectrum.

A tile is 128 x 128 canonical pixels. Its discrete spectrum has one complex number for each
lattice point k = (kx, ky) of a half plane with K_MIN <= |k| <= K_MAX cycles per tile. A keyed
choice of points are *pilots* with keyed phases, known to a reader before it knows anything
else; the others carry code bits, two to a point (QPSK), in keyed order under keyed signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import code
from watermark.keys import WatermarkKey
from watermark.payload import Payload, to_bits

SIZE: Final = 128
K_MIN: Final = 5.0
K_MAX: Final = 20.0
PILOTS: Final = 96
PILOT_BAND: Final = (6.0, 15.0)
PILOT_POWER: Final = 0.2
LUMA_BAND: Final = (10.0, 0.5)
CHROMA_BAND: Final = (7.2, 0.4)
"""Peak in cycles per tile, and width on the log axis, of the amplitude spectrum."""

PEAK: Final = 2.5
"""A tile is cut at this many standard deviations, so that no single spot stands out."""

PERIOD: Final = 1.0
"""Seconds after which the tile turns over (changes its sign), and again, and again: the
distance of the gateway encoder's key frames. Content does not, so a reader can tell them
apart by laying frames of different seconds over each other."""

GRID: Final = int(K_MAX)
"""Spectra are complex[2 * GRID + 1, GRID + 1]: row ky + GRID, column kx."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pattern:
    """All that a key decides about a tile; arrays over the pilots or the data dimensions.

    `pilot_rows/columns`, `data_rows/columns` index a spectrum; `pilots` are unit phasors;
    `signs` is ±1 and `code_bit` the code bit for each real data dimension, all real parts
    first, then all imaginary parts; the amplitudes follow the spectral profile.
    """

    key_id: str
    pilot_rows: NDArray[np.intp]
    pilot_columns: NDArray[np.intp]
    pilot_amplitude: NDArray[np.float64]
    pilots: NDArray[np.complex128]
    data_rows: NDArray[np.intp]
    data_columns: NDArray[np.intp]
    data_amplitude: NDArray[np.float64]
    signs: NDArray[np.float64]
    code_bit: NDArray[np.intp]

    @property
    def pilot_waves(self) -> NDArray[np.float64]:
        """The pilots' wave vectors (kx, ky) in cycles per tile: float64[96, 2]."""
        return np.stack([self.pilot_columns, self.pilot_rows - GRID], axis=1).astype(float)


def profile(
    radius: NDArray[np.float64], band: tuple[float, float] = LUMA_BAND
) -> NDArray[np.float64]:
    """The relative amplitude at a radius in cycles per tile: a bell on a log axis.

    Below, moving content drowns the mark and eyes are keenest; above, H.264 at CRF 30 and
    half size keep nothing. Colour is coded at half the resolution, so its bell sits lower.
    """
    peak, width = band
    return np.asarray(np.exp(-0.5 * (np.log(radius / peak) / width) ** 2))


def derive_pattern(key: WatermarkKey) -> Pattern:
    """Derives a key's pattern; the same key always gives the same one."""
    ky, kx = np.mgrid[-GRID : GRID + 1, 0 : GRID + 1]
    radius = np.hypot(kx, ky)
    half_plane = (kx > 0) | (ky > 0)
    rows, columns = np.nonzero(half_plane & (radius >= K_MIN) & (radius <= K_MAX))
    at = radius[rows, columns]
    amplitude = profile(at)
    eligible = np.flatnonzero((at >= PILOT_BAND[0]) & (at <= PILOT_BAND[1]))
    chosen = np.zeros(rows.size, dtype=np.bool_)
    chosen[eligible[key.order("pilot positions", eligible.size)[:PILOTS]]] = True
    pilot, data = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    pilot_scale = np.sqrt(PILOT_POWER / np.sum(amplitude[pilot] ** 2))
    data_scale = np.sqrt((1 - PILOT_POWER) / np.sum(amplitude[data] ** 2))
    dimensions = 2 * data.size
    return Pattern(
        key_id=key.id,
        pilot_rows=rows[pilot],
        pilot_columns=columns[pilot],
        pilot_amplitude=amplitude[pilot] * pilot_scale,
        pilots=np.exp(1j * key.phases("pilot phases", PILOTS)),
        data_rows=rows[data],
        data_columns=columns[data],
        data_amplitude=amplitude[data] * data_scale,
        signs=key.signs("data signs", dimensions),
        code_bit=key.order("data order", dimensions) % code.CODE_BITS,
    )


def synthesise(
    pattern: Pattern, payload: Payload, band: tuple[float, float] = LUMA_BAND
) -> NDArray[np.float32]:
    """Draws the tile of a payload: float32[128, 128], mean 0, standard deviation 1."""
    votes = 1.0 - 2.0 * code.encode(to_bits(payload))[pattern.code_bit]
    symbols = (votes * pattern.signs).reshape(2, -1) / np.sqrt(2.0)
    rows, columns = np.mgrid[-GRID : GRID + 1, 0 : GRID + 1]
    radius = np.maximum(np.hypot(rows, columns), 1.0)
    tint = profile(radius, band) / profile(radius, LUMA_BAND)
    waves = np.zeros((2 * GRID + 1, GRID + 1), dtype=np.complex128)
    waves[pattern.data_rows, pattern.data_columns] = pattern.data_amplitude * (
        symbols[0] + 1j * symbols[1]
    )
    waves[pattern.pilot_rows, pattern.pilot_columns] = pattern.pilot_amplitude * pattern.pilots
    spectrum = np.zeros((SIZE, SIZE), dtype=np.complex128)
    spectrum[rows, columns] = waves * tint
    tile = np.fft.ifft2(spectrum).real
    tile = np.clip(tile / tile.std(), -PEAK, PEAK)
    tile -= tile.mean()
    return np.asarray(tile / tile.std(), dtype=np.float32)
