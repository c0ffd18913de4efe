"""Small clips to be marked: smooth, flat, textured, noisy, filmed; and an encoder for them."""

from __future__ import annotations

import io
from collections.abc import Iterable

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker
from watermark.watermarker import Frames

KEY = WatermarkKey(id="now", secret=b"the key of these tests, number one")
OLD = WatermarkKey(id="old", secret=b"the key of these tests, number two")
NAME = "org.example.test.wm.1"
PAYLOAD = Payload(clip_id=0xC1DE_0000_1234_5678)
Picture = NDArray[np.float32]


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


def leaves(height: int, width: int, seed: int = 1, *, deviation: float = 34.0) -> Picture:
    """A picture full of strong detail of every size, float32[height, width, 3], 0..255."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), dtype=np.float32)
    for cell in (2, 4, 8, 16, 64):
        coarse = rng.normal(0, deviation, (height // cell + 1, width // cell + 1, 3))
        picture += cv2.resize(
            coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
    return np.asarray(np.clip(picture + 120, 0, 255), dtype=np.float32)


def filmed(
    picture: Picture, height: int, width: int, way: Iterable[tuple[float, float, float]]
) -> Frames:
    """What a camera shows of a picture that goes a way of (x, y, zoom) from its middle."""
    rows, columns = picture.shape[:2]
    frames = []
    for x, y, zoom in way:
        across = (width - 1) / 2 - zoom * (columns - 1) / 2 + x
        down = (height - 1) / 2 - zoom * (rows - 1) / 2 + y
        matrix = np.array([[zoom, 0, across], [0, zoom, down]])
        frame = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC)
        frames.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
    return np.stack(frames)


def shaken(frames: int, seed: int = 1) -> list[tuple[float, float, float]]:
    """The way of a camera in somebody's hand: some pixels in a second, never at rest."""
    steps = np.random.default_rng(seed).normal(0, 0.8, (frames, 2))
    way = np.cumsum(steps, axis=0)
    return [
        (float(x), float(y), 1.0)
        for x, y in np.stack([np.convolve(one, np.ones(5) / 5, "same") for one in way.T], 1)
    ]


def transcode(
    clip: Frames, crf: int, *, fps: int = 24, group: int = 250, preset: str = "veryfast"
) -> Frames:
    """The frames after H.264."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": preset, "g": str(group)}
        for frame in clip:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.stack([one.to_ndarray(format="rgb24") for one in container.decode(video=0)])
