"""Flashing that the norms forbid is found at any frame rate, and nothing else is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from safety.flashes import FlashEvent, FlashKind, FlashWatch, score
from safety.sampling import Frames

HIGH, WIDE = 36, 64
BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)
FAILED, EDGE = 0.9, 0.6
Colour = tuple[int, int, int]


def watched(
    clip: Frames, fps: float, sizes: Sequence[int] = (16,) * 99
) -> tuple[FlashEvent, ...]:
    watch = FlashWatch(fps=fps)
    start = 0
    for size in [*sizes, len(clip)]:
        watch.see(clip[start : start + size])
        start += size
    return watch.events()


def highest(clip: Frames, fps: float, kind: FlashKind | None = None) -> float:
    events = watched(clip, fps)
    return max((e.score for e in events if kind in (None, e.kind)), default=0.0)


def square_wave(
    hertz: float,
    fps: float,
    *,
    low: Colour = BLACK,
    high: Colour = WHITE,
    area: tuple[float, float] = (1.0, 1.0),
    seconds: float = 1.6,
) -> Frames:
    """Two colours in turn, in a part of a grey picture: shares of its height and width."""
    clip = np.full((round(fps * seconds), HIGH, WIDE, 3), 90, np.uint8)
    tall, broad = round(area[0] * HIGH), round(area[1] * WIDE)
    for n, frame in enumerate(clip):
        frame[:tall, :broad] = high if int(n / fps * hertz * 2 + 1e-9) % 2 else low
    return clip


def texture(seed: int, size: tuple[int, int], grain: int = 9) -> NDArray[np.uint8]:
    """A smooth random picture with detail, as a photograph has it."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[0] // grain + 2, size[1] // grain + 2, 3))
    large = cv2.resize(small.astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    return large.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("fps", [16.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0])
@pytest.mark.parametrize("hertz", [4.0, 5.0, 7.3, 12.0, 15.0])
def test_more_than_three_flashes_a_second_fail(hertz, fps):
    if 2 * hertz <= fps:
        assert highest(square_wave(hertz, fps), fps) >= FAILED


@pytest.mark.parametrize("fps", [6.0, 8.0, 16.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0])
def test_three_flashes_a_second_are_the_edge_at_any_frame_rate(fps):
    clip = square_wave(3.0, fps, seconds=3)
    (event,) = watched(clip, fps)
    assert event.score == EDGE
    assert (event.kind, event.flashes, event.area) == (FlashKind.GENERAL, 3, 1.0)


@pytest.mark.parametrize("hertz", [0.5, 1.0, 2.0])
def test_slow_blinking_stays_below_the_edge(hertz):
    assert highest(square_wave(hertz, 24.0, seconds=3), 24.0) < EDGE


def test_an_event_tells_when_how_often_and_how_much():
    still = square_wave(0.01, 24.0, low=WHITE, seconds=2)
    clip = np.concatenate([still, square_wave(6.0, 24.0, area=(0.5, 1.0)), still])
    clip[: len(still)] = clip[-len(still) :] = 90
    (event,) = watched(clip, 24.0)
    assert 2.0 <= event.start < 2.2
    assert 3.3 < event.end <= 3.7
    assert event.flashes == 6
    assert event.area == 1.0
    assert event.score == 1.0


def test_flashes_with_a_pause_between_are_two_events():
    burst, pause = square_wave(5.0, 24.0), np.full((60, HIGH, WIDE, 3), 90, np.uint8)
    assert len(watched(np.concatenate([burst, pause, burst]), 24.0)) == 2


@pytest.mark.parametrize(
    ("low", "high", "fails"),
    [
        ((0, 0, 0), (95, 95, 95), True),
        ((0, 0, 0), (80, 80, 80), False),
        ((120, 120, 120), (150, 150, 150), True),
        ((120, 120, 120), (135, 135, 135), False),
        ((200, 200, 200), (240, 240, 240), True),
        ((235, 235, 235), (255, 255, 255), False),
        ((0, 0, 0), (0, 0, 255), False),
        ((0, 0, 0), (0, 160, 0), True),
    ],
)
def test_ten_percent_of_white_count_where_the_darker_is_below_eighty(low, high, fails):
    clip = square_wave(5.0, 30.0, low=low, high=high)
    assert (highest(clip, 30.0, FlashKind.GENERAL) >= FAILED) is fails


@pytest.mark.parametrize(
    ("low", "high", "fails"),
    [
        (RED, BLUE, True),
        (BLACK, RED, True),
        (BLACK, (100, 0, 0), True),
        ((200, 0, 0), (255, 0, 0), True),
        ((200, 0, 0), (205, 0, 0), False),
        (BLACK, (60, 0, 0), False),
        (BLACK, (255, 140, 140), False),
        (BLACK, BLUE, False),
        ((120, 90, 90), (220, 190, 190), False),
    ],
)
def test_red_flashes_count_where_the_red_is_saturated(low, high, fails):
    clip = square_wave(5.0, 30.0, low=low, high=high)
    assert (highest(clip, 30.0, FlashKind.RED) >= FAILED) is fails


def test_a_saturated_red_that_turns_into_a_brighter_unsaturated_one_counts():
    assert highest(square_wave(5, 30, low=(90, 0, 0), high=(255, 120, 90)), 30) >= FAILED


@pytest.mark.parametrize(
    ("area", "fails"),
    [((0.10, 0.10), False), ((0.15, 0.15), False), ((0.22, 0.22), True), ((0.5, 0.5), True)],
)
def test_a_quarter_of_a_field_of_ten_degrees_is_the_limit(area, fails):
    # A field is a third of the sides, so a quarter of it is a sixth of the sides.
    found = highest(square_wave(5.0, 24.0, area=area), 24.0)
    assert (found >= FAILED) is fails
    assert fails or found < EDGE


@settings(max_examples=15, deadline=None)
@given(
    one=st.integers(2, 33), more=st.integers(0, 30), hertz=st.sampled_from([2.0, 3.0, 4.0, 8.0])
)
def test_more_area_never_scores_less(one, more, hertz):
    def of(side: int) -> float:
        share = min(side / HIGH, 1.0)
        return highest(square_wave(hertz, 24.0, area=(share, share), seconds=1.2), 24.0)

    assert of(one) <= of(one + more)


@given(
    count=st.integers(0, 40), area=st.floats(0, 1), more=st.integers(0, 9), rest=st.floats(0, 1)
)
def test_the_score_never_falls(count, area, more, rest):
    assert 0.0 <= score(count, area) <= 1.0
    assert score(count, area) <= score(count + more, area)
    assert score(count, area) <= score(count, area + (1 - area) * rest)


def test_the_score_has_its_documented_points():
    assert score(6, 1.0) == score(12, 0.25) == EDGE
    assert score(8, 0.3) == score(8, 1.0) == FAILED
    assert score(12, 1.0) == 1.0
    assert score(1, 1.0) == score(9, 0.0) == 0.0
    assert EDGE < score(7, 1.0) < FAILED


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999),
    sizes=st.lists(st.integers(0, 9), max_size=20),
    fps=st.sampled_from([12.0, 24.0, 29.97]),
)
def test_how_a_clip_is_cut_into_chunks_changes_nothing(seed, sizes, fps):
    rng = np.random.default_rng(seed)
    pictures = [texture(seed + n, (24, 40)) for n in range(3)]
    clip = np.stack([pictures[n] for n in rng.integers(0, 3, 30)])
    assert watched(clip, fps, sizes) == watched(clip, fps, [1] * 30)


@settings(max_examples=40, deadline=None)
@given(
    high=st.integers(1, 40),
    wide=st.integers(1, 400),
    fps=st.floats(0.1, 1000),
    seed=st.integers(0, 999),
)
def test_pictures_of_any_size_and_rate_are_judged(high, wide, fps, seed):
    clip = np.random.default_rng(seed).integers(0, 256, (5, high, wide, 3)).astype(np.uint8)
    for event in watched(clip, fps):
        assert 0.0 <= event.start <= event.end
        assert 0.0 < event.area <= 1.0
        assert 0.0 < event.score <= 1.0


def test_noise_is_no_flash():
    rng = np.random.default_rng(1)
    clip = rng.integers(0, 256, (24, 360, 640, 3)).astype(np.uint8)
    assert watched(clip, 24.0) == ()


def test_a_fade_and_a_cut_every_second_are_no_flashes():
    fade = np.linspace(0, 255, 48).astype(np.uint8)[:, None, None, None]
    assert watched(np.broadcast_to(fade, (48, HIGH, WIDE, 3)).copy(), 24.0) == ()
    scenes = np.concatenate([texture(n, (HIGH, WIDE))[None].repeat(24, 0) for n in range(4)])
    assert watched(scenes, 24.0) == ()


def test_a_lightning_of_two_flashes_is_allowed():
    clip = texture(3, (HIGH, WIDE))[None].repeat(48, axis=0) // 4
    clip[[10, 11, 14, 15]] = 200
    (event,) = watched(clip, 24.0)
    assert event.flashes == 2
    assert event.score < EDGE


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_soft_flashing_of_a_picture_fails_as_well(fps):
    times = np.arange(round(1.6 * fps)) / fps
    light = 0.5 + 0.45 * np.sin(2 * np.pi * 5 * times)
    clip = (texture(7, (90, 160)) * 0.7 + 70)[None] * light[:, None, None, None]
    assert highest(clip.astype(np.uint8), fps) >= FAILED


def test_soft_flashing_fails_however_many_frames_it_takes():
    times = np.arange(288) / 240
    light = 0.5 + 0.45 * np.sin(2 * np.pi * 4.5 * times)
    grain = np.random.default_rng(0).uniform(60, 255, (1, HIGH, WIDE, 1)).repeat(3, 3)
    clip = grain * light[:, None, None, None]
    assert highest(clip.astype(np.uint8), 240.0) >= FAILED


def test_stripes_that_change_places_fail_though_a_shift_explains_them():
    x = np.arange(160) // 20
    clip = np.stack([np.where((x + n // 3) % 2, 220, 30) for n in range(40)])
    clip = clip.astype(np.uint8)[:, None, :, None].repeat(90, 1).repeat(3, 3)
    assert highest(clip, 24.0) >= FAILED


@pytest.mark.parametrize(("period", "speed"), [(20, 1), (20, 4), (40, 3), (40, 8), (80, 20)])
def test_panning_over_stripes_is_no_flash(period, speed):
    x = np.arange(160)
    rows = [np.where((x + speed * n) // (period // 2) % 2, 220, 30) for n in range(40)]
    clip = np.stack(rows).astype(np.uint8)[:, None, :, None].repeat(90, 1).repeat(3, 3)
    assert highest(clip, 24.0) < EDGE


@pytest.mark.parametrize("seed", range(4))
def test_a_shaking_camera_is_no_flash(seed):
    rng = np.random.default_rng(seed)
    large = texture(seed, (130, 220), grain=5)
    place = 4 * np.sin(np.arange(36)[:, None] / 24 * 2 * np.pi * np.array([5.0, 5.7]))
    place += rng.normal(0, 0.7, place.shape)
    frames = []
    for x, y in place:
        move = np.array([[1, 0, x - 30], [0, 1, y - 20]], np.float32)
        frames.append(cv2.warpAffine(large, move, (160, 90), flags=cv2.INTER_LINEAR))
    assert highest(np.stack(frames), 24.0) < EDGE


def test_sparks_in_small_parts_are_no_flash():
    rng = np.random.default_rng(2)
    clip = np.full((48, 90, 160, 3), 20, np.uint8)
    for frame in clip:
        for y, x in rng.integers(0, (85, 155), (25, 2)):
            frame[y : y + 4, x : x + 4] = 255
    assert highest(clip, 24.0) < EDGE


def test_times_may_be_given_for_a_varying_frame_rate():
    clip = square_wave(6.0, 24.0)
    slow, fast = FlashWatch(fps=24.0), FlashWatch(fps=24.0)
    slow.see(clip, seconds=[n / 8 for n in range(len(clip))])
    fast.see(clip, seconds=[n / 24 for n in range(len(clip))])
    assert max(event.score for event in slow.events()) < EDGE
    assert fast.events() == watched(clip, 24.0)


@pytest.mark.parametrize(
    "seconds", [[0.0], [0.0, 0.0], [1.0, 0.5], [0.0, float("nan")], [0.0, float("inf")]]
)
def test_times_that_do_not_ascend_are_refused(seconds):
    with pytest.raises(ValueError, match="ascend"):
        FlashWatch(fps=24.0).see(np.zeros((2, 8, 8, 3), np.uint8), seconds=seconds)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_a_frame_rate_that_makes_no_sense_is_refused(fps):
    with pytest.raises(ValueError, match="frame rate"):
        FlashWatch(fps=fps)


@pytest.mark.parametrize(
    "chunk",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((2, 0, 8, 3), np.uint8),
    ],
)
def test_a_chunk_that_is_no_video_is_refused(chunk):
    with pytest.raises(ValueError, match="uint8"):
        FlashWatch(fps=24.0).see(chunk)


def test_a_clip_that_changes_its_size_is_refused():
    watch = FlashWatch(fps=24.0)
    watch.see(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="same size"):
        watch.see(np.zeros((1, 9, 8, 3), np.uint8))


def test_a_clip_without_frames_has_no_events():
    assert FlashWatch(fps=24.0).events() == ()


def test_memory_does_not_grow_with_the_clip():
    chunk = square_wave(6.0, 24.0, seconds=1)

    def peak(chunks: int) -> int:
        watch = FlashWatch(fps=24.0)
        tracemalloc.start()
        for _ in range(chunks):
            watch.see(chunk)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    assert peak(12) < peak(2) * 1.2
