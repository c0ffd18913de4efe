"""The log: nothing lost, nothing twice, nothing covered that is not signed."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.audit.checkpoint import CheckpointKey, Verifier
from gateway.audit.entry import EntryFault, EventKind
from gateway.audit.log import SqlAuditLog
from gateway.audit.merkle import ProofFault, verify_consistency
from gateway.audit.sequencer import Sequencer
from gateway.db import Database
from gateway.errors import ConfigurationFault, Conflict, NotFound, StageUnavailable
from gateway.tables import AuditCheckpoint, AuditEntryRow, AuditOutbox, AuditPersonal
from tests.contract.audit_kit import NOON, Room, event, noon, open_room, url_of


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    opened = open_room(tmp_path)
    yield opened
    opened.database.dispose()


class Interrupt(Exception):
    """Something else in the transaction went wrong."""


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


def test_a_transaction_that_fails_leaves_no_event(room: Room) -> None:
    def interrupted() -> None:
        with room.database.write() as session:
            room.log.record(session, event(1, personal={"prompt": "x"}))
            raise Interrupt

    with pytest.raises(Interrupt):
        interrupted()
    assert room.log.sequence() == 0
    assert count(room, AuditOutbox) == count(room, AuditPersonal) == 0
    assert room.log.checkpoint() is None


def test_the_same_statement_again_is_harmless_before_and_after_it_is_logged(
    room: Room,
) -> None:
    times = iter(NOON + dt.timedelta(seconds=n) for n in range(10))
    log = SqlAuditLog(room.database, room.key, lambda: next(times))
    for _ in range(3):
        for _ in range(2):
            with room.database.write() as session:
                log.record(session, event(1, personal={"prompt": "x"}))
        log.sequence()
    assert count(room, AuditEntryRow) == count(room, AuditPersonal) == 1
    assert count(room, AuditOutbox) == 0
    assert log.entries()[0].entry.time == "2026-11-22T12:00:00.000000Z"


@pytest.mark.parametrize("logged", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"facts": {"clip_id": "ff"}},
        {"facts": {}},
        {"tenant": "tnt_2"},
        {"kind": EventKind.VIDEO_FAILED, "id": "video_0:mark:video.marked"},
        {"personal": {"prompt": "y"}},
        {"personal": None},
    ],
)
def test_another_statement_under_the_same_id_is_refused(
    room: Room, changes: dict[str, object], logged: bool
) -> None:
    first = event(personal={"prompt": "x"})
    room.record(first)
    if logged:
        room.log.sequence()
    with pytest.raises(Conflict):
        room.record(event(**{"personal": {"prompt": "x"}, **changes}))
    while room.log.sequence():
        pass
    assert count(room, AuditEntryRow) == 1
    assert room.log.inclusion(first.id).verify(room.key.verifier).facts == first.facts


def test_a_personal_half_cannot_be_added_to_a_statement_later(room: Room) -> None:
    room.record(event(1))
    with pytest.raises(Conflict):
        room.record(event(1, personal={"prompt": "x"}))
    room.log.sequence()
    with pytest.raises(Conflict):
        room.record(event(1, personal={"prompt": "x"}))


def test_a_receipt_stands_without_the_gateway(room: Room) -> None:
    ids = room.fill(300, batch=77)
    for number in (0, 76, 77, 255, 256, 299):
        receipt = room.log.inclusion(ids[number])
        assert receipt.index == number
        assert receipt.verify(Verifier.parse(room.key.verifier.text)).id == ids[number]
        assert receipt.text.endswith(f"\n\n{receipt.checkpoint}")
        assert f"\nindex {number}\n" in receipt.text


def test_a_receipt_for_another_entry_or_key_is_refused(room: Room) -> None:
    ids = room.fill(3)
    first, second = room.log.inclusion(ids[0]), room.log.inclusion(ids[1])
    mixed = type(first)(
        index=first.index,
        leaf=second.leaf,
        proof=first.proof,
        checkpoint=first.checkpoint,
    )
    with pytest.raises(ProofFault):
        mixed.verify(room.key.verifier)
    with pytest.raises(ValueError):
        first.verify(CheckpointKey.create().verifier)


def test_an_event_that_is_not_covered_has_no_receipt(room: Room) -> None:
    room.record(event(1))
    with pytest.raises(NotFound):
        room.log.inclusion(event(1).id)


def test_each_checkpoint_extends_the_one_before(room: Room) -> None:
    heads = []
    for number in range(0, 600, 60):
        room.record(*(event(n) for n in range(number, number + 60)))
        room.log.sequence()
        head = room.log.checkpoint()
        assert head is not None
        heads.append(head)
    for old in heads:
        verify_consistency(
            old=old.size,
            new=heads[-1].size,
            old_root=old.root,
            new_root=heads[-1].root,
            proof=room.log.consistency(old.size),
        )
    with pytest.raises(NotFound):
        room.log.consistency(601)


def test_entries_are_listed_newest_first_and_by_subject(room: Room) -> None:
    room.fill(5)
    room.record(event(2, kind=EventKind.VIDEO_SIGNED), event(22))
    room.log.sequence()
    assert [each.index for each in room.log.entries(limit=3)] == [6, 5, 4]
    assert [each.index for each in room.log.entries(limit=2, before=4)] == [3, 2]
    found = room.log.entries(subject="video_2")
    assert [each.entry.kind for each in found] == ["video.signed", "video.marked"]


def test_a_key_service_that_is_down_covers_nothing_and_is_not_hidden(room: Room) -> None:
    broken = SqlAuditLog(room.database, BrokenSigner(room.key), noon)
    for index in (0, 1, 2):
        # At 1 and 2 the entry stands right behind the last checkpoint.
        room.record(event(index))
        for _ in range(2):
            with pytest.raises(ConnectionError):
                broken.sequence()
            assert broken.index_of(event(index).id) == index
            assert broken.covered(event(index).id) is None
        assert room.log.sequence() == 0
        assert room.log.covered(event(index).id) == index


def test_a_signature_that_is_not_ours_is_never_published(room: Room) -> None:
    room.record(event(1))
    for note in (
        CheckpointKey.create().sign(1, bytes(32)),
        room.key.sign(1, bytes(32)),
        room.key.sign(2, bytes(32)),
        "",
    ):
        with pytest.raises(ConfigurationFault):
            SqlAuditLog(room.database, BrokenSigner(room.key, note), noon).sequence()
        assert count(room, AuditCheckpoint) == 0
        assert room.log.covered(event(1).id) is None


def test_a_checkpoint_written_without_the_key_covers_nothing(room: Room) -> None:
    room.fill(1)
    room.record(event(5))
    with pytest.raises(ConnectionError):
        SqlAuditLog(room.database, BrokenSigner(room.key), noon).sequence()
    forged = CheckpointKey.create().sign(2, bytes(32))
    room.execute("INSERT INTO audit_checkpoints (size, note) VALUES (2, ?)", forged)
    with pytest.raises(ConfigurationFault):
        room.log.covered(event(5).id)


def test_a_log_does_not_go_on_under_another_key(room: Room) -> None:
    room.fill(3)
    stranger = SqlAuditLog(room.database, CheckpointKey.create(), noon)
    room.record(event(9))
    with pytest.raises(ConfigurationFault):
        stranger.sequence()
    assert count(room, AuditCheckpoint) == 1
    with pytest.raises(ConfigurationFault):
        stranger.covered(event(0).id)


def test_a_tree_that_was_changed_is_not_signed_again(room: Room) -> None:
    ids = room.fill(5)
    room.execute("UPDATE audit_tiles SET hashes = zeroblob(160)")
    room.record(event(9))
    with pytest.raises(ConfigurationFault):
        room.log.sequence()
    assert count(room, AuditCheckpoint) == 1
    with pytest.raises(ConfigurationFault):
        room.log.covered(ids[0])


def test_a_changed_entry_is_not_covered(room: Room) -> None:
    ids = room.fill(5)
    for changed in ("CAST(replace(leaf, 'marked', 'merked') AS BLOB)", "'text'", "17"):
        room.execute(f"UPDATE audit_entries SET leaf = {changed}")
        with pytest.raises(ConfigurationFault):
            room.log.covered(ids[3])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET leaf = x'00'",
        "UPDATE audit_entries SET subject = 'x'",
        "DELETE FROM audit_entries WHERE idx = 4",
        "INSERT OR REPLACE INTO audit_entries VALUES (4, 'a', 'b', x'00')",
        "INSERT OR REPLACE INTO audit_entries SELECT 9, event_id, '', leaf FROM audit_entries",
        "UPDATE audit_checkpoints SET note = 'x'",
        "DELETE FROM audit_checkpoints",
        "INSERT OR REPLACE INTO audit_checkpoints VALUES (5, 'x')",
        "DELETE FROM audit_tiles",
        "UPDATE audit_tiles SET hashes = substr(hashes, 1, 32)",
        "UPDATE audit_tiles SET hashes = zeroblob(160)",
        "UPDATE audit_tiles SET idx = 7",
        "INSERT OR REPLACE INTO audit_tiles VALUES (0, 0, x'00')",
        "UPDATE audit_head SET size = 4",
        "DELETE FROM audit_head",
        "INSERT OR REPLACE INTO audit_head VALUES (1, 0)",
    ],
)
def test_the_database_refuses_to_change_what_is_logged(room: Room, statement: str) -> None:
    room.fill(5)
    with (
        pytest.raises(sa.exc.IntegrityError, match="append-only"),
        room.database.write() as session,
    ):
        session.execute(sa.text(statement))


def test_an_erased_person_leaves_random_data_and_a_record(room: Room) -> None:
    private = event(1, personal={"prompt": "a heron"})
    room.record(private)
    room.log.sequence()
    with room.database.write() as session:
        room.log.erase(session, private.id)
    room.log.sequence()
    assert count(room, AuditPersonal) == 0
    erased = room.log.entries(subject="video_1")[0].entry
    assert erased.kind == "personal.erased"
    assert erased.facts == {"event": private.id}
    # The step may still run again.
    room.record(private)
    assert count(room, AuditPersonal) == 0
    with pytest.raises(NotFound), room.database.write() as session:
        room.log.erase(session, private.id)


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


def _sequence(folder: str, first: int, amount: int) -> int:
    database = Database(url_of(Path(folder)))
    key = CheckpointKey.load_or_create(Path(folder) / "keys")
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
        jobs = [(str(room.folder), 0, 30), (str(room.folder), 1_000, 30)]
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


def _die_before_signing(folder: str) -> None:
    database = Database(url_of(Path(folder)))
    key = CheckpointKey.load_or_create(Path(folder) / "keys")
    SqlAuditLog(database, DyingSigner(key), noon).sequence()


def test_what_was_committed_before_a_crash_is_signed_after_it(room: Room) -> None:
    room.fill(2)
    room.record(event(8), event(9))
    process = multiprocessing.get_context("spawn").Process(
        target=_die_before_signing, args=(str(room.folder),)
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
