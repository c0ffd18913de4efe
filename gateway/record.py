"""The record: what became of each request, with its audit entry in the same transaction."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway import fingerprints
from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import NotFound, StageUnavailable
from gateway.holds import erase_notes, open_case, rulings_that_release
from gateway.orders import Order, recent_prompts
from gateway.settings import Limits
from gateway.tables import StageRow, VerdictRow, Video
from safety.verdict import Action, Reason, Verdict

Facts = dict[str, Any]
Clock = Callable[[], dt.datetime]
FINAL_STATES = frozenset({"refused", "failed", "released", "deleted"})
ENDINGS = {
    "refused": EventKind.VIDEO_REFUSED,
    "held": EventKind.VIDEO_HELD,
    "failed": EventKind.VIDEO_FAILED,
}
FAULT = "The clip could not be judged, so it is not released."


class AuditOutbox(Protocol):
    """Where an event is written inside the transaction of its fact."""

    def record(self, session: Session, event: Event) -> None:
        """Add the event; the same id again is harmless."""

    def erase(self, session: Session, event_id: str) -> None:
        """Remove the personal half of an event and record that. Raises NotFound."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a stage gave, ready to be recorded.

    ``facts`` rebuild the evidence after a crash; ``logged`` goes into the audit leaf (digests
    and names, never a score or a prompt); ``changes`` are columns of the video row.
    """

    kind: EventKind
    facts: Facts
    logged: Facts
    progress: int
    verdict: Verdict | None = None
    changes: Mapping[str, object] = field(default_factory=dict)


def refusal_of(verdict: Verdict) -> Facts:
    """The error object shown for a verdict that does not allow: rules, never scores."""
    worst = max(verdict.reasons, key=lambda reason: int(reason.action.severity))
    return {
        "code": "moderation_blocked",
        "message": str(worst.text),
        "stage": str(verdict.stage),
        "category": None if worst.category is None else str(worst.category),
        "rules": sorted({str(reason.rule) for reason in verdict.reasons}),
        "policy": verdict.policy,
    }


def judged(verdict: Verdict, *, of: str, progress: int) -> Outcome:
    """A verdict as a stage outcome. The record keeps the scores; the log the ruling only.

    Raises StageUnavailable for a verdict of another stage, or of no judge, or on no score.
    """
    if not (str(verdict.stage) == of and verdict.judges and verdict.scores):
        raise StageUnavailable("The verdict does not say who judged what.")
    rules = sorted({reason.rule for reason in verdict.reasons})
    return Outcome(
        kind=EventKind.VERDICT_GIVEN,
        facts={
            "action": str(verdict.action),
            "stage": str(verdict.stage),
            "policy": verdict.policy,
            "refusal": refusal_of(verdict) if verdict.reasons else None,
            "grounds": list(verdict.grounds),
            "notes": sorted(verdict.notes),
        },
        logged={
            "action": str(verdict.action),
            "policy": verdict.policy,
            "judges": list(verdict.judges),
            "rules": rules,
        },
        progress=progress,
        verdict=verdict,
    )


def event_id(order: Order, stage: str, kind: EventKind) -> str:
    """The id of an event of a job: the same fact always has the same id."""
    return f"{order.video_id}:{stage}:{kind}"


def _event(order: Order, stage: str, kind: EventKind, facts: Facts) -> Event:
    return Event(
        id=event_id(order, stage, kind),
        kind=kind,
        subject=order.video_id,
        tenant=order.tenant_id,
        facts=facts,
    )


def verdict_row(subject: str, event_id: str, verdict: Verdict, now: dt.datetime) -> VerdictRow:
    """A verdict as a row. NaN has no JSON form, so it is stored as the word."""
    return VerdictRow(
        subject=subject,
        event_id=event_id,
        stage=str(verdict.stage),
        action=str(verdict.action),
        scores={str(k): v if v == v else "nan" for k, v in verdict.scores.items()},
        reasons=[_told(reason) for reason in verdict.reasons],
        policy=verdict.policy,
        judges=list(verdict.judges),
        circumstances=dict(verdict.circumstances),
        shadow=None if verdict.shadow is None else dict(verdict.shadow),
        created_at=now,
    )


def erase_words(session: Session, audit: AuditOutbox, row: Video) -> None:
    """Erase what a request said, in its row and in the personal half of its log entry, and
    what people noted about it, who may have quoted it.
    """
    row.prompt = row.negative_prompt = row.title = ""
    row.lineage = None
    events = [
        f"{row.id}:door:{kind}" for kind in (EventKind.REQUEST_ACCEPTED, EventKind.REQUEST_HELD)
    ]
    for event in (*events, *erase_notes(session, row.id)):
        with contextlib.suppress(NotFound):
            audit.erase(session, event)


def _told(reason: Reason) -> Facts:
    told = {
        k: v if isinstance(v, int | float | dict) else str(v) for k, v in asdict(reason).items()
    }
    if reason.sighting is None:
        del told["sighting"]
    return told


class Record:
    """Writes stage results, states and audit entries together, or not at all.

    Every method is one transaction and may be repeated: a stage that is already recorded
    keeps its first facts, and a final state is never left again.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditOutbox,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._limits = limits or Limits()

    def order(self, video_id: str) -> Order:
        """The request behind a job. Raises StageUnavailable when there is none."""
        with self._database.read() as session:
            row = session.get(Video, video_id)
            if row is None:
                raise StageUnavailable("The job names a request that is not on record.")
            recent = recent_prompts(
                session,
                tenant_id=row.tenant_id,
                key_id=row.key_id,
                until=row.created_at,
                limits=self._limits,
                beside=row.id,
            )
        return Order(
            video_id=row.id,
            tenant_id=row.tenant_id,
            clip_id=row.clip_id,
            prompt=row.prompt,
            model=row.model,
            seconds=row.seconds,
            width=row.width,
            height=row.height,
            seed=row.seed,
            created_at=row.created_at,
            negative_prompt=row.negative_prompt,
            title=row.title,
            project=row.project,
            remixed_from=row.remixed_from,
            lineage=tuple(row.lineage or ()),
            recent=recent,
            key_id=row.key_id,
            claim=row.claim,
            run=row.run,
        )

    def claim(self, video_id: str, *, run: int | None = None) -> Order:
        """The request behind a job, from now on the caller's to work on, and nobody else's.

        Whoever held it before, and may only have been frozen, can record nothing more for
        it: this is the fence behind a lease (Kleppmann 2016). Raises JobEnded when the job
        was put back in the queue since the given ``run``, and otherwise as ``order`` does.
        """
        mine = (
            sa.update(Video)
            .where(
                Video.id == video_id,
                Video.state.not_in(FINAL_STATES),
                *(() if run is None else (Video.run == run,)),
            )
            .values(claim=secrets.token_hex(16))
        )
        with self._database.write() as session:
            session.execute(mine)
        order = self.order(video_id)
        if run is None or order.run == run:
            return order
        raise JobEnded("The job was put back in the queue; this is not its turn any more.")

    def state(self, video_id: str) -> str:
        """A job's state now, "unknown" for one that is not on record.

        Rows are never removed: such a job is one of another database.
        """
        with self._database.read() as session:
            row = session.get(Video, video_id)
        return "unknown" if row is None else row.state

    def facts(self, order: Order, stage: str) -> Facts | None:
        """What a stage recorded earlier, or None when it has not finished."""
        with self._database.read() as session:
            row = session.get(StageRow, (order.video_id, stage))
            return None if row is None else dict(row.facts)

    def begin(self, order: Order, stage: str) -> None:
        """Show the stage as under way. Raises when the job is already at an end."""
        with self._database.write() as session:
            row = self._living(session, order)
            row.state, row.stage = "in_progress", stage

    def passed(self, order: Order, stage: str, outcome: Outcome) -> Facts:
        """Record what a stage gave; return the facts on record, the first ones for ever."""
        with self._database.write() as session:
            known = session.get(StageRow, (order.video_id, stage))
            if known is not None:
                return dict(known.facts)
            row = self._living(session, order)
            now = self._clock()
            facts = dict(outcome.facts)
            session.add(
                StageRow(video_id=order.video_id, stage=stage, facts=facts, created_at=now)
            )
            if outcome.verdict is not None:
                ident = event_id(order, stage, outcome.kind)
                session.add(verdict_row(order.video_id, ident, outcome.verdict, now))
            row.progress, row.tries = max(row.progress, outcome.progress), 0
            for name, value in outcome.changes.items():
                setattr(row, name, value)
            logged = {"clip_id": order.clip_id, **outcome.logged}
            self._audit.record(session, _event(order, stage, outcome.kind, logged))
        return facts

    def demand_allowed(self, order: Order, facts: Facts) -> None:
        """Return for a recorded ALLOW, or for a REVIEW that people have released.

        Raises Stopped for anything else, known or not.
        """
        if facts["action"] == Action.ALLOW or self.rulings(order, facts):
            return
        held = facts["action"] == Action.REVIEW
        refusal = facts.get("refusal") or {"code": "moderation_blocked", "message": FAULT}
        raise Stopped("held" if held else "refused", refusal)

    def rulings(self, order: Order, facts: Facts) -> list[str]:
        """The events of the rulings that a stage passed by; none when it needed none."""
        with self._database.read() as session:
            return rulings_that_release(session, order.video_id, facts)

    def release(
        self, order: Order, *, audit_index: int, fingerprint: bytes | None = None
    ) -> None:
        """Let the clip be fetched. ``audit_index`` is its publication entry, under a
        checkpoint; the table refuses a release without digest, marks and index. A clip that
        was signed before there were fingerprints has none yet: a chore makes it.
        """
        with self._database.write() as session:
            known = session.get(Video, order.video_id)
            if known is not None and known.state == "released":
                return
            row = self._living(session, order)
            row.state, row.stage, row.progress = "released", "publish", 100
            row.audit_index, row.completed_at = audit_index, self._clock()
            if fingerprint is not None:
                fingerprints.keep(session, order.clip_id, fingerprint)
            facts = {
                "clip_id": order.clip_id,
                "sha256": row.sha256,
                "publication": audit_index,
            }
            self._audit.record(
                session, _event(order, "release", EventKind.VIDEO_RELEASED, facts)
            )

    def progress(self, order: Order, percent: int) -> None:
        """Note the percentage of the job. Raises JobEnded when the owner deleted it."""
        with self._database.write() as session:
            row = self._living(session, order)
            row.progress = max(row.progress, min(percent, 99))

    def demand_living(self, order: Order) -> None:
        """Return while the job is under way and the caller's. Raises JobEnded otherwise."""
        with self._database.read() as session:
            self._living(session, order)

    def end(self, order: Order, state: str, *, refusal: Facts) -> bool:
        """Close the job as refused, held or failed; a final state, or another's job, stays.

        What is held waits for people, whatever becomes of the job. Says whether it was
        closed now.
        """
        with self._database.write() as session:
            row = self._locked(session, order)
            if row is None or row.state in FINAL_STATES or row.state == "held":
                return False
            if (row.claim, row.run) != (order.claim, order.run):
                return False
            row.state, row.refusal = state, refusal
            now = self._clock()
            row.completed_at = None if state == "held" else now
            if state == "held":
                given = event_id(order, row.stage, EventKind.VERDICT_GIVEN)
                open_case(session, row, verdict_event=given, now=now)
            facts = {
                "clip_id": order.clip_id,
                "stage": row.stage,
                "code": str(refusal.get("code")),
            }
            step = row.stage if order.run == 0 else f"{row.stage}.{order.run}"
            self._audit.record(session, _event(order, step, ENDINGS[state], facts))
        return True

    def _living(self, session: Session, order: Order) -> Video:
        row = self._locked(session, order)
        if row is None or row.state in FINAL_STATES or row.state == "held":
            raise JobEnded("The job has ended; nothing more is recorded for it.")
        if (row.claim, row.run) != (order.claim, order.run):
            raise JobEnded(
                "Another worker took the job over; nothing is recorded for this one."
            )
        return row

    def _locked(self, session: Session, order: Order) -> Video | None:
        statement = sa.select(Video).where(Video.id == order.video_id).with_for_update()
        return session.scalars(statement).one_or_none()


class Stopped(Exception):
    """The policy refused or held the job; ``refusal`` is fit to be shown."""

    def __init__(self, state: str, refusal: Facts) -> None:
        super().__init__(f"The job was stopped: {state}.")
        self.state = state
        self.refusal = refusal


class JobEnded(StageUnavailable):
    """The job was closed (deleted, held, refused) or taken over while a stage was running."""
