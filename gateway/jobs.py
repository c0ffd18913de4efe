"""The job engine: the only importer of DBOS. Queues clips and runs their stages durably.

DBOS keeps the workflow of each clip in the same database as our tables, so that a request,
its audit entry and its job commit together. After a crash the next worker that starts runs
exactly the stages that are not on record.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from dbos._serialization import DBOSPortableJSON
from sqlalchemy.orm import Session

from gateway.errors import Error, InternalError, StageUnavailable
from gateway.logs import trace
from gateway.pipeline import Pipeline, Stopped
from gateway.record import Facts, JobEnded, Record
from gateway.seams import StepRunner

QUEUE = "clips"
WORKFLOW = "produce_clip"
# Raised only when the stages change so that an old job cannot go on under the new code.
APPLICATION_VERSION = "1"
POLL_SECONDS = 0.1
SWEEP_SECONDS = 5.0
MAX_RECOVERIES = 20
MAX_WORKERS_PER_FOLDER = 64
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


class DurableSteps:
    """Runs each effect as a DBOS step: its facts survive the process."""

    def run(self, name: str, effect: Callable[[], Facts]) -> Facts:
        """The effect's facts, from the engine's record when the step finished before."""
        facts: Facts = DBOS.run_step({"name": name}, effect)
        return facts


class Worker:
    """Takes clips from the queue, one at a time, and brings each to an end.

    One worker per process. Every worker holds a lock file whose number is its executor id:
    a restarted worker takes the lowest free number and so resumes what its predecessor left;
    it also resumes the jobs of every other number whose lock nobody holds.
    """

    def __init__(
        self,
        *,
        database_url: str,
        folder: Path,
        record: Record,
        pipeline: Callable[[StepRunner], Pipeline],
        scratch: Path,
    ) -> None:
        self._url = database_url
        self._folder = folder
        self._record = record
        self._make_pipeline = pipeline
        self._scratch = scratch
        self._slot: IO[str] | None = None
        self._stop = threading.Event()
        self._sweeper: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work. Raises StageUnavailable when no worker slot is free."""
        number, dead = self._take_slot()
        shutil.rmtree(self._scratch / f"worker-{number}", ignore_errors=True)
        pipeline = self._make_pipeline(DurableSteps())
        config: DBOSConfig = {
            "name": "cinegate",
            "system_database_url": self._url,
            "application_version": APPLICATION_VERSION,
            "executor_id": f"worker-{number}",
            "serializer": DBOSPortableJSON,
            "log_level": "WARNING",
            "use_listen_notify": False,
        }
        DBOS(config=config)

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_RECOVERIES)
        def produce(video_id: str) -> str:
            return produce_clip(pipeline, self._record, video_id)

        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=POLL_SECONDS)
        _resume_jobs_of([f"worker-{n}" for n in dead])
        self._stop.clear()
        self._sweeper = threading.Thread(target=self._sweep, name="sweeper", daemon=True)
        self._sweeper.start()

    def stop(self, *, drain_seconds: int = 0) -> None:
        """Stop taking clips; a stage under way is left for the next worker."""
        self._stop.set()
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=drain_seconds)
        if self._sweeper is not None:
            self._sweeper.join(timeout=10)
        if self._slot is not None:
            self._slot.close()
            self._slot = None

    def _take_slot(self) -> tuple[int, list[int]]:
        """Lock the lowest free number; return it and every other free one that was used."""
        self._folder.mkdir(parents=True, exist_ok=True)
        mine: int | None = None
        dead: list[int] = []
        for number in range(MAX_WORKERS_PER_FOLDER):
            path = self._folder / f"worker-{number}.lock"
            if mine is not None and not path.exists():
                break
            handle = path.open("a+", encoding="utf-8")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                continue
            if mine is None:
                mine, self._slot = number, handle
                handle.truncate(0)
                handle.write(f"{os.getpid()}\n")
                handle.flush()
            else:
                dead.append(number)
                handle.close()
        if mine is None:
            raise StageUnavailable("Every worker slot of this data folder is taken.")
        return mine, dead

    def _sweep(self) -> None:
        """Close the rows of jobs that the engine gave up, so that none waits for ever."""
        while not self._stop.wait(SWEEP_SECONDS):
            try:
                for status in DBOS.list_workflows(status=list(LOST), name=WORKFLOW, limit=100):
                    order = self._record.order(status.workflow_id)
                    self._record.end(order, "failed", refusal=_failure(None))
            except Exception as fault:  # noqa: BLE001 - the beat must go on; next turn retries
                log.warning("sweep.failed", error=type(fault).__name__)


def _resume_jobs_of(executors: list[str]) -> None:
    """Hand the unfinished jobs of dead workers to the living.

    The engine offers this under a private name only (tests/e2e/test_crash.py notices when it
    moves).
    """
    if executors:
        DBOS._recover_pending_workflows(executors)


def produce_clip(pipeline: Pipeline, record: Record, video_id: str) -> str:
    """Bring one job to an end and return its state; a fault ends it as failed.

    Raises only when that end itself could not be recorded.
    """
    order = record.order(video_id)
    with structlog.contextvars.bound_contextvars(video=video_id):
        try:
            pipeline.run(order)
        except JobEnded:
            log.info("job.ended_early")
        except Stopped as stop:
            record.end(order, stop.state, refusal=stop.refusal)
        except Exception as fault:  # noqa: BLE001 - whatever it was, the job has failed
            log.error("job.failed", trace=trace(fault))
            record.end(order, "failed", refusal=_failure(fault))
        state = record.state(order)
        if state != "held":
            pipeline.vault.clear(video_id)
        if state != "released":
            pipeline.released.clear(video_id)
        return state


def _failure(fault: BaseException | None) -> dict[str, Any]:
    """The error object of a job that failed: our sentence when we have one, else none."""
    if isinstance(fault, Error):
        return {"code": fault.code, "message": fault.message}
    return {
        "code": InternalError.code,
        "message": "Something went wrong while the clip was made. Nothing was released.",
    }
