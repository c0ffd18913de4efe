"""What every watermarker keeps to, whichever algorithm it is."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tests.tiny_videoseal import save_tiny
from watermark.keys import WatermarkKey
from watermark.learned.watermarker import LearnedWatermarker
from watermark.learned.weights import PinnedWeights
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker
from watermark.watermarker import Frames, Watermarker

Maker = Callable[[PinnedWeights], Watermarker]
KEY = WatermarkKey(id="contract", secret=b"a secret of the contract test")


def spread(_: PinnedWeights) -> Watermarker:
    return SpreadWatermarker([KEY], "org.example.contract.wm.1")


def learned(weights: PinnedWeights) -> Watermarker:
    return LearnedWatermarker([KEY], "org.example.contract.videoseal.1", weights)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> PinnedWeights:
    return save_tiny(tmp_path_factory.mktemp("weights"))


@pytest.fixture(params=[spread, learned])
def watermarker(request: pytest.FixtureRequest, weights: PinnedWeights) -> Watermarker:
    maker: Maker = request.param
    return maker(weights)


def chunks(seed: int = 1) -> list[Frames]:
    rng = np.random.default_rng(seed)
    small = rng.uniform(40, 215, (5, 8, 3)).astype(np.float32)
    frame = cv2.resize(small, (256, 144), interpolation=cv2.INTER_CUBIC)
    frames = np.clip(np.stack([frame + step for step in range(12)]), 0, 255).astype(np.uint8)
    return [frames[:5], frames[5:6], frames[6:]]


def test_it_has_a_name_for_the_record(watermarker: Watermarker) -> None:
    assert watermarker.name


def test_what_is_marked_is_read_with_certainty(watermarker: Watermarker) -> None:
    payload = Payload.random()
    read = watermarker.extract(watermarker.embed(chunks(), payload, fps=24), fps=24)
    assert read.payload == payload
    assert read.certain
    assert read.log10_p <= -6
    assert read.mode in ("self_contained", "registry")
    assert read.algorithm == watermarker.name
    assert read.spans


def test_marking_keeps_the_chunks_and_their_shapes(watermarker: Watermarker) -> None:
    parts = chunks()
    marked = list(watermarker.embed(iter(parts), Payload(clip_id=1), fps=24))
    assert [part.shape for part in marked] == [part.shape for part in parts]
    assert all(part.dtype == np.uint8 for part in marked)
    assert any(not np.array_equal(one, two) for one, two in zip(parts, marked, strict=True))


def test_marking_leaves_the_frames_it_was_given_alone(watermarker: Watermarker) -> None:
    parts = chunks()
    list(watermarker.embed(iter(parts), Payload(clip_id=1), fps=24))
    assert all(np.array_equal(one, two) for one, two in zip(parts, chunks(), strict=True))


def test_marking_is_a_stream(watermarker: Watermarker) -> None:
    taken = 0

    def source() -> object:
        nonlocal taken
        for part in chunks():
            taken += 1
            yield part

    marked = watermarker.embed(source(), Payload(clip_id=1), fps=24)  # type: ignore[arg-type]
    next(marked)
    assert taken == 1


def test_marking_twice_gives_the_same_pixels(watermarker: Watermarker) -> None:
    one, two = (
        np.concatenate(list(watermarker.embed(chunks(), Payload(clip_id=8), fps=24)))
        for _ in range(2)
    )
    assert np.array_equal(one, two)


def test_what_was_not_marked_is_not_read(watermarker: Watermarker) -> None:
    read = watermarker.extract(chunks(2), fps=24, candidates=[Payload(clip_id=1)])
    assert (read.payload, read.certain, read.mode, read.spans) == (None, False, "none", ())


def test_no_frames_read_as_nothing(watermarker: Watermarker) -> None:
    read = watermarker.extract([], fps=24)
    assert (read.payload, read.certain, read.frames_read) == (None, False, 0)


def test_a_registered_payload_is_never_read_as_another(watermarker: Watermarker) -> None:
    marked = list(watermarker.embed(chunks(), Payload(clip_id=99), fps=24))
    others = [Payload(clip_id=one) for one in range(9)]
    read = watermarker.extract(marked, fps=24, candidates=others)
    assert read.payload == Payload(clip_id=99)


def test_an_error_of_the_decoder_passes_through(watermarker: Watermarker) -> None:
    def broken() -> object:
        yield chunks()[0]
        raise OSError("the file ends here")

    with pytest.raises(OSError, match="ends here"):
        watermarker.extract(broken(), fps=24)  # type: ignore[arg-type]
