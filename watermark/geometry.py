"""Where a mark was found to lie: the map from what was read to what was marked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
"""float64[3, 3], a homography."""

_UNMOVED: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How the frames read relate to the frames marked.

    Lengths are in canonical pixels, of which the short side of a marked frame has 360; a
    frame being read is first resampled so that its own short side has 360. `homography`
    holds the first eight numbers, row by row, of the matrix that maps a place of the frame
    read, counted from its middle, to the marked frame; the ninth is 1. Because the mark
    repeats every 128 pixels, `offset_x` and `offset_y` (where the middle lies in a tile)
    place a crop only up to whole tiles.
    """

    homography: tuple[float, ...] = field(default=_UNMOVED)
    offset_x: float = 0.0
    offset_y: float = 0.0

    @classmethod
    def affine(cls, matrix: Matrix, offset_x: float = 0.0, offset_y: float = 0.0) -> Geometry:
        """A geometry whose linear part is `matrix`, float64[2, 2]."""
        (a, b), (c, d) = matrix.tolist()
        return cls(
            homography=(a, b, 0.0, c, d, 0.0, 0.0, 0.0), offset_x=offset_x, offset_y=offset_y
        )

    @property
    def matrix(self) -> Matrix:
        """The homography as float64[3, 3]."""
        return np.array([*self.homography, 1.0]).reshape(3, 3)

    @property
    def unmoved(self) -> bool:
        """True when nothing was scaled, turned, mirrored or bent."""
        return self.homography == _UNMOVED

    @property
    def flipped(self) -> bool:
        """True for a mirror image."""
        a, b, _, c, d, *_ = self.homography
        return a * d - b * c < 0

    @property
    def scale(self) -> float:
        """Marked pixels per pixel read, in the middle: below 1 after a crop."""
        a, b, _, c, d, *_ = self.homography
        return math.sqrt(abs(a * d - b * c))

    @property
    def rotation(self) -> float:
        """Degrees in -180..180 by which the copy was turned clockwise, mirroring aside."""
        a, _, _, c, *_ = self.homography
        sign = -1.0 if self.flipped else 1.0
        return math.degrees(math.atan2(-sign * c, sign * a))
