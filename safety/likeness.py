"""Likeness: the faces of enrolled people, and how close another face is to theirs.

Templates are biometric data. They are values here and nothing else: nothing stores or logs
them, and their text form does not show them.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from safety.face_embedding import SIZE, Vector
from safety.moderation import Named
from safety.verdict import Category

ENROLLABLE = frozenset({Category.PRIVATE_LIKENESS, Category.PUBLIC_FIGURE})
"""The categories of real people, who are known by their face."""
MAX_TEMPLATES = 16
MAX_SUBJECT_CHARS = 200

KNOTS = ((0.0, 1.0), (0.4, 0.9), (0.6, 0.6), (0.7, 0.4), (1.2, 0.0))
"""Distance and score. At 0.6 dlib's author calls two faces one person's; the card of the
weights says how often 0.4 and 0.6 were undercut by different people.
"""

TOLD_FROM = 0.4
"""The score from which a subject is named at all."""

MAGIC = b"CGFT"
VERSION = 1
_HEAD = struct.Struct("<4sB32sHH")

Templates = NDArray[np.float32]


class TemplatesRefused(Exception):
    """Raised for stored templates that cannot be read or belong to other models."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Enrolled:
    """A person who may be recognised: ``templates`` is float32[K,128], one row per picture.

    ``subject`` is the id under which consents are recorded. Raises ValueError for anything
    that could not be compared.
    """

    subject: str
    category: Category
    templates: Templates = field(repr=False)

    def __post_init__(self) -> None:
        if self.category not in ENROLLABLE:
            raise ValueError("Only people are enrolled by their face.")
        if not 0 < len(self.subject) <= MAX_SUBJECT_CHARS:
            raise ValueError("An enrolled person needs an id.")
        rows = np.array(self.templates, np.float32)
        if not _fits(rows):
            raise ValueError(f"Templates are float32[1..{MAX_TEMPLATES},{SIZE}], all numbers.")
        rows.flags.writeable = False
        object.__setattr__(self, "templates", rows)


@dataclass(frozen=True, kw_only=True)
class FaceRegistry:
    """All enrolled people. ``digest`` (12 hex digits) changes with any of them."""

    people: tuple[Enrolled, ...] = ()
    digest: str = field(init=False)
    _rows: Templates = field(init=False, repr=False, compare=False)
    _starts: NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = [np.zeros((0, SIZE), np.float32), *(each.templates for each in self.people)]
        counts = [len(person.templates) for person in self.people]
        object.__setattr__(self, "_rows", np.concatenate(rows))
        object.__setattr__(self, "_starts", np.cumsum([0, *counts[:-1]], dtype=np.intp))
        each = sorted(_fingerprint(person) for person in self.people)
        object.__setattr__(self, "digest", hashlib.sha256(b"".join(each)).hexdigest()[:12])

    def matches(self, vector: Vector) -> tuple[Named, ...]:
        """Everybody whose face this may be, likeliest first; one entry per subject.

        All of them, not only the nearest: who agreed must not stand for one who did not.
        Raises ValueError for a vector that is not float32[128] of numbers.
        """
        if vector.shape != (SIZE,) or not np.isfinite(vector).all():
            raise ValueError("A face is a vector of 128 numbers.")
        best: dict[tuple[Category, str], float] = {}
        for person, distance in zip(self.people, self._distances(vector), strict=True):
            key = (person.category, person.subject)
            best[key] = max(best.get(key, 0.0), score_of(distance))
        found = [
            Named(category=category, subject=subject, score=score)
            for (category, subject), score in best.items()
            if score >= TOLD_FROM
        ]
        return tuple(sorted(found, key=lambda one: (-one.score, one.subject)))

    def _distances(self, vector: Vector) -> list[float]:
        """How far the face is from the nearest template of each person."""
        if not self.people:
            return []
        nearest = np.linalg.norm(self._rows - vector, axis=1)
        return [float(each) for each in np.minimum.reduceat(nearest, self._starts)]


def score_of(distance: float) -> float:
    """The score in 0..1 of a distance of two faces; raises ValueError for what is none."""
    if not distance >= 0:
        raise ValueError("A distance is a number that is not negative.")
    distances, scores = zip(*KNOTS, strict=True)
    return float(np.interp(distance, distances, scores))


def packed(templates: Templates, *, maker: bytes) -> bytes:
    """Templates as bytes: magic, version, maker, count, length, then little-endian float32.

    ``maker`` (``safety.face_embedding.maker``) names the models. Raises ValueError.
    """
    if len(maker) != 32 or not _fits(templates):
        raise ValueError("There are no templates to be packed.")
    head = _HEAD.pack(MAGIC, VERSION, maker, *templates.shape)
    return head + np.ascontiguousarray(templates, "<f4").tobytes()


def unpacked(content: bytes, *, maker: bytes) -> Templates:
    """The templates in ``packed`` bytes; raises TemplatesRefused for any others.

    Templates that other models made are refused: the people must be enrolled again.
    """
    if len(content) < _HEAD.size:
        raise TemplatesRefused("The stored templates are too short.")
    magic, version, made_by, count, length = _HEAD.unpack_from(content)
    if magic != MAGIC or version != VERSION:
        raise TemplatesRefused("The stored templates have an unknown form.")
    if made_by != maker:
        raise TemplatesRefused("The stored templates were made by other models.")
    fits = 0 < count <= MAX_TEMPLATES and length == SIZE
    if not fits or len(content) != _HEAD.size + 4 * count * length:
        raise TemplatesRefused("The stored templates have a wrong size.")
    rows = np.frombuffer(content, "<f4", offset=_HEAD.size).reshape(count, length)
    if not _fits(rows):
        raise TemplatesRefused("The stored templates are not numbers.")
    return rows.astype(np.float32)


def _fits(rows: Templates) -> bool:
    return (
        rows.ndim == 2
        and 0 < len(rows) <= MAX_TEMPLATES
        and rows.shape[1] == SIZE
        and bool((np.abs(rows) < 1e3).all())
    )


def _fingerprint(person: Enrolled) -> bytes:
    said = hashlib.sha256()
    for part in (person.category.value.encode(), person.subject.encode()):
        said.update(len(part).to_bytes(4, "big") + part)
    said.update(np.ascontiguousarray(person.templates, "<f4").tobytes())
    return said.digest()
