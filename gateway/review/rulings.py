"""Rulings: what people come to on a case, and what follows for the clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind, Fact
from gateway.db import Database
from gateway.errors import AlreadyDecided, InvalidRequest, NotFound, NotPermitted, SameReviewer
from gateway.holds import categories_of, ruling_event
from gateway.people import Person, Right
from gateway.record import AuditOutbox, Clock
from gateway.retries import Retries
from gateway.review.docket import Docket
from gateway.review.reasons import Decision, ReasonCode, reasons_for
from gateway.tables import CaseRow, RulingRow, Video
from safety.policy import Policy
from safety.verdict import Stage

MAX_NOTE_CHARS = 4_000
SETTLING_SEAT = 3


@dataclass(frozen=True, kw_only=True)
class Said:
    """What somebody rules: the reason must be one that goes with the decision."""

    decision: Decision
    reason: ReasonCode
    note: str = ""


class Rulings:
    """Takes rulings; closes a case, and lets its clip go on or end, once people agree."""

    def __init__(
        self,
        database: Database,
        audit: AuditOutbox,
        docket: Docket,
        retries: Retries,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._database = database
        self._audit = audit
        self._docket = docket
        self._retries = retries
        self._policy = policy
        self._clock = clock

    def rule(self, person: Person, case_id: str, said: Said) -> str | None:
        """Record a ruling; return what the case came to, or None while it waits for another.

        Everything is one transaction: ruling, log entries, and what becomes of the clip.
        Raises NotFound, NotPermitted, InvalidRequest, AlreadyDecided, or SameReviewer.
        """
        self._demand_sound(said)
        with self._database.write() as session:
            row, video = self._held(session, person, case_id)
            if said.decision is Decision.ALLOW and not self._docket.releasable(row):
                raise NotPermitted("The policy lets nobody release this.")
            before = session.scalars(
                sa.select(RulingRow).where(RulingRow.case_id == row.id).order_by(RulingRow.seat)
            ).all()
            if any(each.person_id == person.id for each in before):
                raise SameReviewer("You have ruled on this case; somebody else must agree.")
            seat = len(before) + 1
            session.add(
                RulingRow(
                    case_id=row.id,
                    seat=seat,
                    person_id=person.id,
                    person_tenant=person.tenant_id,
                    case_tenant=row.tenant_id,
                    decision=said.decision.value,
                    reason=said.reason.value,
                    note=_kept(said.note),
                    created_at=self._clock(),
                )
            )
            session.flush()
            facts: dict[str, Fact] = {
                "seat": seat,
                "decision": said.decision.value,
                "reason": said.reason.value,
            }
            note = {"note": _kept(said.note)} if _kept(said.note) else None
            step = f"{row.id}.{seat}"
            self._note(session, row, person, EventKind.CASE_RULED, step, facts, note)
            self._count(row, seat, [*(each.decision for each in before), said.decision.value])
            if row.outcome is not None:
                self._close(session, row, video, seat=seat)
            return row.outcome

    def escalate(self, person: Person, case_id: str, *, note: str) -> None:
        """Leave a case to a compliance officer, saying why. Raises as ``rule`` does."""
        note = _kept(note)
        if not 0 < len(note) <= MAX_NOTE_CHARS:
            raise InvalidRequest("Say in a note why somebody else should look.", param="note")
        with self._database.write() as session:
            row, _ = self._held(session, person, case_id)
            if row.escalated:
                raise AlreadyDecided("This case is with the compliance officers already.")
            if row.restricted:
                raise NotPermitted("Whoever is trained for this case rules on it.")
            row.escalated, row.passed_on = True, note
            row.holder_id = row.holder_until = None
            # One officer may pass it on again after the first ruling: so often at most.
            seats = sa.select(sa.func.count()).where(RulingRow.case_id == row.id)
            step = f"{row.id}.{session.scalar(seats)}"
            kind = EventKind.CASE_ESCALATED
            self._note(session, row, person, kind, step, {}, {"note": note})

    def _held(self, session: Session, person: Person, case_id: str) -> tuple[CaseRow, Video]:
        """The case that this person has in hand, and its clip, both locked.

        The clip first, as its owner does who deletes it: neither waits for the other.
        """
        of = sa.select(CaseRow.video_id).where(CaseRow.id == case_id).scalar_subquery()
        locked = sa.select(Video).where(Video.id == of).with_for_update()
        video = session.scalars(locked).one_or_none()
        row = session.get(CaseRow, case_id, with_for_update=True)
        if row is None or video is None:
            raise NotFound("There is no such case.")
        self._docket.demand_sight(person, row)
        if not person.may(Right.RULE) or (row.escalated and not person.may(Right.SETTLE)):
            raise NotPermitted("Your role does not rule on this case.")
        if row.outcome is not None:
            raise AlreadyDecided("This case is closed.")
        until = row.holder_until
        if row.holder_id != person.id or until is None or until <= self._clock():
            raise AlreadyDecided("You do not have this case in hand any more; take it again.")
        if video.state != "held" or video.run != row.run:
            raise AlreadyDecided("The clip of this case is not held any more.")
        return row, video

    def _count(self, row: CaseRow, seat: int, decisions: list[str]) -> None:
        """What the rulings so far come to."""
        wanted = self._policy.review.people(categories_of(row.grounds))
        row.needed = 1 if row.restricted else max(row.needed, wanted)
        row.allows = decisions.count(Decision.ALLOW)
        row.holder_id = row.holder_until = None
        if seat == SETTLING_SEAT:
            row.settled, row.outcome = True, decisions[-1]
        elif seat >= row.needed and len(set(decisions)) == 1:
            row.outcome = decisions[-1]
        else:
            # Two who differ leave it to an officer; after the first, anybody may be second.
            row.escalated = seat >= row.needed

    def _close(self, session: Session, row: CaseRow, video: Video, *, seat: int) -> None:
        row.closed_at = self._clock()
        facts: dict[str, Fact] = {
            "case": row.id,
            "outcome": row.outcome,
            "rulings": seat,
            "needed": row.needed,
            "settled": row.settled,
            "grounds": row.grounds,
            "policy": row.policy,
        }
        event = Event(
            id=ruling_event(row),
            kind=EventKind.VIDEO_RULED,
            subject=row.video_id,
            tenant=row.tenant_id,
            facts=facts,
        )
        self._audit.record(session, event)
        if row.outcome == Decision.ALLOW:
            # What the model made is judged already: no worker needs the model for the rest.
            self._retries.resume(session, video, finish=row.stage == Stage.FRAMES)
        else:
            self._refuse(session, video)

    def _refuse(self, session: Session, video: Video) -> None:
        told = {**(video.refusal or {"code": "moderation_blocked"}), "reviewed": True}
        video.state, video.refusal, video.completed_at = "refused", told, self._clock()
        event = Event(
            id=f"{video.id}:{video.stage}.{video.run}.ruled:{EventKind.VIDEO_REFUSED}",
            kind=EventKind.VIDEO_REFUSED,
            subject=video.id,
            tenant=video.tenant_id,
            facts={
                "clip_id": video.clip_id,
                "stage": video.stage,
                "code": str(told.get("code")),
            },
        )
        self._audit.record(session, event)

    def _note(
        self,
        session: Session,
        row: CaseRow,
        person: Person,
        kind: EventKind,
        step: str,
        facts: Mapping[str, Fact],
        personal: Mapping[str, Fact] | None,
    ) -> None:
        event = Event(
            id=f"{row.video_id}:{step}:{kind}",
            kind=kind,
            subject=row.video_id,
            tenant=row.tenant_id,
            facts={"case": row.id, "person": person.id, **facts},
            personal=personal,
        )
        self._audit.record(session, event)

    def _demand_sound(self, said: Said) -> None:
        if said.reason not in reasons_for(said.decision):
            raise InvalidRequest("This reason does not go with the decision.", param="reason")
        if len(said.note) > MAX_NOTE_CHARS:
            raise InvalidRequest(
                f"A note has at most {MAX_NOTE_CHARS} characters.", param="note"
            )


def _kept(note: str) -> str:
    """A note as it is kept. PostgreSQL has no NUL in a text."""
    return note.replace("\0", "").strip()
