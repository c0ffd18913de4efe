"""Strong texture under a moving camera, and other clips that no single frame gives away."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import watermark_clips as clips
from tests.unit.watermark_clips import KEY, OLD, PAYLOAD, marked, marker, transcode
from watermark.demodulate import CHANNELS, decode, soften
from watermark.follow import Trial
from watermark.geometry import Geometry
from watermark.looks import gather
from watermark.reader import Reader
from watermark.reading import Reading
from watermark.registry import Registry
from watermark.tile import derive_pattern
from watermark.watermarker import Frames

HEIGHT, WIDTH, FRAMES, FPS = 270, 480, 60, 24
Way = list[tuple[float, float, float]]


def filmed(way: Way, seed: int = 1) -> Frames:
    picture = clips.leaves(HEIGHT + 80, WIDTH + 80, seed)
    return clips.filmed(picture, HEIGHT, WIDTH, way)


@functools.cache
def film() -> Frames:
    """Two and a half seconds of leaves with a mark, from a camera in somebody's hand."""
    return marked(filmed(clips.shaken(FRAMES)))


@functools.cache
def copy() -> Frames:
    return transcode(film(), 26)


def read(frames: Frames, fps: float = FPS) -> Reading:
    return marker().extract([np.ascontiguousarray(frames)], fps=fps)


def expect(reading: Reading) -> None:
    assert (reading.payload, reading.certain) == (PAYLOAD, True)
    assert reading.mode == "self_contained"


def reader(frames: Frames, key: clips.WatermarkKey = KEY) -> Reader:
    looks = gather([np.ascontiguousarray(frames)], FPS)
    return Reader(looks=looks, patterns=[derive_pattern(key)], registry=Registry.of(()))


def written(trial: Trial) -> object:
    decoded = decode(soften(trial.spectrum, trial.pattern, CHANNELS[0]))
    return None if decoded is None else decoded.payload


def at_speed(factor: float) -> Callable[[Frames], Frames]:
    return lambda frames: frames[np.arange(0, len(frames) - 1e-9, factor).astype(int)]


def seen_askew(frames: Frames, share: float) -> Frames:
    """From the right: the left side is further away."""
    height, width = frames.shape[1:3]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    moves = np.array([[share, share], [0, 0], [0, 0], [share, -share]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(corners, corners + moves * corners[2])
    return np.stack([cv2.warpPerspective(one, matrix, (width, height)) for one in frames])


def test_strong_texture_under_a_shaken_camera_is_read_after_an_encoder() -> None:
    reading = read(transcode(film(), 30))
    expect(reading)
    assert reading.geometry is not None
    assert reading.geometry.unmoved
    assert reading.log10_p < -20


def test_no_single_frame_of_it_could_be_read() -> None:
    frames = reader(transcode(film(), 30)[:FPS])  # before the mark turns over
    trials = [trial for trial in frames._alone() if trial.geometry.unmoved]
    assert trials
    assert all(written(trial) is None for trial in trials)


ALTERED: dict[str, Callable[[Frames], Frames]] = {
    "backwards": lambda frames: frames[::-1],
    "a quarter faster": at_speed(1.25),
    "a fifth slower": at_speed(0.8),
    "twice as fast": at_speed(2),
    "starting in mid-second": lambda frames: frames[15:],
}


@pytest.mark.parametrize("name", ALTERED)
def test_it_is_read_whatever_is_done_to_its_time(name: str) -> None:
    expect(read(ALTERED[name](copy())))


def test_a_camera_that_zooms_is_followed() -> None:
    way = [(0.0, 0.0, 1 + 0.1 * one / FRAMES) for one in range(FRAMES)]
    found = read(transcode(marked(filmed(way)), 26))
    expect(found)
    assert sum(span.end - span.start for span in found.spans) > 0.6 * FRAMES / FPS


def test_a_clip_with_a_cut_in_it_is_read() -> None:
    shots = [filmed(clips.shaken(30, seed), seed) for seed in (3, 4)]
    expect(read(transcode(marked(np.concatenate(shots)), 26)))


def test_a_copy_in_perspective_is_read_through_an_encoder() -> None:
    expect(read(transcode(seen_askew(film(), 0.04), 26)))


def test_a_strong_perspective_is_undone() -> None:
    frames = seen_askew(marked(clips.smooth(HEIGHT, WIDTH, 4)), 0.09)
    trials = list(reader(frames)._bent())
    assert PAYLOAD in [written(trial) for trial in trials]
    # The left side is further away: a pixel there is worth more of the marked frame.
    bent = [trial.geometry.matrix[2, 0] for trial in trials if written(trial) == PAYLOAD]
    assert min(np.abs(bent)) > 5e-5
    expect(read(frames))


def test_the_wrong_key_reads_nothing_of_it_not_even_with_all_frames_together() -> None:
    together = list(reader(copy(), OLD)._together())
    assert together
    assert all(written(trial) is None for trial in together)
    stranger = marker(OLD).extract([copy()[20:21]], fps=FPS, candidates=[PAYLOAD])
    assert (stranger.payload, stranger.certain, stranger.geometry) == (None, False, None)
    assert stranger.log10_p == 0.0


def test_texture_without_a_mark_reads_as_nothing() -> None:
    bare = transcode(filmed(clips.shaken(FRAMES)), 26)
    assert all(written(trial) is None for trial in reader(bare)._together())


@settings(max_examples=3, deadline=None)
@given(
    st.integers(1, 2),
    st.tuples(st.integers(16, 60), st.integers(16, 60)),
    st.floats(),
    st.integers(0, 2**32 - 1),
)
def test_noise_reads_as_nothing(
    frames: int, size: tuple[int, int], fps: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    reading = marker().extract([noise], fps=fps, candidates=[PAYLOAD])
    assert (reading.payload, reading.certain) == (None, False)
    assert reading.geometry is None or reading.geometry == Geometry()
