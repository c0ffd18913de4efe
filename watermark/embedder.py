"""Draws a mark into a stream of frames."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark import canonical
from watermark.mask import flat_rms_for, strength
from watermark.tile import SIZE
from watermark.track import CameraTracker, compose, identity
from watermark.watermarker import Frames

_DITHER_MARGIN: Final = 61
STEADINESS: Final = 0.8
"""Share of the previous frame's strength map, so that the mark does not flicker."""


class Embedder:
    """Marks the frames of one clip in order; keeps only what the next frame needs."""

    def __init__(
        self,
        tile: NDArray[np.float32],
        size: tuple[int, int],
        *,
        flat_rms: float,
        target_psnr_db: float,
    ) -> None:
        self._tile = tile
        self._height, self._width = size
        self._rows, self._columns = canonical.size_of(*size)
        self._flat_rms = flat_rms_for(min(size), flat_rms)
        self._target_psnr_db = target_psnr_db
        self._tracker = CameraTracker()
        self._pose = identity()
        self._strength: NDArray[np.float32] | None = None
        self._index = 0
        across = (self._rows // SIZE + 1, self._columns // SIZE + 1)
        self._still = np.tile(tile, across)[: self._rows, : self._columns]
        rng = np.random.Generator(np.random.PCG64(0))
        shape = (self._height + _DITHER_MARGIN, self._width + _DITHER_MARGIN)
        # Uniform noise before rounding lets a mark of less than one grey level live on.
        self._dither = (rng.random(shape, dtype=np.float32) - 0.5) * np.float32(
            2 * dither_for(self._flat_rms)
        )

    def mark(self, frame: Frames, out: Frames) -> None:
        """Marks one frame uint8[H, W, 3], writing to an array of the same shape."""
        plane = canonical.luma(frame)
        motion = self._tracker.step(plane)
        matrix = motion.matrix.copy()
        matrix[:, 2] *= canonical.SHORT / min(self._height, self._width)
        self._pose = identity() if motion.cut else compose(matrix, self._pose)
        wanted = strength(
            canonical.to_canonical(plane),
            flat_rms=self._flat_rms,
            target_psnr_db=self._target_psnr_db,
        )
        if self._strength is None or motion.cut:
            self._strength = wanted
        else:
            self._strength += np.float32(1 - STEADINESS) * (wanted - self._strength)
        self._add(frame, self._pattern() * self._strength, out)

    def _pattern(self) -> NDArray[np.float32]:
        if np.array_equal(self._pose, identity()):
            return self._still
        # The pose maps the shot's first frame to this one; the tile goes along.
        return np.asarray(
            cv2.warpAffine(
                self._tile,
                self._pose,
                (self._columns, self._rows),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            ),
            dtype=np.float32,
        )

    def _add(self, frame: Frames, change: NDArray[np.float32], out: Frames) -> None:
        if change.shape != (self._height, self._width):
            change = cv2.resize(
                change, (self._width, self._height), interpolation=cv2.INTER_CUBIC
            )
        top, left = (self._index * 37) % _DITHER_MARGIN, (self._index * 23) % _DITHER_MARGIN
        self._index += 1
        dither = self._dither[top : top + self._height, left : left + self._width]
        # Equal change in R, G and B; pixels are whole, so the change is rounded, not the sum.
        up = cv2.add(change, dither, dtype=cv2.CV_8U)
        down = cv2.subtract(-dither, change, dtype=cv2.CV_8U)
        raised = cv2.add(frame, cv2.merge([up, up, up]))
        cv2.subtract(raised, cv2.merge([down, down, down]), dst=out)


def dither_for(flat_rms: float) -> float:
    """Half the width of the dither: much where rounding would swallow the mark, else little."""
    return float(np.clip(0.65 - 0.75 * flat_rms, 0.2, 0.45))
