"""Frames that show nothing, at any frame rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.watermark_clips import PAYLOAD, marker
from watermark.watermarker import Frames

KINDS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Frames]] = {
    "one grey": lambda shape, rng: np.full(shape, rng.integers(0, 256), dtype=np.uint8),
    "black": lambda shape, rng: np.zeros(shape, dtype=np.uint8),
    "flashing": lambda shape, rng: np.stack(
        [np.full(shape[1:], 255 * (one % 2), dtype=np.uint8) for one in range(shape[0])]
    ),
    "one pixel": lambda shape, rng: np.where(
        np.arange(np.prod(shape)).reshape(shape) == 700, 255, 0
    ).astype(np.uint8),
}


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*KINDS]),
            st.integers(0, 9),
            st.sampled_from([(1, 1), (16, 16), (17, 31), (16, 90), (120, 16), (64, 64)]),
        ),
        max_size=3,
    ),
    st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 1e-300, 24.0, 1e300])),
    st.integers(0, 2**32 - 1),
)
def test_frames_that_show_nothing_read_as_nothing_at_any_frame_rate(
    parts: list[tuple[str, int, tuple[int, int]]], fps: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    chunks = [KINDS[kind]((count, *size, 3), rng) for kind, count, size in parts if count]
    reading = marker().extract(chunks, fps=fps, candidates=[PAYLOAD])
    assert (reading.payload, reading.certain, reading.mode) == (None, False, "none")
    assert reading.frames_read <= sum(len(chunk) for chunk in chunks)
