"""The manifest: what a backup holds, with the SHA-256 of each file; written last."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gateway.errors import InvalidRequest
from gateway.store import CHUNK_BYTES

MANIFEST = "manifest.json"
VERSION = 1
MAX_MANIFEST_BYTES = 256 * 1024 * 1024
DATABASE_FILES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
# No other name is read or written, so none can lead out of the folder.
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_NAME = re.compile(
    rf"database\.sqlite|database\.pgdump|keys/({_PART}/){{0,2}}{_PART}"
    r"|(vault|released)/[a-z0-9_]{1,64}/(?P<sha256>[0-9a-f]{64})\.[a-z0-9]{1,8}"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BackupFault(InvalidRequest):
    """A backup that is not whole, not as it was made, or not for this place."""

    code = "backup_not_usable"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One file of a backup: SHA-256 in hex, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup holds.

    ``made_at`` is when the database was copied, ``revision`` its schema, ``database`` sqlite
    or postgresql, ``storage`` folder or s3. ``deleted`` names media that its owner deleted
    while the backup was made, ``missing`` what was not there or not as stored for no such
    reason.
    """

    made_at: dt.datetime
    release: str
    revision: str
    database: str
    storage: str
    files: dict[str, Kept] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        """The manifest as it is written."""
        plain = {"version": VERSION, **asdict(self), "made_at": self.made_at.isoformat()}
        return (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def decoded(cls, content: bytes) -> Manifest:
        """The manifest in these bytes. Raises BackupFault when they are none."""
        try:
            plain: dict[str, Any] = json.loads(content)
            if plain["version"] != VERSION:
                raise BackupFault("The backup is of a form that this release does not know.")
            made = cls(
                made_at=dt.datetime.fromisoformat(plain["made_at"]),
                release=str(plain["release"]),
                revision=str(plain["revision"]),
                database=str(plain["database"]),
                storage=str(plain["storage"]),
                files={
                    str(name): Kept(sha256=str(kept["sha256"]), size=int(kept["size"]))
                    for name, kept in plain["files"].items()
                },
                deleted=tuple(map(str, plain["deleted"])),
                missing=tuple(map(str, plain["missing"])),
            )
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as fault:
            raise BackupFault("The manifest of the backup cannot be read.") from fault
        made.demand_plain()
        return made

    def demand_plain(self) -> None:
        """Return when every name is one that a backup may hold; raise BackupFault otherwise."""
        for name, kept in self.files.items():
            known = _NAME.fullmatch(name)
            if known is None or not _SHA256.fullmatch(kept.sha256) or kept.size < 0:
                raise BackupFault("The manifest names a file that no backup holds.")
            if known["sha256"] not in (None, kept.sha256):
                raise BackupFault("The manifest names a media file by another digest.")
        dumps = set(self.files) & set(DATABASE_FILES.values())
        if self.made_at.tzinfo is None or dumps != {DATABASE_FILES.get(self.database)}:
            raise BackupFault("The manifest does not say which database it holds, or when.")

    @classmethod
    def of(cls, folder: Path, *, digest: str | None = None) -> Manifest:
        """The manifest of a finished backup; ``digest`` is the SHA-256 it must have.

        Raises BackupFault when there is none: such a folder was never finished.
        """
        try:
            with open_plain(folder / MANIFEST) as stream:
                content = stream.read(MAX_MANIFEST_BYTES + 1)
        except OSError as fault:
            raise BackupFault(
                "There is no finished backup in this folder: it has no manifest."
            ) from fault
        if len(content) > MAX_MANIFEST_BYTES:
            raise BackupFault("The manifest of the backup is too large.")
        if digest is not None and hashlib.sha256(content).hexdigest() != digest.lower():
            raise BackupFault("The manifest is not the one with this digest.")
        return cls.decoded(content)

    def verify(self, folder: Path) -> None:
        """Read every file and compare; raise BackupFault at the first that does not fit."""
        for name in self.files:
            for _ in self.blocks(folder, name):
                pass
        found = {str(path.relative_to(folder)) for path in _files(folder)}
        if found - set(self.files) - {MANIFEST}:
            raise BackupFault("The backup holds files that its manifest does not name.")

    def blocks(self, folder: Path, name: str) -> Iterator[bytes]:
        """The bytes of a file; raises BackupFault at the end when they are not those named."""
        kept, digest, size = self.files[name], hashlib.sha256(), 0
        try:
            _demand_inside(folder, name)
            with open_plain(folder / name) as stream:
                while block := stream.read(CHUNK_BYTES):
                    digest.update(block)
                    size += len(block)
                    if size > kept.size:
                        break
                    yield block
        except OSError as fault:
            raise BackupFault(f"The backup lacks {name}, or it cannot be read.") from fault
        if (digest.hexdigest(), size) != (kept.sha256, kept.size):
            raise BackupFault(f"The backup's {name} is not as it was made.")


def open_plain(path: Path) -> BinaryIO:
    """A regular file, opened for reading; OSError for a link, a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return os.fdopen(descriptor, "rb")


def _demand_inside(folder: Path, name: str) -> None:
    """Raise OSError when a folder on the way is a link."""
    for parent in (Path(name).parents)[:-1]:
        if (folder / parent).is_symlink():
            raise OSError("a link in a backup")


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path
