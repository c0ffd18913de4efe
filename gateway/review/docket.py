"""The docket: what waits for whom, who has it now, and what it was about."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import Conflict, NotFound, NotPermitted
from gateway.holds import NO_CATEGORY, categories_of
from gateway.people import Person, Right
from gateway.record import AuditOutbox, Clock
from gateway.tables import CaseRow, RulingRow, VerdictRow, Video
from safety.policy import Policy
from safety.verdict import Action

LEASE = dt.timedelta(minutes=15)
MAX_LISTED = 200


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One reason for the hold. ``start`` and ``end`` are seconds into the clip, and
    ``frames`` the indices of the frames in which it was seen, strongest first.
    """

    category: str | None
    rule: str
    text: str
    score: float | None
    start: float | None
    end: float | None
    frames: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A hold as the list shows it. ``due_at`` is when the creator should have an answer."""

    id: str
    video_id: str
    tenant_id: str
    stage: str
    categories: tuple[str, ...]
    restricted: bool
    escalated: bool
    people: int
    opened_at: dt.datetime
    due_at: dt.datetime
    closed_at: dt.datetime | None
    outcome: str | None
    holder_id: str | None
    holder_until: dt.datetime | None


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """How one person ruled, for those who may know."""

    seat: int
    person_id: str
    decision: str
    reason: str
    note: str
    at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """All that is shown of one case. ``releasable``: a person may let it go on.

    ``rulings`` are those that this person may know: their own, all of a closed case, and for
    a compliance officer those that differ. ``passed_on`` is why a case was left to an officer,
    for officers only.
    """

    case: Case
    model: str
    seconds: int
    size: tuple[int, int]
    words: Mapping[str, str]
    lineage: tuple[str, ...]
    project: str | None
    grounds: tuple[Ground, ...]
    judges: tuple[str, ...]
    circumstances: Mapping[str, str]
    releasable: bool
    rulings: tuple[Ruling, ...]
    passed_on: str | None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What waits that this person may rule on, and how much of it is late."""

    waiting: int
    overdue: int


class Docket:
    """Lists cases, oldest first, and hands each to one person at a time."""

    def __init__(
        self, database: Database, audit: AuditOutbox, policy: Policy, clock: Clock
    ) -> None:
        self._database = database
        self._audit = audit
        self._policy = policy
        self._clock = clock

    def waiting(self, person: Person) -> tuple[Case, ...]:
        """What this person may take now, the oldest first, up to MAX_LISTED."""
        statement = (
            sa.select(CaseRow)
            .where(*self._open_to(person))
            .order_by(CaseRow.opened_at, CaseRow.id)
            .limit(MAX_LISTED)
        )
        return self._cases(statement)

    def closed(self, person: Person, *, named: str = "") -> tuple[Case, ...]:
        """The closed cases that this person may see, the newest first; ``named`` is a part
        of an id.
        """
        statement = (
            sa.select(CaseRow)
            .where(CaseRow.outcome.is_not(None), *self._in_sight_of(person))
            .order_by(CaseRow.closed_at.desc(), CaseRow.id)
            .limit(MAX_LISTED)
        )
        if named := named.strip():
            has = (
                column.contains(named, autoescape=True)
                for column in (CaseRow.id, CaseRow.video_id)
            )
            statement = statement.where(sa.or_(*has))
        return self._cases(statement)

    def counts(self, person: Person) -> Counts:
        """How much waits for this person."""
        late = self._clock() - dt.timedelta(hours=self._policy.review.answer_hours)
        mine = sa.select(sa.func.count()).select_from(CaseRow).where(*self._open_to(person))
        with self._database.read() as session:
            waiting = session.scalar(mine) or 0
            overdue = session.scalar(mine.where(CaseRow.opened_at <= late)) or 0
        return Counts(waiting=waiting, overdue=overdue)

    def in_hand(self, person: Person) -> Case | None:
        """What this person has taken and not yet given back or ruled on."""
        mine = sa.select(CaseRow).where(
            CaseRow.holder_id == person.id,
            CaseRow.holder_until > self._clock(),
            CaseRow.outcome.is_(None),
        )
        found = self._cases(mine.order_by(CaseRow.opened_at))
        return found[0] if found else None

    def take(self, person: Person, case_id: str | None = None) -> Case | None:
        """Hand a case, or the oldest that waits, to one person for LEASE.

        None when nothing waits. Raises NotFound, NotPermitted, or Conflict when somebody
        else has the named one or it is closed.
        """
        with self._database.write() as session:
            statement = sa.select(CaseRow).where(*self._open_to(person))
            if case_id is not None:
                statement = statement.where(CaseRow.id == case_id)
            row = session.scalars(
                statement.order_by(CaseRow.opened_at, CaseRow.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if row is None:
                if case_id is not None:
                    self._explain(session, person, case_id)
                return None
            if row.holder_id != person.id:
                self._note(session, row, person, EventKind.CASE_TAKEN)
            row.holder_id, row.holder_until = person.id, self._clock() + LEASE
            return self._case(row)

    def give_back(self, person: Person, case_id: str) -> None:
        """Put a case back without a ruling. Nothing happens when it is not theirs."""
        mine = sa.update(CaseRow).where(CaseRow.id == case_id, CaseRow.holder_id == person.id)
        with self._database.write() as session:
            session.execute(mine.values(holder_id=None, holder_until=None))

    def dossier(self, person: Person, case_id: str) -> Dossier:
        """All that this person may see of a case. Raises NotFound, NotPermitted.

        Somebody's own request is not theirs to see here, nor a restricted case of people who
        are not trained for it.
        """
        with self._database.read() as session:
            row = session.get(CaseRow, case_id)
            if row is None:
                raise NotFound("There is no such case.")
            self.demand_sight(person, row)
            video = session.get_one(Video, row.video_id)
            verdict = session.scalars(
                sa.select(VerdictRow).where(VerdictRow.event_id == row.verdict_event)
            ).one()
            ruled = session.scalars(
                sa.select(RulingRow).where(RulingRow.case_id == row.id).order_by(RulingRow.seat)
            ).all()
        known = row.outcome is not None or (
            person.may(Right.SETTLE) and len(ruled) > 1 and row.escalated
        )
        return Dossier(
            case=self._case(row),
            model=video.model,
            seconds=video.seconds,
            size=(video.width, video.height),
            words={
                name: text
                for name, text in (
                    ("prompt", video.prompt),
                    ("negative prompt", video.negative_prompt),
                    ("title", video.title),
                )
                if text
            },
            lineage=tuple(video.lineage or ()),
            project=video.project,
            grounds=tuple(_ground(reason, verdict) for reason in verdict.reasons),
            judges=tuple(verdict.judges),
            circumstances={k: str(v) for k, v in (verdict.circumstances or {}).items()},
            releasable=self.releasable(row),
            passed_on=row.passed_on if person.may(Right.SETTLE) else None,
            rulings=tuple(
                Ruling(
                    seat=each.seat,
                    person_id=each.person_id,
                    decision=each.decision,
                    reason=each.reason,
                    note=each.note,
                    at=each.created_at,
                )
                for each in ruled
                if known or each.person_id == person.id
            ),
        )

    def releasable(self, row: CaseRow) -> bool:
        """Whether the policy in force lets people release this."""
        return not row.restricted and self._policy.may_release(Action.REVIEW, row.grounds)

    def demand_sight(self, person: Person, row: CaseRow) -> None:
        """Return when this person may see this case; raises NotPermitted."""
        if not person.may(Right.READ_CASES):
            raise NotPermitted("Your role does not read cases.")
        if row.restricted and not person.may(Right.RULE_RESTRICTED):
            raise NotPermitted("This case is for people who are trained for it.")
        if person.tenant_id is not None and person.tenant_id == row.tenant_id:
            raise NotPermitted("This is your own request: somebody else looks at it.")

    def _open_to(self, person: Person) -> list[sa.ColumnElement[bool]]:
        """What makes a case one that this person may take now."""
        ruled = sa.exists().where(
            RulingRow.case_id == CaseRow.id, RulingRow.person_id == person.id
        )
        conditions: list[sa.ColumnElement[bool]] = [
            CaseRow.outcome.is_(None),
            ~ruled,
            sa.or_(
                CaseRow.holder_until.is_(None),
                CaseRow.holder_until <= self._clock(),
                CaseRow.holder_id == person.id,
            ),
        ]
        if not person.may(Right.RULE):
            conditions.append(sa.false())
        if not person.may(Right.SETTLE):
            conditions.append(CaseRow.escalated.is_(False))
        return conditions + self._in_sight_of(person)

    def _in_sight_of(self, person: Person) -> list[sa.ColumnElement[bool]]:
        """``demand_sight`` for a list."""
        conditions: list[sa.ColumnElement[bool]] = []
        if not person.may(Right.READ_CASES):
            conditions.append(sa.false())
        if not person.may(Right.RULE_RESTRICTED):
            conditions.append(CaseRow.restricted.is_(False))
        if person.tenant_id is not None:
            conditions.append(CaseRow.tenant_id != person.tenant_id)
        return conditions

    def _explain(self, session: Session, person: Person, case_id: str) -> None:
        """Raise why a named case cannot be taken."""
        row = session.get(CaseRow, case_id)
        if row is None:
            raise NotFound("There is no such case.")
        self.demand_sight(person, row)
        if row.outcome is not None:
            raise Conflict("This case is closed.")
        if not person.may(Right.RULE) or (row.escalated and not person.may(Right.SETTLE)):
            raise NotPermitted("Your role does not rule on this case.")
        raise Conflict("Somebody else has this case now, or you have ruled on it already.")

    def _cases(self, statement: sa.Select[Any]) -> tuple[Case, ...]:
        with self._database.read() as session:
            return tuple(map(self._case, session.scalars(statement)))

    def _case(self, row: CaseRow) -> Case:
        hours = dt.timedelta(hours=self._policy.review.answer_hours)
        categories = categories_of(row.grounds)
        names = {ground.partition(":")[0] for ground in row.grounds}
        return Case(
            id=row.id,
            video_id=row.video_id,
            tenant_id=row.tenant_id,
            stage=row.stage,
            categories=tuple(sorted(names - {NO_CATEGORY})),
            restricted=row.restricted,
            escalated=row.escalated,
            people=max(row.needed, self._policy.review.people(categories)),
            opened_at=row.opened_at,
            due_at=row.opened_at + hours,
            closed_at=row.closed_at,
            outcome=row.outcome,
            holder_id=row.holder_id,
            holder_until=row.holder_until,
        )

    def _note(self, session: Session, row: CaseRow, person: Person, kind: EventKind) -> None:
        event = Event(
            id=f"{row.video_id}:{row.id}.{secrets.token_hex(4)}:{kind}",
            kind=kind,
            subject=row.video_id,
            tenant=row.tenant_id,
            facts={"case": row.id, "person": person.id},
        )
        self._audit.record(session, event)


def _ground(reason: Mapping[str, Any], verdict: VerdictRow) -> Ground:
    category = None if reason["category"] in (None, "None") else str(reason["category"])
    sighting = reason.get("sighting") or {}
    score = sighting.get("peak", verdict.scores.get(category) if category else None)
    return Ground(
        category=category,
        rule=str(reason["rule"]),
        text=str(reason["text"]),
        score=float(score) if isinstance(score, int | float) else None,
        start=_seconds(reason.get("start")),
        end=_seconds(reason.get("end")),
        frames=tuple(int(index) for index in sighting.get("frames", ())),
    )


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
