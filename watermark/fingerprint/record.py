"""The compact record of one clip, and its frozen bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from watermark.fingerprint.points import Points

ALGORITHM: Final = "local.1"
"""A changed detector, code or layout is a new final number; old records stay searchable."""
MAX_POINTS: Final = 128
LISTED: Final = 64
"""So many points of a clip, its most telling, are listed by address in an index."""
MIN_POINTS: Final = 16
"""With fewer points a clip cannot be told from others."""
MAGIC: Final = b"CGFP"
VERSION: Final = 1
HEADER: Final = struct.Struct(">4sBBHIH")
BYTES_PER_POINT: Final = 12
MAX_BYTES: Final = HEADER.size + MAX_POINTS * BYTES_PER_POINT
ASPECT_UNIT: Final = 8192
MAX_DURATION_MS: Final = 2**32 - 1


class FingerprintInvalid(ValueError):
    """Bytes that are not a fingerprint of a known version."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fingerprint:
    """At most 128 points of a clip, the most telling first, and its duration in ms.

    Two fingerprints are equal when their bytes are. The same frames give the same bytes with
    the same release of OpenCV; another release may find a few points elsewhere, which
    searching tolerates.
    """

    points: Points
    duration_ms: int

    @property
    def enough_detail(self) -> bool:
        """Whether there are enough points to tell the clip from others."""
        return len(self.points) >= MIN_POINTS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprint) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """At most 1,550 bytes: header, codes, places. Layout: `docs/fingerprint.md`."""
        header = HEADER.pack(
            MAGIC,
            VERSION,
            0,
            round(self.points.aspect * ASPECT_UNIT),
            self.duration_ms,
            len(self.points),
        )
        codes = self.points.codes.astype(">u8").tobytes()
        return header + codes + np.ascontiguousarray(self.points.places).tobytes()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Fingerprint:
        """Reads what `to_bytes` wrote, and only that; raises `FingerprintInvalid`."""
        if not HEADER.size <= len(raw) <= MAX_BYTES:
            raise FingerprintInvalid("A fingerprint of this length does not exist.")
        magic, version, reserved, aspect, duration_ms, count = HEADER.unpack_from(raw)
        if magic != MAGIC or version != VERSION or reserved != 0:
            raise FingerprintInvalid("These bytes are no fingerprint of a known version.")
        if count > MAX_POINTS or len(raw) != HEADER.size + count * BYTES_PER_POINT:
            raise FingerprintInvalid("The fingerprint's length and its header disagree.")
        if not ASPECT_UNIT // 4 <= aspect <= ASPECT_UNIT * 4:
            raise FingerprintInvalid("The fingerprint's aspect ratio is impossible.")
        split = HEADER.size + count * 8
        codes = np.frombuffer(raw[HEADER.size : split], dtype=">u8").astype(np.uint64)
        places = np.frombuffer(raw[split:], dtype=np.uint8).reshape(count, 4)
        points = Points(codes=codes, places=places, aspect=aspect / ASPECT_UNIT)
        return cls(points=points, duration_ms=duration_ms)
