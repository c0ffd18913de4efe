"""Backfill: makes the fingerprints of clips that were released without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import sqlalchemy as sa
import structlog

from gateway import fingerprints
from gateway.db import Database
from gateway.errors import Interrupted, StageUnavailable
from gateway.logs import trace
from gateway.media.codec import Mp4Codec
from gateway.seams import Looks
from gateway.store import Ref, Released
from gateway.tables import FingerprintRow, Video

SOME = 10
MINUTE, DAY = 60.0, 86_400.0

log = structlog.get_logger(part="backfill")


class Backfill:
    """Looks at released files that an earlier release of this software wrote."""

    def __init__(
        self,
        *,
        database: Database,
        released: Released,
        codec: Mp4Codec,
        looks: Looks,
        scratch: Path,
    ) -> None:
        self._database = database
        self._released = released
        self._codec = codec
        self._looks = looks
        self._scratch = scratch

    @property
    def chores(self) -> Mapping[str, tuple[float, Callable[[], object]]]:
        """What the workers do once in so many seconds."""
        return {
            "fingerprints": (MINUTE, self.some),
            "gone": (DAY, self.withdraw_gone),
        }

    def some(self, count: int = SOME) -> int:
        """Make the fingerprints of so many clips, the newest first; say how many were made.

        May be repeated, and run in several processes. A file that is not what was released,
        or cannot be decoded, gives none and is not tried again. Raises Interrupted when the
        store does not answer.
        """
        known = sa.exists().where(FingerprintRow.clip_id == Video.clip_id)
        missing = (
            sa.select(Video)
            .where(Video.state == "released", ~known)
            .order_by(Video.audit_index.desc())
            .limit(count)
        )
        with self._database.read() as session:
            rows = session.scalars(missing).all()
        return sum(self._keep(row.id, self._made(row)) for row in rows)

    def withdraw_gone(self) -> None:
        """Erase the fingerprints of clips that an earlier version deleted without knowing them.

        They are compared no more in any case: only released clips are told.
        """
        gone = (
            sa.select(FingerprintRow.clip_id)
            .join(Video, Video.clip_id == FingerprintRow.clip_id)
            .where(FingerprintRow.record.is_not(None), Video.state != "released")
        )
        with self._database.read() as session:
            clips = session.scalars(gone).all()
        for clip_id in clips:
            with self._database.write() as session:
                fingerprints.withdraw(session, clip_id)

    def _made(self, row: Video) -> bytes | None:
        ref = Ref(
            scope=row.id, sha256=str(row.sha256), size=int(row.size_bytes or 0), suffix="mp4"
        )
        try:
            with self._released.checkout(ref, scratch=self._scratch) as path:
                fps = float(self._codec.describe(path).fps)
                return self._looks.record(self._codec.decode(path), fps=fps)
        except Interrupted:
            raise
        except StageUnavailable:
            return None
        except OSError:  # of this machine, as a full disk is
            raise
        except Exception as fault:  # noqa: BLE001 - or the older ones would never be made
            log.warning("fingerprint.failed", video=row.id, trace=trace(fault))
            return None

    def _keep(self, video_id: str, record: bytes | None) -> bool:
        with self._database.write() as session:
            row = session.get(Video, video_id, with_for_update=True)
            if row is None or row.state != "released":
                return False
            if session.get(FingerprintRow, row.clip_id) is not None:
                return False
            fingerprints.keep(session, row.clip_id, record)
            return record is not None
