"""The operator's own protected names, beside the shipped lists."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import InvalidRequest, NotFound
from gateway.in_force import InForce
from gateway.record import AuditOutbox, Clock
from gateway.tables import ProtectedNameRow
from safety.gazetteer import Gazetteer, GazetteerInvalid, ProtectedName
from safety.verdict import Category

MAX_NOTE_CHARS = 1_000
MAX_NEUTRAL_CHARS = 200
MAX_WHO_CHARS = 200
MAX_IMPORTED = 20_000


@dataclass(frozen=True, kw_only=True)
class OwnName:
    """A name as the operator keeps it."""

    id: str
    name: ProtectedName
    note: str
    added_by: str
    created_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import changed."""

    added: int
    replaced: int
    unchanged: int


class NameRegistry:
    """Adds, removes and lists names; ``in_force`` gives them together with ``shipped``.

    ``audit`` is asked for only when something changes: whoever just judges needs no log.

    A row is never changed, only added and marked as removed, so that two counts tell whether
    any name changed since they were last read: by this process or by another.
    """

    def __init__(
        self,
        database: Database,
        audit: Callable[[], AuditOutbox],
        clock: Clock,
        shipped: Gazetteer,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self.in_force = InForce(
            database,
            ProtectedNameRow,
            read=lambda session: shipped.extended(_name(row) for row in _live(session)),
            nothing=shipped,
        )

    def list(self) -> tuple[OwnName, ...]:
        """The operator's names, oldest first."""
        with self._database.read() as session:
            return tuple(
                OwnName(
                    id=row.id,
                    name=_name(row),
                    note=row.note,
                    added_by=row.added_by,
                    created_at=row.created_at,
                )
                for row in _live(session)
            )

    def add(self, name: ProtectedName, *, note: str = "", by: str) -> str:
        """Protect a name from now on; return the id of its row.

        An id that a shipped list has as well gets more spellings by it. Raises InvalidRequest
        when the operator's own names hold this id already.
        """
        _require(name, note, by)
        with self._database.write() as session:
            if self._find(session, name) is not None:
                raise InvalidRequest(
                    "That id is among your own names: remove it first.", param="id"
                )
            return self._insert(session, name, note, by).id

    def remove(self, row_id: str) -> None:
        """End the protection of one of the operator's names. Raises NotFound."""
        with self._database.write() as session:
            row = session.get(ProtectedNameRow, row_id)
            if row is None or row.removed_at is not None:
                raise NotFound("There is no such name among your own; see 'names list'.")
            self._end(session, row)

    def bring_in(self, names: Iterable[ProtectedName], *, note: str, by: str) -> Imported:
        """Add many names at once, or none. One that is there and differs is replaced."""
        wanted = {(name.category, name.subject): name for name in names}
        if len(wanted) > MAX_IMPORTED:
            raise InvalidRequest(f"An import holds at most {MAX_IMPORTED} names.", param="file")
        added = replaced = unchanged = 0
        with self._database.write() as session:
            for name in wanted.values():
                _require(name, note, by)
                row = self._find(session, name)
                if row is not None and _name(row) == name:
                    unchanged += 1
                    continue
                if row is not None:
                    self._end(session, row)
                    session.flush()
                    replaced += 1
                else:
                    added += 1
                self._insert(session, name, note, by)
        return Imported(added=added, replaced=replaced, unchanged=unchanged)

    def _insert(
        self, session: Session, name: ProtectedName, note: str, by: str
    ) -> ProtectedNameRow:
        row = ProtectedNameRow(
            id=f"name_{secrets.token_hex(8)}",
            category=name.category.value,
            subject=name.subject,
            name=name.name,
            aliases=list(name.aliases),
            certain=name.certain,
            neutral=name.neutral,
            note=note,
            added_by=by,
            created_at=self._clock(),
        )
        session.add(row)
        session.flush()
        self._note(session, row, EventKind.NAME_ADDED)
        return row

    def _end(self, session: Session, row: ProtectedNameRow) -> None:
        row.removed_at = self._clock()
        self._note(session, row, EventKind.NAME_REMOVED)

    def _note(self, session: Session, row: ProtectedNameRow, kind: EventKind) -> None:
        # A protected name may be that of a person who asked for protection: never in the leaf.
        self._audit().record(
            session,
            Event(
                id=f"{row.id}:{kind}",
                kind=kind,
                subject=row.id,
                facts={"category": row.category},
                personal={
                    "subject": row.subject,
                    "name": row.name,
                    "aliases": list(row.aliases),
                    "by": row.added_by,
                },
            ),
        )

    @staticmethod
    def _find(session: Session, name: ProtectedName) -> ProtectedNameRow | None:
        return session.scalars(
            sa.select(ProtectedNameRow).where(
                ProtectedNameRow.category == name.category.value,
                ProtectedNameRow.subject == name.subject,
                ProtectedNameRow.removed_at.is_(None),
            )
        ).one_or_none()


def _live(session: Session) -> Iterable[ProtectedNameRow]:
    return session.scalars(
        sa.select(ProtectedNameRow)
        .where(ProtectedNameRow.removed_at.is_(None))
        .order_by(ProtectedNameRow.created_at, ProtectedNameRow.id)
    ).all()


def _name(row: ProtectedNameRow) -> ProtectedName:
    try:
        category = Category(row.category)
    except ValueError as fault:
        raise GazetteerInvalid("A stored name is of an unknown category.") from fault
    return ProtectedName(
        category=category,
        subject=row.subject,
        name=row.name,
        aliases=tuple(row.aliases),
        certain=row.certain,
        neutral=row.neutral,
    )


def _require(name: ProtectedName, note: str, by: str) -> None:
    if not (0 < len(by) <= MAX_WHO_CHARS):
        raise InvalidRequest("Say who adds the name.", param="by")
    if len(note) > MAX_NOTE_CHARS or len(name.neutral) > MAX_NEUTRAL_CHARS:
        raise InvalidRequest("The note or the neutral words are too long.", param="note")
