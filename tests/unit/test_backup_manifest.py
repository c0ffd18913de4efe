"""The manifest of a backup: names that lead nowhere else, and nothing half-known."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import Gateway
from gateway.backup.make import back_up
from gateway.backup.manifest import BackupFault, Kept, Manifest
from gateway.errors import ConfigurationFault
from gateway.settings import Settings

SHA = "ab" * 32
KEPT = Kept(sha256=SHA, size=3)


def manifest(**changes: Any) -> Manifest:
    plain: dict[str, Any] = {
        "made_at": dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
        "release": "0.1.0",
        "revision": "0001",
        "database": "sqlite",
        "storage": "folder",
        "files": {
            "database.sqlite": KEPT,
            "keys/checkpoint.json": KEPT,
            "keys/pki/ca/key.pem": KEPT,
            f"released/video_1/{SHA}.mp4": KEPT,
        },
        "deleted": ("released/a",),
        "missing": (),
    }
    return Manifest(**{**plain, **changes})


def test_a_manifest_comes_back_as_it_was_written() -> None:
    assert Manifest.decoded(manifest().encoded()) == manifest()


@pytest.mark.parametrize(
    "name",
    [
        "../keys/a",
        "/etc/passwd",
        "keys/../../a",
        "keys/..",
        "keys/.ssh",
        "keys//a",
        "keys/a/b/c/d",
        "gateway.toml",
        "cinegate.db",
        "released/video_1/../../x.mp4",
        f"released/../{SHA}.mp4",
        f"other/video_1/{SHA}.mp4",
        f"released/video_1/{'cd' * 32}.mp4",
        "database.pgdump",
        "keys/a\n",
        "",
    ],
)
def test_a_name_that_no_backup_holds_is_refused(name: str) -> None:
    files = {**manifest().files, name: KEPT}
    with pytest.raises(BackupFault):
        Manifest.decoded(manifest(files=files).encoded())


@given(name=st.text(max_size=60) | st.from_regex(r"(keys|released|vault)/[./a-z0-9]{1,30}"))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    try:
        Manifest.decoded(manifest(files={**manifest().files, name: KEPT}).encoded())
    except BackupFault:
        return
    assert Path("/a/backup").joinpath(name).resolve().is_relative_to("/a/backup")
    assert ".." not in Path(name).parts


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"database": "mysql"},
        {"database": "postgresql"},
        {"made_at": "yesterday"},
        {"made_at": "2026-11-22T00:00:00"},
        {"files": []},
        {"files": {}},
        {"files": {"database.sqlite": {"sha256": "zz", "size": 3}}},
        {"files": {"database.sqlite": {"sha256": SHA, "size": -1}}},
        {"files": {"database.sqlite": SHA}},
        {"missing": 4},
    ],
)
def test_a_manifest_that_is_not_whole_is_refused(changes: dict[str, Any]) -> None:
    plain = {**json.loads(manifest().encoded()), **changes}
    with pytest.raises(BackupFault):
        Manifest.decoded(json.dumps(plain).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'"a"'])
def test_garbage_is_no_manifest(content: bytes) -> None:
    with pytest.raises(BackupFault):
        Manifest.decoded(content)


def test_a_folder_without_a_manifest_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BackupFault, match="no finished backup"):
        Manifest.of(tmp_path)
    (tmp_path / "real.json").write_bytes(manifest().encoded())
    (tmp_path / "manifest.json").symlink_to(tmp_path / "real.json")
    with pytest.raises(BackupFault, match="no finished backup"):
        Manifest.of(tmp_path)


def test_a_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    """Also after everything was verified, when the files are read a second time."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "checkpoint.json").write_bytes(b"abc")
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "keys").symlink_to(elsewhere)
    digest = hashlib.sha256(b"abc").hexdigest()
    files = {"keys/checkpoint.json": Kept(sha256=digest, size=3)}
    with pytest.raises(BackupFault):
        list(manifest(files=files).blocks(tmp_path / "backup", "keys/checkpoint.json"))


def test_a_pipe_in_a_backup_does_not_hang_the_restore(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "database.sqlite")
    with pytest.raises(BackupFault, match=r"database\.sqlite"):
        manifest(files={"database.sqlite": KEPT}).verify(tmp_path)


def test_a_backup_does_not_write_where_something_is(tmp_path: Path) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path / "data"))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    with pytest.raises(BackupFault, match="holds something"):
        back_up(gateway, tmp_path / "there")
    with pytest.raises(ConfigurationFault, match="no instance"):
        back_up(gateway, tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_backup_that_fails_on_the_way_leaves_no_folder(
    tmp_path: Path, empty_database: Path
) -> None:
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    (data / "keys" / "a name that no backup holds").write_text("x")
    (data / "cinegate.db").write_bytes(empty_database.read_bytes())
    with pytest.raises(BackupFault):
        back_up(Gateway(Settings(data_dir=data)), tmp_path / "backup")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
