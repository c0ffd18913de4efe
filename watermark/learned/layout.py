"""How a payload lies in the bits of a learned model, under a key; frozen like the payload.

A model carries n bits (96, 128, 256, 1024 …). The 660 code bits of `watermark.code` are
thinned out or repeated: model bit i takes code bit floor(660 · i / n); a keyed permutation
spreads them over the model's bits, and a keyed sign turns half of them. Both derive from the
key under labels that name n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import code
from watermark.keys import WatermarkKey
from watermark.payload import PAYLOAD_BITS, Payload, from_bits, to_bits

MIN_BITS: Final = PAYLOAD_BITS
MAX_BITS: Final = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """The places and signs of one key for models of `bits` bits: intp[bits], ±1.0[bits]."""

    key_id: str
    code_bit: NDArray[np.intp]
    signs: NDArray[np.float64]

    @property
    def bits(self) -> int:
        """How many bits the model carries."""
        return len(self.signs)

    def words(self, payloads: Sequence[Payload]) -> NDArray[np.float32]:
        """The signs that each payload gives the model's logits: ±1, float32[N, bits]."""
        coded = code.encode(np.stack([to_bits(payload) for payload in payloads]))
        plain = 1.0 - 2.0 * coded[:, self.code_bit].astype(np.float32)
        return plain * self.signs.astype(np.float32)

    def message(self, payload: Payload) -> NDArray[np.uint8]:
        """The bits to give the model, uint8[bits]; a positive logit reads as 1."""
        word: NDArray[np.float32] = self.words([payload])[0]
        return np.asarray(word > 0, dtype=np.uint8)

    def decode(self, votes: NDArray[np.float64]) -> Payload | None:
        """The likeliest payload for soft votes float64[bits]; None if its checksum fails."""
        soft = np.zeros(code.CODE_BITS)
        np.add.at(soft, self.code_bit, votes * self.signs)
        return from_bits(code.decode(soft))


def derive_layout(key: WatermarkKey, bits: int) -> Layout:
    """Derives the layout of a key. Raises `ValueError` below 96 bits or above 4096."""
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError("A learned watermark carries 96 to 4096 bits.")
    thinned = np.arange(bits) * code.CODE_BITS // bits
    return Layout(
        key_id=key.id,
        code_bit=thinned[key.order(f"learned {bits} order", bits)],
        signs=key.signs(f"learned {bits} signs", bits),
    )
