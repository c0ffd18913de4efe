"""Changes of frame rate, speed, order and length."""

from __future__ import annotations

import numpy as np

from tests.bench.watermark.footage import Clip


def duplicated_to(clip: Clip, fps: float, wanted: float) -> Clip:
    """Another frame rate by repeating or leaving out frames, the duration kept."""
    count = max(1, round(len(clip) * wanted / fps))
    index = np.minimum(np.arange(count) * fps / wanted, len(clip) - 1).astype(int)
    return np.asarray(clip[index])


def blended_to(clip: Clip, fps: float, wanted: float) -> Clip:
    """Another frame rate by mixing the two nearest frames."""
    count = max(1, round(len(clip) * wanted / fps))
    out = np.empty((count, *clip.shape[1:]), dtype=np.uint8)
    for index, at in enumerate(np.minimum(np.arange(count) * fps / wanted, len(clip) - 1)):
        left = int(at)
        right = min(left + 1, len(clip) - 1)
        part = at - left
        mixed = clip[left] * (1 - part) + clip[right] * part
        out[index] = np.rint(mixed)
    return out


def faster(clip: Clip, factor: float) -> Clip:
    """Plays faster (or slower, below 1) at the same frame rate."""
    count = max(1, int(len(clip) / factor))
    index = np.minimum(np.rint(np.arange(count) * factor), len(clip) - 1).astype(int)
    return np.asarray(clip[index])


def thinned(clip: Clip, share: float, rng: np.random.Generator) -> Clip:
    """Leaves out a share of the frames, at random."""
    kept = rng.permutation(len(clip))[: max(1, round(len(clip) * (1 - share)))]
    return np.asarray(clip[np.sort(kept)])


def stuttered(clip: Clip, share: float, rng: np.random.Generator) -> Clip:
    """Shows a share of the frames twice, at random."""
    again = rng.permutation(len(clip))[: round(len(clip) * share)]
    return np.asarray(clip[np.sort(np.concatenate([np.arange(len(clip)), again]))])


def excerpt(clip: Clip, fps: float, seconds: float, rng: np.random.Generator) -> Clip:
    """A part of so many seconds from a random place."""
    count = min(len(clip), round(fps * seconds))
    first = int(rng.integers(len(clip) - count + 1))
    return clip[first : first + count]


def concatenated(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """Puts the clip into other footage, at a random place."""
    before = int(rng.integers(len(other) + 1))
    return np.concatenate([other[:before], clip, other[before:]])
