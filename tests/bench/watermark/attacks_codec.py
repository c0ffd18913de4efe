"""Encoders that clips pass through, each followed by decoding to RGB again."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from typing import Final

import av
import cv2
import numpy as np

from tests.bench.watermark.footage import Clip

_OPTIONS: Final[dict[str, dict[str, str]]] = {
    "libx264": {"preset": "medium"},
    "libx265": {"preset": "fast", "x265-params": "log-level=none:pools=none"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "5", "b": "0"},
    "libsvtav1": {"preset": "9", "svtav1-params": "lp=1"},
}
_CONTAINER: Final = {"libx264": "mp4", "libx265": "mp4"}


def encoded(clip: Clip, fps: float, codec: str, crf: int, **options: str) -> bytes:
    """Encodes at a constant quality on one thread; an odd last row or column is cut off."""
    height, width = (side // 2 * 2 for side in clip.shape[1:3])
    # SVT-AV1 reads this when it is first opened; its chatter has no other switch.
    os.environ.setdefault("SVT_LOG", "0")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=_CONTAINER.get(codec, "matroska")) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {**_OPTIONS[codec], "crf": str(crf), **options}
        for frame in clip:
            even = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, "rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def decoded(video: bytes) -> Clip:
    """Decodes every frame to uint8[T, H, W, 3]."""
    with av.open(io.BytesIO(video)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def transcoded(
    clip: Clip, fps: float, crf: int, codec: str = "libx264", **options: str
) -> Clip:
    """Encodes and decodes; as many frames come back as went in."""
    return decoded(encoded(clip, fps, codec, crf, **options))


def published(clip: Clip, fps: float) -> bytes:
    """The gateway's own encoding, which every mark has to pass first."""
    return encoded(clip, fps, "libx264", 17, g=str(round(fps)))


def jpeg(clip: Clip, quality: int) -> Clip:
    """Compresses each frame as a JPEG."""
    out = np.empty_like(clip)
    for index, frame in enumerate(clip):
        swapped = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        _, packed = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
        out[index] = cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return out


def palette(clip: Clip) -> Clip:
    """Each frame in 256 adaptive colours, dithered, as a GIF keeps it.

    The container itself loses nothing more, so none is written: Pillow's would also merge
    equal frames.
    """
    from PIL import Image

    out = np.empty_like(clip)
    for index, frame in enumerate(clip):
        picture = Image.fromarray(frame)
        colours = picture.quantize(256)
        dithered = picture.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
        out[index] = np.asarray(dithered.convert("RGB"))
    return out
