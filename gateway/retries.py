"""Second chances: a job waits when what it needs does not answer; an operator may try again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind, Fact
from gateway.db import Database
from gateway.errors import Conflict, NotFound
from gateway.orders import Order
from gateway.record import AuditOutbox, Clock
from gateway.seams import UNOBSERVED, Enqueue, Observer
from gateway.settings import Retention
from gateway.tables import Video
from gateway.turns import served

FIRST_SECONDS = 5.0
FACTOR = 3.0
LONGEST_SECONDS = 600.0
TRIES = 24  # about three and a half hours; any stage that gives something begins a new count
MAX_FAILED = 1_000


def pause(tries: int) -> float:
    """Seconds to wait after so many interruptions in a row, 1 or more."""
    return min(LONGEST_SECONDS, FIRST_SECONDS * FACTOR ** (tries - 1))


class Retries:
    """Puts jobs back in the queue. What is on record of a job stays, and is not done again."""

    def __init__(
        self,
        database: Database,
        audit: AuditOutbox,
        queue: Enqueue,
        clock: Clock,
        retention: Retention,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._database = database
        self._audit = audit
        self._queue = queue
        self._clock = clock
        self._keep = retention.failed
        self._observer = observer

    def later(self, order: Order, *, code: str) -> bool:
        """Put back a job whose stage was interrupted, to wait longer each time.

        False once its tries are used up: it has failed. Nothing happens to a job that ended
        or that another worker took over.
        """
        with self._database.write() as session:
            row = self._locked(session, order.video_id)
            if not _is_theirs(row, order):
                return True
            if row.tries >= TRIES:
                return False
            row.tries += 1
            facts: dict[str, Fact] = {"stage": row.stage, "code": code, "tries": row.tries}
            self._again(session, row, EventKind.VIDEO_DELAYED, facts, delay=pause(row.tries))
        self._observer.job_put_back(row.stage)
        return True

    def hand_over(self, order: Order) -> None:
        """Leave the stages behind the model to the workers that have none."""
        with self._database.write() as session:
            row = self._locked(session, order.video_id)
            if _is_theirs(row, order):
                self._put_back(session, row, finish=True)

    def resume(self, session: Session, row: Video, *, finish: bool) -> None:
        """Put a held clip that people released back in the queue, in their transaction."""
        # It waited outside of the queue: at its old turn newcomers would begin there too.
        row.refusal, row.tries, row.turn = None, 0, max(row.turn, served(session))
        self._put_back(session, row, finish=finish)

    def failed(self) -> tuple[Video, ...]:
        """The failed clips, the newest first, up to MAX_FAILED."""
        statement = (
            sa.select(Video)
            .where(Video.state == "failed")
            .order_by(Video.completed_at.desc())
            .limit(MAX_FAILED)
        )
        with self._database.read() as session:
            return tuple(session.scalars(statement))

    def replay(self, video_id: str, *, by: str) -> Video:
        """Put a failed clip back in the queue: it goes on from its last recorded stage.

        Raises NotFound, or Conflict when the clip has not failed, or so long ago that what
        its stages gave is not kept any more, or what it was asked for.
        """
        with self._database.write() as session:
            row = self._locked(session, video_id)
            if row is None:
                raise NotFound("There is no such video.", param="video_id")
            if row.state != "failed":
                raise Conflict("Only a failed video can be tried again.", param="video_id")
            if row.completed_at is None or row.completed_at <= self._clock() - self._keep:
                raise Conflict("It failed too long ago; ask for it anew.", param="video_id")
            if row.prompt == "":
                # ``Housekeeping.forget``: the model would make something nobody asked for.
                raise Conflict("Its prompt was erased; ask for it anew.", param="video_id")
            facts = {"stage": row.stage}
            row.tries, row.refusal, row.completed_at = 0, None, None
            row.turn = max(row.turn, served(session))
            self._again(session, row, EventKind.VIDEO_RETRIED, facts, personal={"by": by})
        return row

    def _again(
        self,
        session: Session,
        row: Video,
        kind: EventKind,
        facts: Mapping[str, Fact],
        *,
        delay: float = 0.0,
        personal: Mapping[str, Fact] | None = None,
    ) -> None:
        self._put_back(session, row, delay=delay)
        event = Event(
            id=f"{row.id}:{row.stage}.{row.run}:{kind}",
            kind=kind,
            subject=row.id,
            tenant=row.tenant_id,
            facts={"clip_id": row.clip_id, **facts},
            personal=personal,
        )
        self._audit.record(session, event)

    def _put_back(
        self, session: Session, row: Video, *, delay: float = 0.0, finish: bool = False
    ) -> None:
        row.state, row.claim, row.run = "queued", None, row.run + 1
        self._queue.enqueue(
            session, row.id, run=row.run, turn=row.turn, delay=delay, finish=finish
        )

    def _locked(self, session: Session, video_id: str) -> Video | None:
        statement = sa.select(Video).where(Video.id == video_id).with_for_update()
        return session.scalars(statement).one_or_none()


def _is_theirs(row: Video | None, order: Order) -> TypeGuard[Video]:
    # Still "queued" when every stage that ran was on record already.
    return (
        row is not None and row.state in ("queued", "in_progress") and row.claim == order.claim
    )
