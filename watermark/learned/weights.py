"""A file of weights that an operator installed, pinned by its SHA-256."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

MAX_WEIGHTS_BYTES: Final = 8 * 1024**3
_BLOCK_BYTES: Final = 1 << 20
_OTHER: Final = (
    "The weights of the learned watermark are not the file that was pinned: their SHA-256 is "
    "another. Install the file that was meant, or pin this one if it is trusted."
)


class WeightsRefused(Exception):
    """Weights that are absent, altered, or no model of the expected kind.

    Nothing is marked and nothing counts as read. The text is a sentence with the remedy,
    without a path.
    """


@dataclass(frozen=True, kw_only=True)
class PinnedWeights:
    """Where the weights lie, their SHA-256 in lower-case hex, and the bits of the model."""

    path: Path
    sha256: str
    bits: int

    def check(self) -> None:
        """Compares the file with its pin, in constant memory, without loading it.

        Says that it matched now, not that it will at the next look: `read` gives bytes that
        were compared themselves. Raises `WeightsRefused`.
        """
        digest = hashlib.sha256()
        try:
            with self._opened() as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
        except OSError as fault:
            raise _unreadable() from fault
        self._compare(digest.hexdigest())

    def read(self) -> bytes:
        """Returns the very bytes whose digest matched. Raises `WeightsRefused`."""
        try:
            with self._opened() as stream:
                content = stream.read(MAX_WEIGHTS_BYTES + 1)
        except OSError as fault:
            raise _unreadable() from fault
        self._compare(hashlib.sha256(content).hexdigest())
        return content

    def _opened(self) -> BinaryIO:
        if not self.path.is_file():
            raise WeightsRefused(
                "The weights of the learned watermark are absent: install the TorchScript "
                "file and name it in the settings. They are never downloaded."
            )
        if self.path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise WeightsRefused(_OTHER)
        return self.path.open("rb")

    def _compare(self, digest: str) -> None:
        if hmac.compare_digest(digest, self.sha256):
            return
        raise WeightsRefused(_OTHER)


def _unreadable() -> WeightsRefused:
    return WeightsRefused(
        "The weights of the learned watermark cannot be read: let this user read the file."
    )
