"""The record of a clip: what it holds, its bytes, and what hostile input does to it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fingerprint_clips import cut, drawn
from watermark.fingerprint.descriptor import BASIS, MIRROR, codes_of, coefficients
from watermark.fingerprint.maker import fingerprint, query
from watermark.fingerprint.points import Points, find
from watermark.fingerprint.record import (
    MAX_BYTES,
    MAX_POINTS,
    Fingerprint,
    FingerprintInvalid,
)
from watermark.fingerprint.sampling import pick
from watermark.watermarker import Frames


def test_the_same_clip_gives_the_same_bytes_however_it_is_cut() -> None:
    clip = drawn(1)
    whole = fingerprint([clip], fps=12).to_bytes()
    assert fingerprint(cut(clip, 1), fps=12).to_bytes() == whole
    assert fingerprint(cut(clip, 7), fps=12).to_bytes() == whole


def test_a_record_is_compact_and_survives_its_own_bytes() -> None:
    record = fingerprint([drawn(2)], fps=12)
    raw = record.to_bytes()
    assert record.enough_detail
    assert len(raw) <= MAX_BYTES <= 2048
    assert Fingerprint.from_bytes(raw) == record
    assert record.duration_ms == 2000


def test_the_layout_of_the_bytes_is_frozen() -> None:
    points = Points(
        codes=np.array([0x0102030405060708, 2**63], np.uint64),
        places=np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint8),
        aspect=1.5,
    )
    raw = Fingerprint(points=points, duration_ms=5000).to_bytes()
    header = "43474650 01 00 3000 00001388 0002"
    codes = "0102030405060708 8000000000000000"
    assert raw == bytes.fromhex(f"{header} {codes} 01020304 05060708")


def test_the_code_of_a_point_is_frozen() -> None:
    histograms = np.random.default_rng(5).random((2, 128)).astype(np.float32)
    assert [hex(int(code)) for code in codes_of(coefficients(histograms))] == FROZEN_CODES
    assert np.allclose(BASIS @ BASIS.T, np.eye(64), atol=1e-5)


FROZEN_CODES = ["0xdb7ce137abe98ca9", "0x1e70d534306f0af"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"CGFP",
        struct.pack(">4sBBHIH", b"CGFQ", 1, 0, 8192, 0, 0),
        struct.pack(">4sBBHIH", b"CGFP", 2, 0, 8192, 0, 0),
        struct.pack(">4sBBHIH", b"CGFP", 1, 1, 8192, 0, 0),
        struct.pack(">4sBBHIH", b"CGFP", 1, 0, 0, 0, 0),
        struct.pack(">4sBBHIH", b"CGFP", 1, 0, 40000, 0, 0),
        struct.pack(">4sBBHIH", b"CGFP", 1, 0, 8192, 0, 1),
        struct.pack(">4sBBHIH", b"CGFP", 1, 0, 8192, 0, 0) + bytes(12),
        struct.pack(">4sBBHIH", b"CGFP", 1, 0, 8192, 0, MAX_POINTS + 1) + bytes(12 * 129),
    ],
)
def test_bytes_that_are_no_fingerprint_are_refused(raw: bytes) -> None:
    with pytest.raises(FingerprintInvalid):
        Fingerprint.from_bytes(raw)


@given(st.binary(max_size=80))
def test_what_parses_is_written_back_unchanged(tail: bytes) -> None:
    for raw in (tail, b"CGFP\x01\x00" + tail):
        try:
            record = Fingerprint.from_bytes(raw)
        except FingerprintInvalid:
            continue
        assert record.to_bytes() == raw


def test_a_mirrored_picture_has_the_mirrored_points() -> None:
    plane = cv2.cvtColor(drawn(3)[0], cv2.COLOR_RGB2GRAY)
    here = find(plane, 999).points.mirrored()
    there = find(np.ascontiguousarray(plane[:, ::-1]), 999).points
    distance = np.bitwise_count(here.codes[:, None] ^ there.codes[None])
    partner = distance.argmin(axis=1)
    close = distance.min(axis=1) <= 4
    assert close.mean() > 0.8
    moved = here.places[close].astype(int) - there.places[partner[close]]
    assert np.median(np.abs(moved[:, :3])) <= 1
    assert np.median(np.abs((moved[:, 3] + 128) % 256 - 128)) <= 2
    assert MIRROR != 0


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_clip_has_too_little_detail(level: int) -> None:
    clip = np.full((12, 90, 160, 3), level, np.uint8)
    assert not fingerprint([clip], fps=12).enough_detail
    assert not query([clip], fps=12).enough_detail


def test_a_smooth_gradient_has_too_little_detail() -> None:
    ramp = np.linspace(60, 180, 360)[:, None, None] + np.linspace(0, 30, 640)[:, None]
    clip = np.broadcast_to(np.rint(ramp).astype(np.uint8), (4, 360, 640, 3))
    assert not fingerprint([clip], fps=12).enough_detail
    assert not query([clip], fps=12).enough_detail


HOSTILE = [
    None,
    np.zeros((0, 90, 160, 3), np.uint8),
    np.zeros((2, 90, 160), np.uint8),
    np.zeros((2, 90, 160, 4), np.uint8),
    np.full((2, 90, 160, 3), np.nan),
    np.zeros((2, 0, 0, 3), np.uint8),
    np.zeros((2, 1, 1, 3), np.uint8),
    np.zeros((1, 16, 4000, 3), np.uint8),
]


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.sampled_from(range(len(HOSTILE))), max_size=4),
    st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 24.0]),
)
def test_odd_frames_never_raise_and_give_nothing(which: list[int], fps: float) -> None:
    chunks: list[Frames] = [HOSTILE[index] for index in which]  # type: ignore[misc]
    assert not fingerprint(chunks, fps=fps).enough_detail
    assert not query(chunks, fps=fps).enough_detail


def test_odd_frames_among_good_ones_do_no_harm() -> None:
    clip = drawn(4)
    bad = np.zeros((1, 2, 2, 3), np.uint8)
    assert fingerprint([clip, bad], fps=12).enough_detail
    assert query([bad, clip], fps=12).enough_detail


def test_noise_gives_bounded_work() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 180, 320, 3), dtype=np.uint8)
    assert len(query([noise], fps=10).points) <= 900
    assert len(fingerprint([noise], fps=10).points) <= MAX_POINTS


def test_frames_are_picked_evenly_in_bounded_memory() -> None:
    def stream() -> Iterator[Frames]:
        for index in range(1000):
            yield np.full((1, 20, 20, 3), index % 256, np.uint8)

    picked, length = pick(stream(), 6, 16)
    assert length == 1000
    positions = [position for position, _ in picked]
    assert len(positions) == 6
    gaps = np.diff(positions)
    assert gaps.min() > 100
    assert gaps.max() < 230
