"""The simulator and its captions: same seed same clip, and words that match pictures."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest

from generator.compositor import position
from generator.training.captions import caption
from generator.training.captions_nouns import COLOUR_WORDS, NOUNS
from generator.training.captions_words import MOTION_WORDS, PLACES
from generator.training.paths import FEET, GROUNDS, SECONDS, draw_path
from generator.training.simulator import draw_layers, random_scene, render
from generator.training.sprites import COLOUR_VALUES, draw_sprite
from generator.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    KEYS,
    MOTIONS,
    OBJECTS,
    PATH_NUMBERS,
    Scene,
    held_out,
)

PLAIN = Scene(object="ball", colour="red", motion="right", background="meadow")
X, Y, SIZE, TILT, PAN, SHADOW, GROUND, FACING = range(len(PATH_NUMBERS))


def _scene(**words: str) -> Scene:
    kept = {"object": "star", "colour": "red", "motion": "right", "background": "meadow"}
    return Scene(**(kept | words))


def _path(seed: int = 1, seconds: float = 4.0, **words: str) -> np.ndarray:
    return draw_path(_scene(**words), seconds, np.random.default_rng(seed))


def test_the_same_seed_draws_the_same_clip_and_another_seed_does_not() -> None:
    first, second, other = render(PLAIN, 5), render(PLAIN, 5), render(PLAIN, 6)
    assert np.array_equal(first.frames, second.frames)
    assert not np.array_equal(first.frames, other.frames)
    assert first.frames.shape == (16, 90, 160, 3)
    assert first.frames.dtype == np.uint8


def test_layers_have_the_promised_shapes_and_ranges() -> None:
    layers = draw_layers(PLAIN, 1)
    assert layers.sprite.shape == (4, 96, 96)
    assert layers.backdrop.shape == (3, 120, 240)
    assert layers.path.shape == (KEYS, len(PATH_NUMBERS))
    for picture in (layers.sprite, layers.backdrop):
        assert picture.dtype == np.float32
        assert -1 <= picture.min() < picture.max() <= 1


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_fills_its_square_without_touching_the_edge(name: str) -> None:
    for seed in range(3):
        near = draw_sprite(name, "blue", np.random.default_rng(seed))[3]
        assert (near > 0).mean() > 0.08
        assert max(near[0].max(), near[-1].max(), near[:, 0].max(), near[:, -1].max()) < 0


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", ["heart", "car", "balloon man", "umbrella"])
def test_the_object_has_the_colour_it_is_said_to_have(name: str, colour: str) -> None:
    sprite = draw_sprite(name, colour, np.random.default_rng(2))
    inside = (sprite[:3, sprite[3] > 0.9].T + 1) / 2
    shares = {
        other: float((np.abs(inside - value).sum(axis=1) < 0.3).mean())
        for other, value in COLOUR_VALUES.items()
    }
    assert max(shares, key=lambda other: shares[other]) == colour


def test_objects_that_look_somewhere_look_where_they_go() -> None:
    assert (_path(object="fish", motion="left")[:, FACING] == -1).all()
    assert (_path(object="fish", motion="right")[:, FACING] == 1).all()
    assert (_path(object="balloon", motion="left")[:, FACING] == 1).all()


@pytest.mark.parametrize(
    ("motion", "axis", "sign"),
    [("right", X, 1), ("left", X, -1), ("up", Y, 1), ("down", Y, -1)],
)
@pytest.mark.parametrize("name", ["star", "car", "boat", "balloon man"])
def test_the_object_moves_the_way_it_is_said_to_move(
    name: str, motion: str, axis: int, sign: int
) -> None:
    for seed in range(3):
        path = _path(seed, object=name, motion=motion)
        assert sign * (path[-1, axis] - path[0, axis]) > 0.5


def test_closer_grows_away_shrinks_bounce_turns_spin_rotates_and_still_stays() -> None:
    for seed in range(5):
        closer, away = (_path(seed, motion=name)[:, SIZE] for name in ("closer", "away"))
        assert closer[-1] - closer[0] > 0.8
        assert away[0] - away[-1] > 0.8
        heights = _path(seed, motion="bounce")[:, Y]
        assert (np.diff(np.sign(np.diff(heights))) != 0).sum() >= 2
        turned = _path(seed, motion="spin")[:, TILT]
        assert abs(turned[-1] - turned[0]) > 5
        still = _path(seed, motion="still")
        assert np.ptp(still[:, [X, Y, SIZE]], axis=0).max() < 1e-6
        assert np.ptp(still[:, TILT]) < 0.2


def test_a_longer_clip_bounces_more_often() -> None:
    def turns(seconds: float) -> int:
        heights = [_path(k, seconds, motion="bounce")[:, Y] for k in range(8)]
        return sum(int((np.diff(np.sign(np.diff(h))) != 0).sum()) for h in heights)

    assert turns(SECONDS[0]) < turns(SECONDS[1]) < turns(SECONDS[2])


@pytest.mark.parametrize("name", ["car", "house", "cat", "person", "balloon man"])
def test_what_cannot_fly_stands_on_the_ground_and_on_its_shadow(name: str) -> None:
    for background, ground in GROUNDS.items():
        path = _path(3, object=name, motion="still", background=background)
        feet = path[:, Y] - FEET[name] * np.exp(path[:, SIZE])
        assert np.allclose(feet, path[:, GROUND], atol=1e-5)
        assert np.allclose(path[:, GROUND], ground, atol=0.06)
        assert path[:, SHADOW].min() > 0.4


def test_boats_float_at_sea_and_nothing_has_a_shadow_in_space() -> None:
    boat = _path(object="boat", motion="right", background="sea")
    assert -0.2 < boat[:, Y].mean() < 0.2
    assert _path(background="space")[:, SHADOW].max() == 0


def test_every_motion_keeps_the_object_in_the_frame() -> None:
    for name, motion in product(OBJECTS, MOTIONS):
        path = _path(object=name, motion=motion)
        for moment in np.linspace(0, 1, 9):
            now = position(path, moment)
            assert abs(now[X]) < 1.4
            assert abs(now[Y]) < 1.0


def test_a_larger_rendering_is_the_same_picture() -> None:
    scene = Scene(object="car", colour="blue", motion="left", background="desert")
    small = render(scene, 3, frames=4).frames.astype(float)
    large = render(scene, 3, width=640, height=360, frames=4).frames.astype(float)
    shrunk = large.reshape(4, 90, 4, 160, 4, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 3


def test_every_background_and_object_looks_different() -> None:
    places = [draw_layers(_scene(background=name), 2).backdrop for name in BACKGROUNDS]
    objects = [draw_layers(_scene(object=name), 2).sprite for name in OBJECTS]
    for pictures, apart in ((places, 0.1), (objects, 0.04)):
        for k, one in enumerate(pictures):
            for two in pictures[:k]:
                assert np.abs(one - two).mean() > apart


def test_one_triple_in_eight_is_held_out_and_never_drawn_for_training() -> None:
    triples = [
        held_out(Scene(object=o, colour=c, motion=m, background="sea"))
        for o, c, m in product(OBJECTS, COLOURS, MOTIONS)
    ]
    assert sum(triples) / len(triples) == pytest.approx(1 / 8, abs=0.01)
    rng = np.random.default_rng(0)
    assert not any(held_out(random_scene(rng, held=False)) for _ in range(300))
    assert all(held_out(random_scene(rng, held=True)) for _ in range(300))


def _in_text(words: str, text: str) -> bool:
    """Whether each piece around a colour's mark is in the text."""
    pieces = words.lower().replace("{n}", "{}").split("{}")
    return all(piece.strip() in text for piece in pieces)


def test_complete_captions_name_every_attribute_in_the_words_of_their_language() -> None:
    words = random.Random(1)
    rng = np.random.default_rng(1)
    for _ in range(600):
        scene = random_scene(rng, held=False)
        said = caption(scene, words, complete=True)
        assert said.labels == tuple(index + 1 for index in scene.indices())
        text = said.text.lower()
        assert "{" not in text
        assert any(_in_text(n, text) for _, n, _ in NOUNS[said.language][scene.object])
        colours = COLOUR_WORDS[said.language][scene.colour]
        stems = [form.lower().removesuffix("er") for forms in colours for form in forms]
        assert any(stem in text for stem in stems)
        assert any(m.lower() in text for m in MOTION_WORDS[said.language][scene.motion])
        assert any(p.lower() in text for p in PLACES[said.language][scene.background])


def test_nobody_is_given_the_colour_of_a_shirt_as_a_skin() -> None:
    words = random.Random(3)
    scene = _scene(object="person", colour="white")
    texts = [caption(scene, words, complete=True) for _ in range(200)]
    english = [said.text.lower() for said in texts if said.language == "en"]
    for person in ("man", "woman", "person"):
        assert not any(f"white {person}" in text for text in english)


def test_incomplete_captions_label_what_they_leave_out_as_not_said() -> None:
    words = random.Random(2)
    seen = [caption(PLAIN, words) for _ in range(400)]
    for k, _ in enumerate(ATTRIBUTES):
        missing = sum(1 for said in seen if said.labels[k] == 0)
        assert 5 < missing < 200
    assert all("red" not in s.text for s in seen if s.language == "en" and s.labels[1] == 0)
