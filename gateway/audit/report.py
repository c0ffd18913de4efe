"""The report of a check: what was looked at, and every fault that was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

MAX_FAULTS = 100


class FaultKind(StrEnum):
    """What is wrong. Appended, never renamed."""

    MALFORMED = "malformed"
    MISSING = "missing"
    STRAY = "stray"
    DUPLICATE = "duplicate"
    CHANGED = "changed"
    SIGNATURE = "signature"
    TRUNCATED = "truncated"
    FORKED = "forked"
    WAITING = "waiting"
    UNSIGNED = "unsigned"
    PERSONAL = "personal"
    STATE = "state"
    LATE = "late"


@dataclass(frozen=True)
class Fault:
    """One thing that does not hold: its kind, where it was found, and why it is wrong."""

    kind: FaultKind
    where: str
    text: str


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """The outcome. ``checkpoints`` counts those that hold, ``faults`` lists at most 100.

    ``stamps`` counts the stamps of an authority that hold, ``stamped_at`` is the time of the
    last one; 0 and None when they were not read.

    Without an anchor (``anchored`` false) the check cannot see that a log was cut back to
    an older checkpoint, or written anew by whoever holds the key.
    """

    entries: int
    checkpoints: int
    faults: tuple[Fault, ...]
    anchored: bool
    stamps: int = 0
    stamped_at: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.faults


@dataclass(frozen=True, kw_only=True)
class KeptEntry:
    """A stored leaf; ``columns`` are copies of its fields that are stored beside it."""

    index: int
    leaf: bytes
    columns: Mapping[str, str] = field(default_factory=dict)


class KeptFault(Exception):
    """What is kept cannot be read any further."""

    def __init__(self, kind: FaultKind, where: str, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(kind, where, text)


class Kept(Protocol):
    """A log as it is stored: in a database, or in a folder."""

    def size(self) -> int:
        """The stored number of leaves."""

    def notes(self) -> Iterator[tuple[int, str]]:
        """Every checkpoint with the size under which it is stored, smallest first."""

    def stamps(self) -> Iterator[tuple[int, bytes]]:
        """Every reply of an authority, with the size of the head that it is about."""

    def entries(self) -> Iterator[KeptEntry]:
        """Every leaf in order of index. May raise KeptFault."""

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The stored hashes, or no bytes."""

    def tiles(self) -> Iterator[tuple[int, int]]:
        """The level and index of every stored tile."""
