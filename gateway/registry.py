"""The register of our clips, found by the number in their watermark."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from gateway.db import Database
from gateway.tables import Video
from gateway.witnesses import RELEASED_STATES, RegisteredClip
from watermark.payload import Payload
from watermark.registry import Registry

# What was measured: half a second for each attempt at reading. The bound on a false match
# grows with the number, and is part of what a reading says.
MAX_CANDIDATES = 1_000_000


class SqlRegistry:
    """The clips in the database; a clip that was never released is known but not recorded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, clip_id: str) -> RegisteredClip | None:
        """The clip of this number, whatever its state."""
        return self._one(Video.clip_id == clip_id)

    def find_manifest(self, manifest_id: str) -> RegisteredClip | None:
        """The clip whose credentials have this id, whatever its state; None if several do."""
        return self._one(Video.manifest_id == manifest_id)

    def _one(self, which: sa.ColumnElement[bool]) -> RegisteredClip | None:
        with self._database.read() as session:
            rows = session.scalars(sa.select(Video).where(which).limit(2)).all()
        if len(rows) != 1:
            return None
        (row,) = rows
        return RegisteredClip(
            clip_id=row.clip_id,
            video_id=row.id,
            state=row.state,
            sha256=row.sha256,
            manifest_id=row.manifest_id,
            released_at=row.completed_at,
            audit_index=row.audit_index,
            size_bytes=row.size_bytes,
        )

    def candidates(self) -> Collection[Payload]:
        """The numbers of the clips that were released, the newest first, up to a bound."""
        statement = (
            sa.select(Video.clip_id)
            .where(Video.state.in_(sorted(RELEASED_STATES)), Video.audit_index.is_not(None))
            .order_by(Video.audit_index.desc())
            .limit(MAX_CANDIDATES)
        )
        with self._database.read() as session:
            return Registry.of_hex(session.scalars(statement))
