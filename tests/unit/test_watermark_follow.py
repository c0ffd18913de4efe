"""A mark too faint for any one frame, found along the way that the camera carried it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.watermark_planes import PATTERN, SHAPE, apart, detailed, drawn, noise
from watermark.demodulate import CHANNELS, decode, soften
from watermark.follow import (
    STANDS_OUT,
    Placed,
    Seen,
    Trial,
    at,
    combined,
    followed,
    seen,
    standing,
)
from watermark.geometry import Geometry
from watermark.keys import WatermarkKey
from watermark.lattice import spectrum
from watermark.looks import Change, Evidence, Look, Planes
from watermark.payload import Payload
from watermark.sync import noticed
from watermark.tile import derive_pattern

OTHER = derive_pattern(WatermarkKey(id="o", secret=b"another key of the plane tests"))
WRITTEN = Payload(clip_id=77)
FAINT = 0.018
"""The mark's deviation where the noise has 1: one frame alone shows nothing."""

PLAIN = 0.15
PERIOD = 6
FRAMES = 24
Path = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class Planted(Evidence):
    """Residuals as given; the mark turns over every `PERIOD` frames, or never can be used."""

    held: Planes
    usable: bool = True

    def levels(self) -> Planes:
        return self.held

    @cached_property
    def planes(self) -> Planes:
        return self.levels()

    def sign(self, phase: int) -> int:
        if not self.usable:
            return 0
        return -1 if (self.frame + phase) // PERIOD % 2 else 1


def planted(
    path: Path, *, strength: float = FAINT, seed: int = 1, phase: int = 0
) -> list[Planted]:
    """Evidence of a mark whose tile lies at `path` [n, 2] in noise of deviation 1."""
    rng, none = np.random.default_rng(seed), np.zeros(SHAPE, dtype=np.float32)
    found = []
    for frame, offset in enumerate(path):
        sign = -1 if (frame + phase) // PERIOD % 2 else 1
        luma = sign * strength * drawn(np.eye(2), offset) + noise(rng)
        found.append(Planted(frame=frame, held=(luma.astype(np.float32), none, none)))
    return found


def wandering(seed: int = 2, frames: int = FRAMES) -> Path:
    """A way of less than one cell a step that leads far from where it began."""
    rng = np.random.default_rng(seed)
    steps = np.array([1.1, -0.8]) + rng.uniform(-0.7, 0.7, (frames, 2))
    return np.asarray(rng.uniform(0, 128, 2) + np.cumsum(steps, axis=0))


def looked_at(evidence: Sequence[Evidence], camera: Path | None = None) -> list[Seen]:
    """The evidence, where the camera is taken to have gone along `camera` [n, 2]."""
    several = []
    for index, one in enumerate(evidence):
        moved = np.eye(3)
        if camera is not None:
            moved[:2, 2] = camera[index]
        several.append(seen(one, Geometry(), moved))
    return several


def told(placed: Sequence[Placed]) -> Path:
    return np.array([[one.offset_x, one.offset_y] for one in placed])


def right(placed: Sequence[Placed], path: Path) -> float:
    """The share of evidence that is placed within two pixels of the truth."""
    near = [
        apart((one.offset_x, one.offset_y), path[one.seen.evidence.frame]) < 2 for one in placed
    ]
    return float(np.mean(near))


def turned_as_planted(placed: Sequence[Placed], phase: int = 0) -> bool:
    """Whether all signs are the true ones, or all of them the opposite."""
    signs = np.array([one.sign for one in placed])
    truth = np.array(
        [-1 if (one.seen.evidence.frame + phase) // PERIOD % 2 else 1 for one in placed]
    )
    return abs(int(signs @ truth)) == len(placed)


def read(trial: Trial) -> Payload | None:
    decoded = decode(soften(trial.spectrum, trial.pattern, CHANNELS[0]))
    return None if decoded is None else decoded.payload


@pytest.mark.parametrize("phase", [0, 2, 5])
def test_a_mark_too_faint_for_any_one_frame_is_followed_and_decoded(phase: int) -> None:
    path = wandering()
    evidence = planted(path, phase=phase)
    alone = [noticed(spectrum(one.planes[0], Geometry()), PATTERN) for one in evidence]
    found = [
        apart((one.offset_x, one.offset_y), place) < 2
        for one, place in zip(alone, path, strict=True)
    ]
    assert np.mean(found) < 0.5
    several = looked_at(evidence)
    placed = followed(several, PATTERN, range(PERIOD), 1)
    assert right(placed, path) > 0.75
    assert turned_as_planted(placed, phase)
    trial = combined(placed, PATTERN, Geometry())
    assert read(trial) == WRITTEN
    # Neither all frames at one place, nor the strongest one alone, say what is written.
    x, y = path[FRAMES // 2].tolist()
    assert (
        read(combined(at(several, PATTERN, x, y, range(PERIOD)), PATTERN, Geometry())) is None
    )
    best = max(range(FRAMES), key=lambda index: alone[index].score)
    assert read(combined(standing_at(evidence[best], path[best]), PATTERN, Geometry())) is None


def standing_at(one: Evidence, offset: NDArray[np.float64]) -> list[Placed]:
    there = seen(one, Geometry(), np.eye(3))
    return at([there], PATTERN, offset[0], offset[1], range(PERIOD))


def test_the_wrong_key_follows_nothing() -> None:
    several = looked_at(planted(wandering(), strength=0.03))
    bare = looked_at(planted(wandering(), strength=0.0, seed=8))
    right_key, wrong_key, no_mark = (
        combined(followed(one, pattern, range(PERIOD), 1), pattern, Geometry())
        for one, pattern in ((several, PATTERN), (several, OTHER), (bare, PATTERN))
    )
    # The best of very many ways looks like something; it is what chance finds, too.
    assert right_key.score > wrong_key.score + 2
    assert abs(wrong_key.score - no_mark.score) < 2
    assert read(right_key) == WRITTEN
    assert read(wrong_key) is None
    assert read(no_mark) is None


def test_a_camera_that_is_known_may_go_as_far_as_it_likes() -> None:
    rng = np.random.default_rng(5)
    camera = np.cumsum(rng.uniform(-40, 40, (FRAMES, 2)), axis=0)
    path = np.array([30.0, 100.0]) + camera
    evidence = planted(path, seed=3)
    informed = followed(looked_at(evidence, camera), PATTERN, range(PERIOD), 0)
    assert right(informed, path) > 0.9
    assert turned_as_planted(informed)
    ignorant = followed(looked_at(evidence), PATTERN, range(PERIOD), 1)
    assert right(ignorant, path) < 0.3


def test_after_a_cut_the_mark_is_found_elsewhere() -> None:
    path = np.concatenate([wandering(6, FRAMES // 2), wandering(7, FRAMES // 2)])
    assert apart(path[FRAMES // 2 - 1], path[FRAMES // 2]) > 20
    placed = followed(looked_at(planted(path, strength=0.045)), PATTERN, range(PERIOD), 1)
    first = [one for one in placed if one.seen.evidence.frame < FRAMES // 2]
    second = [one for one in placed if one.seen.evidence.frame >= FRAMES // 2]
    assert right(first, path) > 0.8
    assert right(second, path) > 0.8


def test_a_mark_that_turns_over_at_no_time_that_was_tried_is_not_found() -> None:
    several = looked_at(planted(wandering(), phase=3))
    wrong, true = (
        combined(followed(several, PATTERN, turns, 1), PATTERN, Geometry())
        for turns in (range(1), range(PERIOD))
    )
    assert (read(wrong), read(true)) == (None, WRITTEN)


def test_evidence_that_tells_nothing_about_the_mark_is_left_out() -> None:
    path = wandering(frames=8)
    evidence = planted(path, strength=PLAIN)
    evidence[3].usable = evidence[6].usable = False
    several = looked_at(evidence)
    for placed in (
        followed(several, PATTERN, range(PERIOD), 1),
        at(several, PATTERN, path[0, 0], path[0, 1], range(PERIOD)),
    ):
        assert [one.seen.evidence.frame for one in placed] == [0, 1, 2, 4, 5, 7]
        assert all(one.sign in (-1, 1) for one in placed)


def test_evidence_of_one_moment_is_placed_together() -> None:
    path = wandering(frames=10)
    one, other = planted(path), planted(path, seed=50, strength=PLAIN)
    placed = followed(looked_at([*one, *other]), PATTERN, range(PERIOD), 1)
    assert len(placed) == 20
    assert right(placed, path) > 0.9
    assert turned_as_planted(placed)


def test_a_place_that_is_given_goes_with_the_camera() -> None:
    camera = np.array([[0.0, 0.0], [7.5, -3.0], [11.0, 60.0], [90.0, 5.0]] * 3)
    start = np.array([12.0, 70.0])
    several = looked_at(planted(start + camera, strength=PLAIN), camera)
    placed = at(several, PATTERN, start[0], start[1], range(PERIOD))
    assert apart(told(placed), start + camera) < 1e-6
    assert turned_as_planted(placed)
    trial = combined(placed, PATTERN, Geometry())
    assert read(trial) == WRITTEN
    assert (trial.geometry.offset_x, trial.geometry.offset_y) == pytest.approx((12, 70))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_single_frame_says_itself_which_way_up_it_is(sign: float) -> None:
    path = np.array([[40.0, 50.0]])
    several = looked_at(planted(path, strength=sign * PLAIN))
    placed = at(several, PATTERN, 40.0, 50.0, range(PERIOD))
    assert [one.sign for one in placed] == [sign]
    assert read(combined(placed, PATTERN, Geometry())) == WRITTEN


def test_only_what_stands_out_by_itself_is_placed_by_itself() -> None:
    path = np.random.default_rng(9).uniform(0, 128, (6, 2))
    evidence = planted(path, strength=PLAIN)
    evidence[1] = planted(path[1:2], strength=0.0, seed=12)[0]
    evidence[4] = planted(path[4:5], strength=0.0, seed=13)[0]
    assert all(
        noticed(spectrum(evidence[index].planes[0], Geometry()), PATTERN).score < STANDS_OUT
        for index in (1, 4)
    )
    placed = standing(looked_at(evidence), PATTERN)
    assert apart(told(placed), path[[0, 2, 3, 5]]) < 1
    assert [one.sign for one in placed] == [1, 1, 1, 1]
    assert standing([], PATTERN) == []


def test_colour_counts_with_the_sign_in_which_its_pilots_are_seen() -> None:
    rng, place = np.random.default_rng(11), np.array([20.0, 90.0])
    mark = drawn(np.eye(2), place)
    scores = []
    for blue in (0.0, -PLAIN, PLAIN):
        planes = tuple(
            np.asarray(share * mark + noise(rng), dtype=np.float32)
            for share in (0.05, blue, 0.0)
        )
        one = Planted(frame=0, held=planes)  # type: ignore[arg-type]
        luma = seen(one, Geometry(), np.eye(3))
        placed = [Placed(seen=luma, offset_x=20.0, offset_y=90.0, sign=1)]
        scores.append(combined(placed, PATTERN, Geometry()).score)
    assert min(scores[1:]) > scores[0] + 3


def test_a_zoom_that_is_known_is_undone() -> None:
    place, zoomed = np.array([60.0, 15.0]), np.diag([1.03, 1.03, 1.0])
    rng, none = np.random.default_rng(14), np.zeros(SHAPE, dtype=np.float32)
    # What is seen at x lies at 1.03 x in the tile's own frame.
    luma = np.asarray(PLAIN * drawn(zoomed, place) + noise(rng), dtype=np.float32)
    one = Planted(frame=0, held=(luma, none, none))
    known, unknown = (
        combined(
            at([seen(one, Geometry(), moved)], PATTERN, 60.0, 15.0, range(1)),
            PATTERN,
            Geometry(),
        )
        for moved in (zoomed, np.eye(3))
    )
    assert read(known) == WRITTEN
    assert known.score > unknown.score + 3


def look(frame: int, luma: NDArray[np.float32]) -> Look:
    half = (luma.shape[0] // 2, luma.shape[1] // 2)
    return Look(
        frame=frame,
        luma=luma.astype(np.float16),
        chroma=np.full((2, *half), 128, dtype=np.float16),
        period=PERIOD,
    )


def filmed(deviation: float, pan: tuple[int, int]) -> Change:
    """Strong texture under a camera, seen twice; the mark goes along and turns over."""
    ground = detailed(21, (SHAPE[0] + 40, SHAPE[1] + 40), deviation=30.0)
    rng, looks = np.random.default_rng(22), []
    for frame, sign, (x, y) in ((0, 1, (0, 0)), (PERIOD, -1, pan)):
        luma = ground[20 + y : 20 + y + SHAPE[0], 20 + x : 20 + x + SHAPE[1]]
        mark = drawn(np.eye(2), (33.0 + x, 44.0 + y))
        looks.append(look(frame, luma + sign * deviation * mark + noise(rng)))
    return Change(frame=PERIOD, earlier=looks[0], later=looks[1])


@pytest.mark.parametrize("pan", [(0, 0), (9, -5)])
def test_a_change_is_read_where_texture_drowns_the_mark(pan: tuple[int, int]) -> None:
    change = filmed(1.5, pan)
    place = np.array([33.0 + pan[0], 44.0 + pan[1]])
    before, after = (
        combined(standing_at(one, place), PATTERN, Geometry()) for one in (change.later, change)
    )
    assert read(before) is None
    assert read(after) == WRITTEN
    assert after.score > before.score + 3
    assert apart(_noticed_at(change), place) < 1


def _noticed_at(one: Evidence) -> tuple[float, float]:
    sync = noticed(spectrum(one.both, Geometry()), PATTERN)
    return sync.offset_x, sync.offset_y


def test_a_change_of_texture_that_only_moved_is_all_but_empty() -> None:
    change = filmed(0.0, (9, -5))
    texture, rest = (cv2.blur(np.abs(one.planes[0]), (9, 9)) for one in (change.later, change))
    still = Change(frame=0, earlier=change.earlier, later=change.earlier)
    assert not still.planes[0].any()
    inner = (slice(20, -20), slice(20, -20))
    # Residuals are divided by their own deviation; what is left is that of faint noise.
    assert float(np.corrcoef(texture[inner].ravel(), rest[inner].ravel())[0, 1]) < 0.5


def test_frames_of_the_same_second_are_no_change() -> None:
    luma = np.zeros((32, 32), dtype=np.float32)
    first, second, third = (look(frame, luma) for frame in (1, 4, 7))
    same = Change(frame=4, earlier=first, later=second)
    turned = Change(frame=7, earlier=first, later=third)
    assert (same.sign(0), turned.sign(0), turned.sign(PERIOD)) == (0, -1, 1)
    # Whether there was a turn in between depends on when the mark turns over.
    assert [same.sign(phase) for phase in range(PERIOD)] == [0, 0, -1, -1, -1, 0]
