"""Encoding and decoding of our own, trusted video files (H.264 in MP4, through FFmpeg)."""

from __future__ import annotations

import io
import math
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from gateway.errors import Interrupted, StageUnavailable
from gateway.media.frames import (
    CHUNK_FRAMES,
    EncodedVideo,
    Frames,
    VideoInfo,
    check_chunk,
)

THUMBNAIL_SIDE = 512
THUMBNAIL_QUALITY = 85
MIN_SIDE, MAX_SIDE = 2, 8192
# Measured at 720p: without accurate rounding and full chroma the conversion darkens the picture
# by 1.3 grey levels on the way back; with them the bias is below 0.01 and costs 7 ms a frame.
_EXACT = (
    Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_TO_YUV = Interpolation.BICUBIC | _EXACT
_TO_RGB = Interpolation.AREA | _EXACT
_BT709 = 1  # ITU-T H.273: primaries, transfer and matrix share this number
# No "encoder" tag, no creation time: the file says nothing about where or when it was made.
_MUXER = {"movflags": "+faststart", "fflags": "+bitexact"}


class Mp4Codec:
    """Writes MP4 (H.264, 4:2:0, BT.709 limited range, index in front).

    ``crf`` 0..28 is x264's quality (lower is better), ``preset`` its speed, a key frame comes
    at least every ``keyframe_seconds``. The same frames give the same bytes: x264 is
    deterministic for a fixed number of ``threads``, which is why it is not left to the machine.
    """

    def __init__(
        self,
        *,
        crf: int = 17,
        preset: str = "medium",
        keyframe_seconds: float = 1.0,
        threads: int = 2,
    ) -> None:
        self.crf = crf
        self.preset = preset
        self.keyframe_seconds = keyframe_seconds
        self.threads = threads

    def encode(self, chunks: Iterable[Frames], path: Path, *, fps: int) -> EncodedVideo:
        """Write the frames to ``path``, which appears only when it is complete.

        The first frame sets the size; width and height are even, because 4:2:0 chroma has half
        of each. Raises ValueError for odd sizes, an empty clip or a frame of another size, and
        StageUnavailable when the encoder or the disk fails. Holds one chunk at a time.
        """
        group = max(1, round(fps * self.keyframe_seconds))
        options = {"crf": str(self.crf), "preset": self.preset, "g": str(group)}
        with _writing(path) as scratch:
            return self._write(chunks, scratch, fps, _Target("libx264", "yuv420p", options))

    def encode_lossless(
        self, chunks: Iterable[Frames], path: Path, *, fps: int
    ) -> EncodedVideo:
        """Write the frames so that ``decode`` gives back the very same values.

        H.264 RGB at quantiser 0: at 720p 4 times as fast as FFV1 and no larger. Most players
        cannot show it; it is for the vault. Any size, odd ones too. Errors as ``encode``.
        """
        options = {"qp": "0", "preset": "ultrafast", "g": str(max(1, fps))}
        with _writing(path) as scratch:
            return self._write(chunks, scratch, fps, _Target("libx264rgb", "rgb24", options))

    def decode(self, path: Path) -> Iterator[Frames]:
        """Read a file that we wrote ourselves, in chunks of at most 16 frames.

        Never for a file from outside: ``gateway.media.sandbox`` is for those. Raises
        StageUnavailable, on the first step or later, when the file is missing or damaged.
        """
        return _decoded(path, threads=self.threads)

    def describe(self, path: Path) -> VideoInfo:
        """Size, rate and length of a file that we wrote. Raises StageUnavailable."""
        with _opened(path) as container:
            return _describe(container)

    def thumbnail(self, path: Path) -> bytes:
        """A JPEG, at most 512 pixels on its longer side, of a frame near the middle.

        For our own files. Raises StageUnavailable when there is no frame to show.
        """
        from PIL import Image

        with _opened(path) as container:
            info = _describe(container)
            stream = container.streams.video[0]
            middle = info.seconds / 2
            container.seek(int(middle / stream.time_base), stream=stream)
            chosen = None
            for chosen in container.decode(stream):
                if chosen.time is None or chosen.time >= middle:
                    break
            if chosen is None:
                raise StageUnavailable("The clip holds no frame to show.")
            picture = Image.fromarray(_rgb(VideoReformatter(), chosen))
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
        return out.getvalue()

    def transcode_without_metadata(
        self, source: Path, destination: Path, *, crf: int = 28, scale: float = 1.0
    ) -> EncodedVideo:
        """Do to one of our own clips what a sharing site does: recompress, drop credentials.

        ``scale`` in (0, 1] applies to both sides, rounded to even. Sound is dropped.
        """
        if not 0 < scale <= 1:
            raise ValueError("The scale must be above 0 and at most 1.")
        info = self.describe(source)
        width, height = (
            max(2, round(side * scale / 2) * 2) for side in (info.width, info.height)
        )
        fps = max(1, round(info.fps))
        worse = Mp4Codec(crf=crf, preset="veryfast", keyframe_seconds=10, threads=self.threads)
        chunks = _decoded(source, threads=self.threads, size=(width, height))
        return worse.encode(chunks, destination, fps=fps)

    def _write(
        self, chunks: Iterable[Frames], scratch: Path, fps: int, target: _Target
    ) -> EncodedVideo:
        if fps < 1:
            raise ValueError("A clip needs at least one frame a second.")
        pending = iter(chunks)
        first = next(pending, None)
        if first is None:
            raise ValueError("A clip needs at least one frame.")
        check_chunk(first)
        height, width = first.shape[1:3]
        target.check(width, height)
        count = 0
        convert = VideoReformatter()
        try:
            with av.open(str(scratch), "w", format="mp4", options=_MUXER) as container:
                stream = container.add_stream(target.codec, rate=fps, options=target.options)
                _configure(stream, width, height, fps, target)
                stream.codec_context.thread_count = self.threads
                for chunk in chain((first,), pending):
                    check_chunk(chunk, size=(width, height))
                    for picture in chunk:
                        frame = _frame(convert, picture, target.pixels)
                        frame.pts, frame.time_base = count, Fraction(1, fps)
                        container.mux(stream.encode(frame))
                        count += 1
                container.mux(stream.encode(None))
        except av.FFmpegError as fault:
            raise StageUnavailable("The clip could not be encoded.") from fault
        return EncodedVideo(frames=count, seconds=count / fps, size=scratch.stat().st_size)


@dataclass(frozen=True)
class _Target:
    codec: str
    pixels: str
    options: dict[str, str]

    def check(self, width: int, height: int) -> None:
        if self.pixels == "yuv420p" and (width % 2 or height % 2):
            raise ValueError("Width and height must be even for 4:2:0 video.")
        if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
            raise ValueError(f"Width and height must be {MIN_SIDE} to {MAX_SIDE} pixels.")


def _configure(stream: Any, width: int, height: int, fps: int, target: _Target) -> None:
    stream.width, stream.height, stream.pix_fmt = width, height, target.pixels
    context = stream.codec_context
    context.time_base = Fraction(1, fps)
    context.flags |= av.codec.context.Flags.bitexact
    if target.pixels == "yuv420p":
        context.colorspace = context.color_trc = context.color_primaries = _BT709
        context.color_range = ColorRange.MPEG


@contextmanager
def _writing(destination: Path) -> Iterator[Path]:
    """A scratch name beside ``destination`` that takes its place once it is on the disk."""
    scratch = destination.with_name(f".{destination.name}.{secrets.token_hex(6)}.part")
    try:
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(destination)
    except OSError as fault:
        raise Interrupted("The clip could not be written to the disk.") from fault
    finally:
        scratch.unlink(missing_ok=True)


def _frame(convert: VideoReformatter, pixels_rgb: Frames, pixels: str) -> Any:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_rgb), format="rgb24")
    if pixels == "rgb24":
        return frame
    converted = convert.reformat(
        frame, format=pixels, interpolation=_TO_YUV, threads=1,
        src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG,
        dst_colorspace=Colorspace.ITU709,
    )  # fmt: skip
    converted.color_primaries = converted.color_trc = _BT709
    return converted


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            yield container
    except (av.FFmpegError, OSError) as fault:
        raise StageUnavailable("A stored clip could not be read.") from fault


def _describe(container: Any) -> VideoInfo:
    if not container.streams.video:
        raise StageUnavailable("A stored clip holds no picture.")
    stream = container.streams.video[0]
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    else:
        seconds = (container.duration or 0) / av.time_base
    return VideoInfo(
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        fps=stream.average_rate or Fraction(0),
        frames=stream.frames,
        seconds=seconds if math.isfinite(seconds) else 0.0,
        codec=stream.codec_context.name,
    )


def _decoded(
    path: Path, *, threads: int, size: tuple[int, int] | None = None
) -> Iterator[Frames]:
    convert = VideoReformatter()
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        held: list[Frames] = []
        for frame in container.decode(stream):
            held.append(_rgb(convert, frame, size))
            if len(held) == CHUNK_FRAMES:
                yield np.stack(held)
                held = []
        if held:
            yield np.stack(held)


def _rgb(convert: VideoReformatter, frame: Any, size: tuple[int, int] | None = None) -> Frames:
    width, height = size or (frame.width, frame.height)
    same = (width, height) == (frame.width, frame.height)
    picture: Any = convert.reformat(
        frame, width=width, height=height, format="rgb24", threads=1,
        interpolation=_TO_RGB if same else _TO_YUV, dst_color_range=ColorRange.JPEG,
    ).to_ndarray()  # fmt: skip
    rgb: Frames = picture
    return rgb
