"""The small world the embedded model knows: its objects, colours, motions and backgrounds.

The order of each tuple is stored in weights and must only ever be appended to.
"""

from __future__ import annotations

from dataclasses import dataclass

OBJECTS = (
    "ball",
    "star",
    "heart",
    "car",
    "boat",
    "fish",
    "rocket",
    "flower",
    "balloon",
    "bird",
    "umbrella",
    "butterfly",
    "house",
    "cat",
    "person",
    "balloon man",
)
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
MOTIONS = ("right", "left", "up", "down", "bounce", "closer", "away", "spin", "still")
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

# A sprite is a square picture of the object alone; it spans ±SPRITE_REACH object radii.
SPRITE_SIZE = 96
SPRITE_REACH = 1.3
# Its fourth channel is the signed distance to the outline, cut at ±SPRITE_EDGE radii.
SPRITE_EDGE = 0.16
# A backdrop is wider than the frame, so that the camera can pan: the frame shows VIEW_WIDTH
# by VIEW_HEIGHT of its pixels. In the units of paths the frame is 2 high.
BACKDROP_WIDTH, BACKDROP_HEIGHT = 240, 120
VIEW_WIDTH, VIEW_HEIGHT = 210, 118.125
# A path is KEYS moments from a clip's first frame to its last, each with these numbers:
# place of the object's centre and log of its radius in half frame heights, turn in radians,
# pan of the camera as a share of the slack, darkness of the shadow and its height, and which
# way the object looks: 1 as in its sprite (to the right), −1 the other way.
KEYS = 24
PATH_NUMBERS = ("x", "y", "size", "tilt", "pan", "shadow", "ground", "facing")


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
