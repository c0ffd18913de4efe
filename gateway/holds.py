"""Holds: what waits for a person, and whether people have released it."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import EventKind
from gateway.tables import CaseRow, RulingRow, VerdictRow, Video
from safety.verdict import Action, Category, Stage

NO_CATEGORY = "-"
SEATS = 3
BATCH = 200
# Which stage of a job gives the verdict on words, and which that on frames.
JUDGED_AT = {str(Stage.PROMPT): "approve", str(Stage.FRAMES): "check"}


def open_case(session: Session, row: Video, *, verdict_event: str, now: dt.datetime) -> CaseRow:
    """Open the case of a hold, in the transaction that holds the clip.

    Raises what the database raises when the verdict is not on record: then nothing is held.
    """
    verdict = session.scalars(
        sa.select(VerdictRow).where(VerdictRow.event_id == verdict_event)
    ).one()
    grounds = grounds_of(verdict)
    case = CaseRow(
        id=f"case_{secrets.token_hex(8)}",
        video_id=row.id,
        tenant_id=row.tenant_id,
        run=row.run,
        stage=verdict.stage,
        verdict_event=verdict_event,
        policy=verdict.policy,
        grounds=grounds,
        restricted=Category.SEXUAL_MINORS in categories_of(grounds),
        opened_at=now,
    )
    session.add(case)
    return case


def open_missing(session: Session, *, now: dt.datetime) -> int:
    """Open the cases of clips that a worker of the release before held: it knew of none.

    Returns how many were opened now.
    """
    has_one = sa.exists().where(CaseRow.video_id == Video.id, CaseRow.run == Video.run)
    lost = sa.select(Video).where(Video.state == "held", ~has_one).limit(BATCH)
    opened = 0
    for row in session.scalars(lost.with_for_update(skip_locked=True)).all():
        last = (
            sa.select(VerdictRow.event_id)
            .where(VerdictRow.subject == row.id, VerdictRow.action == Action.REVIEW)
            .order_by(VerdictRow.id.desc())
            .limit(1)
        )
        given = session.scalar(last)
        if given is not None:
            open_case(session, row, verdict_event=given, now=now)
            opened += 1
    return opened


def void_cases(session: Session, video_id: str, *, now: dt.datetime) -> None:
    """Close the open cases of a clip that is deleted: there is nothing left to rule on."""
    mine = sa.update(CaseRow).where(CaseRow.video_id == video_id, CaseRow.outcome.is_(None))
    session.execute(mine.values(outcome="void", closed_at=now, holder_id=None))


def erase_notes(session: Session, video_id: str) -> list[str]:
    """Empty the notes of the rulings on a clip; return the events that may hold them too."""
    cases = session.scalars(sa.select(CaseRow.id).where(CaseRow.video_id == video_id)).all()
    noted = sa.update(RulingRow).where(RulingRow.case_id.in_(cases))
    session.execute(noted.values(note=""))
    passed = sa.update(CaseRow).where(CaseRow.video_id == video_id)
    session.execute(passed.values(passed_on=None))
    kinds = (EventKind.CASE_RULED, EventKind.CASE_ESCALATED)
    steps = (f"{video_id}:{case}.{seat}" for case in cases for seat in range(SEATS + 1))
    return [f"{step}:{kind}" for step in steps for kind in kinds]


def grounds_of(verdict: VerdictRow) -> list[str]:
    """``Verdict.grounds`` of a verdict on record."""
    return sorted({f"{_category(reason)}:{reason['rule']}" for reason in verdict.reasons})


def categories_of(grounds: list[str]) -> frozenset[Category]:
    """The known categories of grounds; a fault of no category has none.

    One that a later release wrote is not known, and so is never released either.
    """
    names = {ground.partition(":")[0] for ground in grounds}
    return frozenset(each for each in Category if each.value in names)


def rulings_that_release(
    session: Session, video_id: str, facts: Mapping[str, Any]
) -> list[str]:
    """The log's events of the rulings that release what a stage's ``facts`` say was held.

    Empty when people have not released it: a ruling counts for a verdict of the same stage
    and policy, and all of them together must have allowed every ground of it.
    """
    if facts.get("action") != Action.REVIEW:
        return []
    # The release before wrote no grounds beside the facts; the verdict has them.
    grounds = set(facts.get("grounds") or _grounds_on_record(session, video_id, facts))
    if not grounds:
        return []
    allowed = session.scalars(
        sa.select(CaseRow)
        .where(
            CaseRow.video_id == video_id,
            CaseRow.outcome == Action.ALLOW,
            CaseRow.stage == facts.get("stage"),
            CaseRow.policy == facts.get("policy"),
        )
        .order_by(CaseRow.run)
    ).all()
    if grounds <= {ground for case in allowed for ground in case.grounds}:
        return [ruling_event(case) for case in allowed]
    return []


def ruling_event(case: CaseRow) -> str:
    """The id of the event that tells what a case came to."""
    return f"{case.step}:{EventKind.VIDEO_RULED}"


def _grounds_on_record(session: Session, video_id: str, facts: Mapping[str, Any]) -> list[str]:
    stage = JUDGED_AT.get(str(facts.get("stage")), "")
    event = f"{video_id}:{stage}:{EventKind.VERDICT_GIVEN}"
    verdict = session.scalars(
        sa.select(VerdictRow).where(VerdictRow.event_id == event)
    ).one_or_none()
    return [] if verdict is None else grounds_of(verdict)


def _category(reason: Mapping[str, Any]) -> str:
    name = reason["category"]
    return NO_CATEGORY if name in (None, "None") else str(name)
