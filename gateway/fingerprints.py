"""The fingerprints of released clips in the database, and how a reader follows them."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.tables import FingerprintRow, Video

# Any constant will do that no other lock has; it puts changes one behind the other.
POSTGRES_LOCK = 0x63696E66
FETCH = 1_000


def keep(session: Session, clip_id: str, record: bytes | None) -> None:
    """Remember what a clip looks like, in the transaction that releases it.

    No record stands for a clip that gave none: it is not asked again.
    """
    _change(session, clip_id, record)


def withdraw(session: Session, clip_id: str) -> None:
    """Erase what a clip looks like, in the transaction that deletes it; nothing is no error."""
    known = session.get(FingerprintRow, clip_id)
    if known is not None and known.record is not None:
        _change(session, clip_id, None)


def since(session: Session, number: int) -> Iterator[tuple[int, str, bytes | None]]:
    """What changed after that number: (number, clip, record), in the order of commits.

    No record: forget the clip. Whoever starts at 0 learns of all, and misses none later: the
    numbers are given one transaction after the other.
    """
    changes = (
        sa.select(FingerprintRow.number, FingerprintRow.clip_id, FingerprintRow.record)
        .where(FingerprintRow.number > number)
        .order_by(FingerprintRow.number)
    )
    for row in session.execute(changes, execution_options={"yield_per": FETCH}):
        yield row.number, row.clip_id, row.record


def released(session: Session) -> int:
    """How many clips are released now, with a fingerprint or without."""
    counted = sa.select(sa.func.count()).where(Video.state == "released")
    return session.scalar(counted) or 0


def _change(session: Session, clip_id: str, record: bytes | None) -> None:
    if session.get_bind().dialect.name == "postgresql":
        # Until the commit: a number that is seen leaves none below it to come.
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(POSTGRES_LOCK)))
    session.flush()
    newest = session.scalar(sa.select(sa.func.max(FingerprintRow.number))) or 0
    session.merge(FingerprintRow(clip_id=clip_id, number=newest + 1, record=record))
    session.flush()
