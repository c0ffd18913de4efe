"""One key of the log takes over from another: every check leads from either to the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.books import check_database
from gateway.audit.check import check_export
from gateway.audit.checkpoint import CheckpointReader, Verifier
from gateway.audit.entry import Event, EventKind
from gateway.audit.export import export
from gateway.audit.keys import KEY_FILE, RETIRED_FILE, CheckpointKey, KeyFile
from gateway.audit.log import SqlAuditLog
from gateway.audit.report import CheckReport, FaultKind
from gateway.audit.rotation import Rotation
from gateway.db import Database
from gateway.errors import ConfigurationFault, Conflict
from tests.contract.audit_kit import NOON, Room, event, noon, open_room


@pytest.fixture
def room(tmp_path: Path, database: Database) -> Room:
    opened = open_room(tmp_path, database=database)
    opened.fill(3)
    return opened


def rotation(room: Room) -> Rotation:
    return Rotation(room.database, room.log, room.key)


def checked(room: Room, key: CheckpointReader, anchor: str | None = None) -> CheckReport:
    return check_database(room.database, key, now=NOON, anchor=anchor)


def exported(room: Room, name: str) -> Path:
    export(room.database, room.key.verifier, room.folder / name)
    return room.folder / name


def more(room: Room, number: int) -> None:
    room.record(event(number))
    room.log.sequence()


def exchanged(room: Room) -> tuple[Verifier, Verifier]:
    """A whole exchange, with entries between and after; the old key and the new."""
    old = room.key.verifier.keys[0]
    new = rotation(room).add_key(by="ada")
    more(room, 10)
    assert rotation(room).retire_key(by="ada") == old
    more(room, 11)
    return old, new


def texts(report: CheckReport) -> list[str]:
    return [fault.text for fault in report.faults]


def test_while_both_sign_either_key_checks_everything(room: Room) -> None:
    ids = room.fill(1, subject="before")
    receipt = room.log.inclusion(ids[0])
    old = room.key.verifier.keys[0]
    new = rotation(room).add_key(by="ada")
    more(room, 10)
    later = room.log.inclusion(event(10).id)
    assert receipt.verify(room.key.verifier).id == ids[0]
    for key in (old, new, room.key.verifier):
        assert later.verify(key).id == event(10).id
        assert checked(room, key).ok
        assert checked(room, key, receipt.checkpoint).ok
    for key in (old, new):
        assert check_export(exported(room, key.key_id.hex()), key.text).ok


def test_after_the_exchange_the_old_key_leads_to_the_new_and_back(room: Room) -> None:
    ids = room.fill(1, subject="before")
    receipt = room.log.inclusion(ids[0])
    old, new = exchanged(room)
    later = room.log.inclusion(event(11).id)
    assert later.verify(new).id == event(11).id
    with pytest.raises(ValueError):
        later.verify(old)
    # What was given out before holds with the key that was given out with it.
    assert receipt.verify(old).id == ids[0]
    for key in (old, new):
        assert checked(room, key, receipt.checkpoint).ok
        folder = exported(room, key.key_id.hex())
        assert check_export(folder, key.text, receipt.checkpoint).ok
    assert len(list((folder / "heads").iterdir())) == 2


def test_the_first_of_many_keys_still_leads_to_the_last(room: Room) -> None:
    first = room.key.verifier.keys[0]
    keys = [first, *(exchanged_again(room, number) for number in range(3))]
    folder = exported(room, "out")
    for key in keys:
        assert checked(room, key).ok
        assert check_export(folder, key.text).ok


def exchanged_again(room: Room, number: int) -> Verifier:
    new = rotation(room).add_key(by="ada")
    more(room, 20 + 2 * number)
    rotation(room).retire_key(by="ada")
    more(room, 21 + 2 * number)
    return new


def test_a_stranger_cannot_vouch_for_itself(room: Room) -> None:
    """A log of somebody else, written anew, that names our key beside its own."""
    ours = room.key.verifier.keys[0]
    stranger = CheckpointKey.create(ours.name)
    (room.folder / "keys" / KEY_FILE).write_text(stranger.text + "\n")
    room.execute("DELETE FROM audit_checkpoints")
    key = stranger.verifier
    said = Event(
        id=f"log:{key.key_id.hex()}:log.key_added",
        kind=EventKind.LOG_KEY_ADDED,
        subject="log",
        facts={"verifier": key.text, "beside": [ours.text]},
    )
    room.record(said)
    room.log.sequence()
    assert FaultKind.SIGNATURE in {fault.kind for fault in checked(room, ours).faults}
    report = check_export(exported(room, "out"), ours.text)
    assert [fault.kind for fault in report.faults] == [FaultKind.SIGNATURE, FaultKind.CHANGED]


def test_a_head_of_a_retired_key_alone_counts_for_nothing(room: Room) -> None:
    before = (room.folder / "keys" / KEY_FILE).read_text()
    old, new = exchanged(room)
    thief = CheckpointKey.parse(before.strip())
    room.record(event(30))
    room.log.sequence()
    newest = room.log.checkpoint()
    assert newest is not None
    forged = thief.sign(newest.size, newest.root)
    room.execute("DELETE FROM audit_checkpoints WHERE size = ?", newest.size)
    room.execute(
        "INSERT INTO audit_checkpoints (size, note) VALUES (?, ?)", newest.size, forged
    )
    with pytest.raises(ConfigurationFault):
        room.log.covered(event(30).id)
    for key in (old, new):
        assert "The note is signed by a key that was retired before." in texts(
            checked(room, key)
        )


def test_going_on_from_before_the_retirement_with_the_old_key_is_found(room: Room) -> None:
    """Whoever has the retired key cuts the log back to before that and goes on with it."""
    file = room.folder / "keys" / KEY_FILE
    before = file.read_text()
    new = rotation(room).add_key(by="ada")
    more(room, 10)
    size = sum(1 for _ in room.log.entries())
    cut = room.log.checkpoint()
    assert cut is not None
    assert cut.size == size
    rotation(room).retire_key(by="ada")
    # The thief's log: the same entries as far as here, then one of its own.
    room.execute("DELETE FROM audit_entries WHERE idx >= ?", size)
    room.execute("DELETE FROM audit_checkpoints WHERE size > ?", size)
    room.execute("UPDATE audit_head SET size = ?", size)
    rebuild_tiles(room)
    file.write_text(before)
    more(room, 99)
    said = "it goes on without the key, and does not say that it was retired"
    assert said in texts(checked(room, new))
    # An export has no head of both keys then, and says even less of the new one.
    assert not check_export(exported(room, "out"), new.text).ok
    # Nothing in that log speaks against the old key: only who knows the new one can tell.
    old = KeyFile.load_or_create(room.folder / "keys").verifier
    assert check_export(exported(room, "again"), old.text).ok


def rebuild_tiles(room: Room) -> None:
    """The tiles of the entries that are left, which fit into one."""
    from gateway.audit.merkle import leaf_hash

    leaves = sorted(room.log.entries(limit=200), key=lambda entry: entry.index)
    hashes = b"".join(leaf_hash(entry.leaf) for entry in leaves)
    room.execute("UPDATE audit_tiles SET hashes = ? WHERE level = 0", hashes)


@pytest.mark.parametrize("step", ["add", "keep_newest"])
def test_a_crash_between_word_and_deed_is_mended_by_doing_it_again(
    room: Room, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == "keep_newest":
        rotation(room).add_key(by="ada")
        more(room, 10)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    act = Rotation.add_key if step == "add" else Rotation.retire_key
    with monkeypatch.context() as patched:
        patched.setattr(KeyFile, step, crash)
        with pytest.raises(KeyboardInterrupt):
            act(rotation(room), by="ada")
    more(room, 11)
    assert checked(room, room.key.verifier).ok
    act(rotation(room), by="bob")
    more(room, 12)
    assert checked(room, room.key.verifier).ok
    assert check_export(exported(room, "out"), room.key.verifier.text).ok


def test_processes_that_run_already_sign_with_the_new_key_too(room: Room) -> None:
    running = SqlAuditLog(room.database, KeyFile.load_or_create(room.folder / "keys"), noon)
    old, new = exchanged(room)
    room.record(event(40))
    running.sequence()
    head = running.checkpoint()
    assert head is not None
    assert new.open(head.note).size == head.size
    with pytest.raises(ValueError):
        old.open(head.note)
    assert checked(room, new).ok


def test_the_old_key_is_not_retired_while_a_machine_signs_with_it_alone(room: Room) -> None:
    elsewhere = room.folder / "elsewhere"
    shutil.copytree(room.folder / "keys", elsewhere)
    behind = SqlAuditLog(room.database, KeyFile.load_or_create(elsewhere), noon)
    rotation(room).add_key(by="ada")
    room.record(event(10))
    behind.sequence()
    with pytest.raises(Conflict, match="not signed by both keys"):
        rotation(room).retire_key(by="ada")
    # Both go on meanwhile: each knows a key of the other's heads.
    more(room, 11)
    assert behind.covered(event(11).id) == room.log.covered(event(11).id)
    rotation(room).retire_key(by="ada")


def test_steps_out_of_order_are_refused(room: Room) -> None:
    with pytest.raises(Conflict, match="Only one key signs"):
        rotation(room).retire_key(by="ada")
    rotation(room).add_key(by="ada")
    with pytest.raises(Conflict, match="Two keys sign already"):
        rotation(room).add_key(by="ada")
    assert len(room.key.verifier.keys) == 2


def test_the_retired_key_is_kept_apart_and_by_its_owner_only(room: Room) -> None:
    old = room.key.keys()[0]
    exchanged(room)
    kept = room.folder / "keys" / RETIRED_FILE
    assert kept.read_text() == old.text + "\n"
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verifier, Verifier]:
    opened = open_room(tmp_path_factory.mktemp("handed"))
    opened.fill(3)
    old, new = exchanged(opened)
    return exported(opened, "out"), old, new


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_found_with_either_key(
    handed_over: tuple[Path, Verifier, Verifier], data: st.DataObject
) -> None:
    folder, *keys = handed_over
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = data.draw(st.sampled_from(files))
    good = file.read_bytes()
    at = data.draw(st.integers(min_value=0, max_value=len(good) - 1))
    byte = data.draw(st.integers(min_value=0, max_value=255).filter(lambda b: b != good[at]))
    file.write_bytes(good[:at] + bytes([byte]) + good[at + 1 :])
    try:
        for key in keys:
            assert not check_export(folder, key.text).ok
    finally:
        file.write_bytes(good)
    for key in keys:
        assert check_export(folder, key.text).ok


def test_a_size_that_is_a_lie_ends_soon(handed_over: tuple[Path, Verifier, Verifier]) -> None:
    folder, _, new = handed_over
    file = folder / "checkpoint"
    good = file.read_text(encoding="utf-8")
    lines = good.split("\n")
    lines[1] = str(2**62)
    try:
        file.write_text("\n".join(lines), encoding="utf-8")
        report = check_export(folder, new.text)
    finally:
        file.write_text(good, encoding="utf-8")
    assert not report.ok
