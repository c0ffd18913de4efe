"""The checkpoint: one spelling, one key, and a file that only its owner can read."""

from __future__ import annotations

import base64
import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.checkpoint import Checkpoint, CheckpointFault, Verifier
from gateway.audit.keys import KEY_FILE, CheckpointKey, KeyFile
from gateway.errors import ConfigurationFault, Conflict

ROOT = bytes(range(32))
KEY = CheckpointKey.create()
NOTE = KEY.sign(1042, ROOT)
# golang.org/x/mod/sumdb/note, note_test.go.
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_a_note_says_origin_size_and_root() -> None:
    assert KEY.verifier.open(NOTE) == Checkpoint(
        origin=KEY.verifier.name, size=1042, root=ROOT, note=NOTE
    )
    lines = NOTE.split("\n")
    assert lines[0].startswith("cinegate.example/log/")
    assert lines[1:4] == ["1042", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith(f"\N{EM DASH} {lines[0]} ")


def test_the_same_head_always_gives_the_same_note() -> None:
    assert KEY.sign(1042, ROOT) == NOTE


def test_a_verifier_key_of_another_implementation_is_read() -> None:
    verifier = Verifier.parse(GO_VERIFIER)
    assert verifier.name == "PeterNeumann"
    assert verifier.text == GO_VERIFIER


def test_a_verifier_key_comes_back_from_its_text() -> None:
    assert Verifier.parse(f"{KEY.verifier.text}\n") == KEY.verifier


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_a_damaged_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(CheckpointFault):
        Verifier.parse(text)


def test_no_byte_of_a_note_can_change() -> None:
    written = NOTE.encode()
    for at in range(len(written)):
        for turned in {written[at] ^ 1, written[at] ^ 0x20, 0x0A, 0x20, 0x41} - {written[at]}:
            changed = written[:at] + bytes([turned]) + written[at + 1 :]
            with pytest.raises(ValueError):
                KEY.verifier.open(changed.decode())


@settings(max_examples=200)
@given(at=st.integers(min_value=0), turned=st.integers(min_value=0, max_value=255))
def test_no_byte_of_a_note_can_become_any_other(at: int, turned: int) -> None:
    written = bytearray(NOTE.encode())
    at %= len(written)
    if written[at] != turned:
        written[at] = turned
        with pytest.raises(ValueError):
            KEY.verifier.open(written.decode())


@settings(max_examples=200)
@given(junk=st.text(max_size=300))
def test_junk_is_refused_in_one_way(junk: str) -> None:
    with pytest.raises(CheckpointFault):
        KEY.verifier.open(junk)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note + "\n",
        lambda note: "\n" + note,
        lambda note: note[:-1],
        lambda note: note.replace("\n1042\n", "\n01042\n"),
        lambda note: note.replace("\n1042\n", "\n+1042\n"),
        lambda note: note.replace("\n1042\n", "\n١٠٤٢\n"),
        lambda note: note.replace("\n1042\n", "\n99999999999999999999\n"),
        lambda note: note.replace("\n\n", "\nextension\n\n"),
        lambda note: note.replace("\n\n", "\n\n\n"),
        lambda note: note.replace("\n", "\r\n"),
        lambda note: note.split("\N{EM DASH}")[0],
        lambda note: note + "x" * 20_000,
    ],
)
def test_a_note_has_no_other_spelling(change: object) -> None:
    assert callable(change)
    with pytest.raises(CheckpointFault):
        KEY.verifier.open(change(NOTE))


def test_a_note_of_another_key_is_refused_even_under_the_same_name() -> None:
    other = CheckpointKey.create()
    with pytest.raises(CheckpointFault):
        other.verifier.open(NOTE)
    namesake = Verifier(name=KEY.verifier.name, public=other.verifier.public)
    with pytest.raises(CheckpointFault):
        namesake.open(NOTE)


def test_lines_of_others_are_ignored() -> None:
    witnessed = f"{NOTE}\N{EM DASH} witness.example {base64.b64encode(bytes(76)).decode()}\n"
    assert KEY.verifier.open(witnessed).size == 1042


def test_a_note_of_two_keys_is_good_for_whoever_knows_either(tmp_path: Path) -> None:
    file = KeyFile.load_or_create(tmp_path)
    first = file.verifier.keys[0]
    second = CheckpointKey.create(first.name)
    file.add(second)
    note = file.sign(1042, ROOT)
    assert file.verifier.keys == (second.verifier, first)
    assert file.verifier.text == second.verifier.text
    for reader in (first, second.verifier, file.verifier):
        assert reader.open(note).size == 1042
    file.keep_newest()
    alone = file.sign(1042, ROOT)
    with pytest.raises(CheckpointFault):
        first.open(alone)
    assert file.verifier.open(alone).root == ROOT


def test_of_two_who_add_a_key_at_once_one_is_refused(tmp_path: Path) -> None:
    """Three keys in the file would stop everything."""
    file = KeyFile.load_or_create(tmp_path)
    name = file.verifier.keys[0].name
    starting = threading.Barrier(8)
    refused = []

    def add() -> None:
        own = KeyFile.load_or_create(tmp_path)
        starting.wait()
        try:
            own.add(CheckpointKey.create(name))
        except Conflict as fault:
            refused.append(fault)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert len(file.keys()) == 2


@pytest.mark.parametrize("step", ["add", "keep_newest"])
def test_a_full_disk_leaves_the_keys_as_they_are(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = KeyFile.load_or_create(tmp_path)
    name = file.verifier.keys[0].name
    if step == "keep_newest":
        file.add(CheckpointKey.create(name))
    before = file.verifier

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationFault):
            file.add(CheckpointKey.create(name)) if step == "add" else file.keep_newest()
    assert file.verifier == before == KeyFile.load_or_create(tmp_path).verifier
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    file, other = KeyFile.load_or_create(tmp_path), KeyFile.load_or_create(tmp_path)
    other.add(CheckpointKey.create(other.verifier.keys[0].name))
    assert file.verifier == other.verifier
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(ConfigurationFault):
        file.sign(1, ROOT)


@pytest.mark.parametrize("what", ["twice", "of two logs", "three", "an empty line"])
def test_a_file_of_keys_that_do_not_belong_together_is_refused(
    tmp_path: Path, what: str
) -> None:
    file = KeyFile.load_or_create(tmp_path)
    text = (tmp_path / KEY_FILE).read_text()
    name = file.verifier.keys[0].name
    more = {
        "twice": text,
        "of two logs": CheckpointKey.create().text + "\n",
        "three": "".join(CheckpointKey.create(name).text + "\n" for _ in range(2)),
        "an empty line": "\n",
    }[what]
    (tmp_path / KEY_FILE).write_text(text + more)
    with pytest.raises(ConfigurationFault):
        KeyFile.load_or_create(tmp_path)


@pytest.mark.parametrize(("size", "root"), [(-1, ROOT), (2**63, ROOT), (1, b"short")])
def test_what_is_not_a_head_is_not_signed(size: int, root: bytes) -> None:
    with pytest.raises(CheckpointFault):
        KEY.sign(size, root)


def test_the_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    first = KeyFile.load_or_create(tmp_path / "keys")
    second = KeyFile.load_or_create(tmp_path / "keys")
    assert first.verifier == second.verifier
    assert second.verifier.open(first.sign(3, ROOT)).size == 3
    path = tmp_path / "keys" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [found.name for found in path.parent.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    KeyFile.load_or_create(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(ConfigurationFault, match="0600"):
        KeyFile.load_or_create(tmp_path)


def test_a_link_is_not_a_key(tmp_path: Path) -> None:
    KeyFile.load_or_create(tmp_path / "real")
    (tmp_path / KEY_FILE).symlink_to(tmp_path / "real" / KEY_FILE)
    with pytest.raises(ConfigurationFault):
        KeyFile.load_or_create(tmp_path)


def test_no_byte_of_the_key_file_can_change(tmp_path: Path) -> None:
    key = KeyFile.load_or_create(tmp_path)
    path = tmp_path / KEY_FILE
    written = path.read_bytes()
    for at in range(len(written) - 1):
        path.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
        with pytest.raises(ConfigurationFault):
            KeyFile.load_or_create(tmp_path)
    path.write_bytes(written)
    assert KeyFile.load_or_create(tmp_path).verifier == key.verifier


@pytest.mark.parametrize("written", [b"", b"\xff" * 40, b"x" * 5_000])
def test_a_file_that_is_not_a_key_is_refused(tmp_path: Path, written: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(written)
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(ConfigurationFault):
        KeyFile.load_or_create(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_configuration_fault(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file stands here")
    with pytest.raises(ConfigurationFault):
        KeyFile.load_or_create(tmp_path / "keys")


def test_the_error_does_not_show_the_key_or_the_path(tmp_path: Path) -> None:
    KeyFile.load_or_create(tmp_path)
    secret = (tmp_path / KEY_FILE).read_text()
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(ConfigurationFault) as refusal:
        KeyFile.load_or_create(tmp_path)
    assert os.fspath(tmp_path) not in refusal.value.message
    # PRIVATE+KEY+name+hash+key: the key is base64, and may hold a + of its own.
    assert secret.split("+", 4)[4].strip() not in refusal.value.message


def _made(folder: str) -> str:
    return KeyFile.load_or_create(Path(folder)).verifier.text


def test_processes_that_start_together_get_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        keys = pool.map(_made, [str(tmp_path / "keys")] * 9, chunksize=1)
    assert len(set(keys)) == 1
