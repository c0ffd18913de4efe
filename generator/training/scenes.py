"""Draws the scenes of the small world that training and judging ask for."""

from __future__ import annotations

import numpy as np

from generator.world import BACKGROUNDS, COLOURS, MOTIONS, OBJECTS, Scene, held_out


def random_scene(rng: np.random.Generator, *, held: bool) -> Scene:
    """Draws a scene whose triple is held out of training, or is not."""
    while True:
        scene = Scene(
            object=OBJECTS[rng.integers(len(OBJECTS))],
            colour=COLOURS[rng.integers(len(COLOURS))],
            motion=MOTIONS[rng.integers(len(MOTIONS))],
            background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        )
        if held_out(scene) == held:
            return scene
