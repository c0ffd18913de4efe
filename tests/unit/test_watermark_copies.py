"""Copies of a marked clip, changed in every way that costs no picture quality."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tests.unit import watermark_clips as clips
from tests.unit.watermark_clips import KEY, OLD, PAYLOAD, marked, marker
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.registry import Registry
from watermark.watermarker import Frames

DROWNING = 32.0
"""Noise, in grey levels, in which a frame can no longer be decoded by itself."""


@functools.cache
def published() -> Frames:
    """Three seconds at 8 frames a second."""
    return marked(clips.smooth(270, 480, 24), fps=8)


def each(change: Callable[[Frames], Frames]) -> Callable[[Frames], Frames]:
    return lambda frames: np.stack([change(frame) for frame in frames])


def scaled(width: float, height: float) -> Callable[[Frames], Frames]:
    return each(
        lambda frame: cv2.resize(frame, None, fx=width, fy=height, interpolation=cv2.INTER_AREA)
    )


def turned(degrees: float) -> Callable[[Frames], Frames]:
    def change(frame: Frames) -> Frames:
        height, width = frame.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        return np.asarray(cv2.warpAffine(frame, matrix, (width, height)))

    return each(change)


def boxed(frames: Frames) -> Frames:
    return np.pad(frames, ((0, 0), (45, 45), (0, 0), (0, 0)))


def hue_turned(frame: Frames) -> Frames:
    """What was in Cb then lies in Cr, and what was in Cr in Cb, negated."""
    luma, red, blue = cv2.split(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb))
    turned = cv2.merge([luma, blue, np.asarray(255 - red, dtype=np.uint8)])
    return np.asarray(cv2.cvtColor(turned, cv2.COLOR_YCrCb2RGB))


def grey(frame: Frames) -> Frames:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def inside_another(frames: Frames) -> Frames:
    other = clips.smooth(270, 480, 24, seed=9)
    return np.concatenate([other, frames[:8], other[:16]])


STILL: dict[str, Callable[[Frames], Frames]] = {
    "as marked": lambda frames: frames,
    "half size": scaled(0.5, 0.5),
    "hue turned by 90 degrees": each(hue_turned),
    "grey": each(grey),
    "brighter": lambda frames: np.clip(frames * 1.15 + 12, 0, 255).astype(np.uint8),
    "pale": lambda frames: (frames * 0.4 + 90).astype(np.uint8),
    "one second among six": inside_another,
    "backwards": lambda frames: frames[::-1],
    "every second frame": lambda frames: frames[::2],
    "slow motion": lambda frames: np.repeat(frames, 2, axis=0),
    "a single frame": lambda frames: frames[13:14],
    "starting in mid-second": lambda frames: frames[5:],
    "cut up": lambda frames: np.concatenate([frames[16:], frames[3:9], frames[:3]]),
}


MOVED: dict[str, tuple[Callable[[Frames], Frames], np.ndarray]] = {
    "turned left": (lambda frames: np.rot90(frames, 1, (1, 2)), np.array([[0, -1], [1, 0]])),
    "upside down": (lambda frames: np.rot90(frames, 2, (1, 2)), -np.eye(2)),
    "turned right": (lambda frames: np.rot90(frames, 3, (1, 2)), np.array([[0, 1], [-1, 0]])),
    "mirrored": (lambda frames: frames[:, :, ::-1], np.diag([-1, 1])),
    "flipped": (lambda frames: frames[:, ::-1], np.diag([1, -1])),
    "aspect 1.2": (scaled(1.2, 1), np.diag([1 / 1.2, 1])),
    "aspect 0.85": (scaled(0.85, 1), np.diag([480 / 408, 1])),
    "letterbox": (boxed, np.diag([360 / 270, 360 / 270])),
    "a quarter of the area": (
        lambda frames: frames[:, 71:206, 133:373],
        np.diag([135 / 270, 135 / 270]),
    ),
    "turned by 5 degrees": (
        turned(-5),
        np.array([[0.9962, 0.0872], [-0.0872, 0.9962]]),
    ),
}


@pytest.mark.parametrize("name", STILL)
def test_a_copy_that_is_not_moved_is_read_as_it_stands(name: str) -> None:
    read = marker().extract([np.ascontiguousarray(STILL[name](published()))], fps=8)
    assert (read.payload, read.certain, read.mode) == (PAYLOAD, True, "self_contained")
    assert read.geometry is not None
    assert read.geometry.unmoved


@pytest.mark.parametrize("name", MOVED)
def test_a_moved_copy_is_read_and_its_geometry_told(name: str) -> None:
    change, matrix = MOVED[name]
    # A turn of the mark lies in the middle; no more, because a search costs by the frame.
    read = marker().extract([np.ascontiguousarray(change(published()[6:11]))], fps=8)
    assert (read.payload, read.certain) == (PAYLOAD, True)
    assert read.geometry is not None
    assert np.abs(read.geometry.matrix[:2, :2] - matrix).max() < 0.02


def test_a_stretch_of_a_longer_clip_is_told_in_seconds() -> None:
    read = marker().extract([inside_another(published())], fps=8)
    # Two frames that are compared do not say which of them has the mark.
    assert 2 <= read.spans[0].start <= 3
    assert 4 <= read.spans[-1].end <= 5


def test_any_of_several_keys_is_told_and_no_other_key_reads() -> None:
    third = WatermarkKey(id="third", secret=b"the key of these tests, number three")
    read = marker(OLD, third, KEY).extract([published()], fps=8)
    assert (read.payload, read.key_id) == (PAYLOAD, "now")
    stranger = marker(OLD).extract([published()[:1]], fps=8, candidates=[PAYLOAD])
    assert (stranger.payload, stranger.certain, stranger.geometry) == (None, False, None)
    assert stranger.log10_p == 0.0


def test_a_mark_drowned_in_noise_is_read_only_among_candidates() -> None:
    frames = published()[13:14]
    rng = np.random.default_rng(7)
    drowned = np.clip(frames + rng.normal(0, DROWNING, frames.shape), 0, 255).astype(np.uint8)
    alone = marker().extract([drowned], fps=8)
    assert not alone.certain
    others = [Payload(clip_id=one) for one in range(1, 400)]
    read = marker().extract([drowned], fps=8, candidates=Registry([*others, PAYLOAD]))
    assert (read.payload, read.certain, read.mode) == (PAYLOAD, True, "registry")
    assert read.geometry is not None
    assert read.geometry.unmoved
