"""Hash lists: pictures that an operator knows by their PDQ hashes, and the judge that asks.

The lists are secrets of whoever gave them. No hash is ever part of a name, an error, a score
or a representation here; a finding names the list and nothing in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from safety.pdq import HASH_BYTES, HashIndex, Picture, picture_hash
from safety.pictures import PictureScores
from safety.sampling import Frames, check_frames
from safety.verdict import Category

MATCHED = 1.0
BLANK_CONTRAST = 8.0
"""A frame whose 64x64 picture spans fewer grey levels than this, of 255, shows nothing."""

SAME_SHADE = 16
"""How many grey levels, of 255, a plain frame around a picture may vary."""

MIN_UNFRAMED = 32
_DIGEST_CHARS = 12


class HashListInvalid(ValueError):
    """Raised for a list that is not of the documented form. Holds no hash."""


@dataclass(frozen=True, kw_only=True)
class HashList:
    """The hashes of one category in one operator's list.

    ``hashes`` are 32 bytes each, one after another. ``version`` changes with the content and
    tells nothing of it.
    """

    name: str
    category: Category
    version: str
    hashes: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.hashes or len(self.hashes) % HASH_BYTES:
            raise HashListInvalid("A list holds whole hashes, at least one.")

    def __len__(self) -> int:
        return len(self.hashes) // HASH_BYTES


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A list that knows a picture: the nearest entry's place in it, and its distance."""

    name: str
    category: Category
    row: int = field(repr=False)
    distance: int


@dataclass(frozen=True, kw_only=True)
class HashFinding:
    """What the lists say of one picture.

    ``telling`` False means that the picture's hash is too weak for "not listed"; a match
    counts all the same. ``blank`` tells that there is hardly a picture at all. ``quality`` is
    that of the hash, 0..100. ``searched`` is the number of hashes it was compared with.
    """

    searched: int
    listed: tuple[Listed, ...]
    telling: bool
    blank: bool
    quality: int


class HashLists:
    """The lists in force, with their index. Nothing changes after the constructor."""

    def __init__(self, lists: Sequence[HashList] = ()) -> None:
        self.lists = tuple(lists)
        self.categories = frozenset(one.category for one in self.lists)
        versions = sorted(one.version for one in self.lists)
        self.digest = (
            hashlib.sha256("\n".join(versions).encode()).hexdigest()[:_DIGEST_CHARS]
            if self.lists
            else "none"
        )
        packed = b"".join(one.hashes for one in self.lists)
        hashes = np.frombuffer(packed, np.uint8).reshape(-1, HASH_BYTES)
        self._index = HashIndex(hashes)
        self._ends = np.cumsum([len(one) for one in self.lists])

    def __len__(self) -> int:
        return len(self._index)

    def find(self, picture: Picture) -> HashFinding:
        """What the lists say of a picture, uint8[H,W,3] RGB, turned, mirrored or with plain
        bars around it as it may be.

        Raises ValueError for anything that is not such an array.
        """
        seen = [picture_hash(view) for view in views(picture)]
        known = seen[0]
        listed: dict[int, Listed] = {}
        for match in self._index.near(np.concatenate([one.symmetries for one in seen])):
            place = int(np.searchsorted(self._ends, match.row, side="right"))
            if place not in listed:
                begin = 0 if place == 0 else int(self._ends[place - 1])
                listed[place] = Listed(
                    name=self.lists[place].name,
                    category=self.lists[place].category,
                    row=match.row - begin,
                    distance=match.distance,
                )
        return HashFinding(
            searched=len(self),
            listed=tuple(listed.values()),
            telling=known.telling,
            blank=known.contrast < BLANK_CONTRAST,
            quality=known.quality,
        )


def views(picture: Picture) -> tuple[Picture, ...]:
    """The picture, and what is inside a plain frame or bars of one shade, if it has such.

    A frame of a tenth loses every match of PDQ otherwise, and is the first thing one tries.
    """
    shade = picture.max(axis=2)
    edges = []
    for axis in (1, 0):
        low, high = shade.min(axis=axis).astype(int), shade.max(axis=axis).astype(int)
        busy = np.flatnonzero((high - low > SAME_SHADE) | (abs(high - high[0]) > SAME_SHADE))
        edges.append((int(busy[0]), int(busy[-1]) + 1) if len(busy) else (0, 0))
    (top, bottom), (left, right) = edges
    inside = picture[top:bottom, left:right]
    if min(inside.shape[:2]) < MIN_UNFRAMED or inside.shape == picture.shape:
        return (picture,)
    return (picture, inside)


@dataclass(frozen=True, kw_only=True)
class HashListJudge:
    """Scores frames 1 in the categories of the lists that know them, else 0.

    ``lists`` is asked for each batch, so that a change counts at once. A frame that shows a
    picture too featureless to be told from the listed ones has no score, and the gate holds
    the clip; one that is blank shows none of them. Without lists there are no categories.
    """

    lists: Callable[[], HashLists]

    @property
    def name(self) -> str:
        """``hash-lists@`` and a digest of the versions in force."""
        return f"hash-lists@{self.lists().digest}"

    @property
    def categories(self) -> frozenset[Category]:
        """Those that the lists in force name."""
        return self.lists().categories

    def load(self) -> None:
        """Reads the lists now."""
        self.lists()

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB). Raises ValueError."""
        check_frames(frames)
        lists = self.lists()
        if not lists.categories:
            return tuple(PictureScores(scores={}) for _ in frames)
        return tuple(_row(lists.find(frame), lists.categories) for frame in frames)


def _row(found: HashFinding, categories: frozenset[Category]) -> PictureScores:
    scores = dict.fromkeys(categories, 0.0) if found.telling or found.blank else {}
    scores |= {listed.category: MATCHED for listed in found.listed}
    return PictureScores(scores=scores)
