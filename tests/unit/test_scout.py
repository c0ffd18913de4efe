"""The scout names what appears for a moment, and not what merely moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from safety.scout import Clue, Scout, Sign, same_picture
from safety.shortlist import MOST_CLUES, MOST_WAITING, Shortlist

HIGH, WIDE = 180, 320
Picture = NDArray[np.uint8]


def landscape(seed: int, *, wide: int = WIDE, low: int = 40, high: int = 190) -> Picture:
    """A smooth, cool picture without skin-like or red colours."""
    rng = np.random.default_rng(seed)
    small = rng.integers(low, high, (8, 10 * wide // WIDE, 3))
    small[..., 0] = small[..., 0] // 3
    large = cv2.resize(small.astype(np.float32), (wide, HIGH), interpolation=cv2.INTER_CUBIC)
    return large.clip(0, 255).astype(np.uint8)


def clues(frames: list[Picture]) -> list[Clue | None]:
    scout = Scout()
    return [scout.see(frame).clue for frame in frames]


def planted(change: object, *, seed: int = 1, at: int = 12) -> Clue | None:
    """The clue in frame ``at`` of a still clip in which only that frame is changed."""
    frames = [landscape(seed).copy() for _ in range(at + 4)]
    change(frames[at])  # type: ignore[operator]
    found = clues(frames)
    assert not any(found[:at])
    return found[at]


def patch(colour: tuple[int, int, int], share: float) -> object:
    side = (share * HIGH * WIDE) ** 0.5

    def put(frame: Picture) -> None:
        top, left = 61, 93
        frame[top : top + round(side), left : left + round(side)] = colour

    return put


@pytest.mark.parametrize("colour", [(0, 0, 0), (250, 250, 250), (40, 220, 40), (90, 10, 200)])
def test_a_part_of_two_percent_that_appears_is_a_clue(colour):
    clue = planted(patch(colour, 0.02))
    assert clue is not None
    assert clue.strength >= 1.0


def test_a_few_pixels_are_no_clue():
    assert planted(patch((250, 250, 250), 0.0002)) is None


# On a ground of the same lightness, so that only the hue tells.
@pytest.mark.parametrize(
    "skin", [(255, 224, 189), (224, 172, 105), (198, 134, 66), (141, 85, 36), (90, 56, 37)]
)
def test_skin_of_any_shade_that_appears_is_a_clue(skin):
    assert planted(patch(skin, 0.04)) is not None


def test_skin_on_sand_coloured_ground_is_named_as_skin():
    ground = np.full((HIGH, WIDE, 3), (172, 172, 160), np.uint8)
    frames = [ground.copy() for _ in range(6)]
    patch((190, 165, 148), 0.05)(frames[4])  # type: ignore[operator]
    found = clues(frames)[4]
    assert found is not None
    assert found.sign in (Sign.SKIN, Sign.LOCAL)


def test_a_red_that_grows_is_named_as_red():
    ground = np.full((HIGH, WIDE, 3), (60, 34, 34), np.uint8)
    frames = [ground.copy() for _ in range(6)]
    frames[4][40:80, 50:120] = (72, 34, 34)
    found = clues(frames)[4]
    assert found is not None
    assert found.sign is Sign.RED


def test_a_line_of_text_that_appears_is_named_as_text():
    frames = [np.full((HIGH, WIDE, 3), 120, np.uint8) for _ in range(6)]
    # Black and white strokes in turn keep the mean, so that only the edges tell.
    frames[4][80:96, 60:220:4] = 160
    frames[4][80:96, 62:220:4] = 80
    found = clues(frames)[4]
    assert found is not None
    assert found.sign is Sign.TEXT


@pytest.mark.parametrize("speed", [1, 3, 6])
def test_a_moving_camera_gives_no_clue(speed):
    large = landscape(4, wide=WIDE * 2)
    found = clues([large[:, n * speed : n * speed + WIDE].copy() for n in range(40)])
    assert not any(found)


def test_noise_gives_no_clue():
    rng = np.random.default_rng(3)
    still = landscape(3).astype(float)
    noisy = [still + rng.normal(0, 20, still.shape) for _ in range(40)]
    assert not any(clues([frame.clip(0, 255).astype(np.uint8) for frame in noisy]))


def test_a_cut_does_not_hide_what_appears_after_it():
    frames = [landscape(5)] * 10 + [landscape(6)] * 10
    frames[12] = frames[12].copy()
    frames[12][60:110, 90:140] += 60
    assert clues(frames)[12] is not None


def test_a_cut_changes_more_than_motion_explains():
    scout = Scout()
    large = landscape(7, wide=WIDE * 2)
    scout.see(large[:, :WIDE].copy())
    moved = scout.see(large[:, 4 : 4 + WIDE].copy()).beyond
    cut = scout.see(landscape(8)).beyond
    assert moved < 1.0
    assert cut > 12.0


def test_the_same_picture_is_known_and_one_with_a_small_part_more_is_not():
    frame = landscape(9)
    other = frame.copy()
    patch((250, 250, 250), 0.02)(other)  # type: ignore[operator]
    rng = np.random.default_rng(0)
    noisy = (frame + rng.normal(0, 3, frame.shape)).clip(0, 255).astype(np.uint8)
    one, two, three = (Scout().see(picture).cells for picture in (frame, other, noisy))
    assert not same_picture(one, two)
    assert same_picture(one, three)


@settings(max_examples=60, deadline=None)
@given(high=st.integers(1, 60), wide=st.integers(1, 320), seed=st.integers(0, 99))
def test_pictures_of_any_size_are_seen(high, wide, seed):
    rng = np.random.default_rng(seed)
    scout = Scout()
    for _ in range(3):
        glance = scout.see(rng.integers(0, 256, (high, wide, 3)).astype(np.uint8))
        assert glance.cells.ndim == 3
        assert 0.0 <= glance.beyond <= 255.0
        assert glance.clue is None or glance.clue.strength >= 1.0


def flat(level: int) -> Picture:
    return np.full((3, 5, 3), level, np.uint8)


def test_the_strongest_cuts_of_a_second_stay_and_the_others_are_counted():
    waiting: Shortlist[int] = Shortlist()
    for n in range(10):
        waiting.offer(n, flat(20 * n), float(n), cut=True)
    assert waiting.take(None) == list(range(10 - MOST_WAITING, 10))
    assert waiting.skipped_cuts == 10 - MOST_WAITING


def test_a_cut_comes_before_a_clue_however_strong():
    waiting: Shortlist[str] = Shortlist()
    for n in range(MOST_CLUES):
        waiting.offer("clue", flat(20 * n), 99.0, cut=False)
    for n in range(MOST_WAITING):
        waiting.offer("cut", flat(20 * n + 90), 1.0, cut=True)
    assert waiting.take("more") == ["cut"] * MOST_WAITING
    assert waiting.skipped_cuts == 0
    assert waiting.skipped_clues == MOST_CLUES


def test_of_clues_a_few_are_enough():
    waiting: Shortlist[int] = Shortlist()
    for n in range(9):
        waiting.offer(n, flat(20 * n), float(-n), cut=False)
    assert waiting.take(99) == [*range(MOST_CLUES), 99]
    assert waiting.skipped_clues == 9 - MOST_CLUES
    assert waiting.skipped_cuts == 0


def test_a_picture_that_was_looked_at_is_not_taken_again():
    waiting: Shortlist[int] = Shortlist()
    waiting.remember(flat(10))
    waiting.offer(1, flat(11), 5.0, cut=True)
    waiting.offer(2, flat(90), 5.0, cut=True)
    waiting.offer(3, flat(91), 9.0, cut=True)
    assert waiting.take(None) == [2]
    assert waiting.skipped_cuts == 0


def test_cuts_that_leaned_on_a_frame_that_was_dropped_are_counted_as_well():
    waiting: Shortlist[int] = Shortlist()
    waiting.offer(0, flat(0), 0.5, cut=True)
    waiting.offer(1, flat(0), 0.5, cut=True)
    waiting.offer(2, flat(0), 0.5, cut=True)
    for n in range(1, MOST_WAITING + 1):
        waiting.offer(n + 2, flat(30 * n), 9.0, cut=True)
    assert waiting.skipped_cuts == 3
