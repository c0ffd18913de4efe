"""Makes the files of README.md, one function each: ``name(folder) -> path``."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from gateway.media.codec import Mp4Codec

FPS = 24


def picture(index: int, width: int = 160, height: int = 96) -> np.ndarray:
    """A frame that moves and has colour: bands, and a bright square top left."""
    x = (np.arange(width) * 3 + index * 5) % 256
    y = (np.arange(height) * 2) % 256
    frame = np.empty((height, width, 3), np.uint8)
    frame[..., 0] = x[None, :] // 2
    frame[..., 1] = y[:, None] // 2
    frame[..., 2] = 60
    frame[: height // 4, : width // 4] = 250
    return frame


def good(folder: Path, *, frames: int = 30, width: int = 160, height: int = 96) -> Path:
    path = folder / "good.mp4"
    chunks = (
        np.stack([picture(i, width, height) for i in range(start, min(start + 16, frames))])
        for start in range(0, frames, 16)
    )
    Mp4Codec(preset="ultrafast", threads=1).encode(chunks, path, fps=FPS)
    return path


def turned(folder: Path) -> Path:
    """A good clip that a player turns a quarter clockwise, as phones write it."""
    path = folder / "turned.mp4"
    data = bytearray(good(folder).read_bytes())
    straight = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    clockwise = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    at = data.index(straight, data.index(b"tkhd"))
    data[at : at + len(straight)] = clockwise
    path.write_bytes(data)
    return path


def many_frames(folder: Path) -> Path:
    path = folder / "many.mp4"
    return _encode(path, "libx264", [(64, 64)] * 1200, options={"preset": "ultrafast"})


def empty(folder: Path) -> Path:
    return _bytes(folder / "empty.mp4", b"")


def text(folder: Path) -> Path:
    return _bytes(folder / "text.mp4", b"This is a letter, not a clip.\n" * 40)


def random_bytes(folder: Path) -> Path:
    return _bytes(folder / "random.mp4", random.Random(7).randbytes(50_000))


def truncated_index(folder: Path) -> Path:
    data = good(folder).read_bytes()
    return _bytes(folder / "index.mp4", data[: data.index(b"moov") + 200])


def truncated_picture(folder: Path) -> Path:
    data = good(folder).read_bytes()
    start = data.index(b"mdat")
    return _bytes(folder / "cut.mp4", data[: start + (len(data) - start) // 2])


def deep_boxes(folder: Path) -> Path:
    inside = b""
    for _ in range(1000):
        inside = struct.pack(">I4s", len(inside) + 8, b"moov") + inside
    head = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
    return _bytes(folder / "deep.mp4", head + inside)


def playlist(folder: Path) -> Path:
    target = good(folder)
    body = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{target}\n#EXT-X-ENDLIST\n"
    return _bytes(folder / "playlist.mp4", body.encode())


def ffconcat(folder: Path) -> Path:
    target = good(folder)
    return _bytes(folder / "concat.mp4", f"ffconcat version 1.0\nfile '{target}'\n".encode())


def sdp(folder: Path) -> Path:
    head = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    return _bytes(folder / "session.mp4", head + b"m=video 5004 RTP/AVP 96\n")


def picture_bomb(folder: Path) -> Path:
    def part(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body))
            + kind
            + body
            + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(20_000_000))
    data = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", body) + part(b"IEND", b"")
    return _bytes(folder / "bomb.png", data)


def png_track(folder: Path) -> Path:
    return _encode(folder / "png.mov", "png", [(160, 96)] * 5, pixels="rgb24", container="mov")


def one_pixel(folder: Path) -> Path:
    return _encode(folder / "one.mkv", "libvpx-vp9", [(1, 1)] * 10, container="matroska")


def very_wide(folder: Path) -> Path:
    return _encode(folder / "wide.mkv", "libvpx-vp9", [(20_000, 64)], container="matroska")


def very_large(folder: Path) -> Path:
    fast = {"preset": "ultrafast", "tune": "zerolatency"}
    return _encode(folder / "large.mp4", "libx264", [(8192, 8192)], options=fast)


def grows(folder: Path) -> Path:
    sizes = [(160, 96)] * 10 + [(192, 128)] * 10
    return _encode(folder / "grows.webm", "libvpx", sizes, container="webm")


def grows_beyond_limits(folder: Path) -> Path:
    sizes = [(160, 96)] * 10 + [(5000, 128)] * 2
    return _encode(folder / "beyond.webm", "libvpx", sizes, container="webm")


def two_pictures(folder: Path) -> Path:
    path = folder / "two.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=FPS) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(10):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def sound_only(folder: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        tone = np.zeros((1, 1024), np.float32)
        for _ in range(20):
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def lying_index(folder: Path) -> Path:
    """A good clip whose index spreads its thirty frames over more than a day."""
    data = bytearray(good(folder).read_bytes())
    at = data.index(b"stts") + 16  # version, count, first entry's count, then its delta
    data[at : at + 4] = struct.pack(">I", 0x3000000)
    return _bytes(folder / "lying.mp4", bytes(data))


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _encode(
    path: Path,
    codec: str,
    sizes: Iterable[tuple[int, int]],
    *,
    pixels: str = "yuv420p",
    container: str = "mp4",
    options: dict[str, str] | None = None,
) -> Path:
    """Frames of the given sizes in one track; where the size changes, a new encoder begins."""
    sizes = list(sizes)
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=FPS, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *sizes[0], pixels
        encoder, current = stream, sizes[0]
        for index, size in enumerate(sizes):
            if size != current:
                out.mux(_to(stream, encoder.encode(None)))
                encoder, current = _encoder(codec, size, pixels), size
            frame = _plain(*size) if max(size) > 5000 else _drawn(index, size, pixels)
            frame.pts = index
            out.mux(_to(stream, encoder.encode(frame)))
        out.mux(_to(stream, encoder.encode(None)))
    return path


def _drawn(index: int, size: tuple[int, int], pixels: str) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
    return frame.reformat(format=pixels)


def _plain(width: int, height: int) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame


def _encoder(codec: str, size: tuple[int, int], pixels: str) -> av.VideoCodecContext:
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = *size, pixels
    context.framerate, context.time_base = Fraction(FPS), Fraction(1, FPS)
    return context


def _to(stream: av.VideoStream, packets: list[av.Packet]) -> list[av.Packet]:
    for packet in packets:
        packet.stream = stream
    return packets


def with_sound(folder: Path) -> Path:
    """A good clip beside a sound track, whose decoder the sandbox refuses to load."""
    path = folder / "sounding.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        sound = container.add_stream("aac", rate=48_000)
        for index in range(30):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            container.mux(video.encode(frame))
        for _ in range(50):
            tone = np.zeros((1, 1024), np.float32)
            heard = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            heard.sample_rate = 48_000
            container.mux(sound.encode(heard))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def coded(folder: Path, codec: str, container: str) -> Path:
    """A good clip in another of the codecs that are allowed."""
    return _encode(folder / "coded", codec, [(160, 96)] * 30, container=container)


NOT_MEDIA: tuple[Callable[[Path], Path], ...] = (
    empty, text, random_bytes, playlist, ffconcat, sdp, picture_bomb, sound_only,
    truncated_index, deep_boxes,
)  # fmt: skip
BROKEN = (truncated_picture,)
TOO_LARGE = (very_wide, very_large, grows_beyond_limits)
UNSUPPORTED = (png_track, one_pixel, grows, two_pictures)
