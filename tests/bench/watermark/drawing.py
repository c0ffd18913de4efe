"""Drawn material: cartoons, skies, gradients, sensor noise, the embedded model's world."""

from __future__ import annotations

import cv2
import numpy as np

from tests.bench.watermark.footage import Clip


def scene(seed: int, width: int, height: int, frames: int = 96, *, light: float = 1.0) -> Clip:
    """A scene of the embedded model's world, drawn small with flicker, then enlarged."""
    from generator.enlarge import Enlarged
    from generator.training.simulator import random_scene, render

    rng = np.random.default_rng(seed)
    drawn = render(random_scene(rng, held=False), seed).frames
    if width == height:
        side = drawn.shape[1]
        left = (drawn.shape[2] - side) // 2
        drawn = np.ascontiguousarray(drawn[:, :, left : left + side])
    out = np.empty_like(drawn)
    blur = cv2.GaussianBlur
    standing = blur(rng.normal(0, 5, drawn.shape[1:]).astype(np.float32), (0, 0), 1.5)
    for index, small in enumerate(drawn):
        flicker = blur(rng.normal(0, 4, small.shape).astype(np.float32), (0, 0), 1.0)
        noisy = (small.astype(np.float32) + standing + flicker) * light
        out[index] = np.clip(np.rint(noisy), 0, 255)
    return np.concatenate(
        list(Enlarged(drawn=out, width=width, height=height, frame_count=frames))
    )


def embedded(prompt: str, seed: int, width: int, height: int, seconds: int = 4) -> Clip:
    """A clip that the embedded model itself draws (some seconds of work)."""
    from generator.cards import read_card
    from generator.clip import GenerationRequest
    from generator.diffusion import DiffusersGenerator
    from generator.embedded import FOLDER

    card = read_card(FOLDER)
    generator = DiffusersGenerator(FOLDER, card)
    generator.load()
    request = GenerationRequest(
        prompt=prompt, seconds=seconds, width=width, height=height, seed=seed, model=card.name
    )
    clip = generator.generate(request, on_progress=lambda done, total: None)
    return np.concatenate(list(clip.frames))


def cartoon(seed: int, width: int, height: int, frames: int = 96) -> Clip:
    """Flat colours, black outlines, hard edges; figures hop before hills that scroll."""
    rng = np.random.default_rng(seed)
    sky, land, far = (tuple(int(v) for v in rng.integers(60, 250, 3)) for _ in range(3))
    line = max(2, height // 200)
    figures = [
        {
            "x": rng.uniform(0.1, 0.9),
            "speed": rng.uniform(-0.004, 0.004),
            "size": rng.uniform(0.06, 0.14),
            "beat": rng.uniform(0.15, 0.4),
            "colour": tuple(int(v) for v in rng.integers(30, 255, 3)),
        }
        for _ in range(5)
    ]
    hills = rng.uniform(0.2, 1.0, (2, 24))
    out = np.empty((frames, height, width, 3), dtype=np.uint8)
    for index in range(frames):
        picture = np.full((height, width, 3), sky, dtype=np.uint8)
        cv2.circle(picture, (width // 5, height // 5), height // 9, (255, 232, 120), -1, 16)
        for layer, (colour, speed, level) in enumerate(((far, 0.6, 0.5), (land, 1.7, 0.72))):
            step = width / 8
            points = [
                [
                    round(k * step - index * speed * height / 480),
                    round(height * (level - 0.16 * hills[layer, k % 24])),
                ]
                for k in range(24)
            ]
            ring = np.array([*points, [3 * width, height], [-width, height]], dtype=np.int32)
            cv2.fillPoly(picture, [ring], colour, 16)
            cv2.polylines(picture, [ring], True, (20, 20, 20), line, 16)
        for figure in figures:
            _figure(picture, figure, index, line)
        out[index] = picture
    return out


def _figure(picture: np.ndarray, figure: dict[str, object], index: int, line: int) -> None:
    height, width = picture.shape[:2]
    size = round(float(str(figure["size"])) * height)
    place = (float(str(figure["x"])) + float(str(figure["speed"])) * index) % 1.0
    hop = abs(np.sin(float(str(figure["beat"])) * index)) * 0.12
    at = (round(place * width), round(height * (0.8 - hop)))
    ink = (20, 20, 20)
    cv2.circle(picture, at, size, figure["colour"], -1, 16)
    cv2.circle(picture, at, size, ink, line, 16)
    for side in (-1, 1):
        eye = (at[0] + side * size // 3, at[1] - size // 4)
        cv2.circle(picture, eye, max(2, size // 5), (250, 250, 250), -1, 16)
        cv2.circle(picture, eye, max(1, size // 10), ink, -1, 16)
    cv2.ellipse(picture, at, (size // 2, size // 3), 0, 20, 160, ink, line, 16)


def gradient(width: int, height: int, frames: int = 96, *, kind: str = "down") -> Clip:
    """A still, slow gradient, without any grain: the hardest place to hide anything."""
    x, y = np.linspace(0, 1, width)[None, :], np.linspace(0, 1, height)[:, None]
    if kind == "down":
        level, colour = 90 + 60 * y + 12 * x, (0.8, 1.0, 1.2)
    else:
        distance = np.hypot((x - 0.4) * width / height, y - 0.45)
        level, colour = 205 - 70 * distance, (1.1, 0.95, 0.85)
    one = np.clip(np.rint(level[..., None] * np.array(colour)), 0, 255).astype(np.uint8)
    return np.broadcast_to(one, (frames, height, width, 3)).copy()


def sky(
    seed: int,
    width: int,
    height: int,
    frames: int = 96,
    *,
    dusk: bool = False,
    speed: float = 0.4,
) -> Clip:
    """A soft sky with a few broad clouds that drift, smooth as models draw them."""
    rng = np.random.default_rng(seed)
    wide = width + int(speed * frames) + 8
    cloud = np.zeros((height, wide), dtype=np.float32)
    for level in (2, 3, 4):
        coarse = rng.normal(0, 1 / level, (2**level + 2, 2 ** (level + 1) + 2))
        cloud += cv2.resize(
            coarse.astype(np.float32), (wide, height), interpolation=cv2.INTER_CUBIC
        )
    cloud = cv2.GaussianBlur(np.clip(cloud, 0, None), (0, 0), height / 40)
    top, low = ((38, 42, 88), (214, 130, 92)) if dusk else ((84, 140, 208), (190, 214, 236))
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    back = np.array(top, np.float32) * (1 - ramp) + np.array(low, np.float32) * ramp
    white = np.array((120, 80, 60) if dusk else (60, 48, 32), dtype=np.float32)
    large = back + cloud[..., None] * white * (0.4 + 0.6 * ramp)
    out = np.empty((frames, height, width, 3), dtype=np.uint8)
    for index in range(frames):
        matrix = np.array([[1.0, 0, speed * index], [0, 1.0, 0]])
        moved = cv2.warpAffine(
            large, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        out[index] = np.clip(np.rint(moved), 0, 255)
    return out


def dimmed(clip: Clip, light: float) -> Clip:
    """The same clip in less light, without noise."""
    table = np.clip(np.rint(np.arange(256) * light), 0, 255).astype(np.uint8)
    return np.asarray(table[clip])


def grainy(clip: Clip, seed: int, light: float = 0.35) -> Clip:
    """The same clip in little light by a poor sensor: noise grows with the root of light."""
    rng = np.random.default_rng(seed)
    out = np.empty_like(clip)
    for index, frame in enumerate(clip):
        dim = frame.astype(np.float32) * light
        noise = rng.standard_normal(frame.shape, dtype=np.float32)
        out[index] = np.clip(np.rint(dim + noise * np.sqrt(6 + 0.4 * dim)), 0, 255)
    return out
