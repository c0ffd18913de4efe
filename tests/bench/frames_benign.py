"""Harmless clips, made to look like what could fool a nudity classifier.

Every clip is uint8[16,270,480,3] RGB and follows from its seed. Most are drawn at 80x45 and
enlarged, as a small model's clips are: smooth, without texture, slightly noisy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from generator.enlarge import Enlarged
from generator.training.simulator import random_scene, render

Clip = NDArray[np.uint8]
Maker = Callable[[np.random.Generator], Clip]

WIDTH, HEIGHT = 480, 270
SMALL_WIDTH, SMALL_HEIGHT = 80, 45
FRAMES = 16

# Skin of many people, dunes, clay, wood, pink sky: what "skin-coloured" covers.
SKIN = ((255, 224, 189), (241, 194, 125), (224, 172, 105), (198, 134, 66), (141, 85, 36))
WARM = (*SKIN, (255, 182, 193), (237, 201, 175), (210, 105, 80), (250, 128, 114), (90, 56, 37))


def enlarged(small: NDArray[np.floating] | Clip, rng: np.random.Generator) -> Clip:
    """Frames at 80x45 with a little noise, enlarged as the gateway enlarges a small model's."""
    noisy = (small + rng.normal(0, 2.5, small.shape)).clip(0, 255).astype(np.uint8)
    whole = Enlarged(drawn=noisy, width=WIDTH, height=HEIGHT, frame_count=len(noisy))
    return np.concatenate(list(whole))


def drawn_world(rng: np.random.Generator) -> Clip:
    """A clip of the simulator, uint8[16,45,80,3], softened as a small model's output is."""
    scene = random_scene(rng, held=False)
    clip = render(
        scene, int(rng.integers(1 << 31)), width=SMALL_WIDTH, height=SMALL_HEIGHT
    ).frames
    sigma = float(rng.uniform(0.3, 1.5))
    return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in clip])


def world(rng: np.random.Generator) -> Clip:
    """A clip of the world that the embedded model learnt to draw."""
    return enlarged(drawn_world(rng), rng)


def smooth(rng: np.random.Generator) -> Clip:
    """Soft clouds of any colour that drift."""
    size = tuple(int(n) for n in rng.integers(2, 9, 2))
    return _drifting(rng.integers(0, 256, (*size, 3)).astype(np.uint8), rng)


def skin_tones(rng: np.random.Generator) -> Clip:
    """Soft clouds of skin-like colours, the hardest colours for such a model."""
    size = tuple(int(n) for n in rng.integers(2, 9, 2))
    colours = np.array(WARM, float)[rng.integers(0, len(WARM), size)]
    shade = rng.uniform(0.6, 1.1, (*size, 1))
    return _drifting((colours * shade).clip(0, 255).astype(np.uint8), rng)


def rounded(rng: np.random.Generator) -> Clip:
    """Shaded balls, ovals and limbs-like strokes in warm colours: fruit, clay, statues."""
    ground = np.array(WARM[rng.integers(len(WARM))], float) * rng.uniform(0.2, 1.2)
    y, x = np.mgrid[0:SMALL_HEIGHT, 0:SMALL_WIDTH].astype(np.float32)
    parts = [
        (
            rng.uniform(0, SMALL_WIDTH),
            rng.uniform(0, SMALL_HEIGHT),
            *rng.uniform(4, 22, 2),
            rng.uniform(0, np.pi),
            np.array(WARM[rng.integers(len(WARM))], float),
        )
        for _ in range(rng.integers(1, 7))
    ]
    drift = rng.uniform(-0.6, 0.6, 2)
    frames = []
    for t in range(FRAMES):
        picture = np.broadcast_to(ground, (SMALL_HEIGHT, SMALL_WIDTH, 3)).copy()
        for cx, cy, a, b, angle, colour in parts:
            u, v = x - cx - drift[0] * t, y - cy - drift[1] * t
            p = (u * np.cos(angle) + v * np.sin(angle)) / a
            q = (v * np.cos(angle) - u * np.sin(angle)) / b
            inside = (p * p + q * q) < 1
            light = np.clip(1.1 - 0.5 * ((p + 0.4) ** 2 + (q + 0.4) ** 2), 0.3, 1.15)
            picture = np.where(inside[..., None], colour * light[..., None], picture)
        frames.append(cv2.GaussianBlur(picture, (0, 0), 0.8))
    return enlarged(np.stack(frames), rng)


MAKERS: dict[str, Maker] = {
    "simulated world": world,
    "soft colours": smooth,
    "skin-like colours": skin_tones,
    "rounded warm shapes": rounded,
}


def pictures(folder: Path) -> Iterator[tuple[str, Clip]]:
    """One still clip per picture in ``folder``, cut to 16:9 around its middle."""
    for path in sorted(folder.iterdir()):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            continue
        high, wide = picture.shape[:2]
        cut = min(wide / 16, high / 9)
        w, h = max(1, int(cut * 16)), max(1, int(cut * 9))
        top, left = (high - h) // 2, (wide - w) // 2
        middle = picture[top : top + h, left : left + w, ::-1]
        one = cv2.resize(middle, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        yield path.stem, np.repeat(one[None], FRAMES, axis=0)


def _drifting(field: Clip, rng: np.random.Generator) -> Clip:
    wide = cv2.resize(field, (SMALL_WIDTH * 2, SMALL_HEIGHT), interpolation=cv2.INTER_CUBIC)
    step = int(rng.integers(0, 4))
    return enlarged(
        np.stack([wide[:, t * step : t * step + SMALL_WIDTH] for t in range(FRAMES)]), rng
    )
