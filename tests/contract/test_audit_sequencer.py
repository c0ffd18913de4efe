"""The sequencer: nothing lost between writers, processes and crashes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.audit.checkpoint import Verifier
from gateway.audit.entry import EntryFault
from gateway.audit.keys import CheckpointKey, KeyFile
from gateway.audit.log import SqlAuditLog
from gateway.audit.sequencer import Sequencer
from gateway.db import Database
from gateway.errors import StageUnavailable
from gateway.tables import AuditEntryRow, AuditOutbox
from tests.contract.audit_kit import Room, event, noon, open_room


@pytest.fixture
def room(tmp_path: Path, database: Database) -> Room:
    return open_room(tmp_path, database=database)


class BrokenSigner:
    """A key service that is down, or one that signs what it likes."""

    def __init__(self, key: CheckpointKey, note: str | None = None) -> None:
        self.verifier: Verifier = key.verifier
        self.note = note

    def sign(self, _size: int, _root: bytes) -> str:
        if self.note is None:
            raise ConnectionError("the key service is down")
        return self.note


def count(room: Room, table: type) -> int:
    with room.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_an_event_is_covered_once_it_is_sequenced_and_signed(room: Room) -> None:
    room.record(event(7))
    assert room.log.index_of(event(7).id) is None
    assert room.log.covered(event(7).id) is None
    assert room.log.sequence() == 1
    assert room.log.index_of(event(7).id) == 0
    assert room.log.covered(event(7).id) == 0
    assert room.log.covered(event(8).id) is None
    assert count(room, AuditOutbox) == 0


def test_eight_writers_lose_nothing_and_leave_no_gap(room: Room) -> None:
    sequencer = Sequencer(room.log, beat=0.01)
    sequencer.start()

    def write(writer: int) -> None:
        for number in range(30):
            room.record(event(writer * 1_000 + number))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    sequencer.stop()
    assert sequencer.fault is None
    with room.database.read() as session:
        rows = session.execute(
            sa.select(AuditEntryRow.index, AuditEntryRow.subject).order_by(AuditEntryRow.index)
        ).all()
    assert [index for index, _ in rows] == list(range(240))
    expected = {f"video_{w * 1_000 + n}" for w in range(8) for n in range(30)}
    assert {subject for _, subject in rows} == expected
    # Each writer's own events keep their order.
    for writer in range(8):
        mine = [int(s.removeprefix("video_")) for _, s in rows]
        mine = [n for n in mine if n // 1_000 == writer]
        assert mine == sorted(mine)
    head = room.log.checkpoint()
    assert head is not None
    assert head.size == 240


def _sequence(url: str, folder: str, first: int, amount: int) -> int:
    database = Database(url)
    key = KeyFile.load_or_create(Path(folder) / "keys")
    log = SqlAuditLog(database, key, noon)
    moved = 0
    for number in range(first, first + amount):
        with database.write() as session:
            log.record(session, event(number))
        moved += log.sequence()
    moved += log.sequence()
    database.dispose()
    return moved


def test_sequencers_in_several_processes_share_one_log(room: Room) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        place = (room.database.url, str(room.folder))
        jobs = [(*place, 0, 30), (*place, 1_000, 30)]
        moved = pool.starmap(_sequence, jobs, chunksize=1)
    assert sum(moved) == 60
    assert [each.index for each in room.log.entries(limit=500)] == list(range(59, -1, -1))
    for number in (0, 29, 1_000, 1_029):
        assert room.log.covered(event(number).id) is not None


class DyingSigner:
    """Ends the process, as a power cut would, after the commit and before the signature."""

    def __init__(self, key: CheckpointKey) -> None:
        self.verifier = key.verifier

    def sign(self, _size: int, _root: bytes) -> str:
        os._exit(9)


def _die_before_signing(url: str, folder: str) -> None:
    database = Database(url)
    key = KeyFile.load_or_create(Path(folder) / "keys")
    SqlAuditLog(database, DyingSigner(key), noon).sequence()


def test_what_was_committed_before_a_crash_is_signed_after_it(room: Room) -> None:
    room.fill(2)
    room.record(event(8), event(9))
    process = multiprocessing.get_context("spawn").Process(
        target=_die_before_signing, args=(room.database.url, str(room.folder))
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert room.log.index_of(event(9).id) == 3
    assert room.log.covered(event(9).id) is None
    assert room.log.sequence() == 0
    assert room.log.covered(event(9).id) == 3


def test_the_sequencer_covers_an_event_within_a_second(room: Room) -> None:
    sequencer = Sequencer(room.log)
    sequencer.start()
    sequencer.start()
    try:
        room.record(event(1))
        assert sequencer.wait_until_covered(event(1).id, timeout=30) == 0
    finally:
        sequencer.stop()
    sequencer.stop()


def test_waiting_needs_no_thread(room: Room) -> None:
    room.record(event(1))
    assert Sequencer(room.log).wait_until_covered(event(1).id, timeout=0) == 0


def test_waiting_for_what_is_not_signed_ends_in_an_error(room: Room) -> None:
    broken = SqlAuditLog(room.database, BrokenSigner(room.key), noon)
    sequencer = Sequencer(broken, beat=0.01)
    sequencer.start()
    room.record(event(1))
    try:
        with pytest.raises(StageUnavailable) as refusal:
            sequencer.wait_until_covered(event(1).id, timeout=0.3)
    finally:
        sequencer.stop()
    assert isinstance(sequencer.fault, ConnectionError)
    assert isinstance(refusal.value.__cause__, ConnectionError)


def test_a_stopping_sequencer_signs_what_is_still_waiting(room: Room) -> None:
    sequencer = Sequencer(room.log, beat=60)
    sequencer.start()
    room.record(event(1))
    sequencer.stop()
    assert room.log.covered(event(1).id) == 0


def test_more_than_a_batch_is_sequenced_in_turns(room: Room) -> None:
    room.record(*(event(n) for n in range(1_001)))
    assert room.log.sequence() == 1_000
    assert room.log.sequence() == 1
    assert room.log.sequence() == 0


def test_a_leaf_that_somebody_broke_in_the_outbox_stops_the_log(room: Room) -> None:
    room.record(event(1))
    room.execute("UPDATE audit_outbox SET leaf = x'7b7d'")
    with pytest.raises(EntryFault):
        room.log.sequence()
    assert count(room, AuditEntryRow) == 0
