"""What is done to marked clips before they are read again."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import cv2
import numpy as np

from tests.bench.watermark_clips import FPS, Clip

Attack = Callable[[Clip, np.random.Generator], Clip]


def transcode(
    clip: Clip, crf: int, *, preset: str = "medium", group: int | None = None
) -> Clip:
    """Encodes with x264 and decodes again."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": preset}
        if group is not None:
            stream.options = {**stream.options, "g": str(group)}
        for frame in clip:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.stack(
            [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        )


def published(clip: Clip) -> Clip:
    """The gateway's own encoding, which every mark has to pass first."""
    return transcode(clip, 17, group=FPS)


def scaled(clip: Clip, factor: float) -> Clip:
    """Resamples to a factor of the size, made even."""
    height, width = (2 * round(side * factor / 2) for side in clip.shape[1:3])
    return _resized(clip, height, width)


def cropped(clip: Clip, area: float, rng: np.random.Generator) -> Clip:
    """Keeps a share of the area, at a random place."""
    height, width = (2 * int(side * area**0.5 / 2) for side in clip.shape[1:3])
    top = int(rng.integers(clip.shape[1] - height + 1))
    left = int(rng.integers(clip.shape[2] - width + 1))
    return clip[:, top : top + height, left : left + width]


def _resized(clip: Clip, height: int, width: int) -> Clip:
    mode = cv2.INTER_AREA if height < clip.shape[1] else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=mode) for frame in clip])


def _half_and_back(clip: Clip) -> Clip:
    return _resized(scaled(clip, 0.5), *clip.shape[1:3])


def _brighter(clip: Clip) -> Clip:
    return np.clip(clip.astype(np.float32) * 1.25, 0, 255).astype(np.uint8)


REQUIRED: dict[str, Attack] = {
    "published": lambda clip, rng: clip,
    "crf23": lambda clip, rng: transcode(clip, 23),
    "crf30": lambda clip, rng: transcode(clip, 30),
    "half": lambda clip, rng: scaled(clip, 0.5),
    "half+crf23": lambda clip, rng: transcode(scaled(clip, 0.5), 23),
    "half,back+crf23": lambda clip, rng: transcode(_half_and_back(clip), 23),
    "crop75": lambda clip, rng: cropped(clip, 0.75, rng),
    "crop75+crf23": lambda clip, rng: transcode(cropped(clip, 0.75, rng), 23),
}

REPORTED: dict[str, Attack] = {
    "veryfast28": lambda clip, rng: transcode(clip, 28, preset="veryfast", group=240),
    "crf35": lambda clip, rng: transcode(clip, 35),
    "crop50+crf23": lambda clip, rng: transcode(cropped(clip, 0.5, rng), 23),
    "flip+crf23": lambda clip, rng: transcode(clip[:, :, ::-1], 23),
    "bright+crf23": lambda clip, rng: transcode(_brighter(clip), 23),
    "1s+crf23": lambda clip, rng: transcode(clip[20:44], 23),
    "crop75+half+crf28": lambda clip, rng: transcode(scaled(cropped(clip, 0.75, rng), 0.5), 28),
}
