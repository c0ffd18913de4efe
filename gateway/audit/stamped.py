"""Stamps beside the entries: whether what an authority saw fits what the log says of itself.

Needs the files beside this one only; who reads the stamps themselves is handed in.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.audit.checkpoint import Note
from gateway.audit.entry import Entry, EventKind
from gateway.audit.report import Fault, FaultKind

# How far the clock of a gateway may be from that of the authority.
CLOCKS = dt.timedelta(minutes=5)


class ReadStamp(Protocol):
    """Reads the reply of a trusted authority; ``gateway.audit.stamps`` has the real one."""

    def __call__(self, reply: bytes, note: str) -> dt.datetime:
        """The time at which this note was stamped; raises ValueError."""


@dataclass(frozen=True)
class _Span:
    """The entries from one stamped head to the next: the first and last time in them."""

    earliest: str
    latest: str


class Stamped:
    """Compares stamps with entries.

    Promises that, where it finds no fault,

    1. each stamp that the log says it got is kept, byte for byte;
    2. each is of a trusted authority and of the head of that size, and no entry under that
       head is dated later than the stamp;
    3. with ``within``: each entry was under a stamped head that soon after its own date, but
       for the newest entries, which are no older than that.

    2 and 3 need ``read``. A log that was written anew fails 3 unless its entries are dated
    after that.
    """

    def __init__(
        self,
        replies: Mapping[int, bytes],
        read: ReadStamp | None,
        within: dt.timedelta | None,
    ) -> None:
        self._replies = replies
        self._read = read
        self._within = within
        self._said: dict[int, str] = {}
        self._spans: dict[int, _Span] = {}
        self._open: _Span | None = None
        self._newest = ""
        self.holding = 0
        self.last: dt.datetime | None = None

    @property
    def said(self) -> frozenset[int]:
        """The sizes of the heads that were stamped, as the entries have it."""
        return frozenset(self._said)

    def see(self, size: int, entry: Entry) -> None:
        """Take note of an entry; ``size`` is that of the log with it."""
        if entry.kind == EventKind.CHECKPOINT_ANCHORED:
            head, reply = entry.facts.get("size"), entry.facts.get("reply")
            if isinstance(head, int) and isinstance(reply, str) and 0 < head < size:
                self._said[head] = reply
        span = self._open or _Span(entry.time, entry.time)
        self._newest = max(self._newest, entry.time)
        # The latest of all so far: what is under a head is all that came before.
        self._open = _Span(min(span.earliest, entry.time), self._newest)
        if size in self._replies:
            self._spans[size] = self._open
            self._open = None

    def settle(self, heads: Mapping[int, Note]) -> Iterator[Fault]:
        """Every fault, given the heads that hold."""
        earliest = self._newest
        for size in sorted(self._said | self._spans):
            span = self._spans.get(size)
            earliest = min(earliest, span.earliest) if span else earliest
            if size not in self._said:
                # Not on record yet, or never: it stands for nothing.
                continue
            stamped, fault = self._compared(size, heads.get(size), span, earliest)
            if fault is not None:
                yield Fault(fault.kind, f"stamp {size}", fault.text)
            if stamped:
                earliest = self._newest
        earliest = min(earliest, self._open.earliest) if self._open else earliest
        # Against the newest entry and not the present: a log may rest.
        if self._late(earliest, self._newest):
            text = f"the entries since {earliest} were not stamped in time"
            yield Fault(FaultKind.LATE, "entries", text)

    def _compared(
        self, size: int, head: Note | None, span: _Span | None, earliest: str
    ) -> tuple[bool, Fault | None]:
        """Whether the head was stamped by somebody who is trusted; and what is wrong."""
        reply = self._replies.get(size)
        if reply is None:
            return False, Fault(FaultKind.MISSING, "", "the log says that it was given")
        if hashlib.sha256(reply).hexdigest() != self._said[size]:
            return False, Fault(FaultKind.CHANGED, "", "it is not the one that was given")
        if self._read is None:
            return False, None
        if head is None or span is None:
            return False, Fault(FaultKind.MISSING, "", "its checkpoint does not hold")
        try:
            time = self._read(reply, head.text)
        except ValueError as fault:
            return False, Fault(FaultKind.SIGNATURE, "", str(fault))
        if _time(span.latest) > time + CLOCKS:
            return False, Fault(FaultKind.CHANGED, "", "an entry under it is dated after it")
        self.holding += 1
        self.last = time
        if self._late(earliest, time.isoformat()):
            text = f"entries since {earliest} were stamped at {time.isoformat()} only"
            return True, Fault(FaultKind.LATE, "", text)
        return True, None

    def _late(self, entry: str, seen: str) -> bool:
        if self._read is None or self._within is None or not entry:
            return False
        return _time(seen) - _time(entry) > self._within


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
