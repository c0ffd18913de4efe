"""Origins: where a file from outside comes from, be it a clip or a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gateway.media.picture import StillPicture
from gateway.provenance.credentials import Credentials
from gateway.verify import Report as OriginReport
from gateway.verify import Verifier
from gateway.witnesses import (
    ClipRegistry,
    Decode,
    Frames,
    LookReader,
    MarkReader,
    PublicLog,
)

CLIP = "video/mp4"
STILL_FPS = 1.0


class PictureCredentials(Protocol):
    """Reads the credentials of an untrusted file; ``gateway.confined`` has the real one."""

    def read(self, source: Path, *, mime: str) -> Credentials:
        """What the file carries."""
        ...


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Says where clips and pictures come from, by the same witnesses and the same table.

    The watermark of a clip of ours is read from a single frame of it too.
    """

    credentials: PictureCredentials
    watermark: MarkReader
    looks: LookReader
    registry: ClipRegistry
    log: PublicLog
    clock: Callable[[], datetime]

    def verifier(self, decode: Decode) -> Verifier:
        """The one for clips, decoded so."""
        return Verifier(
            credentials=_Typed(self.credentials, CLIP),
            watermark=self.watermark,
            looks=self.looks,
            registry=self.registry,
            log=self.log,
            decode=decode,
            clock=self.clock,
        )

    def of(self, path: Path, picture: StillPicture) -> OriginReport:
        """The report on a file, whose picture was decoded already."""
        return Verifier(
            credentials=_Typed(self.credentials, picture.mime),
            watermark=self.watermark,
            looks=self.looks,
            registry=self.registry,
            log=self.log,
            decode=lambda _: _still(picture),
            clock=self.clock,
        ).verify(path)


class _Typed:
    """Credentials of files of one media type."""

    def __init__(self, credentials: PictureCredentials, mime: str) -> None:
        self._credentials = credentials
        self._mime = mime

    def read(self, source: Path) -> Credentials:
        return self._credentials.read(source, mime=self._mime)


@dataclass(frozen=True, kw_only=True)
class _StillFacts:
    container: str
    fps: float = STILL_FPS


class _StillVideo:
    """A decoded picture as a clip of one frame."""

    def __init__(self, picture: StillPicture) -> None:
        self.info = _StillFacts(container=picture.format)
        self.looked_at: tuple[tuple[float, float], ...] = ()
        self._picture = picture

    @property
    def chunks(self) -> Iterator[Frames]:
        yield self._picture.pixels[None]
        self.looked_at = ((0.0, 1.0 / STILL_FPS),)


@contextmanager
def _still(picture: StillPicture) -> Iterator[_StillVideo]:
    yield _StillVideo(picture)
