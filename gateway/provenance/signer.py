"""The signer's role: what the pipeline asks for, without the library that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class SignedFile:
    """A file whose manifest was embedded, signed, time-stamped and read back.

    ``manifest_store`` is what a soft-binding service hands out. ``sha256`` is the hexadecimal
    digest of the whole file.
    """

    path: Path
    manifest_store: bytes = field(repr=False)
    manifest_id: str
    sha256: str


class Signer(Protocol):
    """Signs clips. ``name`` is what the audit log records."""

    @property
    def name(self) -> str:
        """A stable name of the implementation and its algorithm."""
        ...

    def sign(
        self,
        manifest: Mapping[str, Any],
        source: Path,
        destination: Path,
        *,
        thumbnail: bytes | None,
    ) -> SignedFile:
        """Write the signed copy of ``source`` to ``destination``, whole or not at all.

        A second call replaces the first result. ``source`` is not changed. Raises
        StageUnavailable when no trusted time stamp or signature can be had now.
        """
        ...
