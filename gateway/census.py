"""The census: how much waits, how long already, and who is alive, as the database tells it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import read
from gateway.db import Database
from gateway.tables import (
    AuditCheckpoint,
    AuditEntryRow,
    AuditHead,
    AuditOutbox,
    CaseRow,
    Video,
    WorkerRow,
)

# PostgreSQL gives up a query of the census after so long, whatever it waits for.
STATEMENT_MS = 2_000


@dataclass(frozen=True, kw_only=True)
class Census:
    """Counts, and ages in seconds; an age is 0 when there is nothing that could be old."""

    clips_waiting: int
    oldest_waiting_clip_seconds: float
    clips_under_way: int
    clips_held: int
    oldest_open_case_seconds: float
    living_workers: int
    outbox_events: int
    oldest_outbox_event_seconds: float
    log_entries: int
    log_entries_uncovered: int
    newest_covered_entry_seconds: float


def census(database: Database, now: dt.datetime) -> Census:
    """Count. ``now`` is the clock that clips and events are dated by.

    Reads short indices only, whatever the log has grown to. Raises what the database raises.
    """
    with database.read() as session:
        if not database.is_sqlite:
            session.execute(sa.text(f"SET LOCAL statement_timeout = {STATEMENT_MS}"))
        found = session.execute(
            sa.select(Video.state, sa.func.count(), sa.func.min(Video.created_at))
            .where(Video.state.in_(("queued", "in_progress", "held")))
            .group_by(Video.state)
        ).all()
        clips = {state: (count, oldest) for state, count, oldest in found}
        waiting, oldest = clips.get("queued", (0, now))
        alive = sa.select(sa.func.count()).where(WorkerRow.expires > database.now())
        size = session.scalar(sa.select(AuditHead.size)) or 0
        covered = session.scalar(sa.select(sa.func.max(AuditCheckpoint.size))) or 0
        opened = sa.select(sa.func.min(CaseRow.opened_at)).where(CaseRow.outcome.is_(None))
        first = sa.select(AuditOutbox.leaf).order_by(AuditOutbox.id).limit(1)
        newest = sa.select(AuditEntryRow.leaf).where(AuditEntryRow.index == covered - 1)
        return Census(
            clips_waiting=waiting,
            oldest_waiting_clip_seconds=max(0.0, (now - oldest).total_seconds()),
            clips_under_way=clips.get("in_progress", (0, now))[0],
            clips_held=clips.get("held", (0, now))[0],
            oldest_open_case_seconds=max(
                0.0, (now - (session.scalar(opened) or now)).total_seconds()
            ),
            living_workers=session.scalar(alive) or 0,
            outbox_events=session.scalar(sa.select(sa.func.count(AuditOutbox.id))) or 0,
            oldest_outbox_event_seconds=_age(session, first, now),
            log_entries=size,
            log_entries_uncovered=size - covered,
            newest_covered_entry_seconds=_age(session, newest, now),
        )


def _age(session: Session, leaf: sa.Select[bytes], now: dt.datetime) -> float:
    written = session.scalar(leaf)
    if written is None:
        return 0.0
    return max(0.0, (now - dt.datetime.fromisoformat(read(written).time)).total_seconds())
