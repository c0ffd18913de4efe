"""What is put back in the queue, when, and with what in the log; on both databases."""

from __future__ import annotations

import datetime as dt
import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import production as production_module
from gateway import retries as retries_module
from gateway.audit.books import check_database
from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import Conflict, Interrupted, NotFound, StageUnavailable
from gateway.orders import Order
from gateway.production import NotMine, StoppableSteps, WorkerStopping
from gateway.retries import LONGEST_SECONDS, TRIES, pause
from gateway.settings import Retention
from gateway.tables import Video
from tests.unit.rig import Rig


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    made = Rig(
        database=database,
        audit=audit_log,
        clock=clock,
        folder=tmp_path,
        retention=Retention(failed_hours=24),
    )
    made.steps = StoppableSteps(threading.Event())
    return made


def once(rig: Rig, order: Order) -> str:
    """One run of the job, as the engine gives it to a worker."""
    run = rig.record.order(order.video_id).run
    return rig.production.bring_to_an_end(order.video_id, run)


def test_the_waits_grow_up_to_a_bound() -> None:
    waits = [pause(tries) for tries in range(1, TRIES + 1)]
    assert waits == sorted(waits)
    assert waits[0] < 10
    assert waits[-1] == LONGEST_SECONDS
    assert 3 * 3600 < sum(waits) < 5 * 3600


INTERRUPTIONS = {
    "the store": Interrupted("The media store did not take the file."),
    "the disk": OSError(errno.ENOSPC, "No space left on device"),
    "a connection": ConnectionResetError("reset"),
}


@pytest.mark.parametrize("what", INTERRUPTIONS)
def test_an_interrupted_job_waits_and_goes_on_where_it_was(
    rig: Rig, what: str, checkpoint_key: CheckpointKey
) -> None:
    order = rig.order()
    rig.sealer.fault = INTERRUPTIONS[what]
    assert once(rig, order) == "queued"
    row = rig.row(order)
    assert (row.state, row.stage, row.run, row.tries, row.claim) == (
        "queued",
        "sign",
        1,
        1,
        None,
    )
    again = rig.queue.asked[-1]
    assert again == {"run": 1, "turn": row.turn, "delay": pause(1), "finish": False}
    assert once(rig, order) == "queued"
    assert rig.queue.asked[-1]["delay"] == pause(2) > pause(1)
    rig.sealer.fault = None
    assert once(rig, order) == "released"
    assert rig.generator.calls == 1
    assert rig.row(order).tries == 0
    assert rig.kinds(order).count("video.delayed") == 2
    assert check_database(rig.database, checkpoint_key.verifier, now=rig.clock()).ok


def test_a_ruling_and_a_plain_fault_do_not_wait(rig: Rig) -> None:
    for fault in (StageUnavailable("The watermark could not be read back."), ValueError("x")):
        order = rig.order(seed=len(rig.queue.jobs))
        rig.codec.fault = fault
        assert once(rig, order) == "failed"
        assert "video.delayed" not in rig.kinds(order)


def test_tries_are_used_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries_module, "TRIES", 2)
    order = rig.order()
    rig.sealer.fault = Interrupted("The time-stamp authority does not answer.")
    assert [once(rig, order) for _ in range(3)] == ["queued", "queued", "failed"]
    assert rig.row(order).refusal == {
        "code": "interrupted",
        "message": "The time-stamp authority does not answer.",
    }


def test_the_run_before_has_nothing_to_say(rig: Rig) -> None:
    order = rig.order()
    rig.sealer.fault = Interrupted("away")
    assert once(rig, order) == "queued"
    calls = rig.generator.calls
    assert rig.production.bring_to_an_end(order.video_id, 0) == "queued"
    assert rig.row(order).claim is None
    assert rig.generator.calls == calls


def test_who_lost_the_job_puts_nothing_back(rig: Rig) -> None:
    order = rig.order()

    def taken_over(*_: Any, **__: Any) -> Any:
        rig.record.claim(order.video_id)
        raise Interrupted("its scratch was cleared")

    rig.sealer.seal = taken_over  # type: ignore[method-assign]
    with pytest.raises(NotMine):
        once(rig, order)
    assert rig.row(order).run == 0
    assert len(rig.queue.jobs) == 1


def test_a_deleted_job_is_not_put_back(rig: Rig) -> None:
    order = rig.order()

    def deleted(*_: Any, **__: Any) -> Any:
        rig.clips.delete(rig.caller, order.video_id)
        raise Interrupted("away")

    rig.sealer.seal = deleted  # type: ignore[method-assign]
    assert once(rig, order) == "deleted"
    assert len(rig.queue.jobs) == 1


def away(times: int, act: Callable[..., Any]) -> Callable[..., Any]:
    """The database is away at the first calls of this method."""
    left = [times]

    def acted(*args: Any, **kwargs: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise sa.exc.OperationalError("SELECT 1", {}, Exception("connection refused"))
        return act(*args, **kwargs)

    return acted


@pytest.mark.parametrize("method", ["claim", "begin", "passed", "release", "order", "state"])
def test_while_the_database_is_away_the_job_waits(
    rig: Rig, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production_module, "AWAY_SECONDS", 0.01)
    order = rig.order()
    setattr(rig.record, method, away(3, getattr(rig.record, method)))
    assert rig.production.bring_to_an_end(order.video_id) == "released"
    assert "video.failed" not in rig.kinds(order)


def test_an_end_that_cannot_be_recorded_is_recorded_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production_module, "AWAY_SECONDS", 0.01)
    order = rig.order()
    rig.codec.fault = ValueError("x")
    rig.record.end = away(2, rig.record.end)  # type: ignore[method-assign]
    assert rig.production.bring_to_an_end(order.video_id) == "failed"
    assert rig.kinds(order).count("video.failed") == 1


def test_a_worker_that_is_stopped_does_not_wait_for_the_database(rig: Rig) -> None:
    order = rig.order()
    rig.record.begin = away(10**6, rig.record.begin)  # type: ignore[method-assign]
    working = rig.production
    threading.Timer(0.2, working.stopping.set).start()
    with pytest.raises(WorkerStopping):
        working.bring_to_an_end(order.video_id)
    assert rig.row(order).state == "queued"


def test_a_failed_clip_is_tried_again_by_an_operator(
    rig: Rig, checkpoint_key: CheckpointKey
) -> None:
    order = rig.order()
    rig.codec.fault = ValueError("a defect, mended later")
    assert once(rig, order) == "failed"
    assert [row.id for row in rig.retries.failed()] == [order.video_id]
    rig.retries.replay(order.video_id, by="kim")
    assert once(rig, order) == "failed"
    rig.codec.fault = None
    rig.retries.replay(order.video_id, by="kim")
    with pytest.raises(Conflict):
        rig.retries.replay(order.video_id, by="kim")
    assert once(rig, order) == "released"
    kinds = rig.kinds(order)
    assert (kinds.count("video.failed"), kinds.count("video.retried")) == (2, 2)
    assert rig.retries.failed() == ()
    with pytest.raises(Conflict):
        rig.retries.replay(order.video_id, by="kim")
    with pytest.raises(NotFound):
        rig.retries.replay("video_none", by="kim")
    assert check_database(rig.database, checkpoint_key.verifier, now=rig.clock()).ok


def test_the_end_of_an_earlier_run_does_not_end_the_next(rig: Rig) -> None:
    """Of jobs that the engine gave up before any worker claimed them."""
    order = rig.order()
    earlier = rig.record.order(order.video_id)
    assert rig.record.end(earlier, "failed", refusal={"code": "internal_error"})
    rig.retries.replay(order.video_id, by="kim")
    assert not rig.record.end(earlier, "failed", refusal={"code": "internal_error"})
    assert rig.row(order).state == "queued"


def test_what_failed_long_ago_is_not_tried_again(rig: Rig) -> None:
    order = rig.order()
    rig.frames.fault = ValueError("x")
    assert once(rig, order) == "failed"
    rig.housekeeping.tidy()
    assert list((rig.folder / "vault").rglob("*.mp4"))
    with rig.database.write() as session:
        long_ago = rig.clock() - dt.timedelta(hours=25)
        session.execute(sa.update(Video).values(completed_at=long_ago))
    with pytest.raises(Conflict):
        rig.retries.replay(order.video_id, by="kim")
    rig.housekeeping.tidy()
    assert not list((rig.folder / "vault").rglob("*.mp4"))


def test_a_worker_with_the_model_hands_over_to_those_without(rig: Rig) -> None:
    order = rig.order()
    model = rig.production
    object.__setattr__(model, "model_only", True)
    assert model.bring_to_an_end(order.video_id) == "queued"
    assert rig.queue.asked[-1]["finish"]
    assert rig.row(order).stage == "generate"
    assert rig.record.facts(order, "check") is None
    assert once(rig, order) == "released"
    assert rig.generator.calls == 1


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps_changes_no_end(
    database: Database,
    checkpoint_key: CheckpointKey,
    tmp_path: Path,
    days: int,
) -> None:
    jumped = [dt.timedelta()]

    def clock() -> dt.datetime:
        return dt.datetime.now(dt.UTC) + jumped[0]

    audit = SqlAuditLog(database, checkpoint_key, clock)
    rig = Rig(database=database, audit=audit, clock=clock, folder=tmp_path)
    judge = rig.frames.judge

    def jump(*args: Any, **kwargs: Any) -> Any:
        jumped[0] = dt.timedelta(days=days)
        return judge(*args, **kwargs)

    rig.frames.judge = jump  # type: ignore[method-assign]
    order, before = rig.order(), rig.order(prompt="asked before the jump")
    assert rig.produce(order) == "released"
    after = rig.order(prompt="asked after the jump")
    jumped[0] = dt.timedelta()  # and back
    assert rig.produce(before) == rig.produce(after) == "released"
    rig.kinds(order)
    latest = clock() + abs(dt.timedelta(days=days))
    assert check_database(database, checkpoint_key.verifier, now=latest).ok


def test_a_clip_whose_words_were_erased_is_not_made_of_nothing(
    rig: Rig,
) -> None:
    """Prompts may be kept for a shorter time than failed clips, or their clip waited long."""
    rig.retention = Retention(prompt_days=1, failed_hours=72)
    order = rig.order()
    assert rig.record.end(order, "failed", refusal={"code": "internal_error"})
    with rig.database.write() as session:
        for row in session.scalars(sa.select(Video)):
            row.created_at -= dt.timedelta(days=2)
    rig.housekeeping.forget()
    with pytest.raises(Conflict):
        rig.retries.replay(order.video_id, by="kim")
    assert rig.row(order).state == "failed"
