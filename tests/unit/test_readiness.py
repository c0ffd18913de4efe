"""Readiness: every check seen failing, in bounded time, on both databases."""

from __future__ import annotations

import datetime as dt
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from gateway.app import Gateway
from gateway.audit.entry import Event, EventKind
from gateway.audit.log import SqlAuditLog
from gateway.audit.sequencer import Sequencer
from gateway.db import Database
from gateway.doctor import OUTBOX_SECONDS, probes
from gateway.leases import Lease
from gateway.readiness import Check, Probe, Readiness
from gateway.server import create_app
from gateway.settings import Settings
from tests.conftest import NOW
from tests.frozen import wire
from tests.unit.rig import Rig
from tests.unit.test_api import StandInGateway

SECONDS = 0.3


class SetClock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


class OtherLog:
    """A log whose sequencing does nothing, or fails."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault

    def sequence(self) -> int:
        if self.fault is not None:
            raise self.fault
        return 0


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def with_sequencer(gateway: Gateway, log: Any) -> Gateway:
    gateway.sequencer = Sequencer(log)
    gateway.sequencer.start()
    return gateway


@pytest.fixture
def gateway(database: Database, clock: SetClock, tmp_path: Path) -> Iterator[Gateway]:
    settings = Settings(data_dir=tmp_path / "instance", database_url=database.url)
    made = with_sequencer(Gateway(settings, clock=clock), OtherLog())
    made.make_folder()
    yield made
    made.sequencer.stop()
    made.close()


def told(gateway: Gateway, *parts: str) -> dict[str, str | None]:
    """What the service would say of these parts now."""
    chosen = tuple(probe for probe in probes(gateway) if probe.part in parts)
    assert len(chosen) == len(parts)
    return {check.part: check.problem for check in Readiness(chosen)()}


def waiting_event(gateway: Gateway, since: dt.datetime) -> None:
    log = SqlAuditLog(gateway.database, gateway.checkpoint_key, lambda: since)
    event = Event(id="video_x:door:kind", kind=EventKind.VIDEO_DELETED, subject="video_x")
    with gateway.database.write() as session:
        log.record(session, event)


def test_what_only_reads_is_ready(gateway: Gateway) -> None:
    parts = ("settings", "database", "log", "outbox", "signing", "vault", "released")
    assert told(gateway, *parts) == dict.fromkeys(parts)


def test_a_schema_of_another_release_is_told(gateway: Gateway) -> None:
    with gateway.database.write() as session:
        known = session.scalar(sa.text("SELECT version_num FROM alembic_version"))
        session.execute(sa.text("UPDATE alembic_version SET version_num = 'other'"))
    try:
        assert "cinegate migrate" in (told(gateway, "database")["database"] or "")
    finally:
        with gateway.database.write() as session:
            back = sa.text("UPDATE alembic_version SET version_num = :known")
            session.execute(back, {"known": known})


def test_a_database_that_is_gone_is_told(clock: SetClock, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'no' / 'db'}")
    asked = told(
        with_sequencer(Gateway(settings, clock=clock), OtherLog()), "database", "outbox"
    )
    assert asked == {
        "database": "The database cannot be opened.",
        "outbox": "The database does not answer.",
    }


def test_a_log_that_cannot_be_written_is_told(gateway: Gateway) -> None:
    gateway.sequencer.stop()
    with_sequencer(gateway, OtherLog(RuntimeError("secret")))
    deadline = time.monotonic() + 10
    while gateway.sequencer.fault is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert told(gateway, "log")["log"] == "The audit log cannot be written or signed."


def test_an_event_that_waits_too_long_is_told(gateway: Gateway, clock: SetClock) -> None:
    waiting_event(gateway, NOW)
    clock.now = NOW + dt.timedelta(seconds=OUTBOX_SECONDS)
    assert told(gateway, "outbox") == {"outbox": None}
    clock.now += dt.timedelta(seconds=1)
    assert "waited 61 seconds" in (told(gateway, "outbox")["outbox"] or "")


def test_a_process_without_a_sequencer_is_told(gateway: Gateway) -> None:
    gateway.sequencer.stop()
    assert "Nothing here moves" in (told(gateway, "outbox")["outbox"] or "")


def test_workers_count_by_their_lease(gateway: Gateway) -> None:
    lease = Lease(gateway.database, seconds=60)
    assert told(gateway, "workers")["workers"] == "No worker is alive, so clips wait."
    lease.renew()
    assert told(gateway, "workers")["workers"] is None
    with gateway.database.write() as session:
        session.execute(sa.text("UPDATE workers SET expires = expires - 61"))
    assert told(gateway, "workers")["workers"] is not None


def test_a_certificate_that_ends_while_the_service_runs_is_told(
    gateway: Gateway, clock: SetClock
) -> None:
    asked = Readiness(tuple(p for p in probes(gateway) if p.part == "signing"))
    assert asked()[0].ok
    left = gateway.signature.identity.days_left(NOW)
    clock.now = NOW + dt.timedelta(days=left)
    assert told(gateway, "signing")["signing"] == "The signing certificate has expired."


@pytest.mark.parametrize("part", ["vault", "released"])
def test_a_store_that_cannot_be_used_is_told(gateway: Gateway, part: str) -> None:
    (gateway.settings.data_dir / part).write_text("no folder")
    problem = told(gateway, part)[part]
    assert problem is not None
    assert str(gateway.settings.data_dir) not in problem


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_database_that_hangs_is_a_fault_with_a_name_in_bounded_time(
    database: Database, clock: SetClock, tmp_path: Path
) -> None:
    with wire(database.url) as between:
        settings = Settings(data_dir=tmp_path, database_url=between.url)
        gateway = with_sequencer(Gateway(settings, clock=clock), OtherLog())
        brisk = tuple(
            Probe(part=p.part, ask=p.ask, needed=p.needed, fresh=0.0)
            for p in probes(gateway)
            if p.part in ("database", "outbox", "workers", "settings")
        )
        ready = Readiness(brisk, answer_seconds=1.0)
        lease = Lease(gateway.database, seconds=60)
        lease.renew()
        assert [check.problem for check in ready()] == [None] * 4
        between.frozen = True
        for longest in (1.5, 0.5):  # nobody waits twice for what is known to hang
            started = time.monotonic()
            problems = {check.part: check.problem for check in ready()}
            assert time.monotonic() - started < longest
        assert problems["settings"] is None
        for part in ("database", "outbox", "workers"):
            assert "not answered" in (problems[part] or ""), part
    gateway.close()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_table_that_is_locked_is_given_up(gateway: Gateway, database: Database) -> None:
    Lease(gateway.database, seconds=60).renew()
    with database.write() as session:
        session.execute(sa.text("LOCK TABLE workers IN ACCESS EXCLUSIVE MODE"))
        assert told(gateway, "workers")["workers"] == "The database does not answer."


# --- Readiness by itself ------------------------------------------------------------------


def probe(part: str, ask: Callable[[], object] = lambda: None, **more: Any) -> Probe:
    def asked() -> Check:
        ask()
        return Check(part=part)

    return Probe(part=part, ask=asked, **more)


def test_many_callers_cost_one_question() -> None:
    asked: list[int] = []
    ready = Readiness((probe("log", lambda: asked.append(1)),))
    assert [ready()[0].ok for _ in range(5)] == [True] * 5
    assert len(asked) == 1
    ready = Readiness((probe("log", lambda: asked.append(1), fresh=-1.0),))
    assert [ready()[0].ok for _ in range(2)] == [True] * 2
    assert len(asked) == 3


def test_a_part_that_hangs_is_asked_once_and_heard_when_it_answers() -> None:
    answer, asked = threading.Event(), []

    def slow() -> None:
        asked.append(1)
        answer.wait(30)

    ready = Readiness((probe("slow", slow), probe("quick")), answer_seconds=SECONDS)
    for _ in range(3):
        assert [check.ok for check in ready()] == [False, True]
    assert len(asked) == 1
    answer.set()
    deadline = time.monotonic() + 10
    while not ready()[0].ok:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(asked) == 1


def test_the_last_answer_of_a_slow_judge_stands_for_its_patience() -> None:
    answer = threading.Event()
    answer.set()
    slow = probe("frames", lambda: answer.wait(30), fresh=-1.0, patience=4 * SECONDS)
    ready = Readiness((slow,), answer_seconds=SECONDS)
    assert ready()[0].ok
    answer.clear()
    assert ready()[0].ok
    time.sleep(4 * SECONDS)
    assert not ready()[0].ok
    answer.set()


# --- over HTTP ----------------------------------------------------------------------------


@pytest.fixture
def client(rig: Rig) -> Iterator[TestClient]:
    app = create_app(StandInGateway(rig), worker=False)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def rig(
    empty_database: Path, clock: SetClock, tmp_path: Path, checkpoint_key: Any
) -> Iterator[Rig]:
    path = shutil.copyfile(empty_database, tmp_path / "cinegate.db")
    database = Database(f"sqlite:///{path}")
    audit = SqlAuditLog(database, checkpoint_key, clock)
    yield Rig(database=database, audit=audit, clock=clock, folder=tmp_path)
    database.dispose()


@pytest.mark.parametrize(
    ("checks", "status", "said", "degraded"),
    [
        ((Check(part="log"),), 200, "ready", False),
        ((Check(part="log"), Check(part="frames", problem="Gone.")), 503, "not_ready", True),
        ((Check(part="workers", problem="None.", needed=False),), 200, "ready", True),
    ],
    ids=["ready", "not ready", "degraded"],
)
def test_the_answer_names_each_part(
    client: TestClient, checks: tuple[Check, ...], status: int, said: str, *, degraded: bool
) -> None:
    app: Any = client.app
    app.state.readiness = lambda: checks
    response = client.get("/readyz")
    assert response.status_code == status
    assert response.json() == {
        "status": said,
        "degraded": degraded,
        "checks": {check.part: check.problem or "ok" for check in checks},
    }


def test_readiness_and_health_answer_while_every_thread_of_other_requests_hangs(
    client: TestClient,
) -> None:
    app: Any = client.app
    app.state.readiness = lambda: (Check(part="log"),)
    hang, hung = threading.Event(), threading.Event()

    @app.get("/hang")
    def hangs() -> None:
        hung.set()
        hang.wait(30)

    assert client.portal is not None

    def only_one() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1

    client.portal.call(only_one)
    other = threading.Thread(target=client.get, args=("/hang",))
    other.start()
    try:
        assert hung.wait(10)
        started = time.monotonic()
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").status_code == 200
        assert time.monotonic() - started < 5
    finally:
        hang.set()
        other.join(10)
