"""A watermark key, and what is derived from it.

Each use takes its own stream, HKDF-Expand (RFC 5869) with HMAC-SHA-256 under a label of its
own: learning one (the pilots show in an average of many clips) says nothing about another.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_SECRET_BYTES: Final = 16
_SALT: Final = b"cinegate watermark 1"


class KeyRefused(ValueError):
    """A key without a name, or with a secret too short to be one."""


@dataclass(frozen=True, kw_only=True)
class WatermarkKey:
    """A named secret of at least 16 bytes. Its representation never shows the secret."""

    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.id:
            raise KeyRefused("A watermark key needs an id.")
        if len(self.secret) < MIN_SECRET_BYTES:
            raise KeyRefused("A watermark secret has at least 16 bytes.")

    def derive(self, label: str, count: int) -> NDArray[np.uint64]:
        """Derives uint64[count], uniform to anyone without the secret, for this label only."""
        root = hmac.digest(_SALT, self.secret, hashlib.sha256)
        stream = hmac.digest(root, label.encode(), hashlib.sha256)
        blocks = (
            hmac.digest(stream, index.to_bytes(8, "big"), hashlib.sha256)
            for index in range(-(-count // 4))
        )
        return np.frombuffer(b"".join(blocks), dtype=">u8").astype(np.uint64)[:count]

    def order(self, label: str, count: int) -> NDArray[np.intp]:
        """Derives a permutation of range(count) for this label."""
        return np.argsort(self.derive(label, count), kind="stable")

    def phases(self, label: str, count: int) -> NDArray[np.float64]:
        """Derives angles in [0, 2π) for this label."""
        return self.derive(label, count).astype(np.float64) * (2 * np.pi / 2.0**64)

    def signs(self, label: str, count: int) -> NDArray[np.float64]:
        """Derives a vector of +1 and -1 for this label."""
        return 1.0 - 2.0 * (self.derive(label, count) >> np.uint64(63)).astype(np.float64)
