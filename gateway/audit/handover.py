"""From one key of the log to the next: which keys a check may believe.

A log says itself, under a head that its keys signed, which key comes (``log.key_added``: the
new one and those beside it) and which goes (``log.key_retired``). So a key that somebody was
given years ago leads to today's, and today's leads back to the first.

Needs the files beside this one only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.checkpoint import MAX_SIZE, CheckpointFault, Note, Verifier
from gateway.audit.entry import Entry, EventKind

MAX_HANDOVERS = 1_000
LOG = "log"
VERIFIER = "verifier"
BESIDE = "beside"


@dataclass(frozen=True)
class _Statement:
    index: int
    keys: frozenset[Verifier]
    retired: bool


class Handovers:
    """What the entries say about keys, and what follows from the keys that were given."""

    def __init__(self, given: tuple[Verifier, ...]) -> None:
        self.believed: frozenset[Verifier] = frozenset(given)
        self._given = given
        self._statements: list[_Statement] = []
        self._heads: Sequence[Note] = ()
        self._signed: dict[Verifier, list[int]] = {}

    def see(self, index: int, entry: Entry) -> None:
        """Remember what an entry says about keys; what cannot be read says nothing."""
        if entry.kind not in (EventKind.LOG_KEY_ADDED, EventKind.LOG_KEY_RETIRED):
            return
        if len(self._statements) >= MAX_HANDOVERS:
            return
        beside = entry.facts.get(BESIDE)
        named = [entry.facts.get(VERIFIER), *(beside if isinstance(beside, list) else ())]
        try:
            keys = frozenset(Verifier.parse(str(text)) for text in named)
        except CheckpointFault:
            return
        if all(key.name == self._given[0].name for key in keys):
            retired = entry.kind == EventKind.LOG_KEY_RETIRED
            self._statements.append(_Statement(index, keys, retired))

    def settle(self, heads: Sequence[Note]) -> None:
        """Find every key that is believed, given the heads whose roots are the entries'.

        A key that the log says it added is believed, and the keys beside it, when a head that
        covers the entry is signed by a believed key that was not retired before that head.
        """
        self._heads = heads
        new = self.believed
        while new:
            self._signed |= {
                key: [head.size for head in heads if key.signed(head)] for key in new
            }
            reach = max(map(self._reach, self.believed), default=0)
            added = (s.keys for s in self._statements if not s.retired and s.index < reach)
            new = frozenset().union(*added) - self.believed
            self.believed |= new

    def objection(self, head: Note, *, witnessed: bool) -> str | None:
        """Why a head does not count, or None. ``witnessed``: others may have signed it too."""
        authors = [self._author(line, head) for line in head.signatures]
        ours = [key for key in authors if key is not None]
        if not ours:
            return "The note is not signed by this key."
        if len(ours) != len(authors) and not witnessed:
            return "The note has a signature that is not the log's."
        if all(head.size > self._end(key) for key in ours):
            return "The note is signed by a key that was retired before."
        return None

    @property
    def abandoned(self) -> bool:
        """Whether the log goes on without the keys that were given, and does not say why.

        So it looks when somebody goes on from an old head with an old key: the newest head is
        of no given key, and no head of such a key covers its retirement.
        """
        newest = max((head.size for head in self._heads), default=0)
        return not any(
            newest in self._signed[key] or self._end(key) in self._signed[key]
            for key in self._given
        )

    def _author(self, line: str, head: Note) -> Verifier | None:
        return next((key for key in self.believed if key.wrote(line, head)), None)

    def _reach(self, key: Verifier) -> int:
        end = self._end(key)
        return max((size for size in self._signed[key] if size <= end), default=0)

    def _end(self, key: Verifier) -> int:
        """The size of the last head that a key vouches for: the first after it was retired."""
        retired = [s.index for s in self._statements if s.retired and key in s.keys]
        if not retired:
            return MAX_SIZE
        return min((h.size for h in self._heads if h.size > retired[0]), default=MAX_SIZE)
