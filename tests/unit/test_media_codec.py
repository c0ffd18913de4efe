"""Our own clips: written, read back, shrunk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gateway.errors import StageUnavailable
from gateway.media.codec import Mp4Codec
from gateway.media.frames import Frames
from tests.data.hostile.clips import picture

CODEC = Mp4Codec(preset="veryfast", threads=2)


def chunks(frames: int, width: int = 160, height: int = 96) -> Iterator[Frames]:
    for start in range(0, frames, 16):
        stop = min(start + 16, frames)
        yield np.stack([picture(i, width, height) for i in range(start, stop)])


def whole(frames: int, width: int = 160, height: int = 96) -> Frames:
    return np.concatenate(list(chunks(frames, width, height)))


def test_an_encoded_clip_comes_back_with_every_frame_and_nearly_the_same_pixels(
    tmp_path: Path,
) -> None:
    written = CODEC.encode(chunks(37), tmp_path / "clip.mp4", fps=24)
    assert (written.frames, written.seconds) == (37, 37 / 24)
    assert written.size == (tmp_path / "clip.mp4").stat().st_size
    read = list(CODEC.decode(tmp_path / "clip.mp4"))
    assert [len(chunk) for chunk in read] == [16, 16, 5]
    error = np.concatenate(read).astype(float) - whole(37)
    assert abs(error.mean()) < 0.5
    assert np.sqrt((error**2).mean()) < 8


def test_colours_keep_their_values_through_the_tagged_conversion(tmp_path: Path) -> None:
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (250, 240, 10)):
        flat = np.full((4, 64, 64, 3), colour, np.uint8)
        CODEC.encode([flat], tmp_path / "flat.mp4", fps=8)
        (read,) = CODEC.decode(tmp_path / "flat.mp4")
        assert np.abs(read.astype(int) - flat).max() <= 3
    with av.open(str(tmp_path / "flat.mp4")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_trc, context.color_primaries)
        assert tags == (1, 1, 1)
        assert (context.color_range, context.pix_fmt) == (1, "yuv420p")


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        CODEC.encode(chunks(40), tmp_path / name, fps=24)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_the_index_comes_first_and_nothing_says_when_it_was_made(tmp_path: Path) -> None:
    CODEC.encode(chunks(5), tmp_path / "clip.mp4", fps=24)
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"Lavf" not in data
    header = data.index(b"mvhd") + 8
    assert data[header : header + 8] == bytes(8)  # created, modified


def test_a_key_frame_comes_every_second(tmp_path: Path) -> None:
    still = np.full((16, 64, 64, 3), 90, np.uint8)
    CODEC.encode([still] * 5, tmp_path / "clip.mp4", fps=20)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        keys = [i for i, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert keys == [0, 20, 40, 60]


@pytest.mark.parametrize(("width", "height"), [(160, 96), (47, 33)])
def test_a_lossless_clip_comes_back_exactly(tmp_path: Path, width: int, height: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (9, height, width, 3), dtype=np.uint8)
    CODEC.encode_lossless([noise[:5], noise[5:]], tmp_path / "raw.mkv", fps=12)
    assert np.array_equal(np.concatenate(list(CODEC.decode(tmp_path / "raw.mkv"))), noise)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [np.zeros((0, 64, 64, 3), np.uint8)],
        [np.zeros((17, 64, 64, 3), np.uint8)],
        [np.zeros((2, 64, 64, 3), np.float32)],
        [np.zeros((2, 64, 64), np.uint8)],
        [np.zeros((2, 65, 64, 3), np.uint8)],
        [np.zeros((2, 64, 64, 3), np.uint8), np.zeros((2, 64, 32, 3), np.uint8)],
    ],
)
def test_frames_of_a_wrong_shape_leave_no_file(tmp_path: Path, wrong: list[Frames]) -> None:
    with pytest.raises(ValueError, match=r"chunk|frame|even"):
        CODEC.encode(wrong, tmp_path / "clip.mp4", fps=24)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[Frames]:
        yield from chunks(16)
        raise RuntimeError("the model stopped")

    with pytest.raises(RuntimeError, match="the model stopped"):
        CODEC.encode(failing(), tmp_path / "clip.mp4", fps=24)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_a_stage_that_cannot_say_yes(tmp_path: Path) -> None:
    with pytest.raises(StageUnavailable):
        CODEC.encode(chunks(4), tmp_path / "absent" / "clip.mp4", fps=24)


def test_a_damaged_clip_of_ours_is_not_read_as_a_shorter_one(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    CODEC.encode(chunks(48), path, fps=24)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(StageUnavailable):
        list(CODEC.decode(path))
    with pytest.raises(StageUnavailable):
        list(CODEC.decode(tmp_path / "absent.mp4"))


def test_a_thumbnail_is_a_small_jpeg_of_the_middle(tmp_path: Path) -> None:
    shades = [np.full((10, 400, 720, 3), shade, np.uint8) for shade in (10, 120, 240)]
    CODEC.encode(shades, tmp_path / "clip.mp4", fps=10)
    with Image.open(io.BytesIO(CODEC.thumbnail(tmp_path / "clip.mp4"))) as image:
        assert (image.format, image.size) == ("JPEG", (512, 284))
        assert np.abs(np.asarray(image).astype(int) - 120).max() <= 4


def test_sharing_shrinks_a_clip_and_keeps_its_frames(tmp_path: Path) -> None:
    CODEC.encode(chunks(30), tmp_path / "clip.mp4", fps=24)
    done = CODEC.transcode_without_metadata(
        tmp_path / "clip.mp4", tmp_path / "shared.mp4", crf=30, scale=0.5
    )
    info = CODEC.describe(tmp_path / "shared.mp4")
    assert (done.frames, info.width, info.height) == (30, 80, 48)
    assert b"c2pa" not in (tmp_path / "shared.mp4").read_bytes()
    with pytest.raises(ValueError, match="scale"):
        CODEC.transcode_without_metadata(tmp_path / "clip.mp4", tmp_path / "x.mp4", scale=2)
