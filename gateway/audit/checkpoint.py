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
import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.audit.merkle import HASH_BYTES

MAX_NOTE_BYTES = 16_384
MAX_SIGNATURES = 16
MAX_SIZE = 2**63 - 1

ED25519 = b"\x01"
KEY_ID_BYTES = 4
SIGNATURE_BYTES = 64
DASH = "\N{EM DASH} "
NAME = re.compile(r"[^\s+]{1,200}")
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


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note as it is written; nobody's signature was checked. ``root`` is 32 bytes."""

    origin: str
    size: int
    root: bytes
    text: str
    body: bytes
    signatures: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Note:
        """Read a note. Raises CheckpointFault unless all of these hold:

        1. It is short, well formed text: three lines, a blank one, signature lines.
        2. Origin, size and root have their only possible spelling.
        """
        # 1
        if len(text) > MAX_NOTE_BYTES or not _lines_only(text):
            raise CheckpointFault("The note holds characters that a note may not.")
        body, blank, tail = text.rpartition("\n\n")
        lines = body.split("\n")
        signatures = tail.split("\n")
        if not blank or len(lines) != 3 or signatures.pop() != "":
            raise CheckpointFault("The note is not a checkpoint.")
        if not 1 <= len(signatures) <= MAX_SIGNATURES:
            raise CheckpointFault("The note has no signature, or too many.")
        # 2
        origin, size, root = lines
        if not NAME.fullmatch(origin):
            raise CheckpointFault("The origin is not a name.")
        if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
            raise CheckpointFault("The size is not a whole number.")
        return cls(
            origin=origin,
            size=int(size),
            root=decode(root, HASH_BYTES),
            text=text,
            body=f"{body}\n".encode(),
            signatures=tuple(signatures),
        )


class CheckpointReader(Protocol):
    """The public half of a log's key, or of several that are good at once."""

    @property
    def keys(self) -> tuple[Verifier, ...]:
        """Every key, the newest first."""

    @property
    def text(self) -> str:
        """The newest key as ``name+hash+base64``."""

    def open(self, note: str) -> Checkpoint:
        """The checkpoint that one of these keys signed; raises CheckpointFault."""


class CheckpointSigner(Protocol):
    """What the log needs from whoever signs."""

    @property
    def verifier(self) -> CheckpointReader:
        """The public half."""

    def sign(self, size: int, root: bytes) -> str:
        """The signed note. Any exception means: not signed, nothing is covered."""


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """The public half of one checkpoint key."""

    name: str
    public: bytes

    @property
    def keys(self) -> tuple[Verifier, ...]:
        """This key."""
        return (self,)

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key)."""
        digest = hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public)
        return digest.digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """``name+hash+base64``, as other C2SP tools read it."""
        return f"{self.name}+{self.key_id.hex()}+{encode(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read ``name+hash+base64``. Raises CheckpointFault when it is not exactly that."""
        # Base64 may hold "+", a name may not.
        name, _, rest = text.strip().partition("+")
        _, _, encoded = rest.partition("+")
        packed = decode(encoded, 1 + HASH_BYTES)
        if not NAME.fullmatch(name) or packed[:1] != ED25519:
            raise CheckpointFault("This is not an Ed25519 verifier key.")
        verifier = cls(name=name, public=packed[1:])
        if verifier.text != text.strip():
            raise CheckpointFault("The verifier key does not match its own hash.")
        return verifier

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in a note of this key.

        Lines of other keys are ignored, as the specification has it. Raises CheckpointFault
        when the note is malformed, of another log, or not signed by this key.
        """
        return _opened(note, (self,))

    def signed(self, note: Note) -> bool:
        """Whether one of the lines is a good signature of this key."""
        return any(self.wrote(line, note) for line in note.signatures)

    def wrote(self, line: str, note: Note) -> bool:
        """Whether this line is a good signature of this key under the note."""
        prefix = f"{DASH}{self.name} "
        if not line.startswith(prefix):
            return False
        try:
            packed = decode(line.removeprefix(prefix), KEY_ID_BYTES + SIGNATURE_BYTES)
        except CheckpointFault:
            return False
        if packed[:KEY_ID_BYTES] != self.key_id:
            return False
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public)
            key.verify(packed[KEY_ID_BYTES:], note.body)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Keyring:
    """The public halves of the keys that a log has at once, at least one, newest first."""

    keys: tuple[Verifier, ...]

    @property
    def text(self) -> str:
        """The newest key as ``name+hash+base64``."""
        return self.keys[0].text

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in a note that one of the keys signed; see ``Verifier.open``."""
        return _opened(note, self.keys)


def _opened(text: str, keys: tuple[Verifier, ...]) -> Checkpoint:
    note = Note.read(text)
    own = [key for key in keys if key.name == note.origin]
    if not own:
        raise CheckpointFault("The note is of another log.")
    if not any(key.signed(note) for key in own):
        raise CheckpointFault("The note is not signed by this key.")
    return Checkpoint(origin=note.origin, size=note.size, root=note.root, note=text)


def _lines_only(note: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in note)


def encode(value: bytes) -> str:
    """Base64 of these bytes."""
    return base64.b64encode(value).decode("ascii")


def decode(text: str, length: int) -> bytes:
    """Strict base64: one spelling per value, so that no bit of the text is without effect."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise CheckpointFault("A value is not base64.") from fault
    if len(value) != length or encode(value) != text:
        raise CheckpointFault("A value is not base64 of the right length.")
    return value
