"""The check: every changed byte is found, in the database and in an export."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from gateway.audit import check, folder
from gateway.audit.books import Books, check_database
from gateway.audit.check import Check, check_export, main, plain
from gateway.audit.checkpoint import CheckpointFault, CheckpointKey
from gateway.audit.export import export
from gateway.audit.log import SqlAuditLog
from gateway.audit.report import CheckReport, FaultKind
from gateway.errors import Conflict, NotFound
from gateway.tables import AuditCheckpoint, AuditEntryRow, AuditTile
from tests.contract.audit_kit import NOON, Room, event, open_room, release, video_row

LATER = NOON + dt.timedelta(minutes=5)


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


@pytest.fixture(scope="module")
def exported(full: Room) -> Path:
    path = full.folder / "export"
    export(full.database, full.key.verifier, path)
    return path


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
    room.execute("INSERT INTO tenants VALUES ('tnt_2', 'Other', '2026-11-22')")
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


def test_a_sound_export_has_no_fault(full: Room, exported: Path) -> None:
    report = check_export(exported, full.key.verifier.text, note_of(full))
    assert report.ok
    assert (report.entries, report.checkpoints, report.anchored) == (300, 1, True)
    assert {path.relative_to(exported).as_posix() for path in files(exported)} == {
        "checkpoint",
        "verifier-key",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    }


def files(path: Path) -> list[Path]:
    return sorted(found for found in path.rglob("*") if found.is_file())


def test_every_changed_byte_in_a_small_export_is_found(room: Room) -> None:
    room.fill(3)
    path = room.folder / "small"
    export(room.database, room.key.verifier, path)
    tried = 0
    for file in files(path):
        good = file.read_bytes()
        for at in range(len(good)):
            file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            assert not check_export(path, room.key.verifier.text).ok, (file.name, at)
            tried += 1
        for other in (b"", good[:-1], good + b"\n", good + good):
            file.write_bytes(other)
            assert not check_export(path, room.key.verifier.text).ok, (file.name, len(other))
        file.unlink()
        assert not check_export(path, room.key.verifier.text).ok
        file.write_bytes(good)
    assert check_export(path, room.key.verifier.text).ok
    assert tried > 900


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_changed_byte_in_a_larger_export_is_found(
    full: Room, exported: Path, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(files(exported)))
    good = file.read_bytes()
    at = data.draw(st.integers(min_value=0, max_value=len(good) - 1))
    byte = data.draw(st.integers(min_value=0, max_value=255).filter(lambda b: b != good[at]))
    file.write_bytes(good[:at] + bytes([byte]) + good[at + 1 :])
    try:
        assert not check_export(exported, full.key.verifier.text).ok
    finally:
        file.write_bytes(good)


def test_strange_files_and_links_in_an_export_are_found(
    full: Room, exported: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    (copy / "tile" / "0" / "002").write_bytes(bytes(32))
    assert kinds(check_export(copy, full.key.verifier.text)) == {FaultKind.STRAY}
    (copy / "tile" / "0" / "002").unlink()
    (copy / "checkpoint").rename(tmp_path / "elsewhere")
    (copy / "checkpoint").symlink_to(tmp_path / "elsewhere")
    assert kinds(check_export(copy, full.key.verifier.text)) == {FaultKind.STRAY}


def test_an_export_that_was_cut_back_is_found_with_an_anchor(room: Room) -> None:
    room.fill(10)
    export(room.database, room.key.verifier, room.folder / "old")
    room.record(event(99))
    room.log.sequence()
    anchor = note_of(room)
    key = room.key.verifier.text
    assert check_export(room.folder / "old", key).ok
    report = check_export(room.folder / "old", key, anchor)
    assert kinds(report) == {FaultKind.TRUNCATED}


def test_an_export_under_another_key_is_refused(exported: Path) -> None:
    report = check_export(exported, CheckpointKey.create().verifier.text)
    assert kinds(report) == {FaultKind.SIGNATURE}
    with pytest.raises(CheckpointFault):
        check_export(exported, "not a key")


def test_an_export_needs_a_checkpoint_and_a_new_folder(room: Room) -> None:
    with pytest.raises(NotFound):
        export(room.database, room.key.verifier, room.folder / "out")
    room.fill(1)
    export(room.database, room.key.verifier, room.folder / "out")
    with pytest.raises(Conflict):
        export(room.database, room.key.verifier, room.folder / "out")
    assert not list(room.folder.glob(".out*"))


def test_an_export_holds_what_the_checkpoint_covers_and_no_more(room: Room) -> None:
    room.record(event(0, personal={"prompt": "a heron"}))
    room.log.sequence()
    room.execute("DELETE FROM audit_checkpoints WHERE size > 1")
    room.record(event(1))
    room.log.sequence()
    room.execute("DELETE FROM audit_checkpoints WHERE size > 1")
    export(room.database, room.key.verifier, room.folder / "out")
    assert check_export(room.folder / "out", room.key.verifier.text).entries == 1
    assert not any(b"heron" in path.read_bytes() for path in files(room.folder / "out"))


def test_the_command_needs_nothing_but_cryptography(full: Room, exported: Path) -> None:
    anchor = full.folder / "anchor"
    anchor.write_text(note_of(full), encoding="utf-8")
    code = (
        "import sys; from gateway.audit import check; result = check.main(sys.argv[1:]);"
        "third = {'sqlalchemy', 'pydantic', 'structlog', 'rfc8785', 'alembic', 'fastapi'};"
        "assert not third & set(sys.modules), third & set(sys.modules); sys.exit(result)"
    )
    key = full.key.verifier.text
    arguments = [str(exported), "--key", key, "--anchor", str(anchor)]
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "audit check: ok (300 entries, 1 checkpoint)\n"


def test_the_command_says_what_is_wrong(
    full: Room, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    (copy / "tile" / "1" / "000.p" / "1").unlink()
    key = full.key.verifier.text
    assert main([str(copy), "--key", key]) == check.EXIT_FAULTS
    assert capsys.readouterr().out.splitlines() == [
        "missing: tile 1/0: it does not hold the entries' hashes",
        "no anchor: a log that was cut back and signed again would not show",
        "audit check: 1 fault (300 entries, 1 checkpoint)",
    ]
    assert main([str(copy), "--key", key, "--json"]) == check.EXIT_FAULTS
    assert json.loads(capsys.readouterr().out)["faults"][0]["kind"] == "missing"
    assert main([str(copy), "--key", "x"]) == check.EXIT_UNCHECKED
    assert main([str(copy), "--key", key, "--anchor", "/absent"]) == check.EXIT_UNCHECKED
    assert main([str(tmp_path / "absent"), "--key", key]) == check.EXIT_FAULTS


def test_tile_paths_are_those_of_the_specification() -> None:
    # c2sp.org/tlog-tiles: 1234067 is x001/x234/067.
    assert folder.tile_path(0, 1_234_067, 256) == "tile/0/x001/x234/067"
    assert folder.tile_path(0, 273, 112) == "tile/0/273.p/112"
    assert folder.tile_path(1, 0, 256) == "tile/1/000"
    assert folder.bundle_path(1_000, 5) == "tile/entries/x001/000.p/5"


@settings(max_examples=100)
@given(leaves=st.lists(st.binary(max_size=50), max_size=20), junk=st.binary(max_size=60))
def test_bundles_hold_what_was_put_in_and_nothing_else(
    leaves: list[bytes], junk: bytes
) -> None:
    packed = folder.pack(leaves)
    assert folder.unpack(packed, len(leaves)) == leaves
    with pytest.raises(ValueError):
        folder.unpack(packed + b"x", len(leaves))
    if leaves:
        with pytest.raises(ValueError):
            folder.unpack(packed[:-1], len(leaves))
    with contextlib.suppress(ValueError):
        assert folder.pack(folder.unpack(junk, 3)) == junk


def test_the_report_stops_at_a_hundred_faults(room: Room) -> None:
    room.fill(150)
    room.execute("UPDATE audit_entries SET subject = 'other'")
    assert len(checked(room).faults) == 100


def test_there_are_rows_to_check(full: Room) -> None:
    with full.database.read() as session:
        for table, count in ((AuditTile, 3), (AuditCheckpoint, 3), (AuditEntryRow, 300)):
            assert session.scalar(sa.select(sa.func.count()).select_from(table)) == count
