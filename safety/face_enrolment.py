"""Enrolment: from pictures of one person to the templates by which they are recognised."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import cv2
import numpy as np

from safety.face_chips import chip
from safety.face_embedding import CHIP_SIDE, FaceEmbedding, Vector, face_chip, to_picture
from safety.faces import Face, FaceFinder
from safety.likeness import MAX_TEMPLATES, Templates
from safety.sampling import Frame

MIN_FACE = 96.0
"""The smallest face to be enrolled, in pixels of its box."""

MIN_SHARPNESS = 40.0
"""The least variance of the Laplacian of the grey chip."""

MIN_SHADES = 25.0
"""The least spread, 5 % to 95 %, of the chip's grey values."""

MAX_TURN = 0.55
"""How far the nose may lie from the middle of the eyes, in distances of the eyes."""

MAX_APART = 0.6
"""The largest distance between the faces of two pictures of one person."""


class Refusal(StrEnum):
    """Why a picture cannot be enrolled. Stored in reports: append, never rename."""

    NO_PICTURE = "no-picture"
    TOO_MANY_PICTURES = "too-many-pictures"
    NO_FACE = "no-face"
    SEVERAL_FACES = "several-faces"
    TOO_SMALL = "too-small"
    TOO_BLURRED = "too-blurred"
    TOO_FLAT = "too-flat"
    TURNED_AWAY = "turned-away"
    CUT_OFF = "cut-off"
    DIFFERENT_PEOPLE = "different-people"


_SENTENCES = {
    Refusal.NO_PICTURE: "Enrolment needs at least one picture.",
    Refusal.TOO_MANY_PICTURES: f"Enrolment takes at most {MAX_TEMPLATES} pictures.",
    Refusal.NO_FACE: "No face was found in the picture.",
    Refusal.SEVERAL_FACES: "The picture must show exactly one face.",
    Refusal.TOO_SMALL: "The face in the picture is too small.",
    Refusal.TOO_BLURRED: "The face in the picture is blurred.",
    Refusal.TOO_FLAT: "The face in the picture is too dark or too pale.",
    Refusal.TURNED_AWAY: "The face in the picture is turned away.",
    Refusal.CUT_OFF: "The face in the picture is cut off.",
    Refusal.DIFFERENT_PEOPLE: "The pictures do not seem to show the same person.",
}


class EnrolmentRefused(Exception):
    """Raised for pictures that must not become templates.

    ``picture`` counts from 0; it is None where the fault is not that of one picture.
    """

    def __init__(self, refusal: Refusal, *, picture: int | None = None) -> None:
        super().__init__(_SENTENCES[refusal])
        self.refusal = refusal
        self.picture = picture


class Enrolment:
    """Makes templates from pictures; keeps nothing of them."""

    def __init__(self, *, finder: FaceFinder, embedding: FaceEmbedding) -> None:
        self._finder = finder
        self._embedding = embedding

    def templates(self, pictures: Sequence[Frame]) -> Templates:
        """float32[K,128], one row per picture (uint8[H,W,3], RGB) of one person.

        Each must show exactly one face: large, sharp, lit, whole and turned to the camera.
        Raises EnrolmentRefused, WeightsMissing, and RuntimeError for a failed model.
        """
        if not pictures:
            raise EnrolmentRefused(Refusal.NO_PICTURE)
        if len(pictures) > MAX_TEMPLATES:
            raise EnrolmentRefused(Refusal.TOO_MANY_PICTURES)
        rows = np.stack([self._template(i, picture) for i, picture in enumerate(pictures)])
        apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
        if (apart <= MAX_APART).all():
            return rows
        raise EnrolmentRefused(Refusal.DIFFERENT_PEOPLE)

    def _template(self, number: int, picture: Frame) -> Vector:
        found = self._finder.find(picture)
        if not found.faces:
            raise EnrolmentRefused(Refusal.NO_FACE, picture=number)
        if len(found.faces) > 1 or not found.whole:
            raise EnrolmentRefused(Refusal.SEVERAL_FACES, picture=number)
        face = found.faces[0]
        refusal = fault_of(picture, face)
        if refusal is not None:
            raise EnrolmentRefused(refusal, picture=number)
        upright = face_chip(picture, face)
        # The mirrored face is the same person's: the mean of both is a steadier template.
        both = [self._embedding.of_chip(upright)]
        both.append(self._embedding.of_chip(np.ascontiguousarray(upright[:, ::-1])))
        return np.asarray(np.mean(both, axis=0), np.float32)


def fault_of(picture: Frame, face: Face) -> Refusal | None:
    """What is wrong with a face as a template; None when nothing is."""
    high, wide = picture.shape[:2]
    inside = (face.points[:4] >= 0).all() and (face.points[:4] < (wide, high)).all()
    if not inside:
        return Refusal.CUT_OFF
    if not face.side >= MIN_FACE:
        return Refusal.TOO_SMALL
    eyes = face.points[1] - face.points[0]
    along = (face.points[2] - face.points[:2].mean(0)) @ eyes / (eyes @ eyes)
    if not abs(along) <= MAX_TURN:
        return Refusal.TURNED_AWAY
    grey = cv2.cvtColor(chip(picture, to_picture(face), CHIP_SIDE), cv2.COLOR_RGB2GRAY)
    middle = grey[25:125, 25:125]
    low, high_grey = np.percentile(middle, (5, 95))
    if not high_grey - low >= MIN_SHADES:
        return Refusal.TOO_FLAT
    if not cv2.Laplacian(middle, cv2.CV_64F).var() >= MIN_SHARPNESS:
        return Refusal.TOO_BLURRED
    return None
