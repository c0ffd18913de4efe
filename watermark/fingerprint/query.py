"""What is searched for: many points of a copy, with the time and the doubt of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.points import Points
from watermark.fingerprint.record import MIN_POINTS, Fingerprint

ADDRESS_BITS: Final = 22
"""The first bits of a code, which say where in an index it lies."""
DOUBTS: Final = 4
"""How many address bits of a point are tried both ways."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Query:
    """Points of a copy. `doubts` is uint8[N, 4]: each point's four least sure address bits,
    0 being the first; `seconds` is float32[N]: when in the copy the point was seen.
    """

    points: Points
    doubts: NDArray[np.uint8]
    seconds: NDArray[np.float32]

    @property
    def enough_detail(self) -> bool:
        """Whether there is enough to look for."""
        return len(self.points) >= MIN_POINTS

    @classmethod
    def of(cls, fingerprint: Fingerprint) -> Query:
        """The query that a stored fingerprint allows; it finds less than the copy would."""
        count = len(fingerprint.points)
        last = np.arange(ADDRESS_BITS - DOUBTS, ADDRESS_BITS, dtype=np.uint8)
        return cls(
            points=fingerprint.points,
            doubts=np.broadcast_to(last, (count, DOUBTS)),
            seconds=np.zeros(count, np.float32),
        )
