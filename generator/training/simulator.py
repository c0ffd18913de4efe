"""Draws the clips the embedded model learns from: one scene and one seed give one clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.compositor import Composed, Layers
from generator.training.backdrops import draw_backdrop
from generator.training.paths import draw_path
from generator.training.scenes import random_scene
from generator.training.sprites import draw_sprite
from generator.world import Scene


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """A drawn clip: frames uint8[T,H,W,3] RGB, spread evenly, and the layers they show."""

    frames: NDArray[np.uint8]
    layers: Layers


def draw_layers(scene: Scene, seed: int, *, seconds: float = 4.0) -> Layers:
    """The layers of a clip; the same seed gives the same layers."""
    rng = np.random.default_rng(seed)
    return Layers(
        path=draw_path(scene, seconds, rng),
        sprite=draw_sprite(scene.object, scene.colour, rng),
        backdrop=draw_backdrop(scene.background, rng),
    )


def render(
    scene: Scene, seed: int, *, width: int = 160, height: int = 90, frames: int = 16
) -> Rendering:
    """Draws a clip; another size shows the same picture, nothing random depends on it."""
    layers = draw_layers(scene, seed)
    whole = Composed(layers=layers, width=width, height=height, frame_count=frames)
    return Rendering(frames=whole.at(frames), layers=layers)


__all__ = ["Rendering", "draw_layers", "random_scene", "render"]
