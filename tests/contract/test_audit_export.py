"""The export: static files that are checked without the gateway."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import check, folder
from gateway.audit.check import check_export, main
from gateway.audit.checkpoint import CheckpointFault
from gateway.audit.export import export
from gateway.audit.keys import CheckpointKey
from gateway.audit.report import CheckReport, FaultKind
from gateway.errors import Conflict, NotFound
from tests.contract.audit_kit import Room, event, open_room


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


def kinds(report: CheckReport) -> set[FaultKind]:
    return {fault.kind for fault in report.faults}


def note_of(room: Room) -> str:
    head = room.log.checkpoint()
    assert head is not None
    return head.note


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
    assert kinds(report) == {FaultKind.SIGNATURE, FaultKind.CHANGED}
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
