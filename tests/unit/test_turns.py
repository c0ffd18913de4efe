"""The order in which clips are made, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.audit.log import SqlAuditLog
from gateway.auth import Caller
from gateway.db import Database
from gateway.permissions import Permissions
from gateway.settings import Retention
from gateway.tables import Video
from gateway.turns import LAST, next_turn
from gateway.wish import Wish
from safety.circumstances import Audience
from tests.unit.rig import Rig


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


def tenant(rig: Rig, name: str, audience: Audience = Audience.PUBLIC) -> Caller:
    caller = rig.keys.authenticate(f"Bearer {rig.keys.create(name=name).key}")
    permissions = Permissions(rig.database, rig.audit, rig.clock)
    permissions.vet(caller.tenant_id, audience, by="test")
    return caller


def ask(rig: Rig, caller: Caller, count: int = 1) -> None:
    for number in range(count):
        rig.clips.submit(caller, Wish(prompt=f"clip {number}", seed=number))


def served(rig: Rig) -> list[str]:
    """The tenants in the order in which the engine takes their clips."""
    with rig.database.read() as session:
        rows = sa.select(Video.tenant_id).where(Video.state == "queued")
        return list(session.scalars(rows.order_by(Video.turn, Video.created_at)))


def take(rig: Rig, count: int) -> None:
    """Make the next clips, one after the other."""
    for _ in range(count):
        with rig.database.write() as session:
            rows = sa.select(Video).where(Video.state == "queued")
            row = session.scalars(rows.order_by(Video.turn, Video.created_at)).first()
            assert row is not None
            for old in session.scalars(sa.select(Video).where(Video.state == "in_progress")):
                old.state = "failed"
            row.state = "in_progress"


def test_nobody_waits_for_all_of_another_ones_clips(rig: Rig) -> None:
    many, few = tenant(rig, "many"), tenant(rig, "few")
    ask(rig, many, 12)
    take(rig, 1)
    ask(rig, few, 3)
    places = [place for place, who in enumerate(served(rig)) if who == few.tenant_id]
    assert places == [1, 3, 5]


def test_who_was_idle_has_saved_nothing_up(rig: Rig) -> None:
    busy, idle = tenant(rig, "busy"), tenant(rig, "idle")
    ask(rig, busy, 10)
    take(rig, 5)
    ask(rig, idle, 5)
    ask(rig, busy, 5)
    assert served(rig)[:8].count(busy.tenant_id) in (4, 5)


def test_shares_by_audience(rig: Rig) -> None:
    rig.limits = rig.limits.model_copy(update={"queue_shares": {"studio": 3}})
    plain, studio = tenant(rig, "plain"), tenant(rig, "studio", Audience.STUDIO)
    ask(rig, plain, 12)
    ask(rig, studio, 12)
    first = served(rig)[:12]
    assert first.count(studio.tenant_id) == 9
    assert first.count(plain.tenant_id) == 3


def test_longer_clips_cost_more(rig: Rig) -> None:
    long, short = tenant(rig, "long"), tenant(rig, "short")
    for number in range(4):
        rig.clips.submit(long, Wish(prompt="a", seed=number, seconds=2))
    for number in range(8):
        rig.clips.submit(short, Wish(prompt="b", seed=number, seconds=1))
    assert served(rig)[:6].count(short.tenant_id) == 4


def test_turns_begin_anew_when_nothing_waits_and_never_pass_the_last(rig: Rig) -> None:
    someone = tenant(rig, "someone")
    ask(rig, someone, 3)
    with rig.database.write() as session:
        session.execute(sa.update(Video).values(turn=LAST - 1))
    ask(rig, someone)
    with rig.database.write() as session:
        assert session.scalar(sa.select(sa.func.max(Video.turn))) == LAST
        session.execute(sa.update(Video).values(state="failed"))
        shares = {"public": 1}
        assert next_turn(session, someone.tenant_id, shares=shares) == 1


def test_the_queue_gets_the_turn(rig: Rig) -> None:
    ask(rig, rig.caller, 3)
    with rig.database.read() as session:
        turns = list(session.scalars(sa.select(Video.turn).order_by(Video.turn)))
    assert [asked["turn"] for asked in rig.queue.asked] == turns
    assert len(set(turns)) == 3


def test_a_clip_that_waits_for_another_try_lets_no_newcomer_overtake(rig: Rig) -> None:
    """Its old turn is far below what is served now, for as long as something is away."""
    unlucky, busy, late = tenant(rig, "unlucky"), tenant(rig, "busy"), tenant(rig, "late")
    ask(rig, unlucky)
    with rig.database.write() as session:
        session.execute(sa.update(Video).values(tries=1))
    ask(rig, busy, 4)
    with rig.database.write() as session:
        served_now = sa.update(Video).where(Video.tenant_id == busy.tenant_id)
        session.execute(served_now.values(turn=Video.turn + 10_000))
    ask(rig, late, 4)
    assert served(rig)[1:5].count(late.tenant_id) == 2


def test_newcomers_begin_behind_what_waits_for_another_try(rig: Rig) -> None:
    """When all that waits was interrupted, the turns go on where they were."""
    unlucky, late = tenant(rig, "unlucky"), tenant(rig, "late")
    ask(rig, unlucky)
    with rig.database.write() as session:
        session.execute(sa.update(Video).values(tries=1, turn=10_000))
    ask(rig, late)
    with rig.database.read() as session:
        turns = sa.select(Video.turn).where(Video.tenant_id == late.tenant_id)
        assert session.scalar(turns) == 10_000


def test_a_clip_that_is_tried_again_has_the_turn_of_now(rig: Rig) -> None:
    rig.retention = Retention()
    unlucky, busy = tenant(rig, "unlucky"), tenant(rig, "busy")
    ask(rig, unlucky)
    with rig.database.write() as session:
        failed = {"state": "failed", "completed_at": rig.clock()}
        session.execute(sa.update(Video).values(**failed))
    ask(rig, busy)
    with rig.database.write() as session:
        waiting = sa.update(Video).where(Video.state == "queued")
        session.execute(waiting.values(turn=10_000))
        failed_one = session.scalars(sa.select(Video.id).where(Video.state == "failed")).one()
    assert rig.retries.replay(failed_one, by="kim").turn == 10_000
    assert rig.queue.asked[-1]["turn"] == 10_000
