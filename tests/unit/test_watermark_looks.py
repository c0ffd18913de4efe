"""Which frames of a clip a reader keeps."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import looks as module
from watermark.looks import MAX_LOOKS, Look, Looks, gather
from watermark.watermarker import Frames


def numbered(count: int, first: int = 0) -> Iterator[Frames]:
    """Tiny frames one by one, each as bright as its number."""
    for index in range(first, first + count):
        yield np.full((1, 16, 16, 3), index % 251, dtype=np.uint8)


def empty(count: int) -> Looks:
    luma, chroma = np.zeros((1, 1), np.float16), np.zeros((2, 1, 1), np.float16)
    items = [Look(frame=index, luma=luma, chroma=chroma) for index in range(count)]
    return Looks(items=items, frames=count)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 700))
def test_looks_are_few_and_spread_over_the_whole_length(length: int) -> None:
    looks = gather(numbered(length))
    frames = [look.frame for look in looks.items]
    assert looks.frames == length
    assert frames == list(range(0, length, looks.step))
    assert len(frames) <= MAX_LOOKS
    assert len(frames) > MAX_LOOKS // 2 or looks.step == module.FIRST_STEP


def test_a_look_holds_the_frame_that_it_names() -> None:
    looks = gather(numbered(200))
    for look in looks.items:
        assert float(look.luma.mean()) == pytest.approx(look.frame % 251, abs=0.6)
        assert look.luma.shape == (360, 360)
        assert look.chroma.shape == (2, 180, 180)


def test_the_way_a_clip_is_cut_into_chunks_changes_no_look() -> None:
    whole = np.concatenate(list(numbered(150)))
    one, other = gather([whole]), gather(whole[first : first + 7] for first in range(0, 150, 7))
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
    assert (looks.items, looks.frames, looks.spread()) == ([], 0, [])


@pytest.mark.parametrize("count", range(1, MAX_LOOKS + 1))
def test_looks_in_spread_order_are_all_there_once_the_first_one_first(count: int) -> None:
    order = [look.frame for look in empty(count).spread()]
    assert order[0] == 0
    assert sorted(order) == list(range(count))


def test_looks_in_spread_order_reach_every_part_early() -> None:
    order = [look.frame for look in empty(32).spread()]
    assert sorted(order[:4]) == [0, 8, 16, 24]
    assert sorted(order[:8]) == list(range(0, 32, 4))


def test_memory_does_not_grow_with_the_clip() -> None:
    peaks = []
    for length in (260, 1040):
        tracemalloc.start()
        gather(numbered(length))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_frame_that_nobody_could_scale_down_is_read_in_its_middle() -> None:
    looks = gather([np.zeros((1, 16, 2000, 3), dtype=np.uint8)])
    assert looks.items[0].luma.shape == (360, 1440)


def test_residuals_of_a_frame_without_detail_are_empty() -> None:
    look = gather(numbered(1, 90)).items[0]
    assert [plane.shape for plane in look.planes] == [(360, 360)] * 3
    assert max(float(np.abs(plane).max()) for plane in look.planes) < 1e-3
    assert float(np.abs(look.both).max()) < 1e-3
