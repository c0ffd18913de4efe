"""What a mark does to the frames, and how strong it may be."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from tests.unit import watermark_clips as clips
from tests.unit.watermark_clips import PAYLOAD, marked, marker
from watermark.looks import period
from watermark.watermarker import Frames

TARGET_DB = 42.0
MADE = {
    "flat": lambda: clips.flat(120, 240, 426, 10),
    "smooth": lambda: clips.smooth(240, 426, 10),
    "textured": lambda: clips.textured(240, 426, 10),
    "noisy": lambda: clips.noisy(240, 426, 10),
    "tall": lambda: clips.textured(426, 240, 10),
    "small": lambda: clips.textured(128, 128, 10),
    "large": lambda: clips.textured(720, 1280, 3),
}


def change(before: Frames, after: Frames) -> np.ndarray:
    return after.astype(np.float32) - before


def luma_of(difference: np.ndarray) -> np.ndarray:
    return np.asarray(difference @ np.array([0.299, 0.587, 0.114], dtype=np.float32))


@pytest.mark.parametrize("name", MADE)
def test_every_frame_keeps_the_promised_signal_to_noise_ratio(name: str) -> None:
    frames = MADE[name]()
    errors = (change(frames, marked(frames)) ** 2).mean(axis=(1, 2, 3))
    decibels = 10 * np.log10(255**2 / errors)
    assert decibels.min() >= TARGET_DB - 0.1
    assert errors.min() > 0.1  # there is a mark


def test_texture_hides_more_than_a_flat_wall() -> None:
    flat, textured = (MADE[name]() for name in ("flat", "textured"))
    strengths = [luma_of(change(one, marked(one))).std() for one in (flat, textured)]
    assert strengths[1] > 1.5 * strengths[0]


def test_a_flat_wall_gets_less_than_the_eye_sees() -> None:
    frames = clips.flat(120, 480, 854, 6)
    difference = luma_of(change(frames, marked(frames)))
    # Without the rounding, which is noise of its own in every frame.
    assert float(cv2.GaussianBlur(difference[0], (0, 0), 1.2).std()) < 0.45
    assert float(difference.std()) < 0.6
    assert abs(float(difference.mean())) < 0.05


@pytest.mark.parametrize("value", [3, 8, 128, 247, 252])
def test_a_clip_of_one_colour_carries_its_mark(value: int) -> None:
    read = marker().extract([marked(clips.flat(value, 180, 320, 24))], fps=24)
    assert (read.payload, read.certain) == (PAYLOAD, True)


@pytest.mark.parametrize("size", [(128, 128), (128, 512), (500, 129), (270, 480)])
def test_odd_sizes_carry_their_mark(size: tuple[int, int]) -> None:
    read = marker().extract([marked(clips.smooth(*size, 24))], fps=24)
    assert (read.payload, read.certain) == (PAYLOAD, True)


def test_one_large_frame_is_marked_in_bounded_memory() -> None:
    frames = clips.flat(90, 2160, 3840, 1)
    tracemalloc.start()
    after = marked(frames)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert after.shape == frames.shape
    assert peak < 30 * frames.nbytes
    assert 0.1 < float((change(frames, after) ** 2).mean()) < 4


@pytest.mark.parametrize("fps", [5, 8, 12.5])
def test_the_mark_turns_over_every_second_whatever_the_frame_rate(fps: float) -> None:
    length = period(fps)
    frames = clips.flat(120, 180, 320, 4 * length)
    difference = luma_of(change(frames, marked(frames, fps=fps)))
    seconds = [difference[length * one :][:length].mean(axis=0).ravel() for one in range(4)]
    alike = np.corrcoef(seconds)
    expected = np.outer([1, -1, 1, -1], [1, -1, 1, -1])
    assert np.abs(alike).min() > 0.7
    assert np.array_equal(np.sign(alike), expected)
    assert length == pytest.approx(fps, abs=0.5)


def test_within_a_second_the_mark_stays_as_it_is() -> None:
    frames = clips.flat(120, 180, 320, 12)
    difference = luma_of(change(frames, marked(frames, fps=6)))
    alike = np.corrcoef([one.ravel() for one in difference])
    assert alike[:6, :6].min() > 0.3
    assert alike[6:, 6:].min() > 0.3
    assert alike[:6, 6:].max() < -0.3


def test_over_two_seconds_the_picture_keeps_its_mean() -> None:
    frames = clips.flat(120, 180, 320, 16)
    difference = luma_of(change(frames, marked(frames, fps=8)))
    halves = [cv2.GaussianBlur(difference[:8].mean(axis=0), (0, 0), 2)]
    halves.append(cv2.GaussianBlur(difference[8:].mean(axis=0), (0, 0), 2))
    assert float((halves[0] + halves[1]).std()) < 0.35 * float(halves[0].std())


def test_the_mark_goes_with_the_camera() -> None:
    ground = clips.textured(300, 520, 1)[0]
    film = np.stack([ground[20:200, 2 * one : 2 * one + 320] for one in range(9)])
    difference = luma_of(change(film, marked(film, fps=24)))
    stayed = [difference[6], difference[8]]
    went = [difference[6][:, 4:], difference[8][:, :-4]]
    along, still = (np.corrcoef(one.ravel(), two.ravel())[0, 1] for one, two in (went, stayed))
    assert along > 0.5
    assert along > still + 0.2
