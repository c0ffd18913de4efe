"""The rows: how the log's tables are read and written, one statement each."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.errors import ConfigurationFault
from gateway.tables import AuditEntryRow, AuditHead, AuditOutbox, AuditPersonal, AuditTile

HEAD = 1


def _adding(mapping: Any, key: str) -> dict[str, Any]:
    """INSERT … ON CONFLICT DO NOTHING RETURNING key; built once, it is compiled once."""
    table = mapping.__table__
    return {
        name: dialect.insert(table)
        .on_conflict_do_nothing(index_elements=[key])
        .returning(table.c[key])
        for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
    }


_ADD_WAITING = _adding(AuditOutbox, "event_id")
_ADD_PERSONAL = _adding(AuditPersonal, "event_id")
_ADD_HEAD = _adding(AuditHead, "id")
_LOGGED = sa.select(AuditEntryRow.leaf).where(
    AuditEntryRow.event_id == sa.bindparam("event_id")
)
_WAITING = sa.select(AuditOutbox.leaf).where(AuditOutbox.event_id == sa.bindparam("event_id"))
_TILE = sa.select(AuditTile.hashes).where(
    AuditTile.level == sa.bindparam("level"), AuditTile.index == sa.bindparam("idx")
)


class SqlTiles:
    """Tiles read in one session, each at most once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[int, int], bytes] = {}

    def tile(self, level: int, index: int) -> bytes:
        """The stored hashes, or no bytes."""
        place = (level, index)
        if place not in self._known:
            connection = self._session.connection()
            found = connection.scalar(_TILE, {"level": level, "idx": index})
            self._known[place] = found or b""
        return self._known[place]


def add_waiting(session: Session, event_id: str, leaf: bytes) -> bool:
    """Put a leaf into the outbox unless its id is there; say whether it was added."""
    return _added(session, _ADD_WAITING, event_id=event_id, leaf=leaf)


def add_personal(session: Session, event_id: str, record_key: bytes, record: bytes) -> bool:
    """Keep a personal half unless there is one; say whether it was added."""
    return _added(
        session, _ADD_PERSONAL, event_id=event_id, record_key=record_key, record=record
    )


def logged_leaf(session: Session, event_id: str) -> bytes | None:
    """The leaf of an event that has an index."""
    return session.connection().scalar(_LOGGED, {"event_id": event_id})


def waiting_leaf(session: Session, event_id: str) -> bytes | None:
    """The leaf of an event that waits in the outbox."""
    return session.connection().scalar(_WAITING, {"event_id": event_id})


def locked_size(session: Session) -> int:
    """The size of the tree, locked until the transaction ends."""
    query = sa.select(AuditHead.size).where(AuditHead.id == HEAD).with_for_update()
    size = session.scalar(query)
    if size is None:
        _added(session, _ADD_HEAD, id=HEAD, size=0)
        size = session.scalar(query)
    if size is not None:
        return size
    raise ConfigurationFault("The log has no head.")


def put_tile(session: Session, level: int, index: int, hashes: bytes, *, is_new: bool) -> None:
    """Store a tile that is new, or that has grown."""
    if is_new:
        session.execute(sa.insert(AuditTile).values(level=level, index=index, hashes=hashes))
        return
    session.execute(
        sa.update(AuditTile)
        .where(AuditTile.level == level, AuditTile.index == index)
        .values(hashes=hashes)
    )


def _added(session: Session, statements: dict[str, Any], **values: object) -> bool:
    connection = session.connection()
    return connection.scalar(statements[connection.dialect.name], values) is not None
