"""The compositor: layers become the same clip at any size, smoothly, in small chunks."""

from __future__ import annotations

import numpy as np
import pytest

from generator.compositor import Composed, Layers, position
from generator.world import (
    BACKDROP_HEIGHT,
    BACKDROP_WIDTH,
    KEYS,
    PATH_NUMBERS,
    SPRITE_REACH,
    SPRITE_SIZE,
)

GREEN = (30 / 255, 160 / 255, 90 / 255)


def _path(**rows: float | np.ndarray) -> np.ndarray:
    usual = {"x": 0.0, "y": 0.0, "size": np.log(0.4), "tilt": 0.0, "pan": 0.0, "ground": -0.8}
    numbers = usual | {"shadow": 0.0, "facing": 1.0} | rows
    return np.stack(
        [np.broadcast_to(np.asarray(numbers[name], np.float32), KEYS) for name in PATH_NUMBERS],
        axis=1,
    ).copy()


def _disc(colour: tuple[float, float, float] = (1.0, -1.0, -1.0)) -> np.ndarray:
    """A sprite of a disc whose radius is one object radius."""
    line = (np.arange(SPRITE_SIZE) + 0.5) / SPRITE_SIZE * 2 - 1
    x, y = np.meshgrid(line, line)
    near = np.clip((1 - np.hypot(x, y) * SPRITE_REACH) / 0.16, -1, 1)
    sprite = np.empty((4, SPRITE_SIZE, SPRITE_SIZE), np.float32)
    sprite[:3] = np.array(colour)[:, None, None]
    sprite[3] = near
    return sprite


def _layers(path: np.ndarray, sprite: np.ndarray | None = None) -> Layers:
    flat = np.array(GREEN, np.float32)[:, None, None] * 2 - 1
    backdrop = np.broadcast_to(flat, (3, BACKDROP_HEIGHT, BACKDROP_WIDTH)).copy()
    return Layers(backdrop=backdrop, sprite=_disc() if sprite is None else sprite, path=path)


def _frames(layers: Layers, width: int = 320, height: int = 180, count: int = 5) -> np.ndarray:
    whole = Composed(layers=layers, width=width, height=height, frame_count=count)
    return np.concatenate(list(whole))


def _red(frame: np.ndarray) -> np.ndarray:
    return (frame[..., 0] > 140) & (frame[..., 1] < 90)


@pytest.mark.parametrize(("count", "chunks"), [(48, 3), (96, 6), (50, 4), (1, 1)])
def test_every_pass_yields_the_promised_frames_in_small_chunks(count: int, chunks: int) -> None:
    clip = Composed(layers=_layers(_path()), width=64, height=36, frame_count=count)
    first = list(clip)
    assert len(first) == chunks
    assert all(c.dtype == np.uint8 and c.shape[1:] == (36, 64, 3) for c in first)
    assert sum(len(c) for c in first) == count
    assert all(np.array_equal(a, b) for a, b in zip(first, clip, strict=True))


@pytest.mark.parametrize(("width", "height"), [(320, 180), (854, 480), (1280, 720)])
def test_an_object_has_the_same_place_and_size_at_every_frame_size(
    width: int, height: int
) -> None:
    frame = _frames(_layers(_path(x=0.5, y=0.25)), width, height, 1)[0]
    rows, columns = np.nonzero(_red(frame))
    assert columns.mean() == pytest.approx(width / 2 + 0.5 * height / 2, abs=0.01 * height)
    assert rows.mean() == pytest.approx(height / 2 - 0.25 * height / 2, abs=0.01 * height)
    assert np.sqrt(_red(frame).sum() / np.pi) == pytest.approx(0.2 * height, rel=0.03)


def test_the_outline_is_sharp_however_large_the_frame_is() -> None:
    frame = _frames(_layers(_path()), 1280, 720, 1)[0].astype(int)
    row = frame[360, 640:, 0]
    between = (row > 40) & (row < 240)
    assert between.sum() <= 3


def test_an_object_moves_a_little_in_every_frame_and_never_jumps() -> None:
    path = _path(x=np.linspace(-1, 1, KEYS))
    frames = _frames(_layers(path), 640, 360, 96)
    places = [np.nonzero(_red(frame))[1].mean() for frame in frames]
    steps = np.diff(places)
    assert steps.min() > 2
    assert steps.max() < 6


def test_a_turn_against_the_clock_is_a_positive_tilt() -> None:
    sprite = _disc()
    sprite[3, :, : SPRITE_SIZE // 2] = -1  # only the right half is left
    frame = _frames(_layers(_path(tilt=np.pi / 2), sprite), count=1)[0]
    rows, _ = np.nonzero(_red(frame))
    assert rows.max() <= 91


def test_an_object_that_looks_the_other_way_is_mirrored_and_never_vanishes() -> None:
    sprite = _disc()
    sprite[3, :, : SPRITE_SIZE // 2] = -1  # only the right half is left
    right, left, turning = (
        np.nonzero(_red(_frames(_layers(_path(facing=facing), sprite), count=1)[0]))[1]
        for facing in (0.9, -0.9, 0.0)
    )
    assert right.min() >= 159
    assert left.max() <= 160
    assert 0 < len(turning) < len(right) / 4


def test_the_camera_pans_over_the_backdrop_and_never_leaves_it() -> None:
    layers = _layers(_path(x=4.0, pan=np.linspace(-9, 9, KEYS)))
    ramp = np.linspace(-1, 1, BACKDROP_WIDTH, dtype=np.float32)
    layers.backdrop[:] = ramp[None, None]
    frames = _frames(layers, count=9)[:, 90, :, 0].astype(int)
    assert (np.diff(frames[:, 160]) >= 0).all()
    assert frames[-1, 160] > frames[0, 160] + 10
    assert (np.diff(frames, axis=1) >= 0).all()


def test_a_shadow_darkens_the_ground_and_nothing_else() -> None:
    plain, shaded = (
        _frames(_layers(_path(y=0.3, shadow=strength)), count=1)[0].astype(int)
        for strength in (0.0, 0.45)
    )
    darker = (plain - shaded).max(axis=2)
    assert darker[162, 160] > 40
    assert darker[:110].max() == 0
    assert (plain - shaded).min() >= 0


@pytest.mark.parametrize(
    "path",
    [
        _path(size=50.0),
        _path(size=-50.0),
        _path(x=1e6, y=-1e6),
        _path(tilt=1e4, pan=-1e5, shadow=1e5, ground=1e5),
    ],
)
def test_no_path_however_wild_breaks_a_frame_or_makes_it_costly(path: np.ndarray) -> None:
    assert _frames(_layers(path), count=2).shape == (2, 180, 320, 3)


def test_layers_with_numbers_that_are_not_finite_are_refused() -> None:
    path = _path()
    path[3, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        _layers(path)


@pytest.mark.parametrize(("width", "height"), [(0, 90), (160, 0), (5000, 90)])
def test_a_frame_without_a_possible_size_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="pixels"):
        _frames(_layers(_path()), width, height)


def test_a_curve_goes_through_its_keys_and_is_straight_where_they_are() -> None:
    path = _path(x=np.linspace(-1, 1, KEYS), y=np.random.default_rng(1).normal(size=KEYS))
    for key in (0, 7, KEYS - 1):
        assert np.allclose(position(path, key / (KEYS - 1)), path[key], atol=1e-5)
    assert position(path, 5.5 / (KEYS - 1))[0] == pytest.approx((path[5, 0] + path[6, 0]) / 2)
    assert np.allclose(position(path, -3.0), path[0], atol=1e-5)
    assert np.allclose(position(path, 3.0), path[-1], atol=1e-5)


def test_frames_spread_over_a_clip_are_frames_of_the_clip() -> None:
    clip = Composed(
        layers=_layers(_path(x=np.linspace(-1, 1, KEYS))), width=64, height=36, frame_count=9
    )
    assert np.array_equal(clip.at(3), np.concatenate(list(clip))[[0, 4, 8]])
