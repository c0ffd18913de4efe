"""What an operator's rows say now, read again only when they changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.db import Database
from gateway.tables import EnrolledFaceRow, HashListRow, ProtectedNameRow

T = TypeVar("T")


EndedRow = type[ProtectedNameRow] | type[HashListRow] | type[EnrolledFaceRow]
"""Tables whose rows are added and ended, and never changed otherwise."""


class InForce(Generic[T]):
    """``read`` makes a value of the rows of ``table``; ``nothing`` is that of no rows at all.

    Two counts, of all rows and of the ended ones, tell whether any row changed, by this process
    or by another: one small query each time, and ``read`` only when they differ.
    """

    def __init__(
        self,
        database: Database,
        table: EndedRow,
        *,
        read: Callable[[Session], T],
        nothing: T,
    ) -> None:
        self._database = database
        self._table = table
        self._read = read
        self._nothing = nothing
        self._lock = threading.Lock()
        self._cached: tuple[tuple[int, int], T] | None = None

    def __call__(self) -> T:
        """The value as it is now; ``nothing`` where no instance or table was ever prepared.

        Raises whatever the database or ``read`` raises: whoever judges by it must then hold
        what it judges.
        """
        if self._has_no_file():
            return self._nothing
        try:
            return self._now()
        except sa.exc.DatabaseError:
            if sa.inspect(self._database.engine).has_table(self._table.__tablename__):
                raise
            return self._nothing

    def _now(self) -> T:
        with self._database.read() as session:
            version = self._version(session)
            with self._lock:
                if self._cached is not None and self._cached[0] == version:
                    return self._cached[1]
            value = self._read(session)
        with self._lock:
            self._cached = (version, value)
        return value

    def _version(self, session: Session) -> tuple[int, int]:
        table = self._table
        counts = sa.select(sa.func.count(table.id), sa.func.count(table.removed_at))
        rows, ended = session.execute(counts).one()
        return int(rows), int(ended)

    def _has_no_file(self) -> bool:
        """True where no instance was ever prepared: opening the database would make one."""
        path = self._database.engine.url.database
        return self._database.is_sqlite and path is not None and not Path(path).exists()
