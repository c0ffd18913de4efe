"""What every codec of the pipeline promises, asked of the real one and of the fake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.media.codec import Mp4Codec
from gateway.media.frames import CHUNK_FRAMES
from gateway.seams import Codec
from generator.clip import Frames
from tests.fakes import FakeCodec

FRAMES = np.random.default_rng(1).integers(0, 256, (21, 64, 96, 3), dtype=np.uint8)


@pytest.fixture(params=["real", "fake"])
def codec(request: pytest.FixtureRequest) -> Codec:
    real: Codec = Mp4Codec(preset="ultrafast", threads=1)
    return real if request.param == "real" else FakeCodec()


def chunks() -> Iterator[Frames]:
    yield FRAMES[:16]
    yield FRAMES[16:]


def test_what_is_kept_without_loss_comes_back_exactly(codec: Codec, tmp_path: Path) -> None:
    codec.encode_lossless(chunks(), tmp_path / "raw.mkv", fps=12)
    read = list(codec.decode(tmp_path / "raw.mkv"))
    assert all(1 <= len(chunk) <= CHUNK_FRAMES for chunk in read)
    assert all(chunk.dtype == np.uint8 for chunk in read)
    assert np.array_equal(np.concatenate(read), FRAMES)


def test_what_is_encoded_keeps_every_frame_and_its_size(codec: Codec, tmp_path: Path) -> None:
    codec.encode(chunks(), tmp_path / "clip.mp4", fps=12)
    read = np.concatenate(list(codec.decode(tmp_path / "clip.mp4")))
    assert read.shape == FRAMES.shape
    assert codec.thumbnail(tmp_path / "clip.mp4")


def test_frames_that_stop_coming_leave_no_file(codec: Codec, tmp_path: Path) -> None:
    def failing() -> Iterator[Frames]:
        yield FRAMES[:16]
        raise RuntimeError("no more frames")

    for write in (codec.encode, codec.encode_lossless):
        with pytest.raises(RuntimeError, match="no more frames"):
            write(failing(), tmp_path / "clip.mp4", fps=12)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_an_empty_clip(codec: Codec, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"."):
        list(codec.decode(tmp_path / "absent.mp4"))
