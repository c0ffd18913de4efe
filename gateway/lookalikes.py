"""Lookalikes: which released clips a copy resembles, by their fingerprints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import structlog

from gateway import fingerprints
from gateway.db import Database
from gateway.media.frames import Frames
from gateway.witnesses import Compared
from watermark.fingerprint.index import FingerprintIndex
from watermark.fingerprint.maker import Onlooker, fingerprint
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import Fingerprint, FingerprintInvalid

log = structlog.get_logger(part="lookalikes")


class ClipLooks:
    """Makes the fingerprint of a clip that is to be released."""

    def record(self, chunks: Iterable[Frames], *, fps: float) -> bytes:
        """See ``gateway.seams.Looks``."""
        return fingerprint(chunks, fps=fps).to_bytes()


class Lookalikes:
    """An index of every released clip in the memory of this process.

    Empty until the first question, then brought up to date with the database before each:
    the fingerprints that came or went since, by whatever process, and no others, are read.
    """

    def __init__(
        self, database: Database, *, make_index: Callable[[], FingerprintIndex]
    ) -> None:
        self._database = database
        self._index = make_index()
        self._number = 0
        self._lock = threading.Lock()  # an index serves one caller at a time

    def onlooker(self) -> Onlooker:
        """Looks at the frames of one copy as they pass."""
        return Onlooker()

    def compare(self, query: Query) -> Compared:
        """The clips that the copy resembles beyond chance, the likeliest first.

        Raises whatever the database raises: then nothing was compared.
        """
        with self._lock:
            released = self._follow()
            found = self._index.search(query)
            count = len(self._index)
        return Compared(
            enough_detail=found.outcome != "too_little_detail",
            matches=tuple(match for match in found.matches if match.credible),
            clips=count,
            released=max(count, released),
        )

    def _follow(self) -> int:
        with self._database.read() as session:
            for number, clip_id, record in fingerprints.since(session, self._number):
                self._index.remove(clip_id)
                if record is not None:
                    try:
                        self._index.add(clip_id, Fingerprint.from_bytes(record))
                    except FingerprintInvalid:
                        # One damaged row: that clip counts as not compared.
                        log.error("fingerprint.invalid", number=number)
                self._number = number
            return fingerprints.released(session)
