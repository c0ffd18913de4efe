"""Clips to measure the watermark on: as the embedded model draws them, and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generator.enlarge import Enlarged
from generator.training.simulator import random_scene, render

Clip = NDArray[np.uint8]
FPS = 24


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A clip by name; `draw` makes uint8[T, H, W, 3] afresh."""

    name: str
    kind: str
    draw: Callable[[], Clip]


def scene(seed: int, width: int, height: int, frames: int = 96, *, light: float = 1.0) -> Clip:
    """A scene of the embedded model's world, drawn small with flicker, then enlarged."""
    rng = np.random.default_rng(seed)
    drawn = render(random_scene(rng, held=False), seed).frames
    out = np.empty_like(drawn)
    blur = cv2.GaussianBlur
    standing = blur(rng.normal(0, 5, drawn.shape[1:]).astype(np.float32), (0, 0), 1.5)
    for index, small in enumerate(drawn):
        flicker = blur(rng.normal(0, 4, small.shape).astype(np.float32), (0, 0), 1.0)
        noisy = (small.astype(np.float32) + standing + flicker) * light
        out[index] = np.clip(np.rint(noisy), 0, 255)
    enlarged = Enlarged(drawn=out, width=width, height=height, frame_count=frames)
    return np.concatenate(list(enlarged))


def photo(index: int, width: int, height: int, frames: int = 96) -> Clip:
    """A camera that pans and zooms slowly over a photograph (scikit-learn's samples)."""
    from sklearn.datasets import load_sample_images

    picture = load_sample_images().images[index]
    out = np.empty((frames, height, width, 3), dtype=np.uint8)
    fit = min(picture.shape[1] / width, picture.shape[0] / height)
    for frame in range(frames):
        at = frame / frames
        zoom = fit * (0.8 - 0.08 * at)
        left = (picture.shape[1] - width * zoom) * (0.2 + 0.5 * at)
        top = (picture.shape[0] - height * zoom) * (0.3 + 0.2 * at)
        matrix = np.array([[zoom, 0, left], [0, zoom, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out[frame] = cv2.warpAffine(picture, matrix, (width, height), flags=flags)
    return out


def texture(seed: int, width: int, height: int, frames: int = 96) -> Clip:
    """Fractal noise under a shaking camera."""
    rng = np.random.default_rng(seed)
    large = np.zeros((height + 80, width + 80, 3), dtype=np.float32)
    for level in range(1, 8):
        size = (2 + large.shape[1] >> level, 2 + large.shape[0] >> level)
        noise = rng.normal(0, 4.0 * level, (size[1], size[0], 3)).astype(np.float32)
        large += cv2.resize(noise, large.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    walk = np.cumsum(rng.normal(0, 0.6, (frames, 2)), axis=0)
    out = np.empty((frames, height, width, 3), dtype=np.uint8)
    for frame in range(frames):
        left, top = np.clip(40 + walk[frame], 1, 79)
        matrix = np.array([[1, 0, left], [0, 1, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(large + 120, matrix, (width, height), flags=flags)
        out[frame] = np.clip(np.rint(moved), 0, 255)
    return out


def flat(width: int, height: int, frames: int = 96) -> Clip:
    """A still, slow gradient: the hardest place to hide anything."""
    ramp = np.linspace(90, 150, height)[:, None, None] + np.linspace(0, 12, width)[:, None]
    one = np.clip(np.rint(ramp * np.array([0.8, 1.0, 1.2])), 0, 255).astype(np.uint8)
    return np.broadcast_to(one, (frames, height, width, 3)).copy()


def trials() -> Iterator[Trial]:
    """The set of the benchmark."""
    sizes = ((640, 360), (854, 480), (1280, 720))
    for seed in range(12):
        width, height = sizes[seed % 3]
        yield Trial(
            name=f"scene-{seed}-{height}",
            kind="model-like",
            draw=lambda s=seed, w=width, h=height: scene(s, w, h),  # type: ignore[misc]
        )
    yield Trial(name="short-360", kind="model-like", draw=lambda: scene(40, 640, 360, 48))
    yield Trial(name="long-480", kind="model-like", draw=lambda: scene(41, 854, 480, 192))
    yield Trial(name="dark-360", kind="dark", draw=lambda: scene(42, 640, 360, light=0.25))
    yield Trial(name="flat-480", kind="flat", draw=lambda: flat(854, 480))
    yield Trial(name="photo-0-360", kind="natural", draw=lambda: photo(0, 640, 360))
    yield Trial(name="photo-1-480", kind="natural", draw=lambda: photo(1, 854, 480))
    yield Trial(name="texture-360", kind="natural", draw=lambda: texture(5, 640, 360))
