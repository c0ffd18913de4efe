"""The payload of a mark: a 64-bit clip id, and its frozen bit layout.

96 bits, most significant bit first:

    bits  0-7    layout version (1)
    bits  8-71   clip id, mixed by a fixed bijection (so that near ids are far apart)
    bits 72-95   CRC-24 over the first nine bytes (RFC 9580 §6.1: 0x864CFB, start 0xB704CE)

Marks outlive programs: a bit of this layout never changes its meaning, a new layout takes a
new version number.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

VERSION: Final = 1
ID_BITS: Final = 64
PAYLOAD_BITS: Final = 96
_CRC_POLYNOMIAL: Final = 0x864CFB
_CRC_START: Final = 0xB704CE
_WORD: Final = (1 << ID_BITS) - 1
MIX: Final = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)


class PayloadError(ValueError):
    """Text or a number that is not a 64-bit clip id."""


@dataclass(frozen=True, kw_only=True, order=True)
class Payload:
    """A clip id, 0 <= clip_id < 2**64. Raises `PayloadError` for anything else."""

    clip_id: int

    def __post_init__(self) -> None:
        if type(self.clip_id) is int and 0 <= self.clip_id < 1 << ID_BITS:
            return
        raise PayloadError("A clip id is a whole number of 64 bits.")

    @classmethod
    def random(cls) -> Payload:
        """Draws a fresh id from the system's randomness; ids carry no meaning."""
        return cls(clip_id=secrets.randbits(ID_BITS))

    @property
    def hex(self) -> str:
        """The id as 16 lower-case hexadecimal digits."""
        return f"{self.clip_id:016x}"

    @classmethod
    def from_hex(cls, text: str) -> Payload:
        """Reads back `hex`, strictly: 16 lower-case digits, nothing around them."""
        if len(text) == 16 and set(text) <= set("0123456789abcdef"):
            return cls(clip_id=int(text, 16))
        raise PayloadError("A clip id is written as 16 lower-case hexadecimal digits.")


def to_bits(payload: Payload) -> NDArray[np.uint8]:
    """Lays a payload out as uint8[96] of zeros and ones."""
    head = bytes([VERSION]) + _mix(payload.clip_id).to_bytes(8, "big")
    body = head + crc24(head).to_bytes(3, "big")
    return np.unpackbits(np.frombuffer(body, dtype=np.uint8))


def from_bits(bits: NDArray[np.uint8]) -> Payload | None:
    """Reads uint8[96]; None unless version and checksum both hold."""
    body = np.packbits(bits).tobytes()
    if len(body) != PAYLOAD_BITS // 8 or body[0] != VERSION:
        return None
    if crc24(body[:9]) != int.from_bytes(body[9:], "big"):
        return None
    return Payload(clip_id=_unmix(int.from_bytes(body[1:9], "big")))


def _mix(value: int) -> int:
    """A bijection of 64 bits: the MurmurHash3 finaliser (Appleby, public domain)."""
    for factor in MIX:
        value = (value ^ value >> 33) * factor & _WORD
    return value ^ value >> 33


def _unmix(value: int) -> int:
    # v ^ v >> 33 is its own inverse, because 33 is more than half of 64.
    value ^= value >> 33
    for factor in reversed(MIX):
        value = value * pow(factor, -1, _WORD + 1) & _WORD
        value ^= value >> 33
    return value


def crc24(message: bytes) -> int:
    """The CRC-24 of RFC 9580 §6.1."""
    crc = _CRC_START
    for byte in message:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1000000 | _CRC_POLYNOMIAL
    return crc & 0xFFFFFF
