"""What is put away: media of ended jobs, clips past their time, prompts, used-up rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from gateway import fingerprints
from gateway.audit.entry import Event, EventKind
from gateway.db import DATABASE_AWAY, Database
from gateway.holds import open_missing
from gateway.logs import trace
from gateway.record import FINAL_STATES, AuditOutbox, Clock, erase_words
from gateway.settings import Limits, Retention
from gateway.store import Released, Vault
from gateway.tables import (
    AuditPersonal,
    ChoreRow,
    IdempotencyRow,
    RateBucketRow,
    VerdictRow,
    Video,
)
from gateway.withdrawal import event_id

MINUTE = 60.0
HOUR = 60 * MINUTE
Chore = tuple[float, Callable[[], object]]  # every so many seconds
NO_MORE: Mapping[str, Chore] = {}
BATCH = 200
WITHDRAWN = event_id("")
REFUSED_AT_THE_DOOR = f":door:{EventKind.REQUEST_REFUSED}"
MANY_FAULTS = 10
BUCKET_DAYS = 2  # a bucket that was not used for so long is full again

T = TypeVar("T")

log = structlog.get_logger(part="housekeeping")


class Housekeeping:
    """Removes what nobody may or need fetch any more. Every act may be repeated.

    Raw media of a held clip stays for the reviewer, that of a failed one for as long as it
    may be tried again. What no row explains stays too: beside a restored database it is what
    was made since the backup. ``more`` are other parts' chores, done when these are.
    """

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditOutbox,
        vault: Vault,
        released: Released,
        limits: Limits,
        retention: Retention,
        clock: Clock,
        more: Mapping[str, Chore] = NO_MORE,
    ) -> None:
        self._database = database
        self._audit = audit
        self._vault = vault
        self._released = released
        self._limits = limits
        self._retention = retention
        self._clock = clock
        self.chores: Mapping[str, Chore] = {
            "expire": (HOUR, self.expire),
            "forget": (HOUR, self.forget),
            "prune": (HOUR, self.prune),
            "shelf": (24 * HOUR, self.clear_shelf),
            "cases": (MINUTE, self.open_cases),
            **more,
        }

    def tidy(self, video_id: str | None = None) -> None:
        """Remove what ended jobs left in the vault, and what they never released.

        Of one job, or of all that have something in the vault.
        """
        _for_all([video_id] if video_id else self._vault.scopes(), self._tidy)

    def clear_shelf(self) -> None:
        """Remove released files whose clip is not released, for example after a crash."""
        for jobs in _batches(self._released.scopes()):
            with self._database.read() as session:
                known = sa.select(Video.id, Video.state).where(Video.id.in_(jobs))
                states = {row.id: row.state for row in session.execute(known)}
            closed = FINAL_STATES - {"released"}
            _for_all((job for job in jobs if states.get(job) in closed), self._released.clear)

    def open_cases(self) -> None:
        """Open the cases of what a worker of the release before held."""
        with self._database.write() as session:
            open_missing(session, now=self._clock())

    def expire(self) -> None:
        """Delete the clips that were released longer ago than they are kept."""
        if days := self._retention.released_days:
            before = self._clock() - dt.timedelta(days=days)
            old = (Video.state == "released", Video.completed_at <= before)
            self._each(sa.select(Video).where(*old), self._expire)

    def forget(self) -> None:
        """Erase what was asked for in requests that are older than prompts are kept.

        Also what was refused at the door, and the note of a withdrawal by its own age; not
        what is still under way or held.
        """
        if days := self._retention.prompt_days:
            before = self._clock() - dt.timedelta(days=days)
            old = (Video.state.in_(FINAL_STATES), Video.created_at <= before)
            words = sa.select(Video).where(*old, Video.prompt != "")
            self._each(words, lambda session, row: erase_words(session, self._audit, row))
            refused = VerdictRow.subject + REFUSED_AT_THE_DOOR
            said = sa.select(AuditPersonal).join(VerdictRow, AuditPersonal.event_id == refused)
            taken = Video.id + WITHDRAWN
            noted = sa.select(AuditPersonal).join(Video, AuditPersonal.event_id == taken)
            for half in (
                said.where(VerdictRow.created_at <= before),
                noted.where(Video.withdrawn_at <= before),
            ):
                self._each(half, lambda session, row: self._audit.erase(session, row.event_id))

    def _tidy(self, job: str) -> None:
        state, keep = self._end(job)
        if state in FINAL_STATES - {"released"}:
            self._released.clear(job)
        if state in FINAL_STATES and not keep:
            self._vault.clear(job)

    def _expire(self, session: Session, row: Video) -> None:
        row.state = "deleted"
        erase_words(session, self._audit, row)
        fingerprints.withdraw(session, row.clip_id)
        kind = EventKind.VIDEO_EXPIRED
        event = Event(
            id=f"{row.id}:expire:{kind}",
            kind=kind,
            subject=row.id,
            tenant=row.tenant_id,
            facts={"clip_id": row.clip_id},
        )
        self._audit.record(session, event)
        # Before the commit: a file that is left although its row is closed is found by the
        # shelf's chore only; a row that is left although its file is gone, by this one.
        self._released.clear(row.id)

    def prune(self) -> None:
        """Delete the rows of keys and buckets whose time is over.

        Also buckets of a clock that was ahead: they would not fill before that time comes.
        """
        keys = self._clock() - dt.timedelta(hours=self._limits.idempotency_hours)
        now = self._database.now()
        unused = RateBucketRow.at <= now - BUCKET_DAYS * 24 * HOUR
        ahead = RateBucketRow.at > now + HOUR
        with self._database.write() as session:
            session.execute(sa.delete(IdempotencyRow).where(IdempotencyRow.created_at <= keys))
            session.execute(sa.delete(RateBucketRow).where(unused | ahead))

    def do_what_is_due(self) -> None:
        """Do the chores whose time has come and that no other worker has taken.

        One that fails stops no other, and is due again after its time.
        """
        for name, (every, act) in self.chores.items():
            if self._take(name, every):
                try:
                    act()
                except Exception as fault:  # noqa: BLE001 - the next one is another part's
                    log.warning("chore.failed", chore=name, trace=trace(fault))

    def _take(self, name: str, every: float) -> bool:
        now = self._database.now()
        with self._database.write() as session:
            self._database.add_missing(session, ChoreRow, name=name, due=0.0)
            # Due later than that: the clock was ahead, and was put right.
            due = (ChoreRow.due <= now) | (ChoreRow.due > now + max(every, HOUR))
            mine = sa.update(ChoreRow).where(ChoreRow.name == name, due)
            taken = session.execute(mine.values(due=now + every).returning(ChoreRow.name))
            return taken.first() is not None

    def _each(self, some: sa.Select[Any], act: Callable[[Session, Any], None]) -> None:
        """Act on rows that then do not match any more, each in a transaction of its own."""
        (key,) = sa.inspect(some.column_descriptions[0]["entity"]).primary_key

        def act_on(ident: object) -> None:
            one = some.where(key == ident).with_for_update(skip_locked=True)
            with self._database.write() as session:
                row = session.scalars(one).first()
                if row is not None:
                    act(session, row)

        with self._database.read() as session:
            matching = session.scalars(some.with_only_columns(key)).all()
        _for_all(matching, act_on)

    def _end(self, video_id: str) -> tuple[str, bool]:
        with self._database.read() as session:
            row = session.get(Video, video_id)
        if row is None:
            return "unknown", False
        recent = row.completed_at is not None and (
            row.completed_at > self._clock() - self._retention.failed
        )
        return row.state, row.state == "failed" and recent


def _for_all(some: Iterable[T], act: Callable[[T], object]) -> None:
    """Act on each; raise the first fault when all others had their turn.

    After MANY_FAULTS, or without a database, nothing more is tried.
    """
    faults: list[Exception] = []
    for each in some:
        try:
            act(each)
        except DATABASE_AWAY:
            raise
        except Exception as fault:  # noqa: BLE001 - it is raised below
            faults.append(fault)
            if len(faults) == MANY_FAULTS:
                break
    if faults:
        raise faults[0]


def _batches(names: Iterable[str]) -> Iterable[list[str]]:
    everything = list(names)
    return (everything[i : i + BATCH] for i in range(0, len(everything), BATCH))
