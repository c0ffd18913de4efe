"""Making a backup: the database of a moment first, then the keys and the files it names."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.app import Gateway
from gateway.backup.manifest import DATABASE_FILES, MANIFEST, BackupFault, Kept, Manifest
from gateway.backup.snapshot import snapshot
from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.record import FINAL_STATES
from gateway.schema import require_current
from gateway.store import BlobStore, Ref, digest_file
from gateway.tables import StageRow, Video

LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A finished backup; ``digest`` is the SHA-256 of its manifest, to be kept elsewhere."""

    manifest: Manifest
    digest: str


def back_up(gateway: Gateway, folder: Path) -> Made:
    """Copy the instance into ``folder``, which must not exist or be empty.

    The gateway may run meanwhile: what is made later is not in the backup, and a file that
    goes meanwhile is named. The folder has mode 0700 and appears whole under its name; one
    that was interrupted lies beside it as ``….part`` and has no manifest. Media in buckets
    and gateway.toml are not copied. Raises BackupFault, ConfigurationFault, StageUnavailable
    or OSError.
    """
    settings = gateway.settings
    if folder.is_symlink() or (
        folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    ):
        raise BackupFault("The folder for the backup holds something: name a new one.")
    if not settings.keys_dir.is_dir():
        raise ConfigurationFault("There is no instance in this data folder.")
    require_current(settings.database)
    part = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
    part.mkdir(mode=0o700, parents=True)
    try:
        manifest = _fill(gateway, part)
        content = manifest.encoded()
        _write(part / MANIFEST, content)
        _sync(part)
        part.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Made(manifest=manifest, digest=hashlib.sha256(content).hexdigest())


def _fill(gateway: Gateway, part: Path) -> Manifest:
    settings = gateway.settings
    kind = "sqlite" if settings.database.startswith("sqlite") else "postgresql"
    files: dict[str, Kept] = {}
    deleted: list[str] = []
    missing: list[str] = []
    made_at = gateway.clock()
    dump = part / DATABASE_FILES[kind]
    with snapshot(settings.database, dump) as session:
        revision = session.scalar(sa.text("SELECT version_num FROM alembic_version"))
        media = list(_media(session)) if settings.storage.kind == "folder" else []
    # The vault first: what lies there goes as soon as its job ends.
    media.sort(key=lambda item: item[0] != "vault")
    files[dump.name] = _kept(dump)
    stores: dict[str, BlobStore] = {"vault": gateway.vault, "released": gateway.released}
    for store, ref, ended in media:
        name = f"{store}/{ref.name}"
        if ended and not stores[store].present(ref):
            continue
        try:
            with stores[store].checkout(ref, scratch=part) as copy:
                (part / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                copy.rename(part / name)
            files[name] = _kept(part / name)
        except StageUnavailable:
            gone = _ended(gateway, ref.scope, store)
            (deleted if gone else missing).append(name)
    for path in sorted(settings.keys_dir.rglob("*")):
        name = f"keys/{path.relative_to(settings.keys_dir)}"
        # A file that is just being replaced has another name for a moment.
        if path.is_file() and path.name != LOCK and not path.name.endswith(".part"):
            _write(part / name, path.read_bytes())
            files[name] = _kept(part / name)
    made = Manifest(
        made_at=made_at,
        release=version("cinegate"),
        revision=str(revision),
        database=kind,
        storage=settings.storage.kind,
        files=files,
        deleted=tuple(deleted),
        missing=tuple(missing),
    )
    made.demand_plain()
    return made


def _media(session: Session) -> Iterator[tuple[str, Ref, bool]]:
    """What the rows of this moment need: store, reference, whether the job had failed.

    Of a job that has not ended, also what its stages stand on: a held clip is not made
    again, and one whose publication is on record is released from what lies there. Of a
    failed one whatever is still there.
    """
    query = sa.select(Video).where(Video.state.not_in(FINAL_STATES - {"released", "failed"}))
    for row in session.scalars(query).all():
        known: set[tuple[str, Ref]] = set()
        if row.sha256 is not None and row.size_bytes is not None:
            video = Ref(scope=row.id, sha256=row.sha256, size=row.size_bytes, suffix="mp4")
            known.add(("released", video))
            if row.thumbnail is not None:
                known.add(("released", Ref.from_dict(row.thumbnail)))
        if row.state != "released":
            stages = sa.select(StageRow.facts).where(
                StageRow.video_id == row.id, StageRow.stage != "publish"
            )
            for facts in session.scalars(stages):
                named = (facts.get(part) for part in ("raw", "video", "thumbnail"))
                known |= {("vault", Ref.from_dict(ref)) for ref in named if ref is not None}
        for store, ref in known:
            yield store, ref, row.state == "failed"


def _ended(gateway: Gateway, video_id: str, store: str) -> bool:
    """Whether the job has come to an end that explains that its file is gone by now."""
    ends = FINAL_STATES if store == "vault" else FINAL_STATES - {"released"}
    return gateway.record.state(video_id) in ends


def _kept(path: Path) -> Kept:
    path.chmod(0o600)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    sha256, size = digest_file(path)
    return Kept(sha256=sha256, size=size)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
