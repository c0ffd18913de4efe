"""Workers in processes of their own that are killed or frozen, and what must hold afterwards.

Real: database, engine, leases, record, log and stores. The model, the judges and the marks are
the simple ones of ``tests.fakes``: they are quick, and their marks are real bits in real files.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import os
import random
import signal
import sqlite3
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
from gateway.audit.checkpoint import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.buckets import Folder, Place
from gateway.db import Database
from gateway.errors import Error, StageUnavailable
from gateway.jobs import MAX_RECOVERIES, JobQueue, Worker
from gateway.logs import configure_logs
from gateway.pipeline import Pipeline
from gateway.record import FINAL_STATES
from gateway.seams import StepRunner
from gateway.store import BlobStore, Ref
from gateway.tables import AuditEntryRow, Video
from gateway.wish import Wish
from safety.verdict import Action
from tests.unit.rig import Rig

LEASE_SECONDS = 0.9
PAUSE_SECONDS = 0.03
LINGER_SECONDS = 3.0
END_SECONDS = 180.0
SWEEP_SECONDS = 15.0
# What a request of each kind must become, whatever happens to the workers meanwhile.
ENDS = {"plain": "released", "ugly": "refused", "doubtful": "held", "broken": "failed"}
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
    log = SqlAuditLog(database, CheckpointKey.load_or_create(folder / "keys"), _now)
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
        rig.prompts.action = {"ugly": Action.BLOCK, "doubtful": Action.REVIEW}.get(
            asked.story.split()[0], Action.ALLOW
        )
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

    def until_ended(self) -> None:
        """Wait until nothing is under way; a job that never ends is a fault."""
        deadline = time.monotonic() + END_SECONDS
        ends = FINAL_STATES | {"held"}
        while not all(state in ends for state in self.states().values()):
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
        key = CheckpointKey.load_or_create(self.folder / "keys")
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


def freeze(site: Site, process: Any) -> None:
    """Stop a worker between its writes, and not inside one.

    On SQLite nobody writes until whoever was frozen inside a write wakes up; PostgreSQL ends
    such a transaction (``IDLE_WRITE_MS``).
    """
    while True:
        os.kill(process.pid, signal.SIGSTOP)
        if not site.database.is_sqlite or _writable(site.database):
            return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.01)


def _writable(database: Database) -> bool:
    path = sa.make_url(database.url).database
    with contextlib.closing(sqlite3.connect(str(path), timeout=0.5)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def disturb(site: Site, rng: random.Random) -> str:
    """Kill one worker, or freeze it until its lease is over; return which of the two."""
    alive = [process for process in site.processes if process.is_alive()]
    if not alive:
        return "died by itself"
    victim = rng.choice(alive)
    if rng.random() < 0.15:
        with contextlib.suppress(ProcessLookupError):  # it has just killed itself
            os.kill(victim.pid, signal.SIGSTOP)
            time.sleep(LEASE_SECONDS * rng.uniform(1.1, 2))
            os.kill(victim.pid, signal.SIGCONT)
        return "frozen"
    victim.kill()
    victim.join(30)
    return "killed"


def storm(site: Site, *, kills: int, seed: int, workers: int = 2) -> Counter[str]:
    """Ask for clips and disturb the workers until ``kills`` of them were killed.

    About half kill themselves at a write that is drawn, the others are killed from outside
    at a random time. Ends with two undisturbed workers that bring everything to its end.
    """
    rng = random.Random(seed)
    happened: Counter[str] = Counter()

    def alive() -> list[Any]:
        return [process for process in site.processes if process.is_alive()]

    while happened["killed"] + happened["killed at a write"] < kills:
        waiting = sum(s in ("queued", "in_progress") for s in site.states().values())
        for _ in range(max(0, 4 - waiting)):
            site.ask(rng.choices(list(ENDS), (7, 1, 1, 1))[0])
            happened["requests"] += 1
        while len(alive()) < workers:
            site.start(die_after=rng.randrange(1, 120) if rng.random() < 0.5 else 0)
        time.sleep(rng.uniform(0, 0.8))
        before = len(alive())
        happened["killed at a write"] += workers - before
        if rng.random() < 0.6:
            happened[disturb(site, rng)] += 1
        site.processes = alive()
    for process in alive():
        process.kill()
        process.join(30)
    for _ in range(workers):
        site.start()
    site.until_ended()
    return happened
