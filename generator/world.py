"""The small world the embedded model knows: its objects, colours, motions and backgrounds.

The order of each tuple is stored in weights and must only ever be appended to.
"""

from __future__ import annotations

from dataclasses import dataclass

OBJECTS = ("ball", "star", "heart", "car", "boat", "fish", "rocket", "flower")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
MOTIONS = ("right", "left", "up", "down", "bounce", "closer")
BACKGROUNDS = (
    "meadow",
    "sea",
    "night",
    "desert",
    "forest",
    "city",
    "space",
    "room",
    "sunset",
    "mountains",
)

ATTRIBUTES = {
    "object": OBJECTS,
    "colour": COLOURS,
    "motion": MOTIONS,
    "background": BACKGROUNDS,
}

# The canvas the model draws on, in pixels; rows beyond 45 are cut so that it is 16:9.
CANVAS_WIDTH, CANVAS_HEIGHT, CANVAS_SLICES = 80, 48, 16
CROP_TOP, CROP_HEIGHT = 1, 45


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What one clip shows; each field is one word of the tuples above."""

    object: str
    colour: str
    motion: str
    background: str

    def indices(self) -> tuple[int, int, int, int]:
        """Positions in `OBJECTS`, `COLOURS`, `MOTIONS`, `BACKGROUNDS`."""
        return (
            OBJECTS.index(self.object),
            COLOURS.index(self.colour),
            MOTIONS.index(self.motion),
            BACKGROUNDS.index(self.background),
        )


def held_out(scene: Scene) -> bool:
    """Whether this (object, colour, motion) triple is kept away from training.

    One triple in eight, spread so that every value still occurs in training.
    """
    o, c, m, _ = scene.indices()
    return (3 * o + 5 * c + 7 * m) % 8 == 0
