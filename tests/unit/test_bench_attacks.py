"""The benchmark's attacks do what their names say; a silent error there flatters the mark."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.watermark import attacks_codec as codec
from tests.bench.watermark import attacks_geometry as geometry
from tests.bench.watermark import attacks_time as timing
from tests.bench.watermark import footage
from tests.bench.watermark.attacks import ATTACKS
from tests.bench.watermark.cells import bit_accuracy
from tests.bench.watermark.clips import CLIPS
from tests.bench.watermark.footage import Clip
from watermark.payload import Payload

FPS = 24.0


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def ramp(frames: int = 12, height: int = 96, width: int = 160) -> Clip:
    """Frames that differ from each other and from their mirror images."""
    y, x = np.mgrid[0:height, 0:width]
    one = np.stack([x, y * 2, 255 - x], axis=-1) % 256
    return np.stack([(one + 9 * t) % 256 for t in range(frames)]).astype(np.uint8)


@pytest.mark.parametrize("area", [0.75, 0.5, 0.3])
def test_a_crop_keeps_the_share_of_area_that_it_names(
    area: float, rng: np.random.Generator
) -> None:
    clip = ramp(2, 360, 640)
    kept = geometry.cropped(clip, area, rng)
    assert kept.shape[1] * kept.shape[2] / (360 * 640) == pytest.approx(area, rel=0.02)
    assert (kept.shape[1] % 2, kept.shape[2] % 2) == (0, 0)


def test_a_crop_lies_at_random_places(rng: np.random.Generator) -> None:
    clip = ramp(1, 360, 640)
    assert len({int(geometry.cropped(clip, 0.5, rng)[0, 0, 0, 0]) for _ in range(8)}) > 3


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "libsvtav1"])
def test_every_encoder_gives_back_as_many_frames_in_order(encoder: str) -> None:
    y, x = np.mgrid[0:96, 0:160]
    clip = np.stack(
        [np.stack([np.full_like(x, 20 * t), x, 2 * y], axis=-1) for t in range(12)]
    ).astype(np.uint8)
    back = codec.transcoded(clip, FPS, 28, encoder)
    assert back.shape == clip.shape
    levels = back[..., 0].mean(axis=(1, 2))
    assert np.abs(levels - 20 * np.arange(12)).max() < 6


def test_a_stronger_quality_number_damages_more() -> None:
    clip = ramp()
    errors = [
        np.mean((codec.transcoded(clip, FPS, crf).astype(float) - clip) ** 2)
        for crf in (17, 30, 45)
    ]
    assert errors == sorted(errors)
    assert errors[2] > 2 * errors[0]


def test_a_concatenation_holds_the_clip_whole_and_in_order(rng: np.random.Generator) -> None:
    clip, other = ramp(), np.full((36, 96, 160, 3), 7, dtype=np.uint8)
    joined = timing.concatenated(clip, other, rng)
    assert len(joined) == 48
    ours = [i for i, frame in enumerate(joined) if np.ptp(frame) > 0]
    assert np.array_equal(joined[ours], clip)
    assert ours == list(range(ours[0], ours[0] + len(clip)))


def test_frame_rates_and_speeds_give_the_length_they_should(rng: np.random.Generator) -> None:
    clip = ramp(48, 32, 32)
    assert len(timing.duplicated_to(clip, 24, 30)) == 60
    assert len(timing.blended_to(clip, 24, 30)) == 60
    assert len(timing.duplicated_to(clip, 24, 15)) == 30
    assert len(timing.duplicated_to(clip, 24, 10)) == 20
    assert len(timing.faster(clip, 1.25)) == 38
    assert len(timing.faster(clip, 0.8)) == 60
    assert len(timing.thinned(clip, 0.2, rng)) == 38
    assert len(timing.stuttered(clip, 0.2, rng)) == 58
    assert len(timing.excerpt(clip, 24, 1.0, rng)) == 24


def test_a_perspective_moves_corners_but_no_further_than_it_says(
    rng: np.random.Generator,
) -> None:
    white = np.full((1, 100, 200, 3), 255, dtype=np.uint8)
    shares = [np.mean(geometry.skewed(white, 0.05, rng) > 0) for _ in range(10)]
    assert min(shares) > 0.8
    assert min(shares) < 0.99


def test_a_turn_turns_by_the_angle_it_names() -> None:
    line = np.zeros((1, 201, 201, 3), dtype=np.uint8)
    line[:, 100, :] = 255
    turned = geometry.rotated(line, 10)[0, :, :, 0]
    rows = [int(turned[:, column].argmax()) for column in (50, 150)]
    assert np.degrees(np.arctan2(rows[0] - rows[1], 100)) == pytest.approx(10, abs=1)


def test_a_picture_in_picture_holds_the_clip_at_half_its_size(
    rng: np.random.Generator,
) -> None:
    white = np.full((1, 100, 200, 3), 255, dtype=np.uint8)
    shown = geometry.inset(white, np.zeros_like(white), rng)
    assert np.mean(shown > 0) == pytest.approx(0.25)


def test_attacks_that_change_nothing_do_not_apply() -> None:
    assert not ATTACKS["480p"].applies(480, 854)
    assert ATTACKS["360p"].applies(480, 854)
    assert ATTACKS["crf23"].applies(256, 256)


def test_single_attacks_are_followed_by_the_quality_that_is_named() -> None:
    ends = [ATTACKS["hflip"].ends_in(crf) for crf in (23, 28)]
    assert [end.crf for end in ends if end is not None] == [23, 28]
    fixed = ATTACKS["h265-35"].ends_in(23)
    assert fixed is not None
    assert (fixed.codec, fixed.crf) == ("libx265", 35)


def test_goals_follow_the_rank_of_the_clip() -> None:
    assert ATTACKS["crop30"].goal_for("detailed") == "95"
    assert ATTACKS["crop30"].goal_for("hard") == "99"
    assert ATTACKS["crf30"].goal_for("hard") == "90-registry"
    assert ATTACKS["crf40"].goal_for("hard") == "reported"
    assert ATTACKS["crf23"].goal_for("other") == "reported"


def test_the_two_halves_of_the_clips_are_about_equal_and_have_each_rank() -> None:
    for use in ("tune", "report"):
        half = [trial for trial in CLIPS.values() if trial.use == use]
        assert len(half) >= 9
        assert {trial.rank for trial in half} == {"detailed", "hard", "other"}


def test_a_clip_is_as_large_and_long_as_it_says_and_always_the_same() -> None:
    trial = CLIPS["gradient-480"]
    clip = trial.draw()
    assert clip.shape == (round(trial.seconds * trial.fps), trial.height, trial.width, 3)
    assert np.array_equal(clip, trial.draw())


def test_a_camera_path_that_stands_still_shows_the_picture_itself() -> None:
    picture = ramp(1, 80, 120)[0]
    seen = footage.filmed(picture, 40, 30, footage.glide(1, start=(10, 20)))[0]
    assert np.array_equal(seen, picture[20:50, 10:50])


def test_bit_accuracy_counts_the_bits_that_are_right() -> None:
    assert bit_accuracy(None, Payload(clip_id=5)) == 0.5
    assert bit_accuracy(Payload(clip_id=5), Payload(clip_id=5)) == 1
    assert bit_accuracy(Payload(clip_id=4), Payload(clip_id=5)) == 63 / 64
