"""The log: nothing twice, nothing covered that is not signed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.audit.checkpoint import Verifier
from gateway.audit.entry import EventKind
from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.audit.merkle import ProofFault, verify_consistency
from gateway.db import Database
from gateway.errors import ConfigurationFault, Conflict, NotFound
from gateway.tables import AuditCheckpoint, AuditEntryRow, AuditOutbox, AuditPersonal
from tests.contract.audit_kit import NOON, Room, event, noon, open_room


@pytest.fixture
def room(tmp_path: Path, database: Database) -> Room:
    return open_room(tmp_path, database=database)


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
    others = ["overlay(leaf placing 'merked'::bytea from 60)", "''"]
    if room.database.is_sqlite:  # where text and numbers may stand for bytes
        others = ["CAST(replace(leaf, 'marked', 'merked') AS BLOB)", "'text'", "17"]
    for changed in others:
        room.execute(f"UPDATE audit_entries SET leaf = {changed}")
        with pytest.raises(ConfigurationFault):
            room.log.covered(ids[3])


ON_SQLITE = (
    "UPDATE audit_entries SET leaf = x'00'",
    "UPDATE audit_tiles SET hashes = zeroblob(160)",
    "INSERT OR REPLACE INTO audit_entries VALUES (4, 'a', 'b', x'00')",
    "INSERT OR REPLACE INTO audit_entries SELECT 9, event_id, '', leaf FROM audit_entries",
    "INSERT OR REPLACE INTO audit_checkpoints VALUES (5, 'x')",
    "INSERT OR REPLACE INTO audit_tiles VALUES (0, 0, x'00')",
    "INSERT OR REPLACE INTO audit_head VALUES (1, 0)",
)
ON_POSTGRES = (
    "UPDATE audit_entries SET leaf = decode('00', 'hex')",
    "UPDATE audit_tiles SET hashes = decode(repeat('00', 160), 'hex')",
    (
        "INSERT INTO audit_entries VALUES (4, 'a', 'b', decode('00', 'hex'))"
        " ON CONFLICT (idx) DO UPDATE SET leaf = excluded.leaf"
    ),
    (
        "INSERT INTO audit_checkpoints VALUES (5, 'x')"
        " ON CONFLICT (size) DO UPDATE SET note = excluded.note"
    ),
    (
        "INSERT INTO audit_tiles VALUES (0, 0, decode('00', 'hex'))"
        " ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes"
    ),
    "INSERT INTO audit_head VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET size = excluded.size",
    "TRUNCATE audit_entries",
    "TRUNCATE audit_checkpoints, audit_tiles",
)
ON_BOTH = (
    "UPDATE audit_entries SET subject = 'x'",
    "DELETE FROM audit_entries WHERE idx = 4",
    "UPDATE audit_checkpoints SET note = 'x'",
    "DELETE FROM audit_checkpoints",
    "DELETE FROM audit_tiles",
    "UPDATE audit_tiles SET hashes = substr(hashes, 1, 32)",
    "UPDATE audit_tiles SET idx = 7",
    "UPDATE audit_head SET size = 4",
    "DELETE FROM audit_head",
)


def test_the_database_refuses_to_change_what_is_logged(room: Room) -> None:
    room.fill(5)
    for statement in ON_BOTH + (ON_SQLITE if room.database.is_sqlite else ON_POSTGRES):
        with (
            pytest.raises(sa.exc.DatabaseError, match="append-only"),
            room.database.write() as session,
        ):
            session.connection().exec_driver_sql(statement)


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
