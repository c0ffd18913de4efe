"""The job engine: the only importer of DBOS. Queues clips and runs their stages durably.

DBOS keeps the workflow of each clip in the same database as our tables, so that a request,
its audit entry and its job commit together. Each worker holds a lease; when it runs out, a
living worker runs exactly the stages that are not on record (ADR 7).
"""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from dbos._serialization import DBOSPortableJSON
from sqlalchemy.orm import Session

from gateway.db import Database
from gateway.housekeeping import Housekeeping
from gateway.leases import Lease
from gateway.logs import trace
from gateway.pipeline import Pipeline
from gateway.production import Production, StoppableSteps, failure
from gateway.record import Record
from gateway.retries import Retries
from gateway.seams import UNOBSERVED, Observer, StepRunner
from gateway.tracing import Tracing

QUEUE = "clips"
FINISH_QUEUE = "clips.finish"
WORKFLOW = "produce_clip"
# Raised only when the stages change so that an old job cannot go on under the new code.
APPLICATION_VERSION = "1"
# How often a worker asks for work; each question costs an idle machine something. What waits
# for the gates alone has waited for the model before.
POLL_SECONDS = {QUEUE: 0.2, FINISH_QUEUE: 0.5}
SWEEP_SECONDS = 3.0
TIDY_SECONDS = 30.0
BEATS_PER_LEASE = 3
MAX_RECOVERIES = 20
DRAIN_SECONDS = 60.0
ENGINE_SECONDS = 10
ENGINE_DAYS = 7
LOST_AT_ONCE = 100
LOST = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

log = structlog.get_logger(part="jobs")


def migrate_engine(database_url: str) -> None:
    """Create or upgrade the engine's own tables."""
    DBOS.migrate(database_url)


class JobQueue:
    """Enqueues clips from any process; opens its connection on first use."""

    def __init__(
        self, database_url: str, origin: Callable[[], str | None] = lambda: None
    ) -> None:
        self._url = database_url
        self._origin = origin
        self._client: DBOSClient | None = None
        self._lock = threading.Lock()

    def enqueue(
        self,
        session: Session,
        video_id: str,
        *,
        run: int = 0,
        turn: int = 1,
        delay: float = 0.0,
        finish: bool = False,
    ) -> None:
        """See ``gateway.seams.Enqueue``; the same run again is harmless.

        The job carries the trace of whoever enqueues it, when there is one.
        """
        with self._lock:
            if self._client is None:
                self._client = DBOSClient(
                    system_database_url=self._url, serializer=DBOSPortableJSON, lazy=True
                )
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": FINISH_QUEUE if finish else QUEUE,
            # The run stands here and not beside the video's id: a worker of the release
            # before knows one argument only. (A second one is there while traces are on.)
            "workflow_id": f"{video_id}.{run}" if run else video_id,
            "app_version": APPLICATION_VERSION,
            "priority": turn,
        }
        if delay > 0:
            options["delay_seconds"] = delay
        origin = self._origin()
        carried = (video_id,) if origin is None else (video_id, origin)
        self._client.enqueue_in_transaction(session, options, *carried)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.destroy()
            self._client = None


class Share(StrEnum):
    """What a worker does of a clip: all of it, what needs the model, or what comes after."""

    ALL = "all"
    MODEL = "model"
    GATES = "gates"


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
        retries: Retries,
        housekeeping: Housekeeping,
        pipeline: Callable[[StepRunner, Path], Pipeline],
        lease_seconds: float,
        share: Share = Share.ALL,
        observer: Observer = UNOBSERVED,
        tracing: Tracing | None = None,
    ) -> None:
        self._database = database
        self._scratch = scratch
        self._record = record
        self._retries = retries
        self._housekeeping = housekeeping
        self._share = share
        self._observer = observer
        self._tracing = tracing or Tracing()
        self._busy = threading.Lock()
        self._mine: set[str] = set()
        self._dropped: set[str] = set()
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
        steps = StoppableSteps(self._stopping, self._observer, self._tracing)
        pipeline = self._make_pipeline(steps, self._scratch / worker)
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
        production = Production(
            pipeline=pipeline,
            record=self._record,
            retries=self._retries,
            housekeeping=self._housekeeping,
            stopping=self._stopping,
            model_only=self._share is Share.MODEL,
            observer=self._observer,
            tracing=self._tracing,
        )

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_RECOVERIES)
        def produce(video_id: str, origin: str | None = None) -> str:
            job = str(DBOS.workflow_id)
            self._mine.add(job)
            try:
                # One clip at a time, from whichever queue.
                with self._busy:
                    self._idle.clear()
                    return production.bring_to_an_end(video_id, _run_of(job), origin=origin)
            finally:
                self._idle.set()
                self._mine.discard(job)

        queues = {
            Share.ALL: (QUEUE, FINISH_QUEUE),
            Share.MODEL: (QUEUE,),
            Share.GATES: (FINISH_QUEUE,),
        }[self._share]
        DBOS.listen_queues(queues)
        DBOS.launch()
        for queue in queues:
            DBOS.register_queue(
                queue, worker_concurrency=1, polling_interval_sec=POLL_SECONDS[queue]
            )
        self._take_over()
        keep = self._housekeeping
        for name, every, acts in (
            ("sweeper", min(SWEEP_SECONDS, beat), (self._take_over, self._close_lost)),
            ("housekeeper", TIDY_SECONDS, (keep.tidy, keep.do_what_is_due, self._forget_ended)),
        ):
            self._threads.append(_repeat(name, every, acts, until=self._stopping))

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
        own = (job for job in pending if job.executor_id == self._lease.worker)
        self._pick_up({job.workflow_id: str(job.queue_name) for job in own})
        _resume_jobs_of(sorted({str(job.executor_id) for job in pending} - living))
        for folder in self._scratch.glob("worker-*"):
            if folder.name not in living:
                shutil.rmtree(folder, ignore_errors=True)

    def _pick_up(self, own: Mapping[str, str]) -> None:
        """Go on with jobs that are ours for the engine although no thread runs them.

        Its own record of how a run ended was lost, for example on a full disk. Seen at two
        sweeps: a thread takes a moment to begin and to end.
        """
        dropped = own.keys() - self._mine
        for job in dropped & self._dropped:
            DBOS.resume_workflow(job, queue_name=own[job])
        self._dropped = dropped

    def _close_lost(self) -> None:
        """Close the rows of jobs that the engine gave up, so that none waits for ever."""
        for job in _lost():
            video_id, run = job.partition(".")[0], _run_of(job)
            # Most were closed at a sweep before.
            if not self._is_open(job):
                continue
            order = self._record.order(video_id)
            if order.run == run and self._record.end(order, "failed", refusal=failure(None)):
                self._observer.clip_ended("failed")

    def _forget_ended(self) -> None:
        """Have the engine forget jobs that ended long ago; our own record of them stays.

        Not those that it gave up and whose rows could not be closed yet.
        """
        before = dt.datetime.now(dt.UTC) - dt.timedelta(days=ENGINE_DAYS)
        ended = DBOS.list_workflows(
            status=["SUCCESS", *LOST],
            name=WORKFLOW,
            end_time=before.isoformat(),
            limit=LOST_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        closed = [
            job.workflow_id
            for job in ended
            if job.status == "SUCCESS" or not self._is_open(job.workflow_id)
        ]
        if closed:
            DBOS.delete_workflows(closed)

    def _is_open(self, job: str) -> bool:
        return self._record.state(job.partition(".")[0]) in ("queued", "in_progress")


def _lost() -> Iterator[str]:
    """The jobs that the engine gave up, all of them, the newest first."""
    for offset in itertools.count(step=LOST_AT_ONCE):
        some = DBOS.list_workflows(
            status=list(LOST),
            name=WORKFLOW,
            sort_desc=True,
            limit=LOST_AT_ONCE,
            offset=offset,
            load_input=False,
            load_output=False,
        )
        yield from (job.workflow_id for job in some)
        if len(some) < LOST_AT_ONCE:
            return


def _run_of(workflow_id: str) -> int:
    """The run of a job of ours, which its id ends with."""
    return int(workflow_id.partition(".")[2] or 0)


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
