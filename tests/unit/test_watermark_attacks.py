"""Marks through a real encoder: what every clip must survive."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest

from tests.unit import watermark_clips as clips
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker
from watermark.watermarker import Frames

HEIGHT, WIDTH, FRAMES, FPS = 360, 640, 96, 24
PAYLOAD = Payload(clip_id=0xC1DE_0000_1234_5678)


def marker() -> SpreadWatermarker:
    key = WatermarkKey(id="k", secret=b"the key of the attack tests")
    return SpreadWatermarker([key], "org.example.attacks.wm.1")


def transcode(clip: Frames, crf: int, group: int = 250) -> Frames:
    return clips.transcode(clip, crf, fps=FPS, group=group, preset="medium")


@functools.cache
def sunset() -> Frames:
    """As a small model draws it: 80 x 45 pixels, 16 slices that flicker, enlarged smoothly."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:45, 0:80].astype(np.float32)
    slices = []
    for step in range(16):
        sky = np.stack([200 - 2 * y, 110 - y, 90 + 1.5 * y], axis=-1)
        waves = 5 * np.sin(0.9 * y + 0.3 * step) + 3 * np.sin(0.4 * x + 0.5 * y)
        picture = np.where((y > 30)[..., None], 60 + waves[..., None] + [0, 15, 40], sky)
        disc = np.clip(11 - np.hypot(x - 20 - 2 * step, y - 20), 0, 1)[..., None]
        picture = picture * (1 - disc) + disc * np.array([235.0, 70, 40])
        noise = cv2.GaussianBlur(rng.normal(0, 4, (45, 80, 3)), (0, 0), 1.0)
        slices.append((picture + noise).astype(np.float32))
    clip = np.empty((FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for frame in range(FRAMES):
        at = frame / (FRAMES - 1) * 14.999
        one, share = int(at), at - int(at)
        mixed = slices[one] * (1 - share) + slices[one + 1] * share
        large = cv2.resize(mixed, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        clip[frame] = np.clip(np.rint(large), 0, 255)
    return clip


@functools.cache
def published() -> Frames:
    clip = sunset()
    chunks = (clip[first : first + 8] for first in range(0, FRAMES, 8))
    marked = np.concatenate(list(marker().embed(chunks, PAYLOAD, fps=FPS)))
    return transcode(marked, 17, group=FPS)


def half(clip: Frames) -> Frames:
    size = (WIDTH // 2, HEIGHT // 2)
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in clip])


def back(clip: Frames) -> Frames:
    size = (WIDTH, HEIGHT)
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one in clip])


def crop(clip: Frames) -> Frames:
    """Three quarters of the area."""
    return clip[:, 31:343, 13:567]


ATTACKS = {
    "as published": lambda clip: clip,
    "CRF 23": lambda clip: transcode(clip, 23),
    "CRF 30": lambda clip: transcode(clip, 30),
    "half size": half,
    "half size, CRF 20": lambda clip: transcode(half(clip), 20),
    "half size and back, CRF 23": lambda clip: transcode(back(half(clip)), 23),
    "crop": crop,
    "crop, CRF 23": lambda clip: transcode(crop(clip), 23),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_smooth_generated_clip_keeps_its_payload(attack: str) -> None:
    read = marker().extract([ATTACKS[attack](published())], fps=FPS)
    assert read.payload == PAYLOAD
    assert read.certain
    assert read.mode == "self_contained"


def test_a_damaged_clip_that_was_never_marked_reads_as_nothing() -> None:
    read = marker().extract([transcode(crop(sunset()[:4]), 23)], fps=FPS, candidates=[PAYLOAD])
    assert read.payload is None
    assert not read.certain


def test_the_mark_is_faint() -> None:
    clip = sunset()
    chunks = (clip[first : first + 8] for first in range(0, 16, 8))
    marked = np.concatenate(list(marker().embed(chunks, PAYLOAD, fps=FPS)))
    change = (marked.astype(np.float32) - clip[:16]).mean(axis=3)
    sky = change[:, 20:120, 420:620]
    assert float(sky.std()) < 0.9
    assert 10 * np.log10(255**2 / float(np.mean(change**2))) > 45
