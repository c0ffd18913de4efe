"""The worker on the real engine with fake parts: stop, take-over, clean-up."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from dbos import DBOS

from gateway import jobs
from gateway.audit.entry import EventKind
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import Interrupted
from gateway.jobs import JobQueue, Share, Worker, migrate_engine
from gateway.leases import Lease
from gateway.logs import configure_logs
from gateway.orders import Order
from gateway.pipeline import Pipeline
from gateway.production import StageFault, WorkerStopping
from gateway.record import JobEnded, Outcome
from gateway.seams import StepRunner
from gateway.tables import WorkerRow
from safety.verdict import Action
from tests.unit.rig import Rig

LEASE_SECONDS = 2.0
SECRET = "a prompt that must not be kept"


@pytest.fixture
def rig(
    database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path
) -> Iterator[Rig]:
    migrate_engine(database.url)
    made = Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)
    queue = JobQueue(database.url)
    made.queue = queue  # type: ignore[assignment]
    yield made
    queue.close()


@pytest.fixture
def worker(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(jobs, "SWEEP_SECONDS", 0.2)
    monkeypatch.setattr(jobs, "TIDY_SECONDS", 0.2)

    def pipeline(steps: StepRunner, scratch: Path) -> Pipeline:
        rig.steps = steps
        made = rig.pipeline
        object.__setattr__(made, "scratch", scratch)
        return made

    made = Worker(
        database=rig.database,
        scratch=rig.folder / "work",
        record=rig.record,
        retries=rig.retries,
        housekeeping=rig.housekeeping,
        pipeline=pipeline,
        lease_seconds=LEASE_SECONDS,
    )
    yield made
    made.stop()


def engine_table(database: Database) -> str:
    """Where the engine keeps its jobs."""
    return "workflow_status" if database.is_sqlite else "dbos.workflow_status"


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ended(rig: Rig, order: Order) -> Callable[[], bool]:
    return lambda: rig.row(order).state not in ("queued", "in_progress")


def test_a_queued_clip_is_brought_to_its_release(rig: Rig, worker: Worker) -> None:
    order = rig.order()
    worker.start()
    until(ended(rig, order))
    assert rig.row(order).state == "released"


class Gate:
    """Holds the frame judge until it is opened, and counts the calls."""

    def __init__(self, rig: Rig) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.judge = rig.frames.judge
        rig.frames.judge = self  # type: ignore[assignment,method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.reached.set()
        self.opened.wait(20)
        return self.judge(*args, **kwargs)


def test_a_worker_that_is_stopped_leaves_the_job_to_the_next(rig: Rig, worker: Worker) -> None:
    gate = Gate(rig)
    order = rig.order()
    worker.start()
    assert gate.reached.wait(20)
    threading.Timer(0.3, gate.opened.set).start()
    worker.stop()
    assert rig.row(order).state == "in_progress"
    assert rig.record.facts(order, "check") is not None
    assert rig.record.facts(order, "mark") is None
    worker.start()
    until(ended(rig, order))
    assert rig.row(order).state == "released"
    assert rig.generator.calls == 1


def test_a_stop_ends_the_model_at_its_next_step(rig: Rig, worker: Worker) -> None:
    order = rig.order()
    reached = threading.Event()
    real = rig.generator.generate

    def slow(request: Any, *, on_progress: Callable[[int, int], None]) -> Any:
        if not reached.is_set():
            reached.set()
            for step in range(1000):
                time.sleep(0.02)
                on_progress(step, 1000)
        return real(request, on_progress=on_progress)

    rig.generator.generate = slow  # type: ignore[assignment,method-assign]
    worker.start()
    assert reached.wait(20)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 10
    assert rig.row(order).state == "in_progress"
    worker.start()
    until(ended(rig, order))
    assert rig.row(order).state == "released"


def test_a_deleted_clip_stops_the_model_at_its_next_step(rig: Rig, worker: Worker) -> None:
    order = rig.order()
    reached, deleted = threading.Event(), threading.Event()
    steps_after: list[int] = []
    real = rig.generator.generate

    def slow(request: Any, *, on_progress: Callable[[int, int], None]) -> Any:
        if request.prompt != order.prompt:
            return real(request, on_progress=on_progress)
        on_progress(0, 1000)
        reached.set()
        assert deleted.wait(20)
        for step in range(1, 1000):
            steps_after.append(step)
            on_progress(step, 1000)
        return real(request, on_progress=on_progress)

    rig.generator.generate = slow  # type: ignore[assignment,method-assign]
    worker.start()
    assert reached.wait(20)
    rig.clips.delete(rig.caller, order.video_id)
    deleted.set()
    other = rig.order(prompt="another ball")
    until(ended(rig, other))
    assert rig.row(other).state == "released"
    assert steps_after == [1]
    assert rig.row(order).state == "deleted"
    left = (rig.folder / "vault" / order.video_id).rglob("*.mp4")
    assert not list(left)


def test_a_worker_without_the_model_finishes_what_one_with_it_began(
    rig: Rig, worker: Worker
) -> None:
    model = Worker(**{**vars_of(worker), "share": Share.MODEL})
    gates = Worker(**{**vars_of(worker), "share": Share.GATES})
    order = rig.order()
    model.start()
    until(lambda: rig.row(order).run == 1)
    model.stop()
    row = rig.row(order)
    assert (row.state, row.stage) == ("queued", "generate")
    assert rig.record.facts(order, "check") is None
    gates.start()
    until(ended(rig, order))
    second = rig.order(prompt="waits for a model")
    time.sleep(1)
    gates.stop()
    assert rig.row(order).state == "released"
    assert rig.row(second).state == "queued"
    assert rig.generator.calls == 1


def vars_of(worker: Worker) -> dict[str, Any]:
    """What a worker was made of."""
    return {
        "database": worker._database,
        "scratch": worker._scratch,
        "record": worker._record,
        "retries": worker._retries,
        "housekeeping": worker._housekeeping,
        "pipeline": worker._make_pipeline,
        "lease_seconds": worker._lease_seconds,
    }


def test_an_interrupted_clip_is_released_when_the_store_is_back(
    rig: Rig, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.retries.FIRST_SECONDS", 0.3)
    order, other = rig.order(), rig.order(prompt="another ball")
    rig.sealer.fault = Interrupted("The time-stamp authority does not answer.")
    worker.start()
    until(lambda: rig.row(order).run >= 1 and rig.row(other).run >= 1)
    rig.sealer.fault = None
    until(ended(rig, order))
    until(ended(rig, other))
    assert rig.row(order).state == rig.row(other).state == "released"
    assert rig.generator.calls == 2


def test_a_living_worker_takes_over_what_a_dead_one_left(rig: Rig, worker: Worker) -> None:
    """The dead one has no lease any more, its job is pending."""
    gate = Gate(rig)
    first = rig.order()
    worker.start()
    assert gate.reached.wait(20)
    with rig.database.write() as session:
        session.connection().exec_driver_sql(
            f"UPDATE {engine_table(rig.database)} SET executor_id='worker-dead'"
            f" WHERE workflow_uuid='{first.video_id}'"
        )
    gate.opened.set()
    worker.stop()
    rig.frames.judge = gate.judge  # type: ignore[method-assign]
    worker.start()
    until(ended(rig, first))
    assert rig.row(first).state == "released"


def test_who_worked_on_a_job_that_was_taken_over_can_record_nothing(rig: Rig) -> None:
    asked = rig.order()
    frozen = rig.record.claim(asked.video_id)
    rig.record.begin(frozen, "approve")
    mine = rig.record.claim(asked.video_id)
    assert frozen.claim != mine.claim
    outcome = Outcome(kind=EventKind.VERDICT_GIVEN, facts={}, logged={}, progress=5)
    for act in (
        lambda: rig.record.begin(frozen, "approve"),
        lambda: rig.record.progress(frozen, 50),
        lambda: rig.record.passed(frozen, "approve", outcome),
        lambda: rig.record.release(frozen, audit_index=0),
        lambda: rig.record.progress(asked, 50),  # from before anybody worked on it
    ):
        with pytest.raises(JobEnded):
            act()
    rig.record.end(frozen, "failed", refusal={"code": "internal_error"})
    assert rig.row(asked).state == "in_progress"
    assert rig.record.facts(mine, "approve") is None
    rig.record.passed(mine, "approve", outcome)
    assert rig.record.facts(mine, "approve") == {}


def test_the_fault_of_a_worker_that_lost_its_job_ends_nothing(rig: Rig, worker: Worker) -> None:
    gate = Gate(rig)
    order = rig.order()
    worker.start()
    assert gate.reached.wait(20)
    rig.record.claim(order.video_id)  # somebody took it over
    rig.frames.fault = RuntimeError("its scratch was cleared")
    gate.opened.set()
    until(lambda: worker._idle.is_set())
    assert rig.row(order).state == "in_progress"
    assert rig.record.facts(order, "check") is None
    rig.frames.fault = None
    worker.stop()
    worker.start()
    until(ended(rig, order))
    assert rig.row(order).state == "released"


@pytest.fixture
def lost_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing can be written to standard error any more."""
    closed = io.StringIO()
    closed.close()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", closed)
        configure_logs()
    yield
    structlog.reset_defaults()


def test_a_log_that_cannot_be_written_changes_nothing(
    lost_logs: None, rig: Rig, worker: Worker
) -> None:
    test_the_fault_of_a_worker_that_lost_its_job_ends_nothing(rig, worker)


def test_a_lease_runs_out_by_the_clock_of_the_database(database: Database) -> None:
    mine, other = Lease(database, seconds=60), Lease(database, seconds=0.5)
    mine.renew()
    other.renew()
    assert mine.living() == {mine.worker, other.worker}
    until(lambda: mine.living() == {mine.worker})
    other.renew()  # it was only frozen
    assert mine.living() == {mine.worker, other.worker}
    mine.release()
    assert other.living() == {other.worker}


def test_a_lease_from_a_clock_that_was_ahead_is_over(database: Database) -> None:
    """The jobs of a worker that died then would wait until that time comes."""
    mine, dead = Lease(database, seconds=60), Lease(database, seconds=365 * 86_400)
    mine.renew()
    dead.renew()
    assert mine.living() == {mine.worker}


def test_a_worker_whose_own_lease_is_late_keeps_its_job_and_its_scratch(
    rig: Rig, worker: Worker
) -> None:
    gate = Gate(rig)
    order = rig.order()
    worker.start()
    assert gate.reached.wait(20)
    claimed = rig.record.order(order.video_id).claim
    scratch = rig.folder / "work" / worker._lease.worker / "raw.mp4"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    scratch.write_bytes(b"of the stage under way")
    Lease(rig.database, seconds=60).renew()
    with rig.database.write() as session:
        session.execute(sa.delete(WorkerRow).where(WorkerRow.id == worker._lease.worker))
    worker._take_over()
    assert scratch.exists()
    gate.opened.set()
    until(ended(rig, order))
    assert rig.row(order).state == "released"
    assert rig.record.order(order.video_id).claim == claimed


def test_a_worker_keeps_its_lease_while_it_works_and_gives_it_back(
    rig: Rig, worker: Worker
) -> None:
    gate = Gate(rig)
    rig.order()
    worker.start()
    watching = Lease(rig.database, seconds=60)
    assert gate.reached.wait(20)
    time.sleep(LEASE_SECONDS * 1.5)
    (living,) = watching.living()
    assert living.startswith("worker-")
    gate.opened.set()
    worker.stop()
    assert watching.living() == set()


def test_the_media_of_a_deleted_held_clip_is_removed(rig: Rig, worker: Worker) -> None:
    rig.frames.action = Action.REVIEW
    order = rig.order()
    worker.start()
    until(ended(rig, order))

    def clips() -> list[str]:
        # Unlike glob, walk takes no offence at a folder that goes meanwhile.
        found = (name for *_, names in os.walk(rig.folder / "vault") for name in names)
        return [name for name in found if name.endswith(".mp4")]

    assert clips()
    rig.clips.delete(rig.caller, order.video_id)
    until(lambda: not clips())


def test_scratch_of_a_dead_worker_is_removed(rig: Rig, worker: Worker) -> None:
    """Also of one on another machine, if the folder is shared; never that of a living one."""
    living = Lease(rig.database, seconds=60)
    living.renew()
    dead, other = (
        rig.folder / "work" / name / "raw.mp4" for name in ("worker-dead", living.worker)
    )
    for path in (dead, other):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"unmarked")
    worker.start()
    until(lambda: not dead.exists())
    assert other.exists()


def test_the_engine_keeps_no_message_of_a_fault(rig: Rig, worker: Worker) -> None:
    rig.generator.fault = RuntimeError(SECRET)
    order = rig.order()
    worker.start()
    until(ended(rig, order))
    assert rig.row(order).state == "failed"
    worker.stop()
    for path in rig.folder.glob("cinegate.db*"):
        assert SECRET.encode() not in path.read_bytes()


def test_our_own_signals_stay_what_they_are() -> None:
    assert not issubclass(WorkerStopping, Exception)
    assert issubclass(StageFault, Exception)


def test_the_private_call_of_the_engine_is_still_there() -> None:
    assert callable(DBOS._recover_pending_workflows)


def test_a_job_that_no_thread_runs_any_more_is_picked_up(rig: Rig, worker: Worker) -> None:
    """The engine could not write how a run ended, and goes on to count it as ours."""
    gate = Gate(rig)
    order = rig.order()
    worker.start()
    assert gate.reached.wait(20)
    rig.record.claim(order.video_id)  # the run under way ends without an end
    gate.opened.set()
    until(lambda: worker._idle.is_set())
    assert rig.row(order).state == "in_progress"
    until(ended(rig, order))
    assert rig.row(order).state == "released"


def test_the_engine_forgets_what_ended_long_ago_and_nothing_else(
    rig: Rig, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(rig)
    rig.frames.judge = gate.judge  # type: ignore[method-assign]
    ended_one = rig.order()
    worker.start()
    until(ended(rig, ended_one))
    rig.frames.judge = gate  # type: ignore[assignment,method-assign]
    under_way = rig.order(prompt="another ball")
    assert gate.reached.wait(20)

    def known() -> set[str]:
        with rig.database.read() as session:
            rows = f"SELECT workflow_uuid FROM {engine_table(rig.database)}"
            return set(session.connection().exec_driver_sql(rows).scalars())

    assert known() == {ended_one.video_id, under_way.video_id}
    monkeypatch.setattr(jobs, "ENGINE_DAYS", 0)
    until(lambda: known() == {under_way.video_id})
    gate.opened.set()
    until(ended(rig, under_way))
    assert rig.row(ended_one).state == "released"


def test_every_job_that_the_engine_gave_up_is_closed(
    rig: Rig, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one question tells of; the newest, already closed, hide no older one."""
    monkeypatch.setattr(jobs, "LOST_AT_ONCE", 2)

    def broken(*_: object, **__: object) -> Order:
        raise sa.exc.ProgrammingError("claim", {}, ValueError("no such column"))

    monkeypatch.setattr(rig.record, "claim", broken)
    close, closable = worker._close_lost, threading.Event()
    monkeypatch.setattr(worker, "_close_lost", lambda: closable.is_set() and close())
    orders = [rig.order(prompt=f"ball {number}") for number in range(5)]
    worker.start()
    lost = f"SELECT count(*) FROM {engine_table(rig.database)} WHERE status = 'ERROR'"

    def all_lost() -> bool:
        with rig.database.read() as session:
            return session.connection().exec_driver_sql(lost).scalar() == len(orders)

    until(all_lost)
    # Not even long after: what is not closed yet is not forgotten.
    monkeypatch.setattr(jobs, "ENGINE_DAYS", 0)
    worker._forget_ended()
    closable.set()
    until(lambda: {rig.row(order).state for order in orders} == {"failed"}, seconds=5)
