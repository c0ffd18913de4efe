"""The check: every changed byte and row of the log in the database is found."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from gateway.audit.books import Books, check_database
from gateway.audit.check import Check, plain
from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.audit.report import CheckReport, FaultKind
from gateway.tables import AuditCheckpoint, AuditEntryRow, AuditTile
from tests.contract.audit_kit import NOON, Room, event, open_room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    opened = open_room(tmp_path)
    yield opened
    opened.database.dispose()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A log of 300 entries (two tiles and one above) under three checkpoints."""
    opened = open_room(tmp_path_factory.mktemp("full"))
    opened.fill(300, batch=120)
    yield opened
    opened.database.dispose()


def checked(room: Room, **more: object) -> CheckReport:
    return check_database(
        room.database, room.key.verifier, **{"now": NOON, "anchor": None, **more}
    )


def kinds(report: CheckReport) -> set[FaultKind]:
    return {fault.kind for fault in report.faults}


def note_of(room: Room) -> str:
    head = room.log.checkpoint()
    assert head is not None
    return head.note


def test_a_sound_log_has_no_fault(full: Room) -> None:
    report = checked(full, anchor=note_of(full))
    assert report.ok
    assert (report.entries, report.checkpoints, report.anchored) == (300, 3, True)
    assert plain(report) == "audit check: ok (300 entries, 3 checkpoints)\n"


def test_an_empty_log_has_no_fault(room: Room) -> None:
    assert checked(room) == CheckReport(entries=0, checkpoints=0, faults=(), anchored=False)


LOGGED = {
    "audit_entries": ("event_id", "subject", "leaf"),
    "audit_tiles": ("hashes",),
    "audit_checkpoints": ("note",),
}
TEXTS = {"event_id", "subject", "note"}


def test_every_changed_byte_in_the_database_is_found(room: Room) -> None:
    """All bytes of a small log: leaves and their copies, tiles, notes."""
    room.fill(2, batch=1)
    room.execute("SELECT 1")  # This takes the triggers away.
    tried = 0
    with room.database.read() as session:
        for table, names in LOGGED.items():
            for name in names:
                for row, whole in cells(session, table, name):
                    for at in range(len(whole)):
                        turned = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
                        with contextlib.suppress(sa.exc.IntegrityError):  # An id that is taken.
                            put(session, table, name, row, turned)
                            report = Check(Books(session), room.key.verifier).run()
                            assert not report.ok, (table, name, row, at)
                        tried += 1
                    put(session, table, name, row, whole)
        assert Check(Books(session), room.key.verifier).run().ok
    assert tried > 800


def cells(session: Session, table: str, name: str) -> list[tuple[int, bytes]]:
    query = f"SELECT rowid, CAST({name} AS BLOB) FROM {table}"
    return [(row, value) for row, value in session.execute(sa.text(query))]


def put(session: Session, table: str, name: str, row: int, value: bytes) -> None:
    kind = "TEXT" if name in TEXTS else "BLOB"
    statement = f"UPDATE {table} SET {name} = CAST(:value AS {kind}) WHERE rowid = :row"
    session.execute(sa.text(statement), {"value": value, "row": row})


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_changed_byte_in_a_larger_log_is_found(full: Room, data: st.DataObject) -> None:
    places = [(table, name) for table, names in LOGGED.items() for name in names]
    table, name = data.draw(st.sampled_from(places))
    full.execute("SELECT 1")
    with full.database.read() as session:
        row, good = data.draw(st.sampled_from(cells(session, table, name)))
        whole = bytearray(good)
        at = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[at]))
        with contextlib.suppress(sa.exc.IntegrityError):
            put(session, table, name, row, bytes(whole))
            assert not Check(Books(session), full.key.verifier).run().ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_head SET size = 299",
        "UPDATE audit_head SET size = 301",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head VALUES (2, 300)",
        "UPDATE audit_entries SET idx = 300 WHERE idx = 5",
        "UPDATE audit_entries SET idx = -1 WHERE idx = 0",
        "DELETE FROM audit_entries WHERE idx = 5",
        "DELETE FROM audit_entries WHERE idx = 299",
        "INSERT INTO audit_entries SELECT 300, 'x:y', 'x', leaf FROM audit_entries LIMIT 1",
        "UPDATE audit_entries SET leaf = 'text' WHERE idx = 5",
        "UPDATE audit_entries SET leaf = x'' WHERE idx = 5",
        "UPDATE audit_entries SET leaf = 5 WHERE idx = 5",
        "DELETE FROM audit_tiles WHERE level = 1",
        "UPDATE audit_tiles SET hashes = substr(hashes, 1, 32) WHERE idx = 1",
        "UPDATE audit_tiles SET hashes = hashes || hashes WHERE idx = 1",
        "UPDATE audit_tiles SET hashes = 'text' WHERE idx = 1",
        "INSERT INTO audit_tiles VALUES (0, 2, zeroblob(32))",
        "INSERT INTO audit_tiles VALUES (2, 0, zeroblob(32))",
        "INSERT INTO audit_tiles VALUES (-1, 0, zeroblob(32))",
        "UPDATE audit_checkpoints SET size = 121 WHERE size = 120",
        "UPDATE audit_checkpoints SET note = 5 WHERE size = 120",
        "UPDATE audit_checkpoints SET note = (SELECT max(note) FROM audit_checkpoints)",
        "DELETE FROM audit_entries",
    ],
)
def test_a_changed_row_is_found(tmp_path: Path, full: Room, statement: str) -> None:
    copy_database(full, tmp_path)
    copy = open_room(tmp_path)
    copy.key = full.key
    copy.execute(statement)
    report = checked(copy)
    copy.database.dispose()
    assert not report.ok
    assert plain(report).splitlines()[-1].startswith("audit check: ")
    assert "ok" not in plain(report).splitlines()[-1]


def copy_database(room: Room, target: Path) -> None:
    with room.database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql(f"VACUUM INTO '{target / 'log.db'}'")
        connection.exec_driver_sql("BEGIN")


def cut_back(room: Room, size: int) -> None:
    """What an operator with the key can do: forget the newest entries, and tidy up."""
    with room.database.read() as session:
        leaves = session.scalars(
            sa.select(AuditEntryRow.leaf).where(AuditEntryRow.index < size)
        ).all()
    for table in ("audit_entries", "audit_tiles", "audit_checkpoints", "audit_head"):
        room.execute(f"DELETE FROM {table}")
    for leaf in leaves:
        value = json.loads(leaf)
        room.execute(
            "INSERT INTO audit_outbox (event_id, leaf) VALUES (?, ?)", value["id"], leaf
        )
    while SqlAuditLog(room.database, room.key, lambda: NOON).sequence():
        pass


def test_a_log_that_was_cut_back_is_found_with_an_anchor_only(room: Room) -> None:
    room.fill(20, batch=10)
    anchor = note_of(room)
    cut_back(room, 15)
    assert checked(room).ok, "without an anchor this cannot be seen"
    report = checked(room, anchor=anchor)
    assert kinds(report) == {FaultKind.TRUNCATED}


def test_a_log_that_was_written_anew_is_found_with_an_anchor(room: Room) -> None:
    room.fill(20)
    anchor = note_of(room)
    cut_back(room, 15)
    room.record(*(event(1_000 + n) for n in range(10)))
    room.log.sequence()
    assert checked(room).ok
    assert kinds(checked(room, anchor=anchor)) == {FaultKind.FORKED}


def test_an_anchor_of_another_log_is_refused(full: Room) -> None:
    stranger = CheckpointKey.create().sign(300, bytes(32))
    assert kinds(checked(full, anchor=stranger)) == {FaultKind.SIGNATURE}
    assert kinds(checked(full, anchor="")) == {FaultKind.SIGNATURE}


def test_another_key_makes_every_checkpoint_a_fault(full: Room) -> None:
    report = check_database(full.database, CheckpointKey.create().verifier, now=NOON)
    assert kinds(report) == {FaultKind.SIGNATURE}
    assert report.checkpoints == 0


def test_the_report_stops_at_a_hundred_faults(room: Room) -> None:
    room.fill(150)
    room.execute("UPDATE audit_entries SET subject = 'other'")
    assert len(checked(room).faults) == 100


def test_there_are_rows_to_check(full: Room) -> None:
    with full.database.read() as session:
        for table, count in ((AuditTile, 3), (AuditCheckpoint, 3), (AuditEntryRow, 300)):
            assert session.scalar(sa.select(sa.func.count()).select_from(table)) == count
