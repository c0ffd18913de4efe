"""The recorded verdicts, and what other policies say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gateway.db import Database
from gateway.tables import VerdictRow
from safety.circumstances import Circumstances
from safety.policy import FAULT_RULE
from safety.shadow import Ground, Scored, strictest_of
from safety.verdict import Action, Category, Stage

BATCH = 500


def recorded_verdicts(database: Database, *, since: datetime | None = None) -> Iterator[Scored]:
    """Every recorded verdict since a time, oldest first; nothing is changed.

    One request can have several: at the door, again by the worker, and for the frames. A
    verdict without recorded circumstances is taken for one of the public, anywhere, at the
    time of its record. What cannot be read as a score is kept as it is, so that it stops.
    """
    statement = sa.select(VerdictRow).order_by(VerdictRow.id)
    if since is not None:
        statement = statement.where(VerdictRow.created_at >= since)
    with database.read() as session:
        for row in session.scalars(statement.execution_options(yield_per=BATCH)):
            yield _scored(row)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a policy said in the shadow: how often what, and of whom something else."""

    policy: str
    moves: Mapping[tuple[Action, Action], int]
    subjects: tuple[str, ...]


def recorded_trials(database: Database, *, since: datetime | None = None) -> tuple[Trial, ...]:
    """The recorded shadow verdicts by the policy that gave them, the latest one last."""
    moves: dict[str, Counter[tuple[Action, Action]]] = {}
    subjects: dict[str, dict[str, None]] = {}
    columns = (VerdictRow.subject, VerdictRow.action, VerdictRow.shadow)
    statement = sa.select(*columns).where(VerdictRow.shadow.is_not(None))
    if since is not None:
        statement = statement.where(VerdictRow.created_at >= since)
    with database.read() as session:
        for subject, action, shadow in session.execute(statement.order_by(VerdictRow.id)):
            name = str(shadow["policy"])
            was, now = _action(action), _action(shadow["action"])
            moves.setdefault(name, Counter())[was, now] += 1
            found = subjects.setdefault(name, {})
            if was is not now:
                found[subject] = None
    return tuple(
        Trial(policy=name, moves=dict(counted), subjects=tuple(subjects[name]))
        for name, counted in moves.items()
    )


def _scored(row: VerdictRow) -> Scored:
    told = row.circumstances
    asked = Circumstances(at=row.created_at) if told is None else Circumstances.from_words(told)
    return Scored(
        subject=row.subject,
        stage=Stage(row.stage),
        # A name that is no category stays as it is, and stops like any unknown category.
        scores={_ground(name) or name: score for name, score in row.scores.items()},  # type: ignore[misc]
        circumstances=asked,
        said=_grounds(row.reasons),
        faults=_grounds(reason for reason in row.reasons if reason["rule"] == FAULT_RULE),
        policy=row.policy,
    )


def _grounds(reasons: Iterable[Mapping[str, Any]]) -> dict[Ground, Action]:
    return strictest_of(
        {_ground(reason["category"]): _action(reason["action"])} for reason in reasons
    )


def _ground(word: str) -> Ground:
    """A category; None for the word that stands for none."""
    try:
        return Category(word)
    except ValueError:
        return None


def _action(word: str) -> Action:
    """An action that this release does not know is the strictest."""
    try:
        return Action(word)
    except ValueError:
        return Action.BLOCK
