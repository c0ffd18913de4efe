"""What is put away, and when; on both databases."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.allowance import Allowance
from gateway.audit.books import check_database
from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import NotFound, PromptRefused, RateLimited, StageUnavailable
from gateway.settings import Retention
from gateway.store import Released
from gateway.tables import (
    AuditPersonal,
    ChoreRow,
    IdempotencyRow,
    RateBucketRow,
    VerdictRow,
    Video,
)
from gateway.wish import Wish
from safety.verdict import Action
from tests.unit.rig import Rig

OLD = dt.timedelta(days=31)


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(
        database=database,
        audit=audit_log,
        clock=clock,
        folder=tmp_path,
        retention=Retention(released_days=30, prompt_days=30, failed_hours=1),
    )


def grow_old(rig: Rig, *ids: str) -> None:
    """Make it long ago."""
    with rig.database.write() as session:
        for row in session.scalars(sa.select(Video).where(Video.id.in_(ids))):
            row.created_at -= OLD
            row.completed_at = row.completed_at and row.completed_at - OLD
        for verdict in session.scalars(sa.select(VerdictRow)):
            verdict.created_at -= OLD


def personal(rig: Rig) -> int:
    with rig.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(AuditPersonal)) or 0


def files(rig: Rig, store: str) -> set[str]:
    return {path.parent.name for path in (rig.folder / store).rglob("*") if path.is_file()}


def test_a_released_clip_is_deleted_when_its_time_is_over(
    rig: Rig, checkpoint_key: CheckpointKey
) -> None:
    old, new = rig.order(prompt="old"), rig.order(prompt="new")
    assert rig.produce(old) == rig.produce(new) == "released"
    grow_old(rig, old.video_id)
    rig.housekeeping.expire()
    with pytest.raises(NotFound):
        rig.clips.get(rig.caller, old.video_id)
    assert files(rig, "released") == {new.video_id}
    assert rig.row(old).prompt == ""
    assert rig.row(old).audit_index is not None, "what it was can still be found by its mark"
    assert rig.kinds(old).count("video.expired") == 1
    rig.housekeeping.expire()
    assert rig.clips.get(rig.caller, new.video_id).state == "released"
    assert check_database(rig.database, checkpoint_key.verifier, now=rig.clock()).ok


def test_old_prompts_are_erased_and_the_clips_stay(
    rig: Rig, checkpoint_key: CheckpointKey
) -> None:
    old = rig.order(prompt="old", title="mine")
    assert rig.produce(old) == "released"
    rig.door.action = Action.BLOCK
    with pytest.raises(PromptRefused):
        rig.clips.submit(rig.caller, Wish(prompt="refused"))
    rig.door.action = Action.REVIEW
    held = rig.clips.submit(rig.caller, Wish(prompt="held"))
    rig.door.action = Action.ALLOW
    assert personal(rig) == 3
    grow_old(rig, old.video_id, held.id)
    with rig.database.write() as session:
        session.execute(
            sa.update(Video).where(Video.id == old.video_id).values(completed_at=rig.clock())
        )
    new = rig.order(prompt="new")
    rig.housekeeping.forget()
    rig.housekeeping.forget()
    row = rig.row(old)
    assert (row.state, row.prompt, row.title) == ("released", "", "")
    assert rig.clips.get(rig.caller, held.id).prompt == "held", "a person still judges it"
    assert rig.row(new).prompt == "new"
    assert personal(rig) == 2
    rig.kinds(old)
    assert check_database(rig.database, checkpoint_key.verifier, now=rig.clock()).ok


def test_nothing_goes_unless_the_operator_says_so(rig: Rig) -> None:
    rig.retention = Retention()
    order = rig.order()
    assert rig.produce(order) == "released"
    grow_old(rig, order.video_id)
    rig.housekeeping.expire()
    rig.housekeeping.forget()
    assert rig.row(order).state == "released"
    assert rig.row(order).prompt


def test_files_that_nobody_released_leave_the_shelf(rig: Rig) -> None:
    kept, dropped = rig.order(prompt="kept"), rig.order(prompt="dropped")
    assert rig.produce(kept) == "released"
    rig.released.put_bytes(b"left by a crash", scope=dropped.video_id, suffix="mp4")
    rig.clips.delete(rig.caller, dropped.video_id)
    rig.released.put_bytes(b"put while it was deleted", scope=dropped.video_id, suffix="mp4")
    working = rig.order(prompt="working")
    rig.released.put_bytes(b"under way", scope=working.video_id, suffix="mp4")
    rig.housekeeping.clear_shelf()
    assert files(rig, "released") == {kept.video_id, working.video_id}


def test_used_up_rows_are_pruned(rig: Rig) -> None:
    rig.clips.submit(rig.caller, Wish(prompt="a", idempotency_key="one"))
    rig.housekeeping.prune()

    def left() -> tuple[int, int]:
        with rig.database.read() as session:
            counted = (
                session.scalar(sa.select(sa.func.count()).select_from(table))
                for table in (IdempotencyRow, RateBucketRow)
            )
            keys, buckets = counted
            return keys or 0, buckets or 0

    assert left() == (1, 2)
    with rig.database.write() as session:
        session.execute(sa.update(IdempotencyRow).values(created_at=rig.clock() - OLD))
        session.execute(sa.update(RateBucketRow).values(at=0.0))
    rig.housekeeping.prune()
    assert left() == (0, 0)


def test_a_chore_is_done_by_one_worker_at_a_time(rig: Rig) -> None:
    done: list[str] = []
    workers = [rig.housekeeping for _ in range(8)]
    for worker in workers:
        worker.chores = {"often": (0.0, lambda: done.append("often"))}
        worker.chores |= {"daily": (86_400.0, lambda: done.append("daily"))}
    workers[0].do_what_is_due()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda worker: worker.do_what_is_due(), workers))
    assert done.count("daily") == 1
    assert done.count("often") == 9


def test_the_rows_of_chores_may_be_made_by_two_at_once(rig: Rig) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: rig.housekeeping.do_what_is_due(), range(4)))


def test_a_chore_that_fails_stops_no_other(rig: Rig) -> None:
    done: list[str] = []

    def fail() -> None:
        raise StageUnavailable("The media store cannot be read.")

    keep = rig.housekeeping
    keep.chores = {"first": (60.0, fail), "second": (60.0, lambda: done.append("second"))}
    keep.do_what_is_due()
    assert done == ["second"]


def test_a_chore_is_due_again_when_the_clock_was_put_right(rig: Rig) -> None:
    done: list[str] = []
    keep = rig.housekeeping
    keep.chores = {"hourly": (3_600.0, lambda: done.append("hourly"))}
    keep.do_what_is_due()
    with rig.database.write() as session:
        session.execute(sa.update(ChoreRow).values(due=ChoreRow.due + 365 * 86_400.0))
    keep.do_what_is_due()
    keep.do_what_is_due()
    assert done == ["hourly"] * 2


def test_a_bucket_from_a_clock_that_was_ahead_is_pruned(rig: Rig) -> None:
    """It would not fill before that time comes."""
    allowance = Allowance(rig.database, rig.limits, rig.clock)
    allowance.take(rig.caller)
    with rig.database.write() as session:
        ahead = {"tokens": 0.0, "at": RateBucketRow.at + 365 * 86_400.0}
        session.execute(sa.update(RateBucketRow).values(**ahead))
    with pytest.raises(RateLimited):
        allowance.take(rig.caller)
    rig.housekeeping.prune()
    allowance.take(rig.caller)


def test_a_clip_that_cannot_be_deleted_keeps_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [rig.order(prompt=f"ball {number}") for number in range(3)]
    for order in orders:
        assert rig.production.bring_to_an_end(order.video_id) == "released"
    grow_old(rig, *(order.video_id for order in orders))
    clear = Released.clear

    def stuck(store: Released, scope: str) -> None:
        if scope == orders[0].video_id:
            raise StageUnavailable("The media store cannot be read.")
        clear(store, scope)

    monkeypatch.setattr(Released, "clear", stuck)
    with pytest.raises(StageUnavailable):
        rig.housekeeping.expire()
    assert [rig.row(order).state for order in orders] == ["released", "deleted", "deleted"]
    monkeypatch.undo()
    rig.housekeeping.expire()
    assert rig.row(orders[0]).state == "deleted"
