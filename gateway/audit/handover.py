"""From one key of the log to the next: which keys a check may believe.

A log says itself, under a head that its keys signed, which key comes (``log.key_added``: the
new one and those beside it) and which goes (``log.key_retired``). So a key that somebody was
given years ago leads to today's, and today's leads back to the first.

Needs the files beside this one only.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
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
        # Of each line of each head, by the head's place: a log has very many heads, and to
        # check a signature is what costs.
        self._authors: list[list[Verifier | None]] = []
        self._sizes: list[int] = []
        self._ends: dict[Verifier, int] = {}

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
        self._sizes = [head.size for head in heads]
        self._authors = [[None] * len(head.signatures) for head in heads]
        new = self.believed
        while new:
            for head, authors in zip(heads, self._authors, strict=True):
                for number, line in enumerate(head.signatures):
                    authors[number] = authors[number] or _author(line, head, new)
            self._ends |= {key: self._end(key) for key in new}
            reach = max((size for size, counts in self._counting() if counts), default=0)
            added = (s.keys for s in self._statements if not s.retired and s.index < reach)
            new = frozenset().union(*added) - self.believed
            self.believed |= new

    def objections(self, *, witnessed: Container[int]) -> Iterator[str | None]:
        """Why each head does not count, or None, in their order.

        At the places in ``witnessed`` others may have signed too.
        """
        for place, (_, counts) in enumerate(self._counting()):
            authors = self._authors[place]
            if not any(authors):
                yield "The note is not signed by this key."
            elif not all(authors) and place not in witnessed:
                yield "The note has a signature that is not the log's."
            else:
                yield None if counts else "The note is signed by a key that was retired before."

    @property
    def abandoned(self) -> bool:
        """Whether the log goes on without the keys that were given, and does not say why.

        So it looks when somebody goes on from an old head with an old key: the newest head is
        of no given key, and no head of such a key covers its retirement.
        """
        newest = max(self._sizes, default=0)
        return not any(
            size in (newest, self._ends[key])
            for size, authors in zip(self._sizes, self._authors, strict=True)
            for key in self._given
            if key in authors
        )

    def _counting(self) -> Iterator[tuple[int, bool]]:
        """The size of each head, and whether a believed key that was not retired signed it."""
        for size, authors in zip(self._sizes, self._authors, strict=True):
            yield size, any(key is not None and size <= self._ends[key] for key in authors)

    def _end(self, key: Verifier) -> int:
        """The size of the last head that a key vouches for: the first after it was retired."""
        retired = [s.index for s in self._statements if s.retired and key in s.keys]
        if not retired:
            return MAX_SIZE
        return min((size for size in self._sizes if size > retired[0]), default=MAX_SIZE)


def _author(line: str, head: Note, keys: frozenset[Verifier]) -> Verifier | None:
    return next((key for key in keys if key.wrote(line, head)), None)
