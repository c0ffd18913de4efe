"""The database: one engine, one way to open a transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

BUSY_TIMEOUT_MS = 30_000
# PostgreSQL ends a write transaction in which nothing happened for so long: a worker that was
# frozen inside one would otherwise keep its rows, and the head of the log, from all others.
IDLE_WRITE_MS = 15_000
# For a server that is gone without a word: seconds, but for the last, in milliseconds.
POSTGRES_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# What the database raises while it is away, restarts or has no room; not what a wrong statement
# or a broken rule of a table raises.
DATABASE_AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError)
JULIAN_DAY_OF_1970 = 2_440_587.5


class Database:
    """An engine with the pragmas that durability needs, and short transactions.

    On SQLite the file is in WAL mode with ``synchronous=FULL`` (a commit survives power loss)
    and write transactions of this process queue on one lock: SQLite has a single writer, and
    threads that meet in its busy handler starve each other.
    """

    def __init__(self, url: str, *, idle_write_ms: int = IDLE_WRITE_MS) -> None:
        self.url = url
        # SET takes no parameters.
        self._limit_idling = sa.text(
            f"SET LOCAL idle_in_transaction_session_timeout = {int(idle_write_ms)}"
        )
        self.is_sqlite = url.startswith("sqlite")
        patience: dict[str, Any] = (
            {"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
            if self.is_sqlite
            else POSTGRES_PATIENCE
        )
        self.engine = sa.create_engine(
            url, pool_pre_ping=not self.is_sqlite, connect_args=patience
        )
        self._writer = threading.RLock()
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _set_pragmas)
            sa.event.listen(self.engine, "begin", _begin)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; nothing it changes is kept.

        It is closed without a commit, which undoes changes and leaves rows readable.
        """
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose transaction commits on leaving and rolls back on any exception.

        On SQLite the transaction is ``BEGIN IMMEDIATE``, so that a read followed by a write
        cannot fail on a lock that another process took in between. On PostgreSQL it fails
        when nothing happened in it for ``idle_write_ms``.
        """
        if not self.is_sqlite:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                session.execute(self._limit_idling)
                yield session
            return
        with self._writer, self.engine.connect() as connection:
            writing = connection.execution_options(cinegate_immediate=True)
            session = Session(bind=writing, expire_on_commit=False)
            with session, session.begin():
                yield session

    def has_any(self, rows: sa.Select[str]) -> bool:
        """Whether there is such a row; a database without the table has none.

        Raises what the database raises when it cannot say: that is not the same as none.
        """
        try:
            with self.read() as session:
                return session.scalar(rows.limit(1)) is not None
        except sa.exc.DatabaseError:
            known = sa.inspect(self.engine)
            asked = [each for each in rows.get_final_froms() if isinstance(each, sa.Table)]
            if all(known.has_table(table.name) for table in asked):
                raise
            return False

    def add_missing(self, session: Session, table: type[Any], **values: object) -> None:
        """Insert a row unless there is one of its primary key, whoever is inserting too."""
        dialect = sqlite if self.is_sqlite else postgresql
        session.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())

    def now(self) -> sa.ColumnElement[float]:
        """The database's own clock in an SQL expression: seconds since 1970, UTC."""
        if self.is_sqlite:
            days = sa.func.julianday("now", type_=sa.Double) - JULIAN_DAY_OF_1970
            return days * 86_400.0
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _set_pragmas(connection: Any, _record: object) -> None:
    # The driver must not open transactions by itself: ``_begin`` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("cinegate_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
