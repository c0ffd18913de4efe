"""Sums of residuals over a bounded number of frames of a clip of any length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark import canonical
from watermark.residual import residual
from watermark.track import Affine, CameraTracker, compose, identity
from watermark.watermarker import Frames

SEGMENT_FRAMES: Final = 24
MAX_SEGMENTS: Final = 8
MIN_SIDE: Final = 16
MAX_DRIFT: Final = 120.0
"""Canonical pixels after which a chain of tracked frames starts anew."""


@dataclass(kw_only=True, eq=False)
class Segment:
    """The residual sums of up to 24 frames in a row.

    `plain` adds them as they lie on the screen, `tracked` undoes the camera motion since the
    start of the chain (the same array while the camera is still); float32[H, W].
    """

    start: int
    chain: int
    plain: NDArray[np.float32]
    tracked: NDArray[np.float32]
    frames: int = 0
    moved: bool = False

    def add(self, plane: NDArray[np.float32], pose: Affine) -> None:
        """Adds one residual, seen from a camera at `pose` relative to the chain's start."""
        still = bool(np.array_equal(pose, identity()))
        if not still and not self.moved:
            self.moved = True
            self.tracked = self.plain.copy()
        self.plain += plane
        if self.moved:
            height, width = plane.shape
            self.tracked += (
                plane
                if still
                else cv2.warpAffine(
                    plane,
                    pose,
                    (width, height),
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                )
            )
        self.frames += 1


@dataclass(kw_only=True)
class Gathered:
    """Segments spread over a clip; `stride` segments lie between the starts of two."""

    segments: list[Segment] = field(default_factory=list)
    stride: int = 1

    @property
    def frames(self) -> int:
        """How many frames went into the sums."""
        return sum(segment.frames for segment in self.segments)


def gather(chunks: Iterable[Frames]) -> Gathered:
    """Reads a clip to its end and keeps the residual sums of at most 192 of its frames.

    Short clips are used whole. Of longer ones every second, then every fourth (and so on)
    second-long segment is kept, so that memory and work stay bounded and the whole length
    is covered. Frames that are no frames are passed over.
    """
    gathered = Gathered()
    tracker = CameraTracker()
    pose, chain, index, shape = identity(), 0, -1, (0, 0)
    for chunk in chunks:
        for frame in _sound(chunk):
            index += 1
            number, within = divmod(index, SEGMENT_FRAMES)
            if number % gathered.stride:
                continue
            if within == 0 and number and gathered.stride > 1:
                tracker.reset()
                pose, chain = identity(), chain + 1
            plane = canonical.luma(canonical.middle(frame))
            motion = tracker.step(plane)
            level = canonical.to_canonical(plane)
            if not gathered.segments:
                shape = level.shape
            if level.shape != shape:
                continue
            pose = compose(_scaled(motion.matrix, plane.shape), pose)
            fresh = motion.cut or float(np.hypot(pose[0, 2], pose[1, 2])) > MAX_DRIFT
            if fresh:
                pose, chain = identity(), chain + 1
            if within == 0 or fresh or not gathered.segments:
                if len(gathered.segments) == MAX_SEGMENTS and within == 0:
                    del gathered.segments[1::2]
                    gathered.stride *= 2
                    if number % gathered.stride:
                        continue
                    tracker.reset()
                    pose, chain = identity(), chain + 1
                if len(gathered.segments) < 2 * MAX_SEGMENTS:
                    empty = np.zeros(shape, dtype=np.float32)
                    gathered.segments.append(
                        Segment(start=index, chain=chain, plain=empty, tracked=empty)
                    )
            gathered.segments[-1].add(residual(level), pose)
    return gathered


def _sound(chunk: object) -> Frames:
    """The chunk itself when it is frames that can be read, otherwise no frames."""
    none = np.zeros((0, MIN_SIDE, MIN_SIDE, 3), dtype=np.uint8)
    if not isinstance(chunk, np.ndarray) or chunk.dtype != np.uint8 or chunk.ndim != 4:
        return none
    if chunk.shape[3] != 3 or min(chunk.shape[1:3]) < MIN_SIDE:
        return none
    return chunk


def _scaled(matrix: Affine, shape: tuple[int, ...]) -> Affine:
    scaled = matrix.copy()
    scaled[:, 2] *= canonical.SHORT / min(shape)
    return scaled
