"""The ids a database holds, and which of them fits soft bits best."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark import code
from watermark.payload import (
    ID_BITS,
    MIX,
    PAYLOAD_BITS,
    VERSION,
    Payload,
    PayloadError,
    crc24,
    to_bits,
)

ID_BYTES: Final = ID_BITS // 8
_BLOCK: Final = 1 << 16


class Registry(Collection[Payload]):
    """An immutable set of payloads, held as packed bits: 12 bytes each.

    Scoring a million of them takes about half a second on one core.
    """

    def __init__(self, payloads: Iterable[Payload] = ()) -> None:
        ids = np.fromiter((one.clip_id for one in payloads), dtype=np.uint64)
        self._ids = np.unique(ids)
        self._checks = _checksums(self._ids)

    @classmethod
    def of_ids(cls, ids: NDArray[np.uint64]) -> Registry:
        """Takes clip ids as uint64[n]."""
        registry = cls()
        registry._ids = np.unique(ids.astype(np.uint64))
        registry._checks = _checksums(registry._ids)
        return registry

    @classmethod
    def of_hex(cls, texts: Iterable[str]) -> Registry:
        """Takes clip ids as databases hold them; raises `PayloadError` for other text."""
        words = list(texts)
        if any(len(word) != 2 * ID_BYTES for word in words):
            raise PayloadError("A clip id is written as 16 hexadecimal digits.")
        try:
            raw = bytes.fromhex("".join(words))
        except ValueError as fault:
            raise PayloadError("A clip id is written as 16 hexadecimal digits.") from fault
        if len(raw) != ID_BYTES * len(words):
            raise PayloadError("A clip id is written as 16 hexadecimal digits.")
        return cls.of_ids(np.frombuffer(raw, dtype=">u8"))

    @classmethod
    def of(cls, payloads: Collection[Payload]) -> Registry:
        """The collection itself when it is a registry already."""
        return payloads if isinstance(payloads, Registry) else cls(payloads)

    def __len__(self) -> int:
        return int(self._ids.size)

    def __iter__(self) -> Iterator[Payload]:
        return (Payload(clip_id=int(one)) for one in self._ids)

    def __contains__(self, payload: object) -> bool:
        if not isinstance(payload, Payload):
            return False
        index = int(np.searchsorted(self._ids, np.uint64(payload.clip_id)))
        return index < self._ids.size and int(self._ids[index]) == payload.clip_id

    def best(self, soft: NDArray[np.float64]) -> tuple[Payload, float]:
        """The payload whose code word correlates most with soft code bits float[660].

        Ties go to the smaller id. Raises `ValueError` for an empty registry.
        """
        if not len(self):
            raise ValueError("An empty registry has no best payload.")
        tables = code.step_tables(soft)
        best, at = -np.inf, 0
        for first in range(0, len(self), _BLOCK):
            scores = self._scores(slice(first, first + _BLOCK), tables)
            index = int(scores.argmax())
            if scores[index] > best:
                best, at = float(scores[index]), first + index
        return Payload(clip_id=int(self._ids[at])), best

    def _scores(self, part: slice, tables: NDArray[np.float32]) -> NDArray[np.float32]:
        """Walks the encoder's register along every word at once; float32[n]."""
        mixed, checks = _mixed(self._ids[part]), self._checks[part]
        register = np.zeros(mixed.size, dtype=np.uint16)
        scores = np.zeros(mixed.size, dtype=np.float32)
        head = PAYLOAD_BITS - ID_BITS - 24
        version = to_bits(Payload(clip_id=0))[:head]
        for step in range(code.STEPS):
            register >>= np.uint16(1)
            if step < head:
                bit = np.uint16(version[step])
                register |= np.uint16(int(bit) << code.MEMORY)
            elif step < head + ID_BITS:
                shift = np.uint64(ID_BITS - 1 - (step - head))
                bits = (mixed >> shift & np.uint64(1)).astype(np.uint16)
                register |= bits << np.uint16(code.MEMORY)
            elif step < PAYLOAD_BITS:
                shift32 = np.uint32(PAYLOAD_BITS - 1 - step)
                bits = (checks >> shift32 & np.uint32(1)).astype(np.uint16)
                register |= bits << np.uint16(code.MEMORY)
            scores += tables[step][register]
        return scores


def _mixed(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`watermark.payload`'s bijection, for many ids at once."""
    value = ids.copy()
    for factor in MIX:
        value = (value ^ value >> np.uint64(33)) * np.uint64(factor)
    return np.asarray(value ^ value >> np.uint64(33))


def _checksums(ids: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The CRC-24 of every payload; linear in the mixed bits, so 24 parities."""
    mixed = _mixed(ids)
    zero, masks = _crc_masks()
    checks = np.full(ids.size, zero, dtype=np.uint32)
    for place, mask in enumerate(masks):
        parity = (np.bitwise_count(mixed & np.uint64(mask)) & 1).astype(np.uint32)
        checks ^= parity << np.uint32(place)
    return checks


def _crc_masks() -> tuple[int, tuple[int, ...]]:
    zero = crc24(bytes([VERSION]) + bytes(8))
    masks = [0] * 24
    for bit in range(ID_BITS):
        changed = crc24(bytes([VERSION]) + (1 << bit).to_bytes(8, "big")) ^ zero
        for place in range(24):
            masks[place] |= (changed >> place & 1) << bit
    return zero, tuple(masks)
