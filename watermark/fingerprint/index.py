"""The seam of a searchable collection of fingerprints."""

from __future__ import annotations

from typing import Protocol

from watermark.fingerprint.match import MAX_MATCHES, Search
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import Fingerprint


class FingerprintIndex(Protocol):
    """Clips by id, searched by what a copy shows.

    Not safe for threads: one caller at a time. The database keeps the fingerprints' bytes
    and is the truth; an index is rebuilt from them at any time.
    """

    def __len__(self) -> int:
        """How many clips can be found."""
        ...

    def __contains__(self, clip_id: object) -> bool: ...

    def add(self, clip_id: str, fingerprint: Fingerprint) -> None:
        """Adds a clip, or replaces the one of that id; found from the next search on."""
        ...

    def remove(self, clip_id: str) -> bool:
        """Forgets a clip, its points included; False when there was none of that id."""
        ...

    def search(self, query: Query, limit: int = MAX_MATCHES) -> Search:
        """Finds at most `limit` (at most 16) clips that the query may come from.

        A match is evidence, not proof: see `Match.log10_p`. No match proves nothing.
        """
        ...
