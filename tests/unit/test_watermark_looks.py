"""Which frames of a clip a reader keeps, and which of them it compares."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark.looks import BURST, BURSTS, PER_SECOND, Look, gather, period, sound_rate, spread
from watermark.tile import PERIOD
from watermark.watermarker import Frames

RATES = [6.0, 10.0, 12.0, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 60.0]


def numbered(count: int, first: int = 0) -> Iterator[Frames]:
    """Tiny frames one by one, each as bright as its number."""
    for index in range(first, first + count):
        yield np.full((1, 16, 16, 3), index % 251, dtype=np.uint8)


def frames_of(length: int, fps: float = 24) -> list[int]:
    return [look.frame for look in gather(numbered(length), fps).items]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 900), st.sampled_from([6.0, 12.0, 24.0, 30.0]))
def test_looks_are_few_and_lie_in_whole_bursts_all_over_the_clip(
    length: int, fps: float
) -> None:
    looks = gather(numbered(length), fps)
    frames = [look.frame for look in looks.items]
    burst = looks.step * BURST
    assert looks.frames == length
    assert len(frames) <= BURST * BURSTS
    assert looks.step / fps == pytest.approx(1 / PER_SECOND, abs=0.5 / fps)
    starts = sorted({frame - frame % burst for frame in frames})
    # Every burst is complete, as far as the clip goes, and they lie evenly.
    assert frames == [
        at for one in starts for at in range(one, min(one + burst, length), looks.step)
    ]
    stride = starts[1] - starts[0] if len(starts) > 1 else burst
    assert starts == list(range(0, length, stride))
    assert stride == burst or len(starts) > BURSTS // 2


def test_a_clip_of_eight_seconds_is_seen_whole_and_a_longer_one_is_not() -> None:
    assert frames_of(192) == list(range(0, 192, 4))
    assert frames_of(197) == [*range(0, 48, 4), *range(96, 144, 4), 192, 196]


def test_a_look_holds_the_frame_that_it_names() -> None:
    looks = gather(numbered(300))
    for look in looks.items:
        assert float(look.luma.mean()) == pytest.approx(look.frame % 251, abs=0.6)
        assert look.luma.shape == (360, 360)
        assert look.chroma.shape == (2, 180, 180)


def test_the_way_a_clip_is_cut_into_chunks_changes_no_look() -> None:
    whole = np.concatenate(list(numbered(230)))
    one, other = gather([whole]), gather(whole[first : first + 7] for first in range(0, 230, 7))
    assert [look.frame for look in one.items] == [look.frame for look in other.items]
    for left, right in zip(one.items, other.items, strict=True):
        assert np.array_equal(left.luma, right.luma)


def test_odd_frames_are_passed_over_and_not_counted() -> None:
    odd: list[object] = [
        None,
        "no frames",
        np.zeros((1, 15, 300, 3), np.uint8),
        np.zeros((1, 32, 16, 3), np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((0, 16, 16, 3), np.uint8),
    ]
    chunks: list[object] = list(numbered(1))
    for index in range(1, 40):
        chunks += [*odd, *numbered(1, index)]
    looks = gather(chunks)  # type: ignore[arg-type]
    assert looks.frames == 40
    assert [look.frame for look in looks.items] == list(range(0, 40, 4))
    assert [round(float(look.luma.mean())) for look in looks.items] == list(range(0, 40, 4))


def test_no_frames_give_no_looks() -> None:
    looks = gather([])
    assert (looks.items, looks.changes, looks.moved, looks.frames) == ([], [], {}, 0)


def test_memory_does_not_grow_with_the_clip() -> None:
    peaks = []
    for length in (260, 1040):
        tracemalloc.start()
        gather(numbered(length))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@settings(max_examples=60, deadline=None)
@given(st.floats())
def test_any_number_is_taken_for_a_frame_rate(fps: float) -> None:
    assert period(fps) >= 1
    assert 0 < sound_rate(fps) < math.inf
    looks = gather(numbered(9), fps)
    assert looks.frames == 9
    assert looks.step >= 1
    assert looks.items


@pytest.mark.parametrize("fps", RATES)
def test_the_two_frames_of_a_change_lie_about_a_turn_of_the_mark_apart(fps: float) -> None:
    looks = gather(numbered(round(6 * fps)), fps)
    assert len(looks.changes) > len(looks.items) / 2
    for change in looks.changes:
        assert change.later.frame - change.earlier.frame == pytest.approx(
            PERIOD * fps, abs=0.26 * fps
        )
        assert change.frame == change.later.frame
        assert change.frames == (change.earlier.frame, change.later.frame)
    signs = [[change.sign(phase) for phase in looks.turns] for change in looks.changes]
    assert np.mean(np.abs(signs)) >= 0.7


def test_a_clip_just_longer_than_half_a_second_has_changes_too() -> None:
    assert gather(numbered(17)).changes
    assert not gather(numbered(1)).changes


def test_no_change_reaches_from_one_burst_into_another() -> None:
    looks = gather(numbered(700))
    held = {look.frame for look in looks.items}
    for change in looks.changes:
        between = range(change.earlier.frame, change.later.frame + 1, looks.step)
        assert held.issuperset(between)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 60), st.integers(1, 60))
def test_a_mark_turns_over_once_in_a_period_and_is_the_same_again_after_two(
    frame: int, phase: int, length: int
) -> None:
    luma, chroma = np.zeros((1, 1), np.float16), np.zeros((2, 1, 1), np.float16)
    signs = [
        Look(frame=frame + more, luma=luma, chroma=chroma, period=length).sign(phase)
        for more in range(2 * length + 1)
    ]
    assert set(signs) == {-1, 1}
    assert signs[length] == -signs[0]
    assert signs[2 * length] == signs[0]
    assert np.count_nonzero(np.diff(signs[: length + 1])) == 1


def test_phases_of_turning_over_differ_from_each_other() -> None:
    looks = gather(numbered(96))
    told = {tuple(look.sign(phase) for look in looks.items) for phase in looks.turns}
    assert len(told) == len(looks.turns) > 1


@pytest.mark.parametrize("count", range(1, BURST * BURSTS + 1))
def test_spread_items_are_all_there_once_the_first_one_first(count: int) -> None:
    order = spread(range(count))
    assert order[0] == 0
    assert sorted(order) == list(range(count))


def test_spread_items_reach_every_part_early() -> None:
    order = spread(range(32))
    assert sorted(order[:4]) == [0, 8, 16, 24]
    assert sorted(order[:8]) == list(range(0, 32, 4))
    assert spread([]) == []


@pytest.mark.parametrize("fps", [1.0, 3.0, 4.0, 8.0])
def test_changes_see_a_turn_at_low_frame_rates(fps: float) -> None:
    looks = gather(numbered(round(20 * fps)), fps)
    signs = [[change.sign(phase) for phase in looks.turns] for change in looks.changes]
    assert np.mean(np.abs(signs)) >= 0.9


def test_the_way_of_the_camera_is_added_up_from_look_to_look() -> None:
    rng = np.random.default_rng(3)
    small = rng.uniform(0, 255, (60, 80, 3)).astype(np.float32)
    picture = np.clip(cv2.resize(small, (560, 420), interpolation=cv2.INTER_CUBIC), 0, 255)
    film = np.stack([picture[20 : 20 + 360, one : one + 480] for one in range(0, 40, 2)])
    looks = gather([film.astype(np.uint8)], fps=6)
    assert len(looks.items) == 20
    assert np.allclose(looks.moved[0], np.eye(3))
    for look in looks.items:
        # What is seen here lay `2 * frame` pixels further right in the first look.
        assert np.allclose(
            looks.moved[look.frame],
            [[1, 0, 2 * look.frame], [0, 1, 0], [0, 0, 1]],
            atol=0.1 + 0.05 * look.frame,
        )


def test_a_frame_that_nobody_could_scale_down_is_read_in_its_middle() -> None:
    looks = gather([np.zeros((1, 16, 2000, 3), dtype=np.uint8)])
    assert looks.items[0].luma.shape == (360, 1440)


def test_residuals_without_detail_are_empty() -> None:
    looks = gather(numbered(30))
    for one in (looks.items[0], looks.changes[0]):
        assert [plane.shape for plane in one.planes] == [(360, 360)] * 3
        assert max(float(np.abs(plane).max()) for plane in one.planes) < 1e-3
        assert float(np.abs(one.both).max()) < 1e-3
