"""Draws a mark into a stream of frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark import canonical, mask
from watermark.payload import Payload
from watermark.tile import CHROMA_BAND, LUMA_BAND, SIZE, Pattern, synthesise
from watermark.track import CameraTracker, compose, identity
from watermark.watermarker import Frames

STRENGTH_EVERY: Final = 2
STEADINESS: Final = 0.65
"""Share of the strength map before, so that the mark does not flicker; a new one is made for
every second frame."""

DITHER: Final = 0.45
_DITHER_MARGIN: Final = 61
_FRACTION_BITS: Final = 6
_UNIT: Final = 1 << _FRACTION_BITS
_GREEN_PER_BLUE: Final = -0.344136
_BLUE_PER_BLUE: Final = 1.772


class Embedder:
    """Marks the frames of one clip in order; keeps only what the next frame needs.

    The mark goes into luma (R, G and B alike) and, weaker to the eye, into Cb (BT.601).
    """

    def __init__(
        self,
        pattern: Pattern,
        payload: Payload,
        size: tuple[int, int],
        *,
        period: int,
        flat_rms: float,
        target_psnr_db: float,
    ) -> None:
        tile = np.dstack(
            [synthesise(pattern, payload, band) for band in (LUMA_BAND, CHROMA_BAND)]
        )
        self._tiles = [tile, -tile]
        self._period = period
        self._height, self._width = size
        self._rows, self._columns = canonical.size_of(*size)
        self._flat_rms = mask.flat_rms_for(min(size), flat_rms)
        self._target_psnr_db = target_psnr_db
        self._tracker = CameraTracker()
        self._pose = identity()
        self._strength: NDArray[np.float32] | None = None
        self._before: NDArray[np.float32] | None = None
        self._index = 0
        across = (self._rows // SIZE + 1, self._columns // SIZE + 1)
        self._still = [
            np.tile(one, (*across, 1))[: self._rows, : self._columns] for one in self._tiles
        ]
        rng = np.random.Generator(np.random.PCG64(0))
        shape = (self._height + _DITHER_MARGIN, self._width + _DITHER_MARGIN, 1)
        # Uniform noise before rounding lets a mark of less than one grey level live on. In G
        # it is turned against R and B, so that next to nothing of it is left in luma.
        noise = (rng.random(shape, dtype=np.float32) - 0.5) * np.float32(2 * DITHER)
        noise = noise * np.array([1, -1, 1], dtype=np.float32)
        self._dither = np.rint((noise + 0.5) * _UNIT).astype(np.int16)

    def mark(self, frames: Frames, out: Frames) -> None:
        """Marks the next frames, uint8[T, H, W, 3], writing to an array of the same shape."""
        # OpenCV lets go of the interpreter: one core looks at a frame, one draws the last.
        with ThreadPoolExecutor(max_workers=1) as drawing:
            drawn = [
                drawing.submit(self._add, frame, *self._look(frame), self._index, out[index])
                for index, frame in enumerate(frames)
            ]
            for one in drawn:
                one.result()

    def _look(self, frame: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The pattern of the next frame, and its strength."""
        plane = canonical.luma(frame)
        motion = self._tracker.step(plane)
        matrix = motion.matrix.copy()
        matrix[:, 2] *= canonical.SHORT / min(self._height, self._width)
        self._pose = identity() if motion.cut else compose(matrix, self._pose)
        if self._strength is None or motion.cut or self._index % STRENGTH_EVERY == 0:
            self._strength = self._strength_of(plane, cut=motion.cut)
        pattern = self._pattern()
        self._index += 1
        return pattern, self._strength

    def _strength_of(self, plane: NDArray[np.uint8], *, cut: bool) -> NDArray[np.float32]:
        level = canonical.to_canonical(plane)
        wanted = mask.strength(
            level,
            None if cut else self._before,
            flat_rms=self._flat_rms,
            target_psnr_db=self._target_psnr_db,
        )
        self._before = level
        if self._strength is None or cut:
            return wanted
        return np.asarray(
            self._strength + np.float32(1 - STEADINESS) * (wanted - self._strength)
        )

    def _pattern(self) -> NDArray[np.float32]:
        turn = self._index // self._period % len(self._tiles)
        if np.array_equal(self._pose, identity()):
            return self._still[turn]
        # The pose maps the shot's first frame to this one; the tile goes along.
        return np.asarray(
            cv2.warpAffine(
                self._tiles[turn],
                self._pose,
                (self._columns, self._rows),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            ),
            dtype=np.float32,
        )

    def _add(
        self,
        frame: Frames,
        pattern: NDArray[np.float32],
        strength: NDArray[np.float32],
        index: int,
        out: Frames,
    ) -> None:
        bright, tint = cv2.split(pattern)
        red = bright * (np.float32(_UNIT) * strength)
        # Against luma, so that the two partly cancel in B: the same marks cost less PSNR.
        blue = tint * np.float32(-_UNIT * mask.CHROMA_RMS)
        change = cv2.merge(
            [
                red,
                red + np.float32(_GREEN_PER_BLUE) * blue,
                red + np.float32(_BLUE_PER_BLUE) * blue,
            ]
        ).astype(np.int16)
        if change.shape[:2] != (self._height, self._width):
            mode = cv2.INTER_LINEAR if self._height >= self._rows else cv2.INTER_AREA
            change = cv2.resize(change, (self._width, self._height), interpolation=mode)
        top, left = (index * 37) % _DITHER_MARGIN, (index * 23) % _DITHER_MARGIN
        dither = self._dither[top : top + self._height, left : left + self._width]
        whole = cv2.add(change, dither)
        np.right_shift(whole, _FRACTION_BITS, out=whole)
        cv2.add(frame, whole, dst=out, dtype=cv2.CV_8U)
