"""From spectra to a payload: soft bits, decoding, and the bound on being wrong.

The bound needs no model of video. Every data dimension carries a keyed sign that is uniform
to anyone without the key, so for frames made without it the correlation of the soft bits
with any fixed code word is a Rademacher sum, and Hoeffding's inequality gives
P(z >= x) <= exp(-x²/2). Union over all words that could have been answered (2**64, or the
size of the registry) and over all attempts gives `log10_p`. The checksum comes on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import code
from watermark.lattice import Spectrum, deviation
from watermark.payload import ID_BITS, Payload, from_bits, to_bits
from watermark.registry import Registry
from watermark.tile import GRID, Pattern

ATTEMPTS: Final = 4096
"""An upper limit on what one reading tries, used in every bound."""

LIMIT: Final = 0.7
"""Nothing counts for more than this many deviations: remains of content have heavy tails."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A guess at what the channel left of the mark, as exponents of weights.

    `tilt` favours low frequencies, `energy` those at which much energy is left (an encoder
    that cuts away the mark cuts away all else there, too).
    """

    tilt: float
    energy: float


CHANNELS: Final = (
    Channel(tilt=0.0, energy=0.0),
    Channel(tilt=1.0, energy=0.3),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Soft:
    """Soft data dimensions with their keyed signs taken off; positive votes for a 0 bit."""

    values: NDArray[np.float64]
    code_bit: NDArray[np.intp]

    def bits(self) -> NDArray[np.float64]:
        """Adds the dimensions of each code bit: float64[660]."""
        total = np.zeros(code.CODE_BITS)
        np.add.at(total, self.code_bit, self.values)
        return total

    @property
    def sound(self) -> bool:
        """True for finite values of which some are not 0; anything else is no evidence."""
        return 0 < self.norm() < math.inf

    def norm(self) -> float:
        """The deviation of a correlation with a fixed word under random signs."""
        return float(np.sqrt(np.sum(self.values**2)))


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A payload with the base-10 logarithm of its false-positive bound."""

    payload: Payload
    log10_p: float


def soften(raw: Spectrum, pattern: Pattern, channel: Channel) -> Soft:
    """Turns a spectrum, its offset taken out, into soft dimensions for one channel guess."""
    rows, columns = pattern.data_rows, pattern.data_columns
    local = deviation(raw)[rows, columns].astype(np.float64)
    radius = np.hypot(columns, rows - GRID)
    seen = raw[rows, columns] / local
    seen = seen * np.minimum(1.0, LIMIT / np.maximum(np.abs(seen), 1e-9))
    weight = (
        pattern.data_amplitude
        * (radius / 10.0) ** -channel.tilt
        * (local / max(float(np.median(local)), 1e-12)) ** channel.energy
    )
    values = np.concatenate([seen.real * weight, seen.imag * weight]) * pattern.signs
    return Soft(values=np.nan_to_num(values), code_bit=pattern.code_bit)


def decode(soft: Soft) -> Decoded | None:
    """Decodes without help; None when no checksum holds, or for what is no number."""
    if not soft.sound:
        return None
    for bits in code.ranked(soft.bits()):
        payload = from_bits(bits)
        if payload is not None:
            z = _correlation(soft, payload)
            return Decoded(payload=payload, log10_p=_bound(z, ID_BITS))
    return None


def recognise(soft: Soft, registry: Registry) -> Decoded | None:
    """Finds the registered payload that correlates best; None without any."""
    if not soft.sound or not len(registry):
        return None
    norm = soft.norm()
    payload, score = registry.best(soft.bits())
    return Decoded(payload=payload, log10_p=_bound(score / norm, math.log2(len(registry))))


def _bound(z: float, bits: float) -> float:
    bound = bits * math.log(2) + math.log(ATTEMPTS) - max(z, 0.0) ** 2 / 2
    return min(0.0, bound / math.log(10))


def _correlation(soft: Soft, payload: Payload) -> float:
    word = 1.0 - 2.0 * code.encode(to_bits(payload)).astype(np.float64)
    norm = soft.norm()
    return float(soft.bits() @ word / norm) if norm > 0 else 0.0
