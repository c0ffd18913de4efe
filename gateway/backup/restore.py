"""Restoring a backup: every digest first, then the files, then what the log says of them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from gateway.app import Gateway
from gateway.audit.books import check_database
from gateway.audit.report import CheckReport
from gateway.backup.manifest import DATABASE_FILES, BackupFault, Manifest
from gateway.backup.snapshot import demand_empty, put_back
from gateway.errors import ConfigurationFault
from gateway.schema import current, head
from gateway.settings import CONFIG_NAME
from gateway.store import Ref
from gateway.tables import Video


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put back. ``absent`` are released clips whose file is not there.

    ``log`` is the check of the audit log as of the backup's moment.
    """

    manifest: Manifest
    log: CheckReport
    absent: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the log fits and every released clip can be fetched."""
        return self.log.ok and not self.absent


def restore(gateway: Gateway, folder: Path, *, digest: str | None = None) -> Restored:
    """Put a backup into the empty data folder and database that the settings name.

    1. The manifest is there, is the one with ``digest`` if one is given, and names nothing
       that leads out of the folder; it is of this release's schema.
    2. The data folder holds nothing but gateway.toml, and the database nothing.
    3. Every file is the one that was backed up, and there are no others.
    4. Only then is anything written, each file compared again on the way.
    5. The log is checked, and that every released clip has its file.

    Raises BackupFault for 1 and 3 and when the backup is of another kind of database or
    store, ConfigurationFault for 2; nothing was written then. What fails later leaves a
    folder that must be emptied before the next attempt.
    """
    settings = gateway.settings
    manifest = Manifest.of(folder, digest=digest)
    kind = "sqlite" if settings.database.startswith("sqlite") else "postgresql"
    if (manifest.database, manifest.storage) != (kind, settings.storage.kind):
        raise BackupFault(
            f"The backup is of {manifest.database} with media in {manifest.storage}; the "
            f"settings here say {kind} and {settings.storage.kind}."
        )
    if manifest.revision != head():
        raise BackupFault(
            f"The backup is of another release ({manifest.release}): restore it with that one, "
            "then upgrade."
        )
    _demand_empty_folder(settings.data_dir)
    demand_empty(settings.database)
    manifest.verify(folder)
    gateway.make_folder()
    staging = settings.restoring_dir
    staging.mkdir(mode=0o700)
    for name in manifest.files:
        _copy(manifest, folder, name, staging / name)
    # The database comes last: without it nothing here looks like an instance.
    for part in ("keys", "vault", "released"):
        if (staging / part).is_dir():
            (staging / part).rename(settings.data_dir / part)
    put_back(settings.database, staging / DATABASE_FILES[kind])
    shutil.rmtree(staging)
    if current(settings.database) != manifest.revision:
        raise ConfigurationFault("The restored database is not of the release it names.")
    return _examine(gateway, manifest)


def _examine(gateway: Gateway, manifest: Manifest) -> Restored:
    # As of that moment: what waited for its index then has not waited since.
    log = check_database(
        gateway.database, gateway.existing_checkpoint_key().verifier, now=manifest.made_at
    )
    absent = []
    with gateway.database.read() as session:
        released = sa.select(Video.id, Video.sha256, Video.size_bytes, Video.thumbnail)
        for row in session.execute(released.where(Video.state == "released")):
            refs = [
                Ref(scope=row.id, sha256=row.sha256, size=row.size_bytes, suffix="mp4"),
                *([] if row.thumbnail is None else [Ref.from_dict(row.thumbnail)]),
            ]
            if not all(gateway.released.present(ref) for ref in refs):
                absent.append(row.id)
    return Restored(manifest=manifest, log=log, absent=tuple(absent))


def _demand_empty_folder(folder: Path) -> None:
    try:
        found = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as fault:
        raise ConfigurationFault("The data folder cannot be read.") from fault
    if found - {CONFIG_NAME}:
        raise ConfigurationFault(
            "The data folder is not empty: restore into a new one (gateway.toml may be there)."
        )


def _copy(manifest: Manifest, folder: Path, name: str, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        for block in manifest.blocks(folder, name):
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
