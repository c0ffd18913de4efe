"""Marking and reading without an encoder in between."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.watermark_clips import smooth
from watermark.geometry import Geometry
from watermark.keys import WatermarkKey
from watermark.lattice import spectrum
from watermark.looks import BURST, BURSTS
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker
from watermark.sync import noticed
from watermark.tile import derive_pattern
from watermark.watermarker import Frames, FramesRefused

KEY = WatermarkKey(id="now", secret=b"the key of these tests, number one")
OLD = WatermarkKey(id="old", secret=b"the key of these tests, number two")
NAME = "org.example.test.wm.1"


def marker(*keys: WatermarkKey) -> SpreadWatermarker:
    return SpreadWatermarker(keys or (KEY,), NAME)


def clip(seed: int, height: int, width: int, frames: int = 10) -> Frames:
    return smooth(height, width, frames, seed)


def marked(frames: Frames, payload: Payload, size: int = 16) -> Frames:
    chunks = (frames[first : first + size] for first in range(0, len(frames), size))
    return np.concatenate(list(marker().embed(chunks, payload, fps=24)))


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 2**64 - 1),
    st.integers(128, 420),
    st.integers(128, 420),
    st.integers(0, 2**32 - 1),
)
def test_any_payload_comes_back_from_any_size(
    clip_id: int, height: int, width: int, seed: int
) -> None:
    payload = Payload(clip_id=clip_id)
    read = marker().extract([marked(clip(seed, height, width), payload)], fps=24)
    assert read.payload == payload
    assert read.certain
    assert read.log10_p <= -6
    assert read.key_id == "now"
    assert read.algorithm == NAME
    assert read.frames_read == 3


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 16), min_size=1, max_size=12))
def test_the_way_a_clip_is_cut_into_chunks_changes_no_pixel(sizes: list[int]) -> None:
    frames, payload = clip(1, 144, 256, 14), Payload(clip_id=9)

    def uneven() -> Iterator[Frames]:
        first = 0
        for size in [*sizes, len(frames)]:
            if first < len(frames):
                yield frames[first : first + size]
            first += size

    parts = list(marker().embed(uneven(), payload, fps=24))
    assert np.array_equal(np.concatenate(parts), marked(frames, payload))


def test_a_mark_is_weak_and_everywhere() -> None:
    frames = clip(2, 360, 640)
    change = marked(frames, Payload(clip_id=1)).astype(int) - frames
    error = float(np.mean(change**2))
    assert 10 * np.log10(255**2 / error) > 42
    assert float(np.abs(change).max()) <= 14
    blocks = change[0, :352, :, 0].reshape(11, 32, 20, 32).any(axis=(1, 3))
    assert blocks.all()


def test_black_and_white_frames_stay_within_range() -> None:
    for value in (0, 255):
        frames = np.full((2, 128, 160, 3), value, dtype=np.uint8)
        change = marked(frames, Payload(clip_id=1)).astype(int) - value
        assert np.abs(change).max() <= 8


def test_the_wrong_key_reads_nothing() -> None:
    read = marker(OLD).extract([marked(clip(3, 180, 320, 4), Payload(clip_id=5))], fps=24)
    assert read.payload is None
    assert not read.certain
    assert read.log10_p == 0.0
    assert read.mode == "none"


def test_a_reading_tells_which_of_several_keys_made_the_mark() -> None:
    frames = marked(clip(4, 180, 320), Payload(clip_id=5))
    read = marker(OLD, KEY).extract([frames], fps=24)
    assert (read.payload, read.key_id) == (Payload(clip_id=5), "now")


def test_unmarked_clips_read_as_nothing() -> None:
    candidates = [Payload(clip_id=one) for one in range(20)]
    for seed in range(2):
        frames = clip(seed, 72, 96 + 2 * seed, 2)
        read = marker().extract([frames], fps=24, candidates=candidates)
        assert read.payload is None, seed
        assert not read.certain


def test_pilots_are_not_seen_where_there_are_none() -> None:
    rng, pattern = np.random.default_rng(5), derive_pattern(KEY)
    scores = []
    for _ in range(200):
        plane = rng.normal(0, 1, (180, 320)).astype(np.float32)
        scores.append(noticed(spectrum(plane, Geometry()), pattern).score)
    assert max(scores) < 7.5
    assert 3.5 < float(np.median(scores)) < 5.5


def test_a_mirrored_and_cropped_copy_is_read_and_located() -> None:
    frames = marked(clip(5, 360, 640, 16), Payload(clip_id=2**63 + 5))
    kept = np.ascontiguousarray(frames[:, 20:332, 60:614, :][:, :, ::-1])
    read = marker().extract([kept], fps=24)
    assert read.payload == Payload(clip_id=2**63 + 5)
    assert read.geometry is not None
    assert read.geometry.flipped
    assert read.geometry.scale == pytest.approx(312 / 360, rel=0.01)


def test_a_stretch_without_the_mark_is_told_apart() -> None:
    plain = clip(6, 180, 320, 72)
    both = np.concatenate([plain[:24], marked(plain[24:48], Payload(clip_id=3)), plain[48:]])
    read = marker().extract([both], fps=24)
    assert read.payload == Payload(clip_id=3)
    assert [(span.start, span.end) for span in read.spans] == [(1.0, 2.0)]


def test_a_long_clip_is_read_from_a_bounded_number_of_frames() -> None:
    frames = marked(clip(7, 128, 128, 48), Payload(clip_id=4))
    read = marker().extract((frames for _ in range(10)), fps=24)
    assert read.payload == Payload(clip_id=4)
    assert BURST * BURSTS / 2 <= read.frames_read <= BURST * BURSTS
    assert read.spans[-1].end > 15


HOSTILE = [
    np.zeros((0, 360, 640, 3), dtype=np.uint8),
    np.zeros((1, 1, 1, 3), dtype=np.uint8),
    np.zeros((3, 360, 640, 3), dtype=np.uint8),
    np.full((1, 128, 128, 3), 255, dtype=np.uint8),
    np.random.default_rng(0).integers(0, 256, (2, 20, 900, 3), dtype=np.uint8),
    np.random.default_rng(0).integers(0, 256, (1, 900, 16, 3), dtype=np.uint8),
    np.full((2, 64, 64, 3), np.nan, dtype=np.float32),
    np.zeros((2, 64, 64), dtype=np.uint8),
    "no frames",
    None,
]


@pytest.mark.parametrize("chunk", HOSTILE)
def test_odd_frames_read_as_nothing(chunk: object) -> None:
    read = marker().extract([chunk], fps=24)  # type: ignore[list-item]
    assert read.payload is None
    assert not read.certain


def test_a_clip_that_changes_size_is_read_from_what_fits() -> None:
    frames = marked(clip(8, 180, 320), Payload(clip_id=6))
    odd = np.zeros((2, 90, 90, 3), dtype=np.uint8)
    assert marker().extract([frames, odd, frames], fps=24).payload == Payload(clip_id=6)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_an_odd_frame_rate_only_costs_the_spans(fps: float) -> None:
    read = marker().extract([marked(clip(9, 180, 320), Payload(clip_id=7))], fps=fps)
    assert read.payload == Payload(clip_id=7)
    assert read.spans == ()


@pytest.mark.parametrize(
    "chunk",
    [
        np.zeros((1, 127, 300, 3), dtype=np.uint8),
        np.zeros((1, 300, 300, 3), dtype=np.float32),
        np.zeros((300, 300, 3), dtype=np.uint8),
    ],
)
def test_frames_that_cannot_be_marked_are_refused(chunk: Frames) -> None:
    with pytest.raises(FramesRefused):
        list(marker().embed([chunk], Payload(clip_id=1), fps=24))


def test_a_clip_that_changes_size_is_not_marked() -> None:
    chunks = [clip(1, 128, 128, 1), clip(1, 128, 144, 1)]
    with pytest.raises(FramesRefused):
        list(marker().embed(chunks, Payload(clip_id=1), fps=24))


def test_a_watermarker_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        SpreadWatermarker((), NAME)
