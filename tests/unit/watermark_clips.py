"""Small clips to be marked: smooth, flat, textured, noisy."""

from __future__ import annotations

import cv2
import numpy as np

from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker
from watermark.watermarker import Frames

KEY = WatermarkKey(id="now", secret=b"the key of these tests, number one")
OLD = WatermarkKey(id="old", secret=b"the key of these tests, number two")
NAME = "org.example.test.wm.1"
PAYLOAD = Payload(clip_id=0xC1DE_0000_1234_5678)


def marker(*keys: WatermarkKey) -> SpreadWatermarker:
    return SpreadWatermarker(keys or (KEY,), NAME)


def marked(frames: Frames, *, fps: float = 24, payload: Payload = PAYLOAD) -> Frames:
    chunks = (frames[first : first + 8] for first in range(0, len(frames), 8))
    return np.concatenate(list(marker().embed(chunks, payload, fps=fps)))


def flat(value: int, height: int, width: int, frames: int) -> Frames:
    return np.full((frames, height, width, 3), value, dtype=np.uint8)


def smooth(height: int, width: int, frames: int, seed: int = 1) -> Frames:
    """A soft picture with a moving disc and a little flicker."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(40, 210, (4, 6, 3)).astype(np.float32)
    ground = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    out = np.empty((frames, height, width, 3), dtype=np.uint8)
    for index in range(frames):
        flicker = cv2.resize(rng.normal(0, 2, (20, 36, 3)).astype(np.float32), (width, height))
        frame = np.clip(ground + flicker, 0, 255).astype(np.uint8)
        centre = (width // 4 + index * width // 120, height // 2)
        out[index] = cv2.circle(frame, centre, height // 6, (200, 60, 40), -1, cv2.LINE_AA)
    return out


def textured(height: int, width: int, frames: int, seed: int = 1) -> Frames:
    """Leaves: detail of every size, standing still."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), dtype=np.float32)
    for cell in (2, 4, 8, 16, 64):
        shape = (height // cell + 1, width // cell + 1, 3)
        part = rng.normal(0, 12, shape).astype(np.float32)
        picture += cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC)
    still = np.clip(picture + 120, 0, 255).astype(np.uint8)
    return np.repeat(still[None], frames, axis=0)


def noisy(height: int, width: int, frames: int, seed: int = 1) -> Frames:
    """Noise of its own in every frame, within the range that can be marked."""
    rng = np.random.default_rng(seed)
    return rng.integers(30, 225, (frames, height, width, 3), dtype=np.uint8)
