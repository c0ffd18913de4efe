"""Enlarging: sizes, counts and chunks, and movement between the drawn frames."""

from __future__ import annotations

import numpy as np
import pytest

from generator.enlarge import Enlarged


def _square(left: int) -> np.ndarray:
    frame = np.full((45, 80, 3), 40, np.uint8)
    frame[15:30, left : left + 15] = (220, 60, 30)
    return frame


def _middle(frame: np.ndarray) -> float:
    bright = frame[..., 0] > 130
    return float(np.nonzero(bright)[1].mean())


@pytest.mark.parametrize(("seconds", "chunks"), [(2, 3), (4, 6), (8, 12)])
def test_every_pass_yields_the_promised_frames_in_small_chunks(
    seconds: int, chunks: int
) -> None:
    drawn = np.stack([_square(10 + 3 * k) for k in range(16)])
    clip = Enlarged(drawn=drawn, width=320, height=180, frame_count=24 * seconds)
    first = list(clip)
    assert len(first) == chunks
    assert all(c.dtype == np.uint8 and c.shape[1:] == (180, 320, 3) for c in first)
    assert all(1 <= len(c) <= 16 for c in first)
    assert sum(len(c) for c in first) == 24 * seconds
    assert all(np.array_equal(a, b) for a, b in zip(first, clip, strict=True))


def test_an_object_is_moved_between_drawn_frames_and_not_merely_faded() -> None:
    drawn = np.stack([_square(20), _square(24)])
    frames = np.concatenate(list(Enlarged(drawn=drawn, width=640, height=360, frame_count=9)))
    places = [_middle(frame) for frame in frames]
    assert places[-1] - places[0] == pytest.approx(32, abs=2)
    assert places[4] - places[0] == pytest.approx(16, abs=5)
    widths = [(frame[180, :, 0] > 130).sum() for frame in frames]
    assert max(widths) - min(widths) <= 12


def test_the_ends_are_the_drawn_frames_and_nothing_is_added_at_the_drawn_rate() -> None:
    drawn = np.stack([_square(10 + 5 * k) for k in range(4)])
    same = np.concatenate(list(Enlarged(drawn=drawn, width=80, height=45, frame_count=4)))
    assert np.array_equal(same, drawn)
    more = np.concatenate(list(Enlarged(drawn=drawn, width=80, height=45, frame_count=40)))
    assert np.array_equal(more[0], drawn[0])
    assert np.array_equal(more[-1], drawn[-1])


def test_a_single_drawn_frame_becomes_a_still_clip() -> None:
    frames = np.concatenate(
        list(Enlarged(drawn=_square(10)[None], width=160, height=90, frame_count=5))
    )
    assert frames.shape == (5, 90, 160, 3)
    assert (frames == frames[0]).all()


def test_flat_colours_stay_flat_when_enlarged() -> None:
    drawn = np.full((2, 45, 80, 3), (30, 160, 90), np.uint8)
    frames = np.concatenate(list(Enlarged(drawn=drawn, width=1280, height=720, frame_count=3)))
    assert np.abs(frames.astype(int) - (30, 160, 90)).max() <= 1
