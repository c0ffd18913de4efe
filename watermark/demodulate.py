"""From spectra to a payload: soft bits, decoding, and the bound on being wrong.

The bound needs no model of video. Every data dimension carries a keyed sign that is uniform
to anyone without the key, so for frames made without it the correlation of the soft bits
with any fixed code word is a Rademacher sum, and Hoeffding's inequality gives
P(z >= x) <= exp(-x²/2). Union over all words that could have been answered (2**64, or the
number of candidates) and over all attempts gives `log10_p`. The checksum comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import code
from watermark.payload import ID_BITS, Payload, from_bits, to_bits
from watermark.sync import Spectrum, whiten
from watermark.tile import GRID, SIZE, Pattern

ATTEMPTS: Final = 1024
"""An upper limit on what one reading tries, used in every bound."""

TILTS: Final = (0.0, 1.0, -0.7)
"""Guesses at what the channel left: as embedded, the low end only, the high end mostly."""


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

    def norm(self) -> float:
        """The deviation of a correlation with a fixed word under random signs."""
        return float(np.sqrt(np.sum(self.values**2)))


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A payload with the base-10 logarithm of its false-positive bound."""

    payload: Payload
    log10_p: float


def soften(
    parts: Sequence[tuple[Spectrum, float, float]], pattern: Pattern, *, tilt: float
) -> Soft:
    """Combines spectra, each with its offset, into soft dimensions."""
    dimensions = pattern.signs.size
    total = np.zeros(dimensions)
    rows = pattern.data_rows - GRID
    radius = np.hypot(rows, pattern.data_columns)
    for raw, offset_x, offset_y in parts:
        white = whiten(raw[None])[0]
        seen = white[pattern.data_rows, pattern.data_columns]
        turn = (-2j * np.pi / SIZE) * (pattern.data_columns * offset_x + rows * offset_y)
        seen = seen * np.exp(turn)
        seen = seen * np.minimum(1.0, 2.5 / np.maximum(np.abs(seen), 1e-9))
        weight = pattern.data_amplitude * (radius / 10.0) ** -tilt
        total += np.concatenate([seen.real * weight, seen.imag * weight])
    return Soft(values=total * pattern.signs, code_bit=pattern.code_bit)


def decode(soft: Soft) -> Decoded | None:
    """Decodes without help; None when the checksum does not hold."""
    payload = from_bits(code.decode(soft.bits()))
    if payload is None:
        return None
    z = _correlation(soft, payload)
    bound = ID_BITS * math.log(2) + math.log(ATTEMPTS) - max(z, 0.0) ** 2 / 2
    return Decoded(payload=payload, log10_p=min(0.0, bound / math.log(10)))


def recognise(soft: Soft, candidates: Sequence[Payload]) -> Decoded | None:
    """Finds the candidate that correlates best; None without candidates."""
    best: tuple[float, Payload] | None = None
    votes = soft.bits().astype(np.float32)
    norm = soft.norm()
    if norm <= 0:
        return None
    for first in range(0, len(candidates), 4096):
        part = candidates[first : first + 4096]
        words = code.encode(np.stack([to_bits(payload) for payload in part]))
        scores = (1.0 - 2.0 * words.astype(np.float32)) @ votes / norm
        index = int(np.argmax(scores))
        if best is None or scores[index] > best[0]:
            best = (float(scores[index]), part[index])
    if best is None:
        return None
    z, payload = best
    bound = math.log(len(candidates)) + math.log(ATTEMPTS) - max(z, 0.0) ** 2 / 2
    return Decoded(payload=payload, log10_p=min(0.0, bound / math.log(10)))


def _correlation(soft: Soft, payload: Payload) -> float:
    word = 1.0 - 2.0 * code.encode(to_bits(payload)).astype(np.float64)
    norm = soft.norm()
    return float(soft.bits() @ word / norm) if norm > 0 else 0.0
