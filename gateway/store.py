"""Two stores of media: the vault that nobody can fetch from, and what was released."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from gateway.errors import StageUnavailable

CHUNK_BYTES = 4 * 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SCOPE = re.compile(r"[a-z0-9_]{1,64}")
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")


@dataclass(frozen=True, kw_only=True)
class Ref:
    """Stored bytes by content.

    ``scope`` is the job they belong to, ``sha256`` in hex, ``size`` in bytes, ``suffix`` such
    as mp4. Raises ValueError for anything that could name a path outside the store.
    """

    scope: str
    sha256: str
    size: int
    suffix: str

    def __post_init__(self) -> None:
        if not (
            _SCOPE.fullmatch(self.scope)
            and _DIGEST.fullmatch(self.sha256)
            and _SUFFIX.fullmatch(self.suffix)
        ):
            raise ValueError("A reference needs a plain scope and suffix and a hex SHA-256.")

    @property
    def name(self) -> str:
        """The object name: scope, slash, digest, dot, suffix."""
        return f"{self.scope}/{self.sha256}.{self.suffix}"

    def to_dict(self) -> dict[str, str | int]:
        """A plain form for the record."""
        return {
            "scope": self.scope,
            "sha256": self.sha256,
            "size": self.size,
            "suffix": self.suffix,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Ref:
        """The reference that ``to_dict`` wrote down. Raises KeyError or ValueError."""
        return cls(
            scope=str(plain["scope"]),
            sha256=str(plain["sha256"]),
            size=int(plain["size"]),
            suffix=str(plain["suffix"]),
        )


def digest_file(path: Path) -> tuple[str, int]:
    """SHA-256 (hex) and size of a file, read in chunks."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(CHUNK_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


class BlobStore:
    """Immutable bytes named by job and content, in a local folder.

    ``put`` never overwrites: an object of that name holds these bytes already. ``checkout``
    gives a local copy whose digest was checked again. Neither follows names from outside: a
    name is always a digest. Raises StageUnavailable when the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: LocalStore | None = None

    def _store(self) -> LocalStore:
        if self._opened is None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._opened = LocalStore(self._folder, mkdir=True)
            except (OSError, BaseError) as fault:
                raise StageUnavailable("The media store cannot be opened.") from fault
        return self._opened

    def put(self, path: Path, *, scope: str, suffix: str) -> Ref:
        """Store a file's bytes and return their reference; storing twice is harmless."""
        sha256, size = digest_file(path)
        ref = Ref(scope=scope, sha256=sha256, size=size, suffix=suffix)
        try:
            with path.open("rb") as stream:
                self._store().put(ref.name, stream, mode="create")
        except AlreadyExistsError:
            pass
        except (OSError, BaseError) as fault:
            raise StageUnavailable("The media store did not take the file.") from fault
        return ref

    def put_bytes(self, content: bytes, *, scope: str, suffix: str) -> Ref:
        """Store bytes and return their reference; storing twice is harmless."""
        sha256 = hashlib.sha256(content).hexdigest()
        ref = Ref(scope=scope, sha256=sha256, size=len(content), suffix=suffix)
        try:
            self._store().put(ref.name, content, mode="create")
        except AlreadyExistsError:
            pass
        except (OSError, BaseError) as fault:
            raise StageUnavailable("The media store did not take the file.") from fault
        return ref

    def read(self, ref: Ref) -> bytes:
        """All bytes of a small object. Raises StageUnavailable when they are not intact."""
        try:
            content = bytes(self._store().get(ref.name).bytes())
        except (OSError, BaseError) as fault:
            raise StageUnavailable("A stored file cannot be read.") from fault
        if hashlib.sha256(content).hexdigest() == ref.sha256:
            return content
        raise StageUnavailable("A stored file is not what was stored.")

    @contextmanager
    def checkout(self, ref: Ref, *, scratch: Path) -> Iterator[Path]:
        """A local copy for as long as the block runs, its digest compared with the name."""
        scratch.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=scratch, suffix=f".{ref.suffix}")
        copy = Path(name)
        try:
            digest = hashlib.sha256()
            try:
                with os.fdopen(handle, "wb") as out:
                    for block in self._store().get(ref.name).stream(min_chunk_size=CHUNK_BYTES):
                        digest.update(block)
                        out.write(block)
            except (OSError, BaseError) as fault:
                raise StageUnavailable("A stored file cannot be read.") from fault
            if digest.hexdigest() != ref.sha256:
                raise StageUnavailable("A stored file is not what was stored.")
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def scopes(self) -> tuple[str, ...]:
        """The jobs that have something here."""
        try:
            listed = self._store().list_with_delimiter()
        except (OSError, BaseError) as fault:
            raise StageUnavailable("The media store cannot be read.") from fault
        names = (str(prefix).rstrip("/") for prefix in listed["common_prefixes"])
        return tuple(name for name in names if _SCOPE.fullmatch(name))

    def clear(self, scope: str) -> None:
        """Delete everything of one job; nothing there is no error."""
        if not _SCOPE.fullmatch(scope):
            raise ValueError("A scope is lower-case letters, digits and underscores.")
        try:
            store = self._store()
            names = [str(entry["path"]) for page in store.list(f"{scope}/") for entry in page]
            if names:
                store.delete(names)
        except FileNotFoundError:
            return
        except (OSError, BaseError) as fault:
            raise StageUnavailable("The media store did not delete the files.") from fault


class Vault(BlobStore):
    """Raw and intermediate media. Only workers hold it; no route ever does."""


class Released(BlobStore):
    """Marked, signed, re-read clips: the only store that the download code knows."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._known: dict[str, tuple[int, int, int]] = {}

    def intact(self, ref: Ref) -> bool:
        """Whether the bytes that would be served now are those that were released.

        The file is read and hashed the first time, and again whenever it was touched.
        """
        path = self.local_path(ref)
        try:
            status = path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._known.get(ref.name) != seen:
                if digest_file(path) != (ref.sha256, ref.size):
                    return False
                self._known[ref.name] = seen
        except OSError:
            return False
        return True

    def local_path(self, ref: Ref) -> Path:
        """The file behind a released object, for serving byte ranges."""
        return self._folder / ref.name
