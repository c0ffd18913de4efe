"""Two stores of media: the vault that nobody can fetch from, and what was released."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obstore.exceptions import AlreadyExistsError

from gateway.buckets import FAULTS, MAX_OBJECT_BYTES, Folder, Place, unavailable
from gateway.copies import Copies
from gateway.errors import StageUnavailable

CHUNK_BYTES = 4 * 1024 * 1024
FETCHES_AT_ONCE = 16
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


class NotAsStored(StageUnavailable):
    """A stored object holds other bytes than its name says."""


class BlobStore:
    """Immutable bytes named by job and content, in a folder or a bucket.

    ``put`` never overwrites: an object of that name is left as it is, and whoever reads it
    finds out whether it holds these bytes. ``checkout`` gives a local copy whose digest was
    checked again. Neither follows names from outside: a name is always a digest. Raises
    StageUnavailable when the place cannot be used, in words that hold no secret.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._opened: dict[bool, Any] = {}

    def _store(self, *, brisk: bool = False) -> Any:
        if brisk not in self._opened:
            try:
                self._opened[brisk] = self._place.open(brisk=brisk)
            except FAULTS as fault:
                raise unavailable("The media store cannot be opened.", fault) from fault
        return self._opened[brisk]

    def put(self, path: Path, *, scope: str, suffix: str) -> Ref:
        """Store a file's bytes and return their reference; storing twice is harmless.

        At most MAX_OBJECT_BYTES, and as much memory: only a single request is create-only.
        """
        try:
            if path.stat().st_size > MAX_OBJECT_BYTES:
                raise StageUnavailable("The file is too large for the media store.")
            sha256, size = digest_file(path)
            ref = Ref(scope=scope, sha256=sha256, size=size, suffix=suffix)
            with path.open("rb") as stream:
                self._create(ref.name, stream)
        except OSError as fault:
            raise unavailable("The media store did not take the file.", fault) from fault
        return ref

    def put_bytes(self, content: bytes, *, scope: str, suffix: str) -> Ref:
        """Store bytes and return their reference; storing twice is harmless."""
        sha256 = hashlib.sha256(content).hexdigest()
        ref = Ref(scope=scope, sha256=sha256, size=len(content), suffix=suffix)
        self._create(ref.name, content)
        return ref

    def _create(self, name: str, content: Any) -> bool:
        """Write an object that is not there yet; say whether it was not."""
        try:
            self._store().put(name, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except FAULTS as fault:
            raise unavailable("The media store did not take the file.", fault) from fault
        return True

    def read(self, ref: Ref) -> bytes:
        """All bytes of a small object. Raises StageUnavailable when they are not intact."""
        try:
            content = bytes(self._store().get(ref.name).bytes())
        except FAULTS as fault:
            raise unavailable("A stored file cannot be read.", fault) from fault
        if hashlib.sha256(content).hexdigest() == ref.sha256:
            return content
        raise NotAsStored("A stored file is not what was stored.")

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
            except FAULTS as fault:
                raise unavailable("A stored file cannot be read.", fault) from fault
            if digest.hexdigest() != ref.sha256:
                raise NotAsStored("A stored file is not what was stored.")
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def present(self, ref: Ref) -> bool:
        """Whether an object of that name and size is there; its bytes are not read."""
        try:
            return bool(self._store(brisk=True).head(ref.name)["size"] == ref.size)
        except FileNotFoundError:
            return False
        except FAULTS as fault:
            raise unavailable("A stored file cannot be looked up.", fault) from fault

    def scopes(self) -> tuple[str, ...]:
        """The jobs that have something here."""
        try:
            listed = self._store(brisk=True).list_with_delimiter()
        except FAULTS as fault:
            raise unavailable("The media store cannot be read.", fault) from fault
        names = (str(prefix).rstrip("/") for prefix in listed["common_prefixes"])
        return tuple(name for name in names if _SCOPE.fullmatch(name))

    def clear(self, scope: str) -> None:
        """Delete everything of one job; nothing there is no error."""
        if not _SCOPE.fullmatch(scope):
            raise ValueError("A scope is lower-case letters, digits and underscores.")
        try:
            if isinstance(self._place, Folder):
                self._place.remove(scope)
                return
            store = self._store(brisk=True)
            names = [str(entry["path"]) for page in store.list(f"{scope}/") for entry in page]
        except FileNotFoundError:
            return
        except FAULTS as fault:
            raise unavailable("The media store did not delete the files.", fault) from fault
        if names:
            self._delete(names)

    def _delete(self, names: list[str]) -> None:
        try:
            self._store(brisk=True).delete(names)
        except FileNotFoundError:
            return
        except FAULTS as fault:
            raise unavailable("The media store did not delete the files.", fault) from fault

    def probe(self) -> None:
        """Write an object, try to overwrite it, read it and delete it.

        Raises StageUnavailable when any of these does not end as it must: a service that
        does not know create-only writes would let a released file be replaced.
        """
        name, content = f".probe/{secrets.token_hex(16)}", secrets.token_bytes(32)
        self._create(name, content)
        try:
            if self._create(name, b"another"):
                raise StageUnavailable(
                    "The media store overwrites files: it does not know create-only writes."
                )
            try:
                stored = bytes(self._store(brisk=True).get(name).bytes())
            except FAULTS as fault:
                raise unavailable("A stored file cannot be read.", fault) from fault
            if stored != content:
                raise NotAsStored("A stored file is not what was stored.")
        finally:
            self._delete([name])


class Vault(BlobStore):
    """Raw and intermediate media. Only workers hold it; no route ever does."""


class Released(BlobStore):
    """Marked, signed, re-read clips: the only store that the download code knows.

    Files in a folder are served from there. Objects in a bucket are served from ``copies``
    on this machine whose digest was compared; nobody is sent to the bucket itself.
    """

    def __init__(self, place: Place, copies: Copies | None = None) -> None:
        if not isinstance(place, Folder) and copies is None:
            raise ValueError("Released objects in a bucket need a folder for copies.")
        super().__init__(place)
        self._copies = copies
        self._known: dict[str, tuple[int, int, int]] = {}
        # Players ask for several ranges at once; one of them fetches.
        self._fetching = tuple(threading.Lock() for _ in range(FETCHES_AT_ONCE))

    def intact(self, ref: Ref) -> bool:
        """Whether the bytes that would be served now are those that were released.

        They are read and hashed the first time, and again whenever the file was touched or
        the object's tag changed. Raises StageUnavailable when a bucket does not say.
        """
        if isinstance(self._place, Folder):
            return self._file_intact(self.local_path(ref), ref)
        with self._fetching[int(ref.sha256, 16) % FETCHES_AT_ONCE]:
            return self._object_intact(ref)

    def local_path(self, ref: Ref) -> Path:
        """The file to serve byte ranges from, once ``intact`` has said yes."""
        if isinstance(self._place, Folder):
            return self._place.path / ref.name
        return self._kept.path(ref.name)

    def clear(self, scope: str) -> None:
        """Delete everything of one job; nothing there is no error."""
        super().clear(scope)
        if self._copies is not None:
            self._copies.clear(scope)

    @property
    def _kept(self) -> Copies:
        assert self._copies is not None  # noqa: S101 - the constructor sees to it
        return self._copies

    def _file_intact(self, path: Path, ref: Ref) -> bool:
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

    def _object_intact(self, ref: Ref) -> bool:
        try:
            found = self._store(brisk=True).head(ref.name)
        except FileNotFoundError:
            self._kept.forget(ref.name)
            return False
        except FAULTS as fault:
            raise unavailable("A released file cannot be looked up.", fault) from fault
        modified = found["last_modified"].timestamp()
        tag = f"{found['e_tag']} {found['size']} {modified}"
        if self._kept.current(ref.name, tag):
            return True
        try:
            with self.checkout(ref, scratch=self._kept.folder) as path:
                self._kept.keep(ref.name, tag, path, modified=modified)
        except NotAsStored:
            self._kept.forget(ref.name)
            return False
        return True
