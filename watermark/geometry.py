"""Where a mark was found to lie: the map from what was read to what was marked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How the frames read relate to the frames marked.

    Lengths are in canonical pixels, of which the short side of a marked frame has 360; a
    frame being read is first resampled so that its own short side has 360. `scale_x` and
    `scale_y` are canonical pixels per pixel of that resampled frame: below 1 after a crop
    (0.87 for three quarters of the area), above 1 after borders were added. `rotation` is
    counter-clockwise, in degrees. `offset_x`, `offset_y` are modulo the 128-pixel tile, so
    they place a crop only up to whole tiles.
    """

    scale_x: float = 1.0
    scale_y: float = 1.0
    rotation: float = 0.0
    flipped: bool = False
    offset_x: float = 0.0
    offset_y: float = 0.0
