"""A picture in a picture is found by its sides, and read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import watermark_clips as clips
from tests.unit.watermark_clips import PAYLOAD, marked, marker
from watermark.align import Plane
from watermark.inset import Rectangle, inset
from watermark.reader import Reader
from watermark.watermarker import Frames

HEIGHT, WIDTH = 180, 320


def scene(count: int = 6, *, moves: bool = True) -> list[Plane]:
    """A blurred landscape of noise that a camera pans over."""
    frames = clips.textured(HEIGHT, WIDTH + 8 * count, 1)[0].mean(axis=2)
    return [
        frames[:, 8 * i * moves : 8 * i * moves + WIDTH].astype(np.float32).copy()
        for i in range(count)
    ]


def shown_in(planes: list[Plane], part: Rectangle, level: float = 40.0) -> list[Plane]:
    """The same scene with a picture of one colour in it."""
    out = [plane.copy() for plane in planes]
    for plane in out:
        plane[part.top : part.bottom, part.left : part.right] = level
    return out


@pytest.mark.parametrize(
    "part",
    [
        Rectangle(top=40, bottom=130, left=70, right=230),
        Rectangle(top=0, bottom=90, left=160, right=320),
        Rectangle(top=90, bottom=180, left=0, right=160),
    ],
    ids=["inside", "upper right corner", "lower left corner"],
)
def test_a_rectangle_is_found_where_it_is(part: Rectangle) -> None:
    found = inset(shown_in(scene(), part, level=-60.0))
    assert found is not None
    for side in ("top", "bottom", "left", "right"):
        assert abs(getattr(found, side) - getattr(part, side)) <= 2


def test_a_scene_without_a_rectangle_has_none() -> None:
    assert inset(scene()) is None
    assert inset(scene(moves=False)) is None
    assert inset([np.full((HEIGHT, WIDTH), 90.0, dtype=np.float32)] * 4) is None


def test_one_frame_alone_or_none_shows_no_standing_sides() -> None:
    assert inset([]) is None
    assert inset(shown_in(scene(1), Rectangle(top=40, bottom=130, left=70, right=230))) is None


def test_bars_around_nearly_the_whole_are_not_cut_off() -> None:
    nearly = Rectangle(top=4, bottom=176, left=4, right=316)
    framed = [np.full((HEIGHT, WIDTH), 255.0, dtype=np.float32) for _ in range(4)]
    assert inset(shown_in(framed, nearly, level=0.0)) is None


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 40),
    st.integers(2, 60),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1.0, 255.0]),
)
def test_planes_of_any_size_never_raise(
    height: int, width: int, count: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    planes = [
        np.asarray(rng.random((height, width)) * spread, dtype=np.float32) for _ in range(count)
    ]
    found = inset(planes)
    if found is not None:
        assert 0 <= found.top < found.bottom <= height
        assert 0 <= found.left < found.right <= width


def test_a_marked_clip_at_half_size_inside_another_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The search for scales finds clear cases, too; here it must not be needed.
    monkeypatch.setattr(Reader, "_moved", lambda self: iter(()))
    monkeypatch.setattr(Reader, "_bent", lambda self: iter(()))
    wide = clips.textured(360, 760, 1, seed=4)[0]
    around = np.stack([wide[:, 4 * i : 4 * i + 640] for i in range(30)])
    inner = half(marked(clips.smooth(360, 640, 30)))
    around[:, 60 : 60 + inner.shape[1], 200 : 200 + inner.shape[2]] = inner
    read = marker().extract([around], fps=24)
    assert (read.payload, read.certain) == (PAYLOAD, True)
    assert read.geometry is not None
    assert read.geometry.scale == pytest.approx(2.0, rel=0.03)
    assert read.spans


def half(frames: Frames) -> Frames:
    """Averages two by two pixels."""
    rows = frames[:, ::2].astype(np.uint16) + frames[:, 1::2]
    return ((rows[:, :, ::2] + rows[:, :, 1::2]) // 4).astype(np.uint8)
