"""The sampler looks often enough, at the right frames, and at no frame twice."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.sampling import Frames, FrameSampler, Sample, Why, difference, signature

SIZE = (36, 64, 3)


def scene(seed: int, *, low: int = 0, high: int = 256) -> np.ndarray:
    """A still picture of 4x4 coloured tiles."""
    tiles = np.random.default_rng(seed).integers(low, high, (4, 4, 3)).astype(np.uint8)
    return tiles.repeat(9, axis=0).repeat(16, axis=1)


def panning(count: int, seed: int) -> Frames:
    """A smooth picture that slides one pixel per frame and flickers a little."""
    rng = np.random.default_rng(seed)
    x = np.arange(SIZE[1])[None, :, None] / 9
    y = np.arange(SIZE[0])[:, None, None] / 7
    phase = rng.uniform(0, 6, 3)
    frames = [
        128 + 70 * np.sin(x + t / 9 + phase) * np.cos(y + phase) + rng.normal(0, 2, SIZE)
        for t in range(count)
    ]
    return np.stack(frames).clip(0, 255).astype(np.uint8)


def chunks(frames: Frames, sizes: list[int]) -> Iterator[Frames]:
    start = 0
    for size in [*sizes, len(frames)]:
        yield frames[start : start + size]
        start += size
        if start >= len(frames):
            return


def sampled(frames: Frames, fps: float, sizes: list[int] | None = None) -> list[Sample]:
    return list(FrameSampler().sample(chunks(frames, sizes or [16] * 99), fps=fps))


clips = st.builds(
    lambda count, seed, cuts: np.concatenate(
        [panning(count, seed), *(scene(seed + n)[None].repeat(c, 0) for n, c in cuts)]
    ),
    st.integers(1, 60),
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 20)), max_size=4),
)
rates = st.sampled_from([1.0, 1.9, 2.0, 3.0, 8.0, 12.5, 16.0, 23.976, 24.0, 29.97, 60.0])


@settings(max_examples=40, deadline=None)
@given(clip=clips, fps=rates)
def test_every_half_second_the_first_and_the_last_frame_are_looked_at(clip, fps):
    found = sampled(clip, fps)
    indices = sorted(sample.index for sample in found)
    assert indices[0] == 0
    assert indices[-1] == len(clip) - 1
    assert len(indices) == len(set(indices))
    assert all(gap / fps <= max(0.5, 1 / fps) for gap in np.diff(indices))
    for sample in found:
        assert np.array_equal(sample.frame, clip[sample.index])
        assert sample.seconds == sample.index / fps


@settings(max_examples=25, deadline=None)
@given(clip=clips, fps=rates, sizes=st.lists(st.integers(0, 16), max_size=40))
def test_how_a_clip_is_cut_into_chunks_changes_nothing(clip, fps, sizes):
    def seen(found: list[Sample]) -> list[tuple[int, Why]]:
        return [(sample.index, sample.why) for sample in found]

    assert seen(sampled(clip, fps, sizes)) == seen(sampled(clip, fps, [1] * len(clip)))


@settings(max_examples=15, deadline=None)
@given(at=st.integers(0, 119), seed=st.integers(0, 10_000))
def test_a_single_foreign_frame_anywhere_is_looked_at(at, seed):
    clip = panning(120, seed)
    clip[at] = scene(seed)
    assert at in {sample.index for sample in sampled(clip, 24.0)}


@settings(max_examples=15, deadline=None)
@given(at=st.integers(25, 40), seed=st.integers(0, 10_000))
def test_dark_foreign_frames_in_one_dark_second_are_all_looked_at(at, seed):
    clip = panning(72, seed) // 6
    for n, place in enumerate((at, at + 3, at + 6)):
        clip[place] = scene(seed + n, high=45)
    found = {sample.index for sample in sampled(clip, 24.0)}
    assert {at, at + 3, at + 6} <= found


def test_a_foreign_frame_in_one_corner_is_looked_at():
    for at in range(25, 47, 2):
        clip = panning(72, at)
        clip[at, :18, :24] = scene(at)[:18, :24]
        assert at in {sample.index for sample in sampled(clip, 24.0)}


def test_the_first_frame_of_every_scene_is_looked_at():
    clip = np.concatenate([scene(n)[None].repeat(7, axis=0) for n in range(12)])
    found = {sample.index: sample.why for sample in sampled(clip, 24.0)}
    assert set(range(0, 84, 7)) <= set(found)
    assert all(found[start] is Why.CUT for start in range(7, 84, 7))


def photograph(seed: int, *, wide: int = 160) -> np.ndarray:
    """A still picture of 90 rows with large and small shapes."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(
            rng.uniform(0, 255 * weight, (9 * fine, wide * fine // 10, 3)),
            (wide, 90),
            interpolation=cv2.INTER_CUBIC,
        )
        for fine, weight in ((1, 0.7), (4, 0.3))
    ]
    return sum(layers).clip(0, 255).astype(np.uint8)  # type: ignore[union-attr]


def still_clip(seed: int, count: int) -> Frames:
    return photograph(seed)[None].repeat(count, axis=0)


def noisy_clip(seed: int, count: int) -> Frames:
    noise = np.random.default_rng(seed).normal(0, 8, (count, 90, 160, 3))
    return (photograph(seed)[None] + noise).clip(0, 255).astype(np.uint8)


def sliding_clip(seed: int, count: int) -> Frames:
    large = photograph(seed, wide=160 + 2 * count)
    return np.stack([large[:, 2 * n : 2 * n + 160] for n in range(count)])


def cutting_clip(seed: int, count: int) -> Frames:
    scenes = [still_clip(seed + n, 18) for n in range(count // 18 + 1)]
    return np.concatenate(scenes)[:count]


ORDINARY = (still_clip, noisy_clip, sliding_clip, cutting_clip)


def planted(
    change: Callable[[np.ndarray, np.random.Generator], None], clips_of_each: int
) -> tuple[int, int]:
    """How many of six frames in each clip were looked at after this change, and of all."""
    seen = 0
    for seed in range(clips_of_each):
        for maker in ORDINARY:
            rng = np.random.default_rng(1000 + seed)
            clip = maker(100 * seed, 120)
            places = [int(rng.integers(20 * part, 20 * part + 17)) for part in range(6)]
            for place in places:
                change(clip[place], rng)
            indices = {sample.index for sample in sampled(clip, 24.0)}
            seen += sum(place in indices for place in places)
    return seen, clips_of_each * len(ORDINARY) * 6


def test_of_200_foreign_frames_at_random_places_all_are_looked_at():
    def whole(frame: np.ndarray, rng: np.random.Generator) -> None:
        frame[:] = photograph(int(rng.integers(10_000, 20_000)))

    seen, count = planted(whole, 9)
    assert count >= 200
    assert seen == count


def test_dark_foreign_frames_at_random_places_are_looked_at():
    def dark(frame: np.ndarray, rng: np.random.Generator) -> None:
        frame[:] = photograph(int(rng.integers(10_000, 20_000))) // 6

    seen, count = planted(dark, 2)
    assert seen == count


def test_a_part_of_three_percent_for_one_frame_is_looked_at():
    def part(frame: np.ndarray, rng: np.random.Generator) -> None:
        top, left = rng.integers(0, 70), rng.integers(0, 138)
        frame[top : top + 20, left : left + 22] = rng.choice([0, 255], 3)

    seen, count = planted(part, 2)
    assert seen == count


def test_an_ordinary_clip_has_few_added_frames_and_skips_no_cut():
    why: Counter[Why] = Counter()
    for seed in range(3):
        for maker in ORDINARY:
            samples = FrameSampler().sample(chunks(maker(50 + seed, 96), [16] * 9), fps=24.0)
            why.update(sample.why for sample in samples)
            assert samples.skipped_cuts == 0
    added = sum(why[each] for each in (Why.LOCAL, Why.SKIN, Why.RED, Why.TEXT))
    assert added / (len(ORDINARY) * 3 * 4) <= 0.5


@pytest.mark.parametrize("fps", [8.0, 24.0, 29.97, 60.0])
def test_a_clip_that_cuts_at_every_frame_is_bounded_and_says_what_it_skipped(fps):
    clip = np.stack([scene(n) for n in range(round(3 * fps))])
    samples = FrameSampler().sample(chunks(clip, [16] * 99), fps=fps)
    looks = Counter(int(sample.seconds) for sample in samples)
    assert max(looks.values()) <= 9
    left_out = len(clip) - sum(looks.values())
    # The last frame is looked at even if it was skipped as a cut.
    assert left_out <= samples.skipped_cuts <= left_out + 1
    assert (samples.skipped_cuts > 0) is (fps > 8.0)


def test_a_strobe_between_two_pictures_is_looked_at_a_few_times_and_skips_nothing():
    clip = np.stack([scene(n % 2) for n in range(96)])
    samples = FrameSampler().sample(chunks(clip, [16] * 9), fps=24.0)
    assert 2 <= len(list(samples)) <= 14
    assert samples.skipped_cuts == 0


def test_a_foreign_frame_hidden_in_a_strobe_is_looked_at():
    for at in range(30, 41, 3):
        clip = np.stack([scene(n % 2) for n in range(96)])
        clip[at] = scene(99)
        assert at in {sample.index for sample in sampled(clip, 24.0)}


def test_the_most_different_frame_of_a_second_is_looked_at_even_when_it_comes_softly():
    clip = scene(1)[None].repeat(48, axis=0).astype(float)
    for step, at in enumerate(range(26, 36)):
        clip[at] += 3 * min(step, 9 - step)
    found = sampled(clip.clip(0, 255).astype(np.uint8), 24.0)
    most = [sample.index for sample in found if sample.why is Why.MOST_DIFFERENT]
    assert len(most) == 1
    assert most[0] in (30, 31)


def test_a_still_clip_costs_two_looks_a_second_and_its_last_frame():
    found = sampled(scene(3)[None].repeat(240, axis=0), 24.0)
    assert len(found) == 21


def test_a_moving_clip_without_cuts_costs_three_looks_a_second():
    assert len(sampled(panning(240, 5), 24.0)) <= 31


def test_a_source_that_reuses_its_memory_does_not_change_the_samples():
    clip = np.concatenate([panning(30, 2), scene(2)[None].repeat(20, axis=0)])

    def reusing() -> Iterator[Frames]:
        memory = np.empty((1, *SIZE), np.uint8)
        for frame in clip:
            memory[0] = frame
            yield memory
        memory[:] = 0

    found = list(FrameSampler().sample(reusing(), fps=24.0))
    assert {Why.STEP, Why.CUT, Why.MOST_DIFFERENT, Why.LAST} <= {s.why for s in found}
    for sample in found:
        assert np.array_equal(sample.frame, clip[sample.index])


def test_memory_does_not_grow_with_the_clip():
    def endless(count: int) -> Iterator[Frames]:
        for _ in range(count):
            yield np.zeros((16, 180, 320, 3), np.uint8)

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in FrameSampler().sample(endless(count), fps=24.0):
            pass
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(4)
    assert peak(60) < peak(4) * 1.1


def test_a_clip_without_frames_yields_nothing():
    assert sampled(panning(1, 1)[:0], 24.0) == []
    assert list(FrameSampler().sample(iter(()), fps=24.0)) == []


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_a_frame_rate_that_makes_no_sense_is_refused(fps):
    with pytest.raises(ValueError, match="frame rate"):
        FrameSampler().sample(iter(()), fps=fps)


@pytest.mark.parametrize("rate", [1.9, 0.0, float("nan"), float("inf")])
def test_a_sampler_that_looks_less_than_twice_a_second_cannot_be_made(rate):
    with pytest.raises(ValueError, match="two frames"):
        FrameSampler(per_second=rate)


@pytest.mark.parametrize(
    "chunk",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((2, 0, 8, 3), np.uint8),
    ],
)
def test_a_chunk_that_is_no_video_is_refused(chunk):
    with pytest.raises(ValueError, match="uint8"):
        list(FrameSampler().sample([chunk], fps=24.0))


def test_a_clip_that_changes_its_size_is_refused():
    small, large = np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 9, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="same size"):
        list(FrameSampler().sample([small, large], fps=24.0))


def test_a_change_in_a_ninth_of_the_picture_counts_more_than_its_area():
    before = np.zeros((90, 160, 3), np.uint8)
    after = before.copy()
    after[:30, :53] = 90
    assert difference(signature(before), signature(after)) > 40


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 700))
def test_pictures_of_any_size_have_a_signature(height, width):
    small = signature(np.full((height, width, 3), 77, np.uint8))
    assert small.shape == (9, 16, 3)
    assert np.allclose(small, 77)
