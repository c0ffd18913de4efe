"""Faces in pictures: where they are, found once and confirmed by a second look.

The detector looks at the whole picture and at overlapping squares of it, so that small faces
are large enough for it somewhere. Every candidate is then cut out, turned upright and shown to
it again, as it is and mirrored; only what is a face in both looks is one. The card in
``safety/weights/blazeface`` says what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import atan2, ceil, degrees
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from safety.face_anchors import SIDE, Detection, Points, detections, merged, shared
from safety.face_chips import chip
from safety.onnx_session import VerifiedSession
from safety.sampling import Frame

DETECTOR_FOLDER = Path(__file__).parent / "weights" / "blazeface"
DETECTOR_FILE = "blazeface.onnx"

CANDIDATE_AT = 0.5
"""The detector's score from which a place is looked at again."""

CONFIRMED_AT = 0.6
"""The score that both second looks must reach."""

FACE_AT = 0.68
"""The least mean of the first look and the worse of the second looks."""

SQUARE = 0.75
"""The side of the squares, as a share of the picture's shorter side."""

OVERLAP = 1 / 6
MAX_SQUARES = 16
MIN_SQUARE = 160
MAX_CANDIDATES = 24
LOOK_SIDE = 4.5
"""The second look sees a square this many times as long as the face."""

SAME_FACE = 0.4
MIRRORED = (1, 0, 2, 3, 5, 4)
"""The order of the points in a mirrored picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """A face in a picture: ``score`` in 0..1, ``box`` float64[4], ``points`` float64[6,2].

    Box and points are as in ``face_anchors.Detection``, in pixels of the picture, and may lie
    outside of it where a face is cut off.
    """

    score: float
    box: Points
    points: Points

    @property
    def side(self) -> float:
        """The length of its box in pixels: about 2.3 times the distance of the eyes."""
        return float((self.box[2:] - self.box[:2]).mean())


@dataclass(frozen=True, kw_only=True)
class FacesFound:
    """The faces of one picture, largest first.

    ``whole`` is False when there were more candidates than are looked at twice: then there may
    be faces that are not listed.
    """

    faces: tuple[Face, ...]
    whole: bool


class FaceFinder:
    """Finds faces of at least about a twentieth of the picture's height.

    ``threads`` is how many threads may compute; ``folder`` holds card and weights.
    """

    label = "blazeface@1.0.0"

    def __init__(self, *, threads: int = 1, folder: Path = DETECTOR_FOLDER) -> None:
        self._session = VerifiedSession(
            label=self.label,
            card_folder=folder,
            folder=lambda: folder,
            filename=DETECTOR_FILE,
            threads=threads,
        )

    def load(self) -> None:
        """Verifies and opens the weights now; raises WeightsMissing when that fails."""
        self._session.open()

    def find(self, frame: Frame) -> FacesFound:
        """The faces in ``frame`` (uint8[H,W,3], RGB).

        Raises WeightsMissing when there is no model, RuntimeError when it gives no numbers.
        """
        candidates = self.candidates(frame)
        confirmed = [self.confirmed(frame, each) for each in candidates[:MAX_CANDIDATES]]
        found = merged([each for each in confirmed if each is not None])
        faces = [Face(score=each.score, box=each.box, points=each.points) for each in found]
        return FacesFound(
            faces=tuple(sorted(faces, key=lambda face: -face.side)),
            whole=len(candidates) <= MAX_CANDIDATES,
        )

    def candidates(self, frame: Frame) -> list[Detection]:
        """What may be a face at first sight, best first."""
        found = []
        for left, top, side in squares(*frame.shape[:2]):
            matrix = np.array([[side / SIDE, 0, left], [0, side / SIDE, top]])
            look = _cut(frame, left, top, side)
            found += [each.moved(matrix) for each in self._seen(look, CANDIDATE_AT)]
        return merged(found)

    def confirmed(self, frame: Frame, candidate: Detection) -> Detection | None:
        """The candidate as two closer looks see it; None when it is no face to one of them."""
        to_frame = _upright(candidate)
        look = chip(frame, to_frame, SIDE)
        plain = self._middle(look)
        if plain is None:
            return None
        mirror = self._middle(np.ascontiguousarray(look[:, ::-1]))
        if mirror is None:
            return None
        mirror = _mirrored(mirror)
        if shared(plain.box, mirror.box) < SAME_FACE:
            return None
        score = (candidate.score + min(plain.score, mirror.score)) / 2
        if not score >= FACE_AT:
            return None
        return Detection(
            score,
            (plain.box + mirror.box) / 2,
            (plain.points + mirror.points) / 2,
        ).moved(to_frame)

    def _middle(self, look: Frame) -> Detection | None:
        """The face in the middle of a second look."""
        half = SIDE / LOOK_SIDE / 2
        expected = SIDE / 2 + np.array([-half, -half, half, half])
        for each in self._seen(look, CONFIRMED_AT):
            if shared(each.box, expected) >= SAME_FACE:
                return each
        return None

    def _seen(self, look: Frame, least: float) -> list[Detection]:
        return detections(self._session.run(detector_input(look)[None])[0], least=least)


def detector_input(look: Frame) -> NDArray[np.float32]:
    """float32[256,256,3], RGB in -1..1."""
    return np.asarray(look, np.float32) / np.float32(127.5) - np.float32(1)


def squares(high: int, wide: int) -> Iterator[tuple[float, float, float]]:
    """Left, top and side of the squares to look at, at most MAX_SQUARES.

    The first holds the whole picture. Every place of the picture lies in another one,
    unless the picture is small.
    """
    long, side = float(max(high, wide)), SQUARE * min(high, wide)
    yield (wide - long) / 2, (high - long) / 2, long
    if side < MIN_SQUARE:
        return
    while _steps(wide, side) * _steps(high, side) >= MAX_SQUARES:
        side *= 1.25
    for top in np.linspace(0, max(0.0, high - side), _steps(high, side)):
        for start in np.linspace(0, max(0.0, wide - side), _steps(wide, side)):
            yield float(start), float(top), side


def _steps(length: int, side: float) -> int:
    return 1 + max(0, ceil(round((length - side) / (side * (1 - OVERLAP)), 6)))


def _cut(frame: Frame, left: float, top: float, side: float) -> Frame:
    """The square as uint8[256,256,3], black beyond the picture."""
    high, wide = frame.shape[:2]
    x, y, length = round(left), round(top), round(side)
    right, bottom = min(wide, x + length), min(high, y + length)
    inside = frame[max(0, y) : bottom, max(0, x) : right]
    beyond = (max(0, -y), y + length - bottom, max(0, -x), x + length - right)
    scale = SIDE / length
    size = (max(1, round(inside.shape[1] * scale)), max(1, round(inside.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(inside, size, interpolation=method)
    above, beside = round(beyond[0] * scale), round(beyond[2] * scale)
    out = np.zeros((SIDE, SIDE, 3), np.uint8)
    small = small[: SIDE - above, : SIDE - beside]
    out[above : above + small.shape[0], beside : beside + small.shape[1]] = small
    return out


def _upright(candidate: Detection) -> Points:
    """float64[2,3]: from the second look to the picture, the eyes level."""
    right_eye, left_eye = candidate.points[:2]
    x, y = (left_eye - right_eye).tolist()
    angle = atan2(y, x)
    scale = max(1.0, candidate.side) * LOOK_SIDE / SIDE
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), -degrees(angle), scale)
    turn[:, 2] += candidate.centre - SIDE / 2
    return np.asarray(turn, np.float64)


def _mirrored(seen: Detection) -> Detection:
    left, top, right, bottom = seen.box
    edge = SIDE - 1
    points = seen.points[list(MIRRORED)] * (-1, 1) + (edge, 0)
    return Detection(seen.score, np.array([edge - right, top, edge - left, bottom]), points)
