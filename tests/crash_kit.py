"""Workers in processes of their own that are killed or frozen, and what must hold afterwards.

Real: database, engine, leases, record, log and stores. The model, the judges and the marks are
the simple ones of ``tests.fakes``: they are quick, and their marks are real bits in real files.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway import jobs, retries
from gateway.audit.books import check_database
from gateway.audit.keys import KeyFile
from gateway.audit.log import SqlAuditLog
from gateway.buckets import Folder, Place
from gateway.db import Database
from gateway.errors import Error, StageUnavailable
from gateway.jobs import MAX_RECOVERIES, JobQueue, Worker
from gateway.logs import configure_logs
from gateway.people import Person
from gateway.pipeline import Pipeline
from gateway.record import FINAL_STATES
from gateway.seams import StepRunner
from gateway.store import BlobStore, Ref
from gateway.tables import AuditEntryRow, Video
from gateway.wish import Wish
from safety.verdict import Action
from tests.unit.bench_of_reviewers import ALLOW, REFUSE, Bench
from tests.unit.rig import Rig

LEASE_SECONDS = 0.9
PAUSE_SECONDS = 0.03
LINGER_SECONDS = 3.0
END_SECONDS = 180.0
SWEEP_SECONDS = 15.0
# What a request of each kind must become, whatever happens to the workers meanwhile.
ENDS = {
    "plain": "released",
    "ugly": "refused",
    "doubtful": "held",
    "broken": "failed",
    "pardoned": "released",
    "damned": "refused",
}
WEIGHTS = (6, 1, 1, 1, 1, 1)
# What people come to on those that they rule on; the doubtful ones wait for ever.
RULED = {"pardoned": ALLOW, "damned": REFUSE}
# Of the prompt and of the frames; each time that something was away.
REPEATED = {"verdict.given": 2, "video.delayed": 100}
# Only where it is asked for: each of its runs costs a worker.
DEADLY = {"deadly": "failed"}


class Deadly(Database):
    """Kills its process on the n-th of these: before, inside and after a write transaction."""

    left = 0

    @contextmanager
    def write(self) -> Iterator[Session]:
        """See ``Database.write``."""
        self._tick()
        with super().write() as session:
            yield session
            self._tick()
        self._tick()

    def _tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def rig_on(database: Database, folder: Path, places: Mapping[str, Place]) -> Rig:
    """The parts of the path around a database and stores that several processes share."""
    log = SqlAuditLog(database, KeyFile.load_or_create(folder / "keys"), _now)
    return Rig(database=database, audit=log, clock=_now, folder=folder, places=dict(places))


def _slow(act: Callable[..., Any], *, linger: bool) -> Callable[..., Any]:
    """The same part, with time to be killed in; much of it when it is to ``linger``."""

    def slowly(*args: Any, **kwargs: Any) -> Any:
        time.sleep(LINGER_SECONDS if linger else random.uniform(0, 2 * PAUSE_SECONDS))
        return act(*args, **kwargs)

    return slowly


def work(
    url: str,
    folder: Path,
    places: Mapping[str, Place],
    ready: Any,
    die_after: int,
    linger: str,
    max_recoveries: int,
) -> None:
    """A worker process.

    ``die_after`` is the write at which it kills itself, 0: never; ``linger`` a stage in which
    it takes its time; ``max_recoveries`` how many workers one clip may cost.
    """
    configure_logs()
    database = Deadly(url)
    rig = rig_on(database, folder, places)
    rig.queue = JobQueue(url)  # type: ignore[assignment]
    for stage, part, name in (
        ("check", rig.frames, "judge"),
        ("mark", rig.codec, "encode"),
        ("publish", rig.marker, "extract"),
        ("sign", rig.sealer, "seal"),
    ):
        setattr(part, name, _slow(getattr(part, name), linger=stage == linger))
    weigh = rig.prompts.weigh
    generate = _slow(rig.generator.generate, linger=linger == "generate")

    def weighed(asked: Any, **known: Any) -> Any:
        kind = asked.story.split()[0]
        held = kind == "doubtful" or kind in RULED
        rig.prompts.action = Action.REVIEW if held else Action.ALLOW
        if kind == "ugly":
            rig.prompts.action = Action.BLOCK
        return weigh(asked, **known)

    def generated(request: Any, **more: Any) -> Any:
        if request.prompt.startswith("broken"):
            raise RuntimeError("the model broke")
        if request.prompt.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        return generate(request, **more)

    rig.prompts.weigh = weighed  # type: ignore[method-assign]
    rig.generator.generate = generated  # type: ignore[assignment,method-assign]

    def pipeline(steps: StepRunner, scratch: Path) -> Pipeline:
        rig.steps = steps
        made = rig.pipeline
        object.__setattr__(made, "scratch", scratch)
        return made

    retries.FIRST_SECONDS, retries.LONGEST_SECONDS = 0.3, 1.0
    jobs.MAX_RECOVERIES, jobs.TIDY_SECONDS = max_recoveries, 0.3
    worker = Worker(
        database=database,
        scratch=folder / "work",
        record=rig.record,
        retries=rig.retries,
        housekeeping=rig.housekeeping,
        pipeline=pipeline,
        lease_seconds=LEASE_SECONDS,
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker.start()
    database.left = die_after
    ready.set()
    stop.wait()
    worker.stop()


@dataclass
class Site:
    """A database and a folder on which worker processes live and die."""

    url: str
    folder: Path
    places: Mapping[str, Place] = field(default_factory=dict)  # two folders unless named
    database: Database = field(init=False)
    rig: Rig = field(init=False)
    asked: dict[str, str] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    reviewer: Person | None = None

    def __post_init__(self) -> None:
        self.database = Database(self.url)
        self.rig = rig_on(self.database, self.folder, self.places)
        self.queue = JobQueue(self.url)
        self.rig.queue = self.queue  # type: ignore[assignment]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.crash_kit"])
        self.processes: list[Any] = []

    def close(self) -> None:
        """End every process, whatever state it is in."""
        for process in self.processes:
            process.kill()
            process.join(30)
        self.queue.close()
        self.database.dispose()

    def ask(self, kind: str = "plain") -> str:
        """Have a request accepted that must end as ``ENDS`` says; return its id."""
        number = len(self.asked)
        row = self.rig.clips.submit(
            self.rig.caller, Wish(prompt=f"{kind} clip {number}", seed=number)
        )
        self.asked[row.id] = kind
        return row.id

    def start(
        self, *, die_after: int = 0, linger: str = "", max_recoveries: int = MAX_RECOVERIES
    ) -> Any:
        """A new worker process, once it has begun to work or has killed itself."""
        ready = self._context.Event()
        process = self._context.Process(
            target=work,
            args=(
                self.url,
                self.folder,
                self.places,
                ready,
                die_after,
                linger,
                max_recoveries,
            ),
        )
        process.start()
        deadline = time.monotonic() + END_SECONDS
        while not ready.wait(0.05) and process.is_alive():
            assert time.monotonic() < deadline, "the worker did not start"
        assert ready.is_set() or die_after, "the worker ended before it began"
        self.processes.append(process)
        return process

    def states(self) -> Mapping[str, str]:
        """Every request and its state."""
        with self.database.read() as session:
            rows = session.execute(sa.select(Video.id, Video.state))
            return {row.id: row.state for row in rows}

    def rule(self) -> int:
        """Rule on what is held and is to be ruled on; return on how many."""
        bench = Bench(self.rig)
        if self.reviewer is None:
            self.reviewer = bench.person("Ada")
        ruled = 0
        for case in bench.docket.waiting(self.reviewer):
            said = RULED.get(self.asked.get(case.video_id, ""))
            if said is not None:
                bench.docket.take(self.reviewer, case.id)
                bench.rulings.rule(self.reviewer, case.id, said)
                ruled += 1
        return ruled

    def until_ended(self) -> None:
        """Wait until nothing is under way; a job that never ends is a fault."""
        deadline = time.monotonic() + END_SECONDS
        ends = FINAL_STATES | {"held"}
        while self.rule() or not all(state in ends for state in self.states().values()):
            assert time.monotonic() < deadline, "a request did not end"
            time.sleep(0.05)

    def faults(self) -> list[str]:
        """What does not hold once nothing is under way and the sweep had its time."""
        deadline = time.monotonic() + SWEEP_SECONDS
        while (found := self._faults()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _faults(self) -> list[str]:
        while self.rig.audit.sequence():
            pass
        found: list[str] = []
        states = self.states()
        for video_id, kind in self.asked.items():
            if states.get(video_id) != (ENDS | DEADLY)[kind]:
                found.append(f"a {kind} request ended as {states.get(video_id)}")
        with self.database.read() as session:
            rows = session.scalars(sa.select(Video)).all()
            kinds = Counter(
                (event.split(":")[0], event.split(":")[-1])
                for event in session.scalars(sa.select(AuditEntryRow.event_id))
            )
        found += [
            f"{kind} was logged {times} times"
            for (_, kind), times in kinds.items()
            if times > REPEATED.get(kind, 1)
        ]
        for row in rows:
            ended = sum(
                kinds[row.id, f"video.{end}"] for end in ("released", "refused", "failed")
            )
            if ended != (row.state in ("released", "refused", "failed")):
                found.append(f"a {row.state} request has {ended} ends in the log")
            if row.state == "released":
                found += self._released_faults(row)
        live = {row.id for row in rows if row.state == "released"}
        if left := self._with_files(self.rig.released) - live:
            found.append(f"{len(left)} jobs left files on the shelf that nobody released")
        held = {row.id for row in rows if row.state == "held"}
        if left := self._with_files(self.rig.vault) - held:
            found.append(f"{len(left)} ended jobs left raw media")
        key = KeyFile.load_or_create(self.folder / "keys")
        report = check_database(self.database, key.verifier, now=_now(), anchor=None)
        return found + [f"log: {fault.kind} at {fault.where}" for fault in report.faults]

    def _with_files(self, store: BlobStore) -> set[str]:
        """The jobs with an object there; a folder keeps the empty ones of others."""
        name = "vault" if store is self.rig.vault else "released"
        place = self.rig.places[name]
        if isinstance(place, Folder):
            return {path.parent.name for path in place.path.rglob("*") if path.is_file()}
        return set(store.scopes())

    def _released_faults(self, row: Video) -> list[str]:
        ref = Ref(scope=row.id, sha256=str(row.sha256), size=row.size_bytes or 0, suffix="mp4")
        try:
            with self.rig.released.checkout(ref, scratch=self.folder / "checks") as path:
                return self._marks_missing(row, path)
        except StageUnavailable:
            return ["a released file is not what was released"]

    def _marks_missing(self, row: Video, path: Path) -> list[str]:
        try:
            named = self.rig.sealer.named_clip(path)
        except Error:
            return ["a released file carries no seal"]
        reading = self.rig.marker.extract(self.rig.codec.decode(path), fps=8)
        marked = reading.certain and str(reading.payload) and named == row.clip_id
        return [] if marked else ["a released file does not carry its marks"]
