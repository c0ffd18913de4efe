"""The checkpoint: a signed statement of the log's size and root, as a C2SP signed note.

    cinegate.example/log/5f0c…          origin, fixed for the life of the log
    1042                                number of leaves
    n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is…   root, base64

    — cinegate.example/log/5f0c… aBcD…  key id and Ed25519 signature, base64

Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gateway.audit.merkle import HASH_BYTES
from gateway.errors import ConfigurationFault

KEY_FILE = "checkpoint.key"
ORIGIN = "cinegate.example/log/"
MAX_NOTE_BYTES = 16_384
MAX_SIGNATURES = 16
MAX_SIZE = 2**63 - 1

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_PRIVATE = "PRIVATE+KEY+"
_DASH = "\N{EM DASH} "
_NAME = re.compile(r"[^\s+]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class CheckpointFault(ValueError):
    """A note is malformed, or not signed by the key that was expected."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A tree head whose signature was verified; ``root`` is 32 bytes, ``note`` exact text."""

    origin: str
    size: int
    root: bytes
    note: str


class CheckpointSigner(Protocol):
    """What the log needs from whoever signs."""

    @property
    def verifier(self) -> Verifier:
        """The public half."""

    def sign(self, size: int, root: bytes) -> str:
        """The signed note. Any exception means: not signed, nothing is covered."""


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """The public half of a checkpoint key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key)."""
        digest = hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public)
        return digest.digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """``name+hash+base64``, as other C2SP tools read it."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read ``name+hash+base64``. Raises CheckpointFault when it is not exactly that."""
        # Base64 may hold "+", a name may not.
        name, _, rest = text.strip().partition("+")
        _, _, encoded = rest.partition("+")
        packed = _decode(encoded, 1 + HASH_BYTES)
        if not _NAME.fullmatch(name) or packed[:1] != _ED25519:
            raise CheckpointFault("This is not an Ed25519 verifier key.")
        verifier = cls(name=name, public=packed[1:])
        if verifier.text != text.strip():
            raise CheckpointFault("The verifier key does not match its own hash.")
        return verifier

    def open(self, note: str, *, alone: bool = True) -> Checkpoint:
        """The checkpoint in a note. Raises CheckpointFault unless all of these hold:

        1. The note is short, well formed text: three lines, a blank one, signature lines.
        2. Origin, size and root have their only possible spelling.
        3. The origin is the name of this key.
        4. With ``alone``, there is one signature: a change to another's goes unnoticed.
        5. One signature line is of this key, and the signature is good.
        """
        # 1
        if len(note) > MAX_NOTE_BYTES or not _lines_only(note):
            raise CheckpointFault("The note holds characters that a note may not.")
        body, blank, tail = note.rpartition("\n\n")
        lines = body.split("\n")
        signatures = tail.split("\n")
        if not blank or len(lines) != 3 or signatures.pop() != "":
            raise CheckpointFault("The note is not a checkpoint.")
        if not 1 <= len(signatures) <= MAX_SIGNATURES:
            raise CheckpointFault("The note has no signature, or too many.")
        # 2
        origin, size, root = lines
        if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
            raise CheckpointFault("The size is not a whole number.")
        checkpoint = Checkpoint(
            origin=origin, size=int(size), root=_decode(root, HASH_BYTES), note=note
        )
        # 3
        if origin != self.name:
            raise CheckpointFault("The note is of another log.")
        # 4
        if alone and len(signatures) != 1:
            raise CheckpointFault("The note has more than one signature.")
        # 5
        for line in signatures:
            if self._signed(line, f"{body}\n".encode()):
                return checkpoint
        raise CheckpointFault("The note is not signed by this key.")

    def _signed(self, line: str, message: bytes) -> bool:
        prefix = f"{_DASH}{self.name} "
        if not line.startswith(prefix):
            return False
        try:
            packed = _decode(line.removeprefix(prefix), _KEY_ID_BYTES + _SIGNATURE_BYTES)
        except CheckpointFault:
            return False
        if packed[:_KEY_ID_BYTES] != self.key_id:
            return False
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public)
            key.verify(packed[_KEY_ID_BYTES:], message)
        except InvalidSignature:
            return False
        return True


class CheckpointKey:
    """The private key of the log, kept in a file that only its owner can read."""

    def __init__(self, origin: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = Verifier(name=origin, public=private.public_key().public_bytes_raw())

    @classmethod
    def create(cls) -> CheckpointKey:
        """A new key for a new log."""
        return cls(ORIGIN + secrets.token_hex(8), Ed25519PrivateKey.generate())

    @classmethod
    def load_or_create(cls, keys_dir: Path) -> CheckpointKey:
        """Read the key of this gateway; make one (mode 0600) when there is none.

        Safe when several processes start at once: all get the same key. Raises
        ConfigurationFault when the file can be read by others, is not a key, or cannot be
        made. A lost key cannot be replaced: a log goes on only under its own key.
        """
        path = keys_dir / KEY_FILE
        try:
            if not path.exists():
                _place(path, cls.create()._text())
            return cls._read(path)
        except OSError as fault:
            raise ConfigurationFault(
                f"The log's key {KEY_FILE} cannot be read or made: {fault.strerror}."
            ) from fault

    def sign(self, size: int, root: bytes) -> str:
        """The note for a tree of ``size`` leaves. The same tree always gives the same note."""
        if not 0 <= size <= MAX_SIZE or len(root) != HASH_BYTES:
            raise CheckpointFault("This is not the head of a tree.")
        name = self.verifier.name
        body = f"{name}\n{size}\n{_encode(root)}\n"
        packed = self.verifier.key_id + self._private.sign(body.encode())
        return f"{body}\n{_DASH}{name} {_encode(packed)}\n"

    @classmethod
    def _read(cls, path: Path) -> CheckpointKey:
        # The mode is asked of the open file, so that it cannot be swapped in between.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077:
                raise ConfigurationFault(
                    f"The log's key {KEY_FILE} must be readable by its owner only (mode 0600)."
                )
            written = file.read(1_000)
        try:
            text = written.decode("ascii").removesuffix("\n")
            name, _, rest = text.removeprefix(_PRIVATE).partition("+")
            packed = _decode(rest.partition("+")[2], 1 + HASH_BYTES)
            key = cls(name, Ed25519PrivateKey.from_private_bytes(packed[1:]))
        except ValueError as fault:
            raise ConfigurationFault(f"The log's key {KEY_FILE} is not a key.") from fault
        if key._text() != text or not _NAME.fullmatch(name):
            raise ConfigurationFault(f"The log's key {KEY_FILE} is not a key.")
        return key

    def _text(self) -> str:
        """The form of Go's sumdb/note: ``PRIVATE+KEY+name+hash+base64``."""
        packed = _ED25519 + self._private.private_bytes_raw()
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.key_id.hex()}+{_encode(packed)}"


def _place(path: Path, text: str) -> None:
    """Write the whole file, then give it its name, unless another process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lines_only(note: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in note)


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _decode(text: str, length: int) -> bytes:
    """Strict base64: one spelling per value, so that no bit of the text is without effect."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise CheckpointFault("A value is not base64.") from fault
    if len(value) != length or _encode(value) != text:
        raise CheckpointFault("A value is not base64 of the right length.")
    return value
