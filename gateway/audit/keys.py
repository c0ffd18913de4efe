"""The private keys of the log: one, or two while one takes over from the other.

    PRIVATE+KEY+<origin>+<hash>+<base64>     the newest; each line is one key
    PRIVATE+KEY+<origin>+<hash>+<base64>     the one that it takes over from

Every head is signed by each of them, so that whoever knows either can check it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.checkpoint import (
    DASH,
    ED25519,
    MAX_SIZE,
    NAME,
    CheckpointFault,
    Keyring,
    Verifier,
    decode,
    encode,
)
from gateway.audit.merkle import HASH_BYTES
from gateway.errors import ConfigurationFault, Conflict

KEY_FILE = "checkpoint.key"
RETIRED_FILE = "checkpoint.retired"
ORIGIN = "cinegate.example/log/"
MAX_KEYS = 2
MAX_FILE_BYTES = 4_096
_PRIVATE = "PRIVATE+KEY+"


class CheckpointKey:
    """One private key of a log."""

    def __init__(self, origin: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = Verifier(name=origin, public=private.public_key().public_bytes_raw())

    @classmethod
    def create(cls, origin: str | None = None) -> CheckpointKey:
        """A new key, of the log with this origin or of a new one."""
        return cls(origin or ORIGIN + secrets.token_hex(8), Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> CheckpointKey:
        """Read ``PRIVATE+KEY+name+hash+base64``. Raises ValueError unless it is just that."""
        name, _, rest = text.removeprefix(_PRIVATE).partition("+")
        packed = decode(rest.partition("+")[2], 1 + HASH_BYTES)
        key = cls(name, Ed25519PrivateKey.from_private_bytes(packed[1:]))
        if key.text != text or not NAME.fullmatch(name):
            raise CheckpointFault("This is not a key that signs checkpoints.")
        return key

    @property
    def text(self) -> str:
        """The form of Go's sumdb/note: ``PRIVATE+KEY+name+hash+base64``."""
        packed = ED25519 + self._private.private_bytes_raw()
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.key_id.hex()}+{encode(packed)}"

    def sign(self, size: int, root: bytes) -> str:
        """The note for a tree of ``size`` leaves. The same tree always gives the same note."""
        return _signed((self,), size, root)

    def line(self, body: str) -> str:
        """The signature line of this key under the body of a note."""
        packed = self.verifier.key_id + self._private.sign(body.encode())
        return f"{DASH}{self.verifier.name} {encode(packed)}\n"


class KeyFile:
    """The keys of this gateway's log, in a file that only its owner can read.

    A file that another process replaced is read again, so that nobody has to be restarted
    when a key is added or retired. Every use raises ConfigurationFault when the file can be
    read by others, is not a file of keys, or is gone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[CheckpointKey, ...] = ()

    @classmethod
    def load_or_create(cls, keys_dir: Path) -> KeyFile:
        """The keys of this gateway; one is made (mode 0600) when there is no file.

        Safe when several processes start at once: all get the same key. A lost key cannot be
        replaced: a log goes on only under its own keys. Raises ConfigurationFault.
        """
        path = keys_dir / KEY_FILE
        try:
            if not path.exists():
                _place(path, CheckpointKey.create().text, replace=False)
        except OSError as fault:
            raise ConfigurationFault(
                f"The log's key {KEY_FILE} cannot be read or made: {fault.strerror}."
            ) from fault
        file = cls(path)
        file.keys()
        return file

    @property
    def verifier(self) -> Keyring:
        """The public halves, the newest first."""
        return Keyring(tuple(key.verifier for key in self.keys()))

    def sign(self, size: int, root: bytes) -> str:
        """The note for a tree of ``size`` leaves, signed by every key."""
        return _signed(self.keys(), size, root)

    def keys(self) -> tuple[CheckpointKey, ...]:
        """The keys as the file has them now, the newest first."""
        try:
            # A file is replaced and never written over, so these three tell versions apart.
            status = self._path.lstat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
            if seen != self._seen:
                self._keys, self._seen = _read(self._path), seen
        except OSError as fault:
            raise ConfigurationFault(
                f"The log's key {KEY_FILE} cannot be read: {fault.strerror}."
            ) from fault
        return self._keys

    def add(self, key: CheckpointKey) -> None:
        """Sign with this key too, from now on.

        Raises Conflict when there are MAX_KEYS, ConfigurationFault when it cannot be written.
        """
        with self._alone():
            present = self.keys()
            if len(present) >= MAX_KEYS:
                raise Conflict("Two keys sign already: retire the old one first.")
            self._replace((key, *present))

    def keep_newest(self) -> None:
        """Sign with the newest key only; the others go into a file that nothing reads."""
        with self._alone():
            self._keep_newest()

    def _keep_newest(self) -> None:
        newest, *others = self.keys()
        retired = self._path.with_name(RETIRED_FILE)
        try:
            earlier = retired.read_text("ascii") if retired.exists() else ""
            kept = [key.text for key in others if key.text not in earlier]
            _place(retired, "\n".join(filter(None, [earlier.strip(), *kept])), replace=True)
        except (OSError, UnicodeDecodeError) as fault:
            raise ConfigurationFault(f"{RETIRED_FILE} cannot be written.") from fault
        self._replace((newest,))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process changes the file: what it read would be lost."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _replace(self, keys: tuple[CheckpointKey, ...]) -> None:
        try:
            _place(self._path, "\n".join(key.text for key in keys), replace=True)
        except OSError as fault:
            raise ConfigurationFault(
                f"The log's key {KEY_FILE} cannot be written: {fault.strerror}."
            ) from fault


def _signed(keys: tuple[CheckpointKey, ...], size: int, root: bytes) -> str:
    if not 0 <= size <= MAX_SIZE or len(root) != HASH_BYTES:
        raise CheckpointFault("This is not the head of a tree.")
    body = f"{keys[0].verifier.name}\n{size}\n{encode(root)}\n"
    return f"{body}\n{''.join(key.line(body) for key in keys)}"


def _read(path: Path) -> tuple[CheckpointKey, ...]:
    # The mode is asked of the open file, so that it cannot be swapped in between.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigurationFault(
                f"The log's key {KEY_FILE} must be readable by its owner only (mode 0600)."
            )
        written = file.read(MAX_FILE_BYTES)
    try:
        lines = written.decode("ascii").removesuffix("\n").split("\n")
        keys = tuple(CheckpointKey.parse(line) for line in lines)
    except ValueError as fault:
        raise ConfigurationFault(f"The log's key {KEY_FILE} is not a key.") from fault
    if len({key.verifier.name for key in keys}) != 1:
        raise ConfigurationFault(f"The keys in {KEY_FILE} are of different logs.")
    if len({key.verifier for key in keys}) != len(keys) or len(keys) > MAX_KEYS:
        raise ConfigurationFault(f"{KEY_FILE} holds a key twice, or more than {MAX_KEYS}.")
    return keys


def _place(path: Path, text: str, *, replace: bool) -> None:
    """Write the whole file (mode 0600), then give it its name.

    Without ``replace`` a file that another process placed first stays as it is.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
