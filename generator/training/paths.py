"""Draws how an object moves: where it is, how large and how turned, moment by moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generator.world import KEYS, PATH_NUMBERS, Scene

Path = NDArray[np.float32]
Random = np.random.Generator

SECONDS = (2.0, 4.0, 8.0)
# Half the width of the frame is 1.78, half its height 1.
GROUNDED = ("car", "house", "cat", "person", "balloon man")
FLOATING = ("boat",)
LOOKING = ("car", "fish", "boat", "bird", "cat")  # look where they go
UPRIGHT = ("house", "person", "balloon man")  # do not sway
# How far below its centre an object's lowest point is, in radii.
FEET = {
    "ball": 1.0,
    "star": 0.9,
    "heart": 0.88,
    "car": 0.76,
    "boat": 0.8,
    "fish": 0.8,
    "rocket": 1.0,
    "flower": 1.1,
    "balloon": 1.1,
    "bird": 0.55,
    "umbrella": 1.0,
    "butterfly": 0.8,
    "house": 0.95,
    "cat": 1.05,
    "person": 1.1,
    "balloon man": 1.1,
}
SIZES = {"person": (0.52, 0.62), "balloon man": (0.54, 0.64), "bird": (0.4, 0.5)}
USUAL_SIZE = (0.38, 0.5)
# The height of the ground an object stands on; nothing stands in space or on the sea.
GROUNDS = {
    "meadow": -0.66,
    "night": -0.74,
    "desert": -0.72,
    "forest": -0.84,
    "city": -0.78,
    "room": -0.74,
    "sunset": -0.74,
    "mountains": -0.76,
}
SEA_LEVEL = -0.22
_CYCLES = 1.15  # sways per two seconds


def draw_path(scene: Scene, seconds: float, rng: Random) -> Path:
    """The movement of one clip: float32[24,8] in the units of `PATH_NUMBERS`."""
    s = np.linspace(0, 1, KEYS)
    size = rng.uniform(*SIZES.get(scene.object, USUAL_SIZE))
    foot = FEET[scene.object]
    ground = GROUNDS.get(scene.background, -1.3) + rng.uniform(-0.05, 0.05)
    base = _resting(scene, size, ground, rng)
    x, y = np.full(KEYS, rng.uniform(-0.7, 0.7)), np.full(KEYS, base)
    radius, tilt = np.full(KEYS, size), np.zeros(KEYS)
    beats = _CYCLES * seconds / 2
    sway = np.sin(2 * np.pi * (beats * s + rng.random()))
    if scene.object not in UPRIGHT:
        tilt += rng.uniform(0.02, 0.06) * sway
    if scene.motion in ("right", "left"):
        sign = 1 if scene.motion == "right" else -1
        x = sign * (rng.uniform(0.85, 1.15) * (2 * s - 1) + rng.uniform(-0.12, 0.12))
        y = y + rng.uniform(0.0, 0.035) * np.sin(2 * np.pi * (2 * beats * s + rng.random()))
    elif scene.motion in ("up", "down"):
        low = max(ground + foot * size, -0.62)
        # The top of a tall object stays inside the frame.
        rise = low + min(rng.uniform(0.95, 1.2), max(0.6, 0.98 - foot * size - low)) * s
        y = rise if scene.motion == "up" else rise[::-1]
        x = x + rng.uniform(0.0, 0.05) * sway
    elif scene.motion == "bounce":
        low = max(ground + foot * size, -0.55)
        hops = max(2, round(seconds * rng.uniform(0.55, 0.8) + rng.random()))
        phase = (hops * s + rng.uniform(0, 1)) % 1
        y = low + rng.uniform(0.6, 0.8) * 4 * phase * (1 - phase)
        x = x + rng.uniform(-0.15, 0.15) * (2 * s - 1)
    elif scene.motion in ("closer", "away"):
        small, large = rng.uniform(0.2, 0.26), rng.uniform(0.66, 0.8)
        grown = np.exp(np.log(small) + np.log(large / small) * s)
        radius = grown if scene.motion == "closer" else grown[::-1]
        x = np.full(KEYS, rng.uniform(-0.45, 0.45))
        if scene.object in GROUNDED:
            far = ground + 0.2
            feet = far + (ground - 0.06 - far) * (radius - small) / (large - small)
            y = np.minimum(feet + foot * radius, 0.3)
        else:
            y = np.full(KEYS, rng.uniform(-0.2, 0.15))
    elif scene.motion == "spin":
        turns = rng.uniform(1.0, 1.4) * (seconds / 4) ** 0.5
        tilt = rng.choice((-1.0, 1.0)) * 2 * np.pi * turns * s
        y = np.maximum(y, rng.uniform(-0.2, 0.1))
        radius = np.minimum(radius, 0.56)
    pan = rng.uniform(-1, 1) * (2 * s - 1)
    shadow, lands = _shadow(scene, y - foot * radius, ground)
    facing = -1.0 if scene.motion == "left" and scene.object in LOOKING else 1.0
    numbers = {
        "x": x,
        "y": y,
        "size": np.log(radius),
        "tilt": tilt,
        "pan": pan,
        "shadow": shadow,
        "ground": lands,
        "facing": np.full(KEYS, facing),
    }
    return np.stack([numbers[name] for name in PATH_NUMBERS], axis=1).astype(np.float32)


def _resting(scene: Scene, size: float, ground: float, rng: Random) -> float:
    """Where an object is when nothing lifts it: on the ground, on the water, in the air."""
    if scene.object in FLOATING and scene.background == "sea":
        return SEA_LEVEL + 0.62 * size + float(rng.uniform(-0.12, 0.0))
    if scene.object in (*GROUNDED, "flower") and scene.background in GROUNDS:
        return ground + FEET[scene.object] * size
    return float(rng.uniform(-0.2, 0.25))


def _shadow(
    scene: Scene, feet: NDArray[np.float64], ground: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How dark the object's shadow is (0..1), and how high on the screen it lies."""
    if scene.background not in GROUNDS:
        return np.zeros(KEYS), np.full(KEYS, -0.8)
    standing = scene.object in GROUNDED and scene.motion in ("closer", "away")
    lands = np.clip(feet, -1.1, ground + 0.25) if standing else np.full(KEYS, ground)
    lift = np.maximum(feet - lands, 0)
    return 0.45 * np.exp(-1.6 * lift), lands
