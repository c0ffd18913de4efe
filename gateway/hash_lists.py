"""The operator's hash lists: pictures that are known already, and must not be used."""

from __future__ import annotations

import datetime as dt
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import InvalidRequest, NotFound
from gateway.in_force import InForce
from gateway.record import AuditOutbox, Clock
from gateway.tables import HashListRow
from safety.hash_list import HashList, HashListInvalid, HashLists, Listed
from safety.pdq import HASH_BYTES
from safety.verdict import Category

MAX_HASHES = 1_000_000
MAX_NOTE_CHARS = 1_000
MAX_REFERENCE_CHARS = 200
MAX_WHO_CHARS = 200
SALT_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ListedHash:
    """One hash as an operator gives it: 32 bytes, and what its source calls it."""

    category: Category
    hash: bytes = field(repr=False)
    reference: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class OwnList:
    """A list as the operator keeps it, without its hashes."""

    id: str
    name: str
    category: Category
    size: int
    version: str
    note: str
    added_by: str
    created_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a change did: hashes that came, went and stayed."""

    added: int
    removed: int
    unchanged: int


class HashListRegistry:
    """Keeps lists; ``in_force`` gives them ready for judging.

    ``audit`` is asked for only when something changes: whoever just judges needs no log. A
    list of several categories is one row for each. A row is never changed but to end it, so
    that two counts tell whether any list changed since they were last read: by this process
    or by another. Neither hashes nor references reach the log: of a list it has the size and
    the version, which tells nothing of the content.
    """

    def __init__(
        self, database: Database, audit: Callable[[], AuditOutbox], clock: Clock
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self.in_force = InForce(
            database,
            HashListRow,
            read=lambda session: HashLists(
                [_list(row) for row in _live(session, HashListRow.hashes)]
            ),
            nothing=HashLists(),
        )

    def list(self) -> tuple[OwnList, ...]:
        """The lists without their hashes, oldest first."""
        with self._database.read() as session:
            return tuple(
                OwnList(
                    id=row.id,
                    name=row.name,
                    category=_category(row),
                    size=row.size,
                    version=row.version,
                    note=row.note,
                    added_by=row.added_by,
                    created_at=row.created_at,
                )
                for row in _live(session)
            )

    def reference(self, listed: Listed) -> str:
        """What its source calls the entry that a picture is near; empty when it said nothing.

        For operators' eyes: it can lead to the hash.
        """
        with self._database.read() as session:
            row = _find(session, listed.name, listed.category)
            known = None if row is None else row.references
        return known[listed.row] if known is not None and listed.row < len(known) else ""

    def add(self, name: str, entry: ListedHash, *, note: str = "", by: str) -> Loaded:
        """Put one more hash on a list, which is made when it is not there."""
        _require(name, [entry], note, by)
        with self._database.write() as session:
            row = _find(session, name, entry.category)
            known = {} if row is None else _entries(row)
            wanted = {**known, entry.hash: entry.reference}
            if row is not None and wanted == known:
                return Loaded(added=0, removed=0, unchanged=len(known))
            self._renew(session, row, name, entry.category, wanted, note, by)
        return Loaded(added=len(wanted) - len(known), removed=0, unchanged=len(known))

    def bring_in(
        self, name: str, entries: Iterable[ListedHash], *, note: str = "", by: str
    ) -> Loaded:
        """Make these the whole list of this name, in every category; all of them or none."""
        given = list(entries)
        _require(name, given, note, by)
        wanted: dict[Category, dict[bytes, str]] = {}
        for entry in given:
            wanted.setdefault(entry.category, {})[entry.hash] = entry.reference
        added = removed = unchanged = 0
        with self._database.write() as session:
            rows = {_category(row): row for row in _live(session) if row.name == name}
            for category in wanted.keys() | rows.keys():
                row, new = rows.get(category), wanted.get(category, {})
                known = {} if row is None else _entries(row)
                added += len(new.keys() - known.keys())
                removed += len(known.keys() - new.keys())
                unchanged += len(new.keys() & known.keys())
                if new != known:
                    self._renew(session, row, name, category, new, note, by)
        return Loaded(added=added, removed=removed, unchanged=unchanged)

    def remove(self, row_id: str, *, by: str) -> None:
        """End a list of one category and erase its hashes. Raises NotFound."""
        with self._database.write() as session:
            row = session.get(HashListRow, row_id)
            if row is None or row.removed_at is not None:
                raise NotFound("There is no such list; see 'hashes list'.")
            self._end(session, row, by)

    def _renew(
        self,
        session: Session,
        old: HashListRow | None,
        name: str,
        category: Category,
        wanted: Mapping[bytes, str],
        note: str,
        by: str,
    ) -> None:
        if old is not None:
            note = note or old.note
            self._end(session, old, by)
            session.flush()
        if not wanted:
            return
        ordered = sorted(wanted)
        packed, salt = b"".join(ordered), secrets.token_bytes(SALT_BYTES)
        references = [wanted[one] for one in ordered]
        row = HashListRow(
            id=f"list_{secrets.token_hex(8)}",
            name=name,
            category=category.value,
            size=len(ordered),
            version=hmac.digest(salt, packed, "sha256").hex(),
            salt=salt,
            hashes=packed,
            references=references if any(references) else None,
            note=note,
            added_by=by,
            created_at=self._clock(),
        )
        session.add(row)
        session.flush()
        self._note(session, row, EventKind.HASH_LIST_ADDED, by)

    def _end(self, session: Session, row: HashListRow, by: str) -> None:
        row.removed_at = self._clock()
        row.hashes, row.references = b"", None
        self._note(session, row, EventKind.HASH_LIST_REMOVED, by)

    def _note(self, session: Session, row: HashListRow, kind: EventKind, by: str) -> None:
        self._audit().record(
            session,
            Event(
                id=f"{row.id}:{kind}",
                kind=kind,
                subject=row.id,
                facts={"category": row.category, "size": row.size, "version": row.version},
                personal={"list": row.name, "by": by},
            ),
        )


def _live(session: Session, *columns: sa.orm.QueryableAttribute[bytes]) -> list[HashListRow]:
    return list(
        session.scalars(
            sa.select(HashListRow)
            .options(*(undefer(column) for column in columns))
            .where(HashListRow.removed_at.is_(None))
            .order_by(HashListRow.created_at, HashListRow.id)
        )
    )


def _find(session: Session, name: str, category: Category) -> HashListRow | None:
    return session.scalars(
        sa.select(HashListRow).where(
            HashListRow.name == name,
            HashListRow.category == category.value,
            HashListRow.removed_at.is_(None),
        )
    ).one_or_none()


def _category(row: HashListRow) -> Category:
    try:
        return Category(row.category)
    except ValueError as fault:
        raise HashListInvalid("A stored list is of an unknown category.") from fault


def _list(row: HashListRow) -> HashList:
    """The list of a row. Raises HashListInvalid when the row is damaged."""
    same = hmac.digest(row.salt, row.hashes, "sha256").hex() == row.version
    if not same or len(row.hashes) != row.size * HASH_BYTES:
        raise HashListInvalid("A stored list is damaged.")
    return HashList(
        name=row.name, category=_category(row), version=row.version, hashes=row.hashes
    )


def _entries(row: HashListRow) -> dict[bytes, str]:
    known = _list(row)
    references = row.references or [""] * len(known)
    starts = range(0, len(known.hashes), HASH_BYTES)
    hashes = (known.hashes[start : start + HASH_BYTES] for start in starts)
    return dict(zip(hashes, references, strict=True))


def _require(name: str, entries: list[ListedHash], note: str, by: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "The name of a list is letters, digits, points and dashes.", param="list"
        )
    if not 0 < len(by) <= MAX_WHO_CHARS:
        raise InvalidRequest("Say who changes the list.", param="by")
    if len(note) > MAX_NOTE_CHARS:
        raise InvalidRequest("The note is too long.", param="note")
    if not entries:
        raise InvalidRequest("There are no hashes; 'hashes remove' ends a list.", param="file")
    if len(entries) > MAX_HASHES:
        raise InvalidRequest(f"A list holds at most {MAX_HASHES} hashes.", param="file")
    if any(len(e.hash) != HASH_BYTES for e in entries):
        raise InvalidRequest("A PDQ hash is 32 bytes.", param="hash")
    if any(len(e.reference) > MAX_REFERENCE_CHARS for e in entries):
        raise InvalidRequest("A reference is too long.", param="reference")
