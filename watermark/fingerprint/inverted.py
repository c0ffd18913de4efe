"""The index to use: finds a clip among millions by the addresses of a few of its points."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np

from watermark.fingerprint.match import (
    MAX_MATCHES,
    TOO_LITTLE_DETAIL,
    Match,
    Search,
    compare,
    ranked,
)
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import ASPECT_UNIT, MAX_POINTS, Fingerprint
from watermark.fingerprint.shelf import Shelf

MERGED_UP_TO: Final = 100_000
"""Larger shelves are not merged while somebody waits for a search."""
COMPARED: Final = 24
"""So many likely clips are compared in full."""
FORMAT: Final = 1


class IndexInvalid(ValueError):
    """A file that is not an index of a known version, or a damaged one."""


class InvertedIndex:
    """A `FingerprintIndex` on sorted arrays; about 2.3 GB of memory for a million clips.

    New clips gather on a small shelf; shelves of like size are merged, so that adding costs
    little and a search visits few. A clip is found when two of its 64 listed points are met
    at their address, and is then compared in full; `ExhaustiveIndex` finds slightly more.
    """

    def __init__(self) -> None:
        self._shelves: list[tuple[Shelf, list[str | None]]] = []
        self._where: dict[str, tuple[int, int]] = {}
        self._new: dict[str, Fingerprint] = {}

    @classmethod
    def of(cls, clips: Iterable[tuple[str, bytes]]) -> Self:
        """Builds an index from a database's rows; raises `FingerprintInvalid` on a bad one."""
        index = cls()
        index._new = {clip_id: Fingerprint.from_bytes(raw) for clip_id, raw in clips}
        index._shelve()
        return index

    @classmethod
    def on(cls, shelf: Shelf, names: Sequence[str | None]) -> Self:
        """Builds an index on a filled shelf: one distinct name per row, None where removed."""
        index = cls()
        index._shelves = [(shelf, list(names))]
        index._where = {name: (0, row) for row, name in enumerate(names) if name is not None}
        return index

    def __len__(self) -> int:
        return len(self._where) + len(self._new)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._where or clip_id in self._new

    def add(self, clip_id: str, fingerprint: Fingerprint) -> None:
        self.remove(clip_id)
        self._new[clip_id] = fingerprint

    def remove(self, clip_id: str) -> bool:
        if self._new.pop(clip_id, None) is not None:
            return True
        place = self._where.pop(clip_id, None)
        if place is None:
            return False
        shelf, names = self._shelves[place[0]]
        shelf.erase(place[1])
        names[place[1]] = None
        if all(name is None for name in names):
            self._shelves[place[0]] = (Shelf.of(()), [])
        return True

    def search(self, query: Query, limit: int = MAX_MATCHES) -> Search:
        if not query.enough_detail:
            return TOO_LITTLE_DETAIL
        self._shelve()
        sides = (query.points, query.points.mirrored())
        likely = [
            (-one.votes, number, one.row, one.side)
            for number, (shelf, _) in enumerate(self._shelves)
            for one in shelf.likely(sides, query.doubts, COMPARED)
        ]
        matches: list[Match | None] = []
        for _, number, row, side in sorted(likely)[:COMPARED]:
            shelf, names = self._shelves[number]
            name, clip = names[row], shelf.points(row)
            if name is not None:
                mirrored, clips = side == 1, len(self)
                matches.append(
                    compare(query, sides[side], clip, name, clips=clips, mirrored=mirrored)
                )
        return ranked(matches, limit)

    def compact(self) -> None:
        """Puts all clips on one shelf; worth it after very many additions (half a minute and
        twice the memory for a million clips).
        """
        self._shelve()
        merged = _merged(self._shelves)
        fresh = type(self).on(*merged)
        self._shelves, self._where = fresh._shelves, fresh._where

    def save(self, path: Path) -> None:
        """Writes all clips to one file, removed ones left out. Not atomic: rename it after."""
        self._shelve()
        shelf, names = _merged(self._shelves)
        with path.open("wb") as file:
            np.savez(
                file,
                format=np.array([FORMAT]),
                names=np.array([name or "" for name in names], dtype=np.str_),
                codes=shelf.codes,
                places=shelf.places,
                counts=shelf.counts,
                aspects=shelf.aspects,
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote; raises `IndexInvalid` for anything else."""
        try:
            with path.open("rb") as file, zipfile.ZipFile(file) as archive:
                parts = {
                    name.removesuffix(".npy"): np.lib.format.read_array(
                        archive.open(name), allow_pickle=False
                    )
                    for name in archive.namelist()
                }
            if parts["format"].tolist() != [FORMAT]:
                raise IndexInvalid("The index was written by another version.")
            names = [str(name) for name in parts["names"].tolist()]
            size = len(names)
            shapes = {
                "codes": ((size, MAX_POINTS), np.uint64),
                "places": ((size, MAX_POINTS, 4), np.uint8),
                "counts": ((size,), np.int32),
                "aspects": ((size,), np.uint16),
            }
            for name, (shape, kind) in shapes.items():
                if parts[name].shape != shape or parts[name].dtype != kind:
                    raise IndexInvalid("The index is damaged.")
        except IndexInvalid:
            raise
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise IndexInvalid("The index cannot be read.") from error
        counts, aspects = parts["counts"], parts["aspects"]
        sound = (counts >= 0) & (counts <= MAX_POINTS) & (aspects >= ASPECT_UNIT // 4)
        if not sound.all() or len(set(names)) != size:
            raise IndexInvalid("The index is damaged.")
        shelf = Shelf.over(parts["codes"], parts["places"], counts, aspects)
        return cls.on(shelf, names) if size else cls()

    def _shelve(self) -> None:
        """Puts new clips on a shelf, and merges it with others while they are no larger."""
        if not self._new:
            return
        shelf = Shelf.of(tuple(self._new.values()))
        self._shelves.append((shelf, list(self._new)))
        self._new = {}
        while len(self._shelves) > 1:
            size, last_size = (len(one[0]) for one in self._shelves[-2:])
            if size >= 2 * last_size or size + last_size > MERGED_UP_TO:
                break
            last = self._shelves.pop()
            self._shelves[-1] = _merged([self._shelves[-1], last])
        number = len(self._shelves) - 1
        for row, name in enumerate(self._shelves[number][1]):
            if name is not None:
                self._where[name] = (number, row)


def _merged(shelves: list[tuple[Shelf, list[str | None]]]) -> tuple[Shelf, list[str | None]]:
    names = [name for _, each in shelves for name in each]
    if not names:
        return Shelf.of(()), []
    kept = np.array([name is not None for name in names])
    joined = Shelf.joined([shelf for shelf, _ in shelves], kept)
    return joined, [name for name in names if name is not None]
