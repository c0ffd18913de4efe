"""Learned watermarks: layout, bound, marking and reading, with a tiny model that works."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tiny_videoseal import save_tiny
from watermark.keys import WatermarkKey
from watermark.learned.bound import log10_bound
from watermark.learned.layout import derive_layout
from watermark.learned.model import MarkingFailed, ReadingFailed
from watermark.learned.watermarker import LearnedWatermarker
from watermark.learned.weights import PinnedWeights
from watermark.payload import Payload
from watermark.watermarker import Frames, FramesRefused

KEY = WatermarkKey(id="now", secret=b"the key of these tests, number one")
OLD = WatermarkKey(id="old", secret=b"the key of these tests, number two")
NAME = "org.example.test.videoseal.1"
PAYLOAD = Payload(clip_id=0xC1DE_0000_1234_5678)
FPS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> PinnedWeights:
    return save_tiny(folder)


@pytest.fixture(scope="module")
def marker(tiny: PinnedWeights) -> LearnedWatermarker:
    torch.set_num_threads(1)
    return LearnedWatermarker([KEY], NAME, tiny)


def clip(seed: int = 1, height: int = 192, width: int = 320, frames: int = 30) -> Frames:
    """A smooth picture that grows brighter, with a moving spot."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(40, 190, (4, 6, 3)).astype(np.float32)
    ground = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    out = np.empty((frames, height, width, 3), dtype=np.uint8)
    for index in range(frames):
        frame = np.clip(ground + index, 0, 255).astype(np.uint8)
        centre = (width // 4 + index * width // 60, height // 2)
        out[index] = cv2.circle(frame, centre, height // 6, (200, 60, 40), -1, cv2.LINE_AA)
    return out


def cut(frames: Frames, size: int) -> Iterator[Frames]:
    return (frames[first : first + size] for first in range(0, len(frames), size))


def marked(marker: LearnedWatermarker, frames: Frames, size: int = 16) -> Frames:
    return np.concatenate(list(marker.embed(cut(frames, size), PAYLOAD, fps=FPS)))


def transcode(frames: Frames, crf: int) -> Frames:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": "medium"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.stack([one.to_ndarray(format="rgb24") for one in container.decode(video=0)])


# --- layout and bound ------------------------------------------------------------------


def test_the_layout_is_frozen() -> None:
    layout = derive_layout(WatermarkKey(id="k", secret=bytes(range(16))), 256)
    message = np.packbits(layout.message(Payload(clip_id=0x0123_4567_89AB_CDEF)))
    assert message.tobytes().hex() == (
        "287608d80653c3b38bfc015b44b75a744b42c532fc9b6d0b3c94f5c187862ac1"
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**64 - 1), st.sampled_from([96, 100, 128, 256, 660, 1024]))
def test_any_payload_comes_back_from_any_number_of_bits(clip_id: int, bits: int) -> None:
    layout = derive_layout(KEY, bits)
    payload = Payload(clip_id=clip_id)
    votes = 2.0 * layout.message(payload) - 1.0
    assert layout.decode(votes) == payload


@pytest.mark.parametrize("bits", [95, 4097])
def test_a_layout_has_room_for_a_payload(bits: int) -> None:
    with pytest.raises(ValueError, match="96 to 4096"):
        derive_layout(KEY, bits)


def noisy(accuracy: float, payload: Payload, rng: np.random.Generator) -> NDArray[np.float64]:
    """Logits of which this share has the right sign on average, as Gaussian noise leaves it."""
    word = derive_layout(KEY, 256).words([payload])[0]
    level = NormalDist().inv_cdf(accuracy)
    return np.asarray(word * level + rng.normal(size=256), dtype=np.float64)


def test_a_payload_survives_one_bit_in_eight_being_wrong() -> None:
    rng = np.random.default_rng(3)
    layout = derive_layout(KEY, 256)
    for _ in range(20):
        payload = Payload(clip_id=int(rng.integers(0, 2**63)))
        votes = noisy(0.88, payload, rng)
        assert layout.decode(votes) == payload
        word = layout.words([payload])[0]
        assert log10_bound(votes, word, words=2.0**64, attempts=50) <= -6


def test_the_bound_holds_for_random_signs() -> None:
    # Heavy-tailed votes: the bound is about the signs and asks nothing of the votes.
    rng = np.random.default_rng(5)
    votes = rng.standard_cauchy(64)
    signs = rng.choice([-1.0, 1.0], (200_000, 64))
    agreement = np.sort(signs @ np.abs(votes))
    seen = 0
    for share in (0.5, 0.1, 0.01, 1e-3, 1e-4):
        reached = agreement[-int(share * len(agreement))]
        # A word of that agreement: shift it onto the votes by an ideal, real-valued word.
        word = (votes * reached / np.sum(votes**2)).astype(np.float32)
        bound = log10_bound(votes, word, words=1, attempts=1)
        assert bound >= math.log10(share) - 1e-3
        seen += bound < 0
    assert seen >= 3


def test_the_bound_of_full_agreement_is_one_in_two_to_the_bits() -> None:
    votes = np.linspace(0.1, 3, 96)
    bound = log10_bound(votes, np.ones(96, dtype=np.float32), words=1, attempts=1)
    assert bound == pytest.approx(-96 * math.log10(2), abs=1e-3)


@pytest.mark.parametrize("votes", [np.zeros(96), np.full(96, np.nan), np.full(96, np.inf)])
def test_the_bound_of_nothing_is_nothing(votes: NDArray[np.float64]) -> None:
    assert log10_bound(votes, np.ones(96, dtype=np.float32), words=1, attempts=1) == 0.0


# --- marking ---------------------------------------------------------------------------


def test_a_mark_survives_an_ordinary_transcode(marker: LearnedWatermarker) -> None:
    frames = clip()
    seen = transcode(marked(marker, frames), 23)
    read = marker.extract(cut(seen, 7), fps=FPS)
    assert (read.payload, read.certain, read.mode) == (PAYLOAD, True, "self_contained")
    assert (read.key_id, read.geometry) == ("now", None)
    assert read.log10_p <= -20
    assert [(span.start, span.end) for span in read.spans] == [(0.0, 30 / 24)]
    unmarked = marker.extract([transcode(frames, 23)], fps=FPS)
    assert (unmarked.payload, unmarked.certain, unmarked.spans) == (None, False, ())


@pytest.mark.parametrize("step", [1, 4, 5])
def test_the_chunks_do_not_change_the_pixels(folder: Path, step: int) -> None:
    model = LearnedWatermarker([KEY], NAME, save_tiny(folder, step=step))
    frames = clip(frames=23)
    whole = marked(model, frames, 23)
    assert not np.array_equal(whole, frames)
    for size in (1, 3, 4, 16):
        assert np.array_equal(marked(model, frames, size), whole)


def test_a_mark_is_held_from_its_key_frame_on(marker: LearnedWatermarker) -> None:
    frames = np.full((8, 128, 128, 3), 100, dtype=np.uint8)
    bright = frames.copy()
    bright[5] = 180
    difference = marked(marker, frames).astype(int) - frames
    with_bright = marked(marker, bright).astype(int) - bright
    # Frame 5 is no key frame: it takes the mark of frame 4, dark as that was.
    assert np.array_equal(difference, with_bright)
    bright[4] = 180
    assert not np.array_equal(marked(marker, bright).astype(int) - bright, with_bright)


def test_the_chunks_of_the_caller_may_be_used_again(marker: LearnedWatermarker) -> None:
    frames = clip(frames=11)

    def reused() -> Iterator[Frames]:
        buffer = np.empty_like(frames[:1])
        for frame in frames:
            buffer[0] = frame
            yield buffer

    again = np.concatenate(list(marker.embed(reused(), PAYLOAD, fps=FPS)))
    assert np.array_equal(again, marked(marker, frames))


@pytest.mark.parametrize(
    "chunks",
    [
        [np.zeros((1, 100, 200, 3), np.uint8)],
        [np.zeros((1, 200, 200, 3), np.float32)],
        [np.zeros((200, 200, 3), np.uint8)],
        [np.zeros((1, 200, 200, 3), np.uint8), np.zeros((1, 200, 208, 3), np.uint8)],
    ],
)
def test_frames_that_cannot_be_marked_are_refused(
    marker: LearnedWatermarker, chunks: list[Frames]
) -> None:
    with pytest.raises(FramesRefused):
        list(marker.embed(chunks, PAYLOAD, fps=FPS))


@pytest.mark.parametrize(
    "fault", ["embed answers NaN", "embed darkens", "embed shrinks", "embed raises"]
)
def test_a_model_that_fails_while_marking_stops_the_clip(folder: Path, fault: str) -> None:
    model = LearnedWatermarker([KEY], NAME, save_tiny(folder, fault=fault, late=True))
    with pytest.raises(MarkingFailed):
        next(model.embed(cut(clip(), 8), PAYLOAD, fps=FPS))


# --- reading ---------------------------------------------------------------------------


def test_every_key_reads_and_says_which(
    tiny: PinnedWeights, marker: LearnedWatermarker
) -> None:
    seen = marked(marker, clip())
    both = LearnedWatermarker([OLD, KEY], NAME, tiny)
    assert both.extract([seen], fps=FPS).key_id == "now"
    stranger = LearnedWatermarker([OLD], NAME, tiny)
    read = stranger.extract([seen], fps=FPS, candidates=[PAYLOAD, Payload(clip_id=2)])
    assert (read.payload, read.certain, read.key_id) == (None, False, None)


def test_a_mark_too_weak_to_decode_is_recognised(
    folder: Path, marker: LearnedWatermarker
) -> None:
    # 78 % of the bits are right: too few to tell 64 unknown bits from chance.
    weights = save_tiny(folder, fault="detect turns 56 bits", late=True)
    weak = LearnedWatermarker([KEY], NAME, weights)
    seen = marked(marker, clip())
    assert weak.extract([seen], fps=FPS).payload is None
    registered = [Payload(clip_id=one) for one in range(5000)] + [PAYLOAD]
    read = weak.extract([seen], fps=FPS, candidates=registered)
    assert (read.payload, read.certain, read.mode) == (PAYLOAD, True, "registry")
    assert weak.extract([seen], fps=FPS, candidates=registered[:-1]).payload is None


def test_a_stretch_of_a_longer_clip_is_found_and_placed(
    tiny: PinnedWeights, marker: LearnedWatermarker
) -> None:
    # The rest carries another studio's mark, which is louder than no mark at all.
    stranger = LearnedWatermarker([OLD], NAME, tiny)
    before = marked(stranger, clip(8, frames=10 * FPS))
    after = marked(stranger, clip(9, frames=5 * FPS))
    inside = marked(marker, clip(frames=2 * FPS))
    read = marker.extract(cut(np.concatenate([before, inside, after]), 16), fps=FPS)
    assert (read.payload, read.certain) == (PAYLOAD, True)
    assert [(span.start, span.end) for span in read.spans] == [(10.0, 12.0)]


@pytest.mark.parametrize("fault", ["detect answers NaN", "detect answers infinity"])
def test_answers_that_are_no_numbers_are_no_mark(
    folder: Path, marker: LearnedWatermarker, fault: str
) -> None:
    seen = marked(marker, clip())
    broken = LearnedWatermarker([KEY], NAME, save_tiny(folder, fault=fault))
    read = broken.extract([seen], fps=FPS, candidates=[PAYLOAD])
    assert (read.payload, read.certain, read.mode, read.log10_p) == (None, False, "none", 0.0)
    assert read.frames_read > 0


def test_a_model_that_cannot_look_is_not_a_clip_without_a_mark(folder: Path) -> None:
    weights = save_tiny(folder, fault="detect raises", late=True)
    model = LearnedWatermarker([KEY], NAME, weights)
    with pytest.raises(ReadingFailed):
        model.extract([clip(frames=2)], fps=FPS)


def test_answers_per_place_are_averaged(folder: Path, marker: LearnedWatermarker) -> None:
    seen = marked(marker, clip())
    maps = LearnedWatermarker([KEY], NAME, save_tiny(folder, fault="detect answers maps"))
    assert maps.extract([seen], fps=FPS) == marker.extract([seen], fps=FPS)


def test_a_model_of_96_bits_reads_what_was_not_damaged(folder: Path) -> None:
    small = LearnedWatermarker([KEY], NAME, save_tiny(folder, bits=96))
    read = small.extract([marked(small, clip())], fps=FPS)
    assert (read.payload, read.certain) == (PAYLOAD, True)


@pytest.mark.parametrize("fps", [math.nan, math.inf, 0.0, -5.0, 1e9])
def test_an_odd_frame_rate_is_still_read(marker: LearnedWatermarker, fps: float) -> None:
    read = marker.extract([marked(marker, clip())], fps=fps)
    assert (read.payload, read.spans) == (PAYLOAD, ())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["u1", "f4", "i8"]),
            st.lists(st.integers(0, 40), min_size=1, max_size=5),
            st.integers(0, 255),
        ),
        max_size=4,
    )
)
def test_reading_never_raises_on_odd_frames(
    marker: LearnedWatermarker, parts: list[tuple[str, list[int], int]]
) -> None:
    chunks = [np.full(shape, value, dtype=kind) for kind, shape, value in parts]
    read = marker.extract(chunks, fps=FPS, candidates=[PAYLOAD])  # type: ignore[arg-type]
    assert (read.payload, read.certain) == (None, False)


def test_reading_takes_bounded_work_a_second(marker: LearnedWatermarker) -> None:
    assert marker.extract(cut(clip(frames=60), 16), fps=60).frames_read == 8
    assert marker.extract(cut(clip(frames=30), 16), fps=5).frames_read == 30
