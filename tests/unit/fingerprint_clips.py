"""Small drawn clips for the tests of the fingerprint."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from watermark.watermarker import Frames


def drawn(seed: int, frames: int = 24, height: int = 180, width: int = 320) -> Frames:
    """A slow pan over random shapes on a soft ground: uint8[T, H, W, 3]."""
    rng = np.random.default_rng(seed)
    large = cv2.resize(
        rng.integers(60, 200, (6, 9, 3), dtype=np.uint8),
        (width + 40, height + 20),
        interpolation=cv2.INTER_CUBIC,
    )
    for _ in range(70):
        corners = rng.integers(0, (width + 40, height + 20), 2) + rng.integers(-22, 23, (5, 2))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.fillPoly(large, [corners.astype(np.int32)], colour, lineType=cv2.LINE_AA)
    large = cv2.GaussianBlur(large, (0, 0), 0.8)
    steps = np.linspace(0, 1, frames)
    lefts, tops = (steps * 40).astype(int), (steps * 20).astype(int)
    return np.stack(
        [
            large[top : top + height, left : left + width]
            for left, top in zip(lefts, tops, strict=True)
        ]
    )


def cut(clip: Frames, size: int) -> Iterator[Frames]:
    """The clip in chunks of `size` frames."""
    for start in range(0, len(clip), size):
        yield clip[start : start + size]
