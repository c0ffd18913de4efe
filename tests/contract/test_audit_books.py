"""The books: the log against the state that it should explain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.books import check_database
from gateway.audit.report import CheckReport, FaultKind
from tests.contract.audit_kit import NOON, Room, event, open_room, release, video_row

LATER = NOON + dt.timedelta(minutes=5)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    opened = open_room(tmp_path)
    yield opened
    opened.database.dispose()


def checked(room: Room, **more: object) -> CheckReport:
    return check_database(
        room.database, room.key.verifier, **{"now": NOON, "anchor": None, **more}
    )


def kinds(report: CheckReport) -> set[FaultKind]:
    return {fault.kind for fault in report.faults}


TEXTS = {"event_id", "subject", "note"}


def test_every_changed_byte_of_a_personal_half_is_found(room: Room) -> None:
    room.record(event(0, personal={"prompt": "a heron"}))
    room.log.sequence()
    for name in ("event_id", "record_key", "record"):
        with room.database.read() as session:
            ((row, whole),) = cells(session, "audit_personal", name)
        for at in range(len(whole)):
            turned = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            with room.database.write() as session:
                put(session, "audit_personal", name, row, turned)
            assert FaultKind.PERSONAL in kinds(checked(room)), (name, at)
        with room.database.write() as session:
            put(session, "audit_personal", name, row, whole)
    assert checked(room).ok


def cells(session: Session, table: str, name: str) -> list[tuple[int, bytes]]:
    query = f"SELECT rowid, CAST({name} AS BLOB) FROM {table}"
    return [(row, value) for row, value in session.execute(sa.text(query))]


def put(session: Session, table: str, name: str, row: int, value: bytes) -> None:
    kind = "TEXT" if name in TEXTS else "BLOB"
    statement = f"UPDATE {table} SET {name} = CAST(:value AS {kind}) WHERE rowid = :row"
    session.execute(sa.text(statement), {"value": value, "row": row})


def test_an_event_that_waits_too_long_is_reported(room: Room) -> None:
    room.record(event(1))
    assert checked(room, now=NOON + dt.timedelta(seconds=59)).ok
    assert kinds(checked(room, now=LATER)) == {FaultKind.WAITING}


def test_an_entry_that_nobody_signed_is_reported(room: Room) -> None:
    room.fill(2)
    room.execute("DELETE FROM audit_checkpoints")
    assert checked(room, now=NOON).ok
    assert kinds(checked(room, now=LATER)) == {FaultKind.UNSIGNED}


def test_a_waiting_event_that_is_no_entry_is_reported(room: Room) -> None:
    room.record(event(1), event(2))
    room.execute("UPDATE audit_outbox SET leaf = x'7b7d' WHERE id = 1")
    room.execute("UPDATE audit_outbox SET event_id = 'a:b' WHERE id = 2")
    assert kinds(checked(room)) == {FaultKind.MALFORMED, FaultKind.CHANGED}


def test_an_event_that_was_logged_twice_is_reported(room: Room) -> None:
    room.fill(1)
    leaf = room.log.entries()[0].leaf
    room.execute("UPDATE audit_entries SET event_id = 'moved:away'")
    room.execute("INSERT INTO audit_outbox (event_id, leaf) VALUES ('video_0:x', ?)", leaf)
    room.log.sequence()
    assert FaultKind.DUPLICATE in kinds(checked(room))


def test_a_personal_half_may_go_only_on_record(room: Room) -> None:
    room.record(event(1, personal={"prompt": "x"}), event(2, personal={"prompt": "y"}))
    room.log.sequence()
    with room.database.write() as session:
        room.log.erase(session, event(1).id)
    assert checked(room).ok
    room.log.sequence()
    assert checked(room).ok
    room.execute("DELETE FROM audit_personal")
    assert kinds(checked(room)) == {FaultKind.PERSONAL}


def test_released_videos_agree_with_the_log(room: Room) -> None:
    release(room, 1)
    release(room, 2)
    assert checked(room, now=LATER).ok


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE videos SET sha256 = '{'f' * 64}'",
        "UPDATE videos SET clip_id = 'ffffffffffffffff'",
        "UPDATE videos SET tenant_id = 'tnt_2'",
        "UPDATE videos SET size_bytes = 1001",
        "UPDATE videos SET manifest_id = 'urn:other'",
        "UPDATE videos SET state = 'deleted', sha256 = 'f'",
        "UPDATE videos SET audit_index = 1",
        "UPDATE videos SET audit_index = 9",
        "UPDATE videos SET audit_index = -1",
        "UPDATE videos SET audit_index = NULL",
        "UPDATE videos SET state = 'failed'",
        "UPDATE videos SET state = 'deleted'",
        "UPDATE videos SET id = 'video_2'",
        "DELETE FROM videos",
    ],
)
def test_a_released_video_that_the_log_contradicts_is_found(room: Room, statement: str) -> None:
    release(room, 1)
    room.execute(
        "INSERT INTO tenants (id, name, created_at) VALUES ('tnt_2', 'Other', '2026-11-22')"
    )
    assert checked(room).ok
    room.execute(statement)
    assert FaultKind.STATE in kinds(checked(room))


def test_a_video_that_was_released_past_the_log_is_found(room: Room) -> None:
    with room.database.write() as session:
        video_row(
            session,
            1,
            state="released",
            sha256="0" * 64,
            size_bytes=9,
            watermark_ok=True,
            credentials_ok=True,
            audit_index=0,
        )
    assert FaultKind.STATE in kinds(checked(room))
    room.fill(1)
    assert FaultKind.STATE in kinds(checked(room))


def test_a_damaged_index_of_the_file_is_found(room: Room) -> None:
    room.fill(40)
    with room.database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    assert checked(room).ok
    room.database.dispose()
    path = room.folder / "log.db"
    whole = path.read_bytes()
    # The index on event ids holds each id a second time; the table comes last or first.
    places = [at for at in range(len(whole)) if whole.startswith(b"video_17:mark", at)]
    assert len(places) >= 2
    for at in places:
        path.write_bytes(whole[: at + 6] + b"8" + whole[at + 7 :])
        assert not checked(room).ok, at
        room.database.dispose()
    path.write_bytes(whole)
    assert checked(room).ok


def test_a_deletion_on_record_is_no_fault(room: Room) -> None:
    release(room, 1)
    with room.database.write() as session:
        room.log.record(session, event(1, kind="video.deleted"))
    room.execute("UPDATE videos SET state = 'deleted'")
    assert checked(room).ok
    room.log.sequence()
    room.execute("DELETE FROM videos")
    assert checked(room).ok


def test_a_stage_or_verdict_without_an_entry_is_found(room: Room) -> None:
    room.record(event(1))
    with room.database.write() as session:
        video_row(session, 1)
    stage = "INSERT INTO stages VALUES ('video_1', ?, '{}', '2026-11-22')"
    room.execute(stage, "mark")
    verdict = (
        "INSERT INTO verdicts (subject, event_id, stage, action, scores, reasons, policy,"
        " judges, created_at) VALUES ('video_1', ?, 'p', 'allow', '{}', '[]', '', '[]', '')"
    )
    room.execute(verdict, event(1).id)
    assert checked(room).ok
    room.log.sequence()
    assert checked(room).ok
    room.execute(stage, "sign")
    room.execute(verdict, "video_1:x:y")
    assert [fault.where for fault in checked(room).faults] == ["video_1:x:y", "video_1:sign"]
