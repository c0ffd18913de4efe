"""Transactions on both databases."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from gateway.db import Database
from gateway.tables import WorkerRow
from tests.postgres import PostgresServer


def row(name: str) -> WorkerRow:
    return WorkerRow(id=name, place="here", expires=0.0)


def names(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(sa.select(WorkerRow.id)))


def test_a_write_is_kept_whole_or_not_at_all(database: Database) -> None:
    with database.write() as session:
        session.add(row("kept"))

    def broken() -> None:
        with database.write() as session:
            session.add(row("lost"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    with database.read() as session:
        session.add(row("only read"))
        session.flush()
    assert names(database) == {"kept"}


def test_what_a_frozen_writer_holds_is_free_again(postgres: PostgresServer) -> None:
    """On SQLite it is not: docs/operations.md."""
    with postgres.database() as name:
        url = postgres.url(name)
        frozen, other = Database(url, idle_write_ms=300), Database(url)
        with other.write() as session:
            WorkerRow.__table__.create(session.connection())  # type: ignore[attr-defined]
            session.add(row("shared"))
        mine = sa.select(WorkerRow).where(WorkerRow.id == "shared").with_for_update()
        held, wake = threading.Event(), threading.Event()
        caught: list[str] = []

        def freeze() -> None:
            try:
                with frozen.write() as session:
                    session.scalars(mine).one().place = "frozen"
                    session.flush()
                    held.set()
                    wake.wait(60)
            except sa.exc.DatabaseError as fault:
                caught.append(type(fault.orig).__name__)

        thread = threading.Thread(target=freeze)
        thread.start()
        assert held.wait(30)
        with other.write() as session:
            session.scalars(mine).one().place = "other"
        wake.set()
        thread.join(30)
        with frozen.read() as session:
            assert session.scalars(mine).one().place == "other"
        assert caught == ["IdleInTransactionSessionTimeout"]
        frozen.dispose()
        other.dispose()
