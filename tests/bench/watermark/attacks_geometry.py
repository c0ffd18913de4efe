"""Changes of size, place and shape; every result has even sides."""

from __future__ import annotations

import cv2
import numpy as np

from tests.bench.watermark.footage import Clip


def even(value: float) -> int:
    """The nearest even number."""
    return 2 * round(value / 2)


def resized(clip: Clip, height: int, width: int) -> Clip:
    """Resamples every frame."""
    smaller = height * width < clip.shape[1] * clip.shape[2]
    mode = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=mode) for frame in clip])


def lines(clip: Clip, short: int) -> Clip:
    """Resamples so that the short side has so many pixels."""
    scale = short / min(clip.shape[1:3])
    return resized(clip, *(even(side * scale) for side in clip.shape[1:3]))


def lines_and_back(clip: Clip, short: int) -> Clip:
    """The same, and enlarged to the old size again."""
    return resized(lines(clip, short), *clip.shape[1:3])


def cropped(clip: Clip, area: float, rng: np.random.Generator) -> Clip:
    """Keeps a share of the area, at a random place."""
    height, width = (even(side * area**0.5) for side in clip.shape[1:3])
    top = int(rng.integers(clip.shape[1] - height + 1))
    left = int(rng.integers(clip.shape[2] - width + 1))
    return clip[:, top : top + height, left : left + width]


def stretched(clip: Clip, aspect: float) -> Clip:
    """Changes the ratio of width to height by a factor, the area about the same."""
    height, width = clip.shape[1:3]
    return resized(clip, even(height / aspect**0.5), even(width * aspect**0.5))


def rotated(clip: Clip, degrees: float) -> Clip:
    """Turns the frames about their middle; black shows in the corners."""
    height, width = clip.shape[1:3]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.stack([cv2.warpAffine(f, matrix, (width, height)) for f in clip])


def quarter_turned(clip: Clip, quarters: int) -> Clip:
    """Turns the frames by right angles."""
    return np.ascontiguousarray(np.rot90(clip, quarters, axes=(1, 2)))


def skewed(clip: Clip, share: float, rng: np.random.Generator) -> Clip:
    """Moves each corner by up to a share of the sides: a picture seen from aside."""
    height, width = clip.shape[1:3]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    moves = rng.uniform(-share, share, (4, 2)) * (width, height)
    matrix = cv2.getPerspectiveTransform(corners, (corners + moves).astype(np.float32))
    return np.stack([cv2.warpPerspective(f, matrix, (width, height)) for f in clip])


def contained(clip: Clip, *, pillars: bool) -> Clip:
    """Shows the whole picture smaller, in a frame of another shape, with black bars."""
    height, width = clip.shape[1:3]
    if pillars:
        return _within(clip, height, even(width * 4 / 3))
    return _within(clip, even(height * 4 / 3), width)


def _within(clip: Clip, height: int, width: int) -> Clip:
    out = np.zeros((len(clip), height, width, 3), dtype=np.uint8)
    top, left = even((height - clip.shape[1]) / 2), even((width - clip.shape[2]) / 2)
    out[:, top : top + clip.shape[1], left : left + clip.shape[2]] = clip
    return out


def inset(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """Shows the clip at half its size inside other footage of the same size and length."""
    height, width = clip.shape[1:3]
    out = other.copy()
    small = resized(clip, even(height / 2), even(width / 2))
    top = int(rng.integers(height - small.shape[1] + 1))
    left = int(rng.integers(width - small.shape[2] + 1))
    out[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    return out


def upright(clip: Clip) -> Clip:
    """Re-frames to 9:16: the middle at full height, 540 × 960."""
    height, width = clip.shape[1:3]
    wide = min(width, even(height * 9 / 16))
    left = (width - wide) // 2
    return resized(clip[:, :, left : left + wide], 960, 540)
