"""Telemetry: scraped over HTTP, what was done and what waits, on both databases."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from gateway import telemetry as telemetry_module
from gateway.app import Gateway
from gateway.audit.log import SqlAuditLog
from gateway.census import Census, census
from gateway.db import Database
from gateway.errors import ConfigurationFault, Interrupted
from gateway.findings import Finding
from gateway.leases import Lease
from gateway.production import StoppableSteps
from gateway.server import create_app
from gateway.settings import Limits, Settings
from gateway.telemetry import GAUGES, Telemetry
from gateway.wish import Wish
from safety.verdict import Action
from tests.conftest import NOW
from tests.frozen import wire
from tests.unit.rig import Rig
from tests.unit.test_api import StandInGateway

pytestmark = pytest.mark.socket

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
REQUESTS = 40
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """What an instance answered a scrape."""

    def __init__(self, port: int) -> None:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20)
        assert answer.status_code == 200
        self.text = answer.text
        self.families = list(text_string_to_metric_families(self.text))
        self.series: Series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self.series.get((f"cinegate_{name}", frozenset(labels.items())))

    def risen(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        return {labels: value for labels, value in self.of(name).items() if value}

    def of(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        return {labels: v for (n, labels), v in self.series.items() if n == f"cinegate_{name}"}


def from_database(database: Database, clock: Callable[[], dt.datetime]) -> Telemetry:
    return Telemetry({"database": lambda: asdict(census(database, clock()))})


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    made = Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)
    made.observer = from_database(database, clock)
    made.steps = StoppableSteps(threading.Event(), made.observer)
    return made


@pytest.fixture
def port(rig: Rig) -> Iterator[int]:
    with rig.observer.exposed("127.0.0.1", 0) as number:
        yield number


@pytest.fixture
def gateway(rig: Rig) -> StandInGateway:
    return StandInGateway(rig)


@pytest.fixture
def client(rig: Rig, gateway: StandInGateway) -> Iterator[TestClient]:
    app = create_app(gateway, worker=False)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as opened:
        opened.headers["authorization"] = f"Bearer {rig.keys.create(name='test').key}"
        yield opened


def asked(client: TestClient) -> str:
    return str(client.post("/v1/videos", json={"prompt": "a red ball"}).json()["id"])


def test_what_was_made_is_counted(client: TestClient, rig: Rig, port: int) -> None:
    assert Scrape(port).value("clips_ended_total", state="released") == 0
    orders = [rig.record.order(asked(client)) for _ in range(5)]
    assert rig.produce(orders[0]) == "released"
    rig.frames.action = Action.BLOCK
    assert rig.produce(orders[1]) == "refused"
    rig.frames.action = Action.REVIEW
    assert rig.produce(orders[2]) == "held"
    rig.frames.action, rig.sealer.fault = Action.ALLOW, RuntimeError("broken")
    assert rig.produce(orders[3]) == "failed"
    rig.sealer.fault = Interrupted("The store is away.")
    assert rig.production.bring_to_an_end(orders[4].video_id, 0) == "queued"
    rig.sealer.fault = None
    assert rig.production.bring_to_an_end(orders[4].video_id, 1) == "released"
    # Not again: what has ended is at its end.
    assert rig.production.bring_to_an_end(orders[1].video_id, 0) == "refused"
    seen = Scrape(port)
    ended = {"released": 2, "refused": 1, "held": 1, "failed": 1}
    assert Scrape(port).value("put_back_total", stage="check") == 0
    for state, count in ended.items():
        assert seen.value("clips_ended_total", state=state) == count, state
    assert seen.risen("put_back_total") == {frozenset({("stage", "sign")}): 1}
    counts = {tuple(sorted(labels)): v for labels, v in seen.of("stage_seconds_count").items()}

    def runs(stage: str, outcome: str) -> float:
        return counts.get((("outcome", outcome), ("stage", stage)), 0)

    # Five each: what was on record when the fifth came back was not run again.
    for stage in ("approve", "generate", "check"):
        assert runs(stage, "done") == 5, stage
    assert (runs("sign", "failed"), runs("sign", "interrupted")) == (1, 1)
    assert (runs("mark", "done"), runs("sign", "done"), runs("publish", "done")) == (3, 2, 2)


def test_a_stage_that_was_taken_over_is_left_and_not_failed(
    client: TestClient, rig: Rig, port: int
) -> None:
    order = rig.record.order(asked(client))
    before = rig.generator.generate

    def slow(*given: Any, **more: Any) -> Any:
        rig.record.claim(order.video_id)  # another worker
        return before(*given, **more)

    rig.generator.generate = slow  # type: ignore[method-assign]
    with contextlib.suppress(BaseException):
        rig.production.bring_to_an_end(order.video_id, 0)
    seen = Scrape(port)
    assert seen.value("stage_seconds_count", stage="generate", outcome="left") == 1
    assert sum(seen.of("clips_ended_total").values()) == 0


def test_what_came_in_is_counted_by_pattern(
    client: TestClient, rig: Rig, gateway: StandInGateway, port: int
) -> None:
    video = asked(client)
    assert client.get(f"/v1/videos/{video}").status_code == 200
    assert client.get("/v1/videos/video_other").status_code == 404
    gateway.prompts.action = Action.BLOCK
    refused = {"prompt": "something bad"}
    key = {"idempotency-key": "0c3f6a1e"}
    for _ in range(2):  # the second is a retry of the first
        assert client.post("/v1/videos", json=refused, headers=key).status_code == 400
    gateway.prompts.action = Action.REVIEW
    assert client.post("/v1/videos", json=refused).status_code == 200
    gateway.verifier.finding = Finding.MADE_HERE
    client.post("/v1/verify", content=b"video", headers={"content-type": "video/mp4"})
    seen = Scrape(port)
    one = "/v1/videos/{video_id}"
    assert seen.value("requests_total", route=one, method="GET", status="2xx") == 1
    assert seen.value("requests_total", route=one, method="GET", status="4xx") == 1
    posts = {"route": "/v1/videos", "method": "POST"}
    assert seen.value("requests_total", **posts, status="2xx") == 2
    assert seen.value("requests_total", **posts, status="4xx") == 2
    assert seen.value("request_seconds_count", **posts) == 4
    assert seen.risen("refusals_total") == {frozenset({("category", "violence")}): 1}
    assert seen.value("clips_ended_total", state="held") == 1
    assert seen.risen("verified_total") == {frozenset({("finding", "made_here")}): 1}
    for word in (video, "red ball", "bad", rig.caller.tenant_id, "video_other"):
        assert word not in seen.text


def test_requests_over_the_rate_are_counted(
    database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path
) -> None:
    rig = Rig(
        database=database,
        audit=audit_log,
        clock=clock,
        folder=tmp_path,
        observer=from_database(database, clock),
        limits=Limits(request_burst=1, requests_per_minute=1, dedupe_window_seconds=0),
    )
    app = create_app(StandInGateway(rig), worker=False)  # type: ignore[arg-type]
    with rig.observer.exposed("127.0.0.1", 0) as port, TestClient(app) as client:
        client.headers["authorization"] = f"Bearer {rig.keys.create(name='test').key}"
        answers = [
            client.post("/v1/videos", json={"prompt": f"ball {n}"}).status_code
            for n in range(3)
        ]
        assert answers == [200, 429, 429]
        assert Scrape(port).value("rate_limited_total", route="/v1/videos") == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_hostile_paths_and_methods_make_no_series(client: TestClient, port: int) -> None:
    client.get("/v1/nothing")
    client.request("EVIL0", "/v1/videos")
    client.get("/static/none0")
    client.get("/v1/videos/0")
    first = Scrape(port)
    for n in range(REQUESTS):
        name = secrets.token_hex(4)
        client.get(f"/{name}")
        client.get(f"/v1/videos/{name}/")
        client.get(f"/static/{name}")
        client.get(f"/v1/videos/{name}")
        client.request(f"EVIL{n}", "/v1/videos")
        client.request("GET", "/v1/nothing", headers={"x-http-method-override": name})
    second = Scrape(port)
    new = second.of("requests_total").keys() - first.of("requests_total").keys()
    assert len(new) <= 2, new
    assert "EVIL" not in second.text
    assert name not in second.text
    lost = {"route": "unmatched", "method": "GET", "status": "4xx"}
    assert (second.value("requests_total", **lost) or 0) >= 2 * REQUESTS
    assert (
        second.value("requests_total", route="/v1/videos", method="other", status="4xx")
        == REQUESTS + 1
    )


# --- what is read when somebody asks ------------------------------------------------------


def test_what_waits_is_read_from_the_database(rig: Rig, port: int, database: Database) -> None:
    while rig.audit.sequence():
        pass
    covered = rig.audit.checkpoint()
    size = 0 if covered is None else covered.size
    empty = Scrape(port)
    nothing = [name for name in asdict(census(database, NOW)) if "covered_" not in name]
    assert {name: empty.value(name) for name in nothing} == {
        name: size if name == "log_entries" else 0 for name in nothing
    }
    first = rig.order()
    waiting = [rig.order() for _ in range(2)]
    rig.record.begin(rig.record.claim(first.video_id), "approve")
    rig.door.action = Action.REVIEW
    rig.clips.submit(rig.caller, Wish(prompt="a doubtful ball"))
    for seconds in (60, -60):
        Lease(database, seconds=seconds).renew()
    rig.clock.now += dt.timedelta(seconds=1000)
    seen = Scrape(port)
    assert seen.value("clips_waiting") == len(waiting)
    assert seen.value("clips_under_way") == 1
    assert seen.value("clips_held") == 1
    assert seen.value("living_workers") == 1
    assert seen.value("outbox_events") == 4
    assert seen.value("log_entries") == size
    for age in ("oldest_waiting_clip_seconds", "oldest_outbox_event_seconds"):
        assert 1000 < (seen.value(age) or 0) < 1100, age
    assert rig.audit.sequence() == 4
    rig.clock.now += dt.timedelta(seconds=500)
    seen = Scrape(port)
    assert (seen.value("outbox_events"), seen.value("log_entries")) == (0, size + 4)
    assert seen.value("oldest_outbox_event_seconds") == 0
    assert seen.value("log_entries_uncovered") == 0
    assert 1500 < (seen.value("newest_covered_entry_seconds") or 0) < 1600
    with database.write() as session:
        session.execute(sa.text("UPDATE audit_head SET size = size + 3"))
    assert Scrape(port).value("log_entries_uncovered") == 3


def test_every_value_of_the_census_has_a_gauge() -> None:
    fields = set(Census.__dataclass_fields__)
    assert fields | {"certificate_seconds", "newest_stamp_seconds"} == set(GAUGES)


def assert_absent(seen: Scrape, errors: int) -> None:
    assert seen.value("clips_waiting") is None
    assert seen.value("scrape_errors_total", source="database") == errors
    assert seen.value("clips_ended_total", state="released") == 0


def test_a_database_that_is_gone_is_left_out_and_counted(tmp_path: Path) -> None:
    gone = Database(f"sqlite:///{tmp_path / 'no' / 'db'}")
    watched = from_database(gone, lambda: NOW)
    with watched.exposed("127.0.0.1", 0) as port:
        for errors in (1, 2):
            assert_absent(Scrape(port), errors)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_database_that_hangs_holds_up_no_scrape(database: Database) -> None:
    with wire(database.url) as between:
        watched = from_database(Database(between.url), lambda: NOW)
        with watched.exposed("127.0.0.1", 0) as port:
            seen = Scrape(port)
            assert seen.value("clips_waiting") == 0
            assert seen.value("scrape_errors_total", source="database") == 0
            between.frozen = True
            threads = threading.active_count()
            for errors in (1, 2, 3):
                started = time.monotonic()
                assert_absent(Scrape(port), errors)
                assert time.monotonic() - started < telemetry_module.SCRAPE_SECONDS + 1
            assert threading.active_count() <= threads + 2


def test_one_source_that_is_away_leaves_the_others() -> None:
    def broken() -> dict[str, float]:
        raise RuntimeError("a secret")

    watched = Telemetry({"database": broken, "certificate": lambda: {"certificate_seconds": 5}})
    with watched.exposed("127.0.0.1", 0) as port:
        seen = Scrape(port)
        assert seen.value("certificate_seconds") == 5
        assert seen.value("scrape_errors_total", source="database") == 1
        assert "secret" not in seen.text


# --- an instance --------------------------------------------------------------------------


def free_port() -> int:
    with Telemetry({}).exposed("127.0.0.1", 0) as port:
        return port


def test_an_instance_is_scraped_where_the_settings_say(
    database: Database, tmp_path: Path
) -> None:
    port = free_port()
    values = {"data_dir": tmp_path, "database_url": database.url, "metrics": {"port": port}}
    gateway = Gateway(Settings.model_validate(values))
    with gateway.running(worker=False):
        seen = Scrape(port)
        days = gateway.signature.identity.days_left(gateway.clock())
        assert seen.value("certificate_seconds") == pytest.approx(days * 86_400, abs=60)
        assert seen.value("clips_waiting") == 0
        other = Gateway(Settings.model_validate({**values, "data_dir": tmp_path / "other"}))
        with (
            pytest.raises(ConfigurationFault, match="port of its own"),
            other.running(worker=False),
        ):
            pass
    with pytest.raises(httpx.ConnectError):
        Scrape(port)


def test_without_a_port_nothing_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it listens")

    monkeypatch.setattr(Telemetry, "exposed", never)
    with Gateway(Settings(data_dir=tmp_path)).running(worker=False):
        pass


def test_two_instances_count_apart(tmp_path: Path) -> None:
    one, two = Telemetry({}), Telemetry({})
    one.clip_ended("released")
    with one.exposed("127.0.0.1", 0) as first, two.exposed("127.0.0.1", 0) as second:
        assert Scrape(first).value("clips_ended_total", state="released") == 1
        assert Scrape(second).value("clips_ended_total", state="released") == 0


def test_every_metric_is_in_the_operators_pages() -> None:
    watched = Telemetry(dict.fromkeys(("database", "certificate"), dict))
    names = [f"cinegate_{gauge}" for gauge in GAUGES]
    names += [
        family.name + ("_total" if family.type == "counter" else "")
        for family in watched.registry.collect()
        if family.name.startswith("cinegate_")
    ]
    text = OPERATIONS.read_text(encoding="utf-8")
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in text] == []
