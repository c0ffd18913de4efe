"""The simulator and its captions: same seed same clip, and words that match pictures."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest

from generator.training.captions import caption
from generator.training.captions_words import COLOUR_WORDS, MOTION_WORDS, NOUNS, PLACES
from generator.training.simulator import COLOUR_VALUES, path, random_scene, render
from generator.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    OBJECTS,
    Scene,
    held_out,
)

PLAIN = Scene(object="ball", colour="red", motion="right", background="meadow")


def _centre(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask > 127)
    return float(columns.mean()), float(rows.mean())


def test_the_same_seed_draws_the_same_clip_and_another_seed_does_not() -> None:
    first, second, other = render(PLAIN, 5), render(PLAIN, 5), render(PLAIN, 6)
    assert np.array_equal(first.frames, second.frames)
    assert not np.array_equal(first.frames, other.frames)
    assert first.frames.shape == (16, 48, 80, 3)
    assert first.frames.dtype == np.uint8


@pytest.mark.parametrize("colour", COLOURS)
def test_the_object_has_the_colour_it_is_said_to_have(colour: str) -> None:
    for seed in range(3):
        drawn = render(
            Scene(object="heart", colour=colour, motion="right", background="city"), seed
        )
        inside = drawn.frames[drawn.mask == 255].mean(axis=0) / 255
        nearest = min(
            COLOUR_VALUES, key=lambda name: float(np.abs(inside - COLOUR_VALUES[name]).sum())
        )
        assert nearest == colour


@pytest.mark.parametrize(
    ("motion", "axis", "sign"),
    [("right", 0, 1), ("left", 0, -1), ("up", 1, -1), ("down", 1, 1)],
)
def test_the_object_moves_the_way_it_is_said_to_move(motion: str, axis: int, sign: int) -> None:
    scene = Scene(object="star", colour="red", motion=motion, background="sea")
    for seed in range(3):
        mask = render(scene, seed).mask
        moved = _centre(mask[-1])[axis] - _centre(mask[0])[axis]
        assert sign * moved > 12


def test_a_closer_object_grows_and_a_bouncing_one_turns_around() -> None:
    closer = render(Scene(object="ball", colour="red", motion="closer", background="sea"), 1)
    assert (closer.mask[-1] > 127).sum() > 2 * (closer.mask[0] > 127).sum()
    heights = path("bounce", np.random.default_rng(1)).y
    turns = np.sign(np.diff(heights))
    assert (turns[1:] != turns[:-1]).sum() >= 2


def test_a_larger_rendering_is_the_same_picture() -> None:
    scene = Scene(object="car", colour="blue", motion="left", background="desert")
    small = render(scene, 3).frames.astype(float)
    large = render(scene, 3, scale=4).frames.astype(float)
    shrunk = large.reshape(16, 48, 4, 80, 4, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 3


def test_every_background_and_object_can_be_drawn_and_looks_different() -> None:
    places = [
        render(Scene(object="ball", colour="red", motion="up", background=name), 2).frames[0]
        for name in BACKGROUNDS
    ]
    objects = [
        render(Scene(object=name, colour="red", motion="up", background="sea"), 2).mask[0]
        for name in OBJECTS
    ]
    for pictures in (places, objects):
        for k, one in enumerate(pictures):
            for two in pictures[:k]:
                assert np.abs(one.astype(float) - two.astype(float)).mean() > 2


def test_one_triple_in_eight_is_held_out_and_never_drawn_for_training() -> None:
    triples = [
        held_out(Scene(object=o, colour=c, motion=m, background="sea"))
        for o, c, m in product(OBJECTS, COLOURS, MOTIONS)
    ]
    assert sum(triples) / len(triples) == pytest.approx(1 / 8, abs=0.01)
    rng = np.random.default_rng(0)
    assert not any(held_out(random_scene(rng, held=False)) for _ in range(300))
    assert all(held_out(random_scene(rng, held=True)) for _ in range(300))


def test_complete_captions_name_every_attribute_in_the_words_of_their_language() -> None:
    words = random.Random(1)
    rng = np.random.default_rng(1)
    for _ in range(300):
        scene = random_scene(rng, held=False)
        said = caption(scene, words, complete=True)
        assert said.labels == tuple(index + 1 for index in scene.indices())
        text = said.text.lower()
        assert any(n.lower() in text for _, n, _ in NOUNS[said.language][scene.object])
        colours = COLOUR_WORDS[said.language][scene.colour]
        assert any(form.lower() in text for forms in colours for form in forms)
        assert any(m.lower() in text for m in MOTION_WORDS[said.language][scene.motion])
        assert any(p.lower() in text for p in PLACES[said.language][scene.background])


def test_incomplete_captions_label_what_they_leave_out_as_not_said() -> None:
    words = random.Random(2)
    seen = [caption(PLAIN, words) for _ in range(400)]
    for k, _ in enumerate(ATTRIBUTES):
        missing = sum(1 for said in seen if said.labels[k] == 0)
        assert 5 < missing < 200
    assert all("red" not in s.text for s in seen if s.language == "en" and s.labels[1] == 0)
