"""The job engine: the only importer of DBOS. Queues clips and runs their stages durably.

DBOS keeps the workflow of each clip in the same database as our tables, so that a request,
its audit entry and its job commit together. Each worker holds a lease; when it runs out, a
living worker runs exactly the stages that are not on record (ADR 7).
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from dbos._serialization import DBOSPortableJSON
from sqlalchemy.orm import Session

from gateway.db import Database
from gateway.errors import Error, InternalError
from gateway.leases import Lease
from gateway.logs import trace
from gateway.pipeline import Pipeline
from gateway.record import FINAL_STATES, Facts, JobEnded, Record, Stopped
from gateway.seams import StepRunner

QUEUE = "clips"
WORKFLOW = "produce_clip"
# Raised only when the stages change so that an old job cannot go on under the new code.
APPLICATION_VERSION = "1"
POLL_SECONDS = 0.1
SWEEP_SECONDS = 3.0
BEATS_PER_LEASE = 3
MAX_RECOVERIES = 20
DRAIN_SECONDS = 60.0
ENGINE_SECONDS = 10
LOST = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

log = structlog.get_logger(part="jobs")


def migrate_engine(database_url: str) -> None:
    """Create or upgrade the engine's own tables."""
    DBOS.migrate(database_url)


class JobQueue:
    """Enqueues clips from any process; opens its connection on first use."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._client: DBOSClient | None = None
        self._lock = threading.Lock()

    def enqueue(self, session: Session, video_id: str) -> None:
        """Add the job inside the caller's transaction; the same id again is harmless."""
        with self._lock:
            if self._client is None:
                self._client = DBOSClient(
                    system_database_url=self._url, serializer=DBOSPortableJSON, lazy=True
                )
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": video_id,
            "app_version": APPLICATION_VERSION,
        }
        self._client.enqueue_in_transaction(session, options, video_id)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.destroy()
            self._client = None


class NotMine(BaseException):
    """This process leaves a job that is not at its end: to its next run, here or elsewhere.

    Not an Exception: the engine would record one, and then take the job for ended, or replay
    the fault to the worker that took it over.
    """


class WorkerStopping(NotMine):
    """The worker was asked to stop; the job goes on from its last recorded stage."""


class StageFault(Exception):
    """A stage raised something unforeseen, whose message may hold the prompt."""


class StoppableSteps:
    """Runs stages unless the worker was asked to stop.

    What a stage gave is kept by ``Record`` under the job's claim, and nowhere else: the
    engine's own record of steps has no such fence, and once kept the fault of a frozen worker
    for the healthy one.
    """

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def run(self, name: str, effect: Callable[[], Facts]) -> Facts:
        """The effect's facts. Our own errors pass as they are, others as StageFault."""
        self.checkpoint()
        try:
            return effect()
        except (Error, Stopped):
            raise
        except Exception as fault:  # noqa: BLE001 - named, without its message
            log.error("stage.failed", stage=name, trace=trace(fault))
            raise StageFault(type(fault).__name__) from None

    def checkpoint(self) -> None:
        """Raise WorkerStopping when the worker was asked to stop."""
        if self._stopping.is_set():
            raise WorkerStopping


class Worker:
    """Takes clips from the queue, one at a time, and brings each to an end.

    One worker per process, on any machine that shares the database and the stores, known to
    the engine by a name that is new with each start. Every living worker looks after the jobs
    of those whose lease ran out, and after what ended jobs left in the stores.
    """

    def __init__(
        self,
        *,
        database: Database,
        scratch: Path,
        record: Record,
        pipeline: Callable[[StepRunner, Path], Pipeline],
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._scratch = scratch
        self._record = record
        self._make_pipeline = pipeline
        self._lease_seconds = lease_seconds
        self._lease = Lease(database, seconds=lease_seconds)
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._gone = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to work."""
        self._stopping.clear()
        self._gone.clear()
        self._lease = Lease(self._database, seconds=self._lease_seconds)
        self._lease.renew()
        beat = self._lease_seconds / BEATS_PER_LEASE
        # A thread of its own, and from here on: a lease must not run out because the engine
        # starts slowly or a sweep takes long.
        self._threads = [_repeat("lease", beat, (self._lease.renew,), until=self._gone)]
        worker = self._lease.worker
        pipeline = self._make_pipeline(StoppableSteps(self._stopping), self._scratch / worker)
        config: DBOSConfig = {
            "name": "cinegate",
            "system_database_url": self._database.url,
            "application_version": APPLICATION_VERSION,
            "executor_id": worker,
            "serializer": DBOSPortableJSON,
            "log_level": "CRITICAL",
            "use_listen_notify": False,
        }
        DBOS(config=config)

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_RECOVERIES)
        def produce(video_id: str) -> str:
            self._idle.clear()
            try:
                return produce_clip(pipeline, self._record, video_id, self._stopping.is_set)
            finally:
                self._idle.set()

        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=POLL_SECONDS)
        self._take_over()
        sweep = (self._take_over, self._close_lost, pipeline.tidy)
        every = min(SWEEP_SECONDS, beat)
        self._threads.append(_repeat("sweeper", every, sweep, until=self._stopping))

    def stop(self) -> None:
        """Stop at the next denoising step or the end of the stage under way.

        What is recorded stays; the job goes on in the next worker. Waits at most
        DRAIN_SECONDS for the stage.
        """
        self._stopping.set()
        if not self._idle.wait(DRAIN_SECONDS):
            log.warning("worker.left_a_stage")
        # The engine still has to write down how the last workflow ended.
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=ENGINE_SECONDS)
        self._gone.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._lease.release()
        shutil.rmtree(self._scratch / self._lease.worker, ignore_errors=True)

    def _take_over(self) -> None:
        """Hand the unfinished jobs of dead workers to the living, and clear their scratch."""
        pending = DBOS.list_workflows(
            status="PENDING", name=WORKFLOW, load_input=False, load_output=False
        )
        # Asked after the jobs: a worker has its lease before it takes its first job. Whoever
        # asks is alive, even if its own renewal is late.
        living = self._lease.living() | {self._lease.worker}
        _resume_jobs_of(sorted({str(job.executor_id) for job in pending} - living))
        for folder in self._scratch.glob("worker-*"):
            if folder.name not in living:
                shutil.rmtree(folder, ignore_errors=True)

    def _close_lost(self) -> None:
        """Close the rows of jobs that the engine gave up, so that none waits for ever."""
        for status in DBOS.list_workflows(status=list(LOST), name=WORKFLOW, limit=100):
            order = self._record.order(status.workflow_id)
            self._record.end(order, "failed", refusal=_failure(None))


def _repeat(
    name: str, seconds: float, acts: tuple[Callable[[], None], ...], *, until: threading.Event
) -> threading.Thread:
    """A thread that does these again and again, whatever one of them raises."""

    def beat() -> None:
        while not until.wait(seconds):
            for act in acts:
                try:
                    act()
                except Exception as fault:  # noqa: BLE001 - the next turn tries again
                    log.warning(f"{name}.failed", trace=trace(fault))

    thread = threading.Thread(target=beat, name=name, daemon=True)
    thread.start()
    return thread


def _resume_jobs_of(executors: list[str]) -> None:
    """Put the unfinished jobs of these executors back into the queue.

    The engine offers this under a private name only (tests/unit/test_worker.py notices when
    it moves).
    """
    if executors:
        DBOS._recover_pending_workflows(executors)


def produce_clip(
    pipeline: Pipeline,
    record: Record,
    video_id: str,
    stopping: Callable[[], bool] = lambda: False,
) -> str:
    """Bring one job to an end and return its state; a fault ends it as failed.

    Raises NotMine, and leaves the job as it is, when it is not at an end afterwards: the
    worker is stopping, or another one took the job over. The engine therefore counts as done
    only what the record says is done. Raises an Exception only when the end itself could not
    be recorded.
    """
    order = record.claim(video_id)
    with structlog.contextvars.bound_contextvars(video=video_id):
        try:
            pipeline.run(order)
        except JobEnded:
            log.info("job.ended_early")
        except Stopped as stop:
            record.end(order, stop.state, refusal=stop.refusal)
        except Exception as fault:
            if stopping():
                raise WorkerStopping from fault
            log.error("job.failed", trace=trace(fault))
            record.end(order, "failed", refusal=_failure(fault))
        pipeline.tidy(video_id)
        state = record.state(video_id)
        if state in FINAL_STATES or state == "held":
            return state
        raise NotMine


def _failure(fault: BaseException | None) -> dict[str, Any]:
    """The error object of a job that failed: our sentence when we have one, else none."""
    if isinstance(fault, Error):
        return {"code": fault.code, "message": fault.message}
    return {
        "code": InternalError.code,
        "message": "Something went wrong while the clip was made. Nothing was released.",
    }
