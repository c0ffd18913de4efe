"""The witnesses: what verification asks of each part, and nothing about who answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gateway.audit.receipt import Receipt
from gateway.provenance.credentials import Credentials
from watermark.fingerprint.match import Match
from watermark.fingerprint.query import Query
from watermark.payload import Payload
from watermark.reading import Reading

Frames = npt.NDArray[np.uint8]
# A clip that was released and then deleted by its owner was still made here.
RELEASED_STATES = frozenset({"released", "deleted"})


class CredentialSource(Protocol):
    """Reads the credentials of an untrusted file, in a confined process."""

    def read(self, source: Path) -> Credentials:
        """What the file carries."""


class MarkReader(Protocol):
    """Reads the watermark; ``watermark.spread`` has the real one."""

    @property
    def name(self) -> str:
        """The soft-binding algorithm name."""

    def extract(
        self, chunks: Iterable[Frames], *, fps: float, candidates: Collection[Payload] = ()
    ) -> Reading:
        """What the frames carry."""


class Onlooker(Protocol):
    """Looks at the frames of a copy on their way to another witness."""

    def passing(self, chunks: Iterable[Frames]) -> Iterator[Frames]:
        """The same chunks."""

    def query(self, *, fps: float) -> Query:
        """What has passed, to be compared."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a copy resembles beyond chance, the likeliest first.

    ``clips`` were compared, of ``released`` that there are: a fingerprint may still be
    missing. Without ``enough_detail`` nothing was compared.
    """

    enough_detail: bool
    matches: tuple[Match, ...]
    clips: int
    released: int


class LookReader(Protocol):
    """Compares looks; ``gateway.lookalikes`` has the real one."""

    def onlooker(self) -> Onlooker:
        """One for each copy."""

    def compare(self, query: Query) -> Compared:
        """Which released clips the copy resembles."""


class VideoFacts(Protocol):
    """What is known of a clip that is being decoded."""

    @property
    def container(self) -> str:
        """mp4 or matroska."""

    @property
    def fps(self) -> float:
        """Frames a second, above 0."""


class Video(Protocol):
    """An untrusted clip being decoded elsewhere; ``gateway.media.sandbox`` has the real one."""

    @property
    def info(self) -> VideoFacts:
        """Container and rate."""

    @property
    def chunks(self) -> Iterator[Frames]:
        """The frames, once. Raises Unreadable."""

    @property
    def looked_at(self) -> tuple[tuple[float, float], ...]:
        """Spans in seconds, after the last chunk."""


Decode = Callable[[Path], AbstractContextManager[Video]]


@dataclass(frozen=True, kw_only=True)
class RegisteredClip:
    """A clip of ours as the register has it. ``audit_index`` is set once it was released."""

    clip_id: str
    video_id: str
    state: str
    sha256: str | None
    manifest_id: str | None
    released_at: datetime | None
    audit_index: int | None
    size_bytes: int | None = None


class ClipRegistry(Protocol):
    """Finds our clips by the number in their watermark."""

    def find(self, clip_id: str) -> RegisteredClip | None:
        """The clip of this number (16 hex digits), whatever its state."""

    def candidates(self) -> Collection[Payload]:
        """Payloads to compare with a mark too weak to be read by itself."""


class PublicLog(Protocol):
    """Proves entries; ``gateway.audit.log.SqlAuditLog`` is the real one."""

    def inclusion(self, event_id: str) -> Receipt:
        """A verified receipt. Raises NotFound when no signed checkpoint covers the event."""
