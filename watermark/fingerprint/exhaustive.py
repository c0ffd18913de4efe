"""The exact reference: compares a query with every clip. For tests and small collections."""

from __future__ import annotations

from watermark.fingerprint.match import (
    MAX_MATCHES,
    TOO_LITTLE_DETAIL,
    Search,
    compare,
    ranked,
)
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import Fingerprint


class ExhaustiveIndex:
    """A `FingerprintIndex` in a dictionary; takes about a millisecond per clip."""

    def __init__(self) -> None:
        self._clips: dict[str, Fingerprint] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._clips

    def add(self, clip_id: str, fingerprint: Fingerprint) -> None:
        self._clips[clip_id] = fingerprint

    def remove(self, clip_id: str) -> bool:
        return self._clips.pop(clip_id, None) is not None

    def search(self, query: Query, limit: int = MAX_MATCHES) -> Search:
        if not query.enough_detail:
            return TOO_LITTLE_DETAIL
        sides = ((query.points, False), (query.points.mirrored(), True))
        clips = len(self._clips)
        found = (
            compare(query, seen, clip.points, clip_id, clips=clips, mirrored=mirrored)
            for clip_id, clip in self._clips.items()
            if clip.enough_detail
            for seen, mirrored in sides
        )
        return ranked(found, limit)
