"""Tracing: one trace from the request to its stages, in which no word of a creator stands."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.jobs import JobQueue, Worker, migrate_engine
from gateway.pipeline import STAGES
from gateway.production import StoppableSteps
from gateway.server import create_app
from gateway.settings import Settings, TraceExport
from gateway.tracing import Tracing, exported
from safety.verdict import Action
from tests.unit.rig import Rig
from tests.unit.test_api import StandInGateway

PROMPT = "my private words"
STRANGER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider.get_tracer("test"))


@pytest.fixture
def rig(
    database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path, tracing: Tracing
) -> Rig:
    made = Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)
    made.steps = StoppableSteps(threading.Event(), tracing=tracing)
    return made


@pytest.fixture
def client(rig: Rig, tracing: Tracing) -> Iterator[TestClient]:
    gateway = StandInGateway(rig)
    gateway.tracing = tracing
    app = create_app(gateway, worker=False)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as opened:
        key = gateway.keys.create(name="test").key
        opened.headers["authorization"] = f"Bearer {key}"
        yield opened


def named(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def traced(rig: Rig, tracing: Tracing, video_id: str) -> str:
    """Bring a job to its end in this thread."""
    working = dataclasses.replace(rig.production, tracing=tracing)
    return working.bring_to_an_end(video_id)


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def test_a_clip_is_one_span_with_a_span_for_each_stage(
    rig: Rig, tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    order = rig.order(prompt=PROMPT)
    state = traced(rig, tracing, order.video_id)
    assert state == "released"
    found = named(spans)
    assert list(found) == [*(f"stage {stage}" for stage in STAGES), "clip"]
    job = found["clip"]
    assert dict(job.attributes or {}) == {
        "cinegate.video": order.video_id,
        "cinegate.run": 0,
        "cinegate.state": "released",
    }
    assert job.context is not None
    for stage in STAGES:
        assert parent_of(found[f"stage {stage}"]) == job.context.span_id
        assert dict(found[f"stage {stage}"].attributes or {}) == {"cinegate.stage": stage}
    assert PROMPT not in "".join(span.to_json() for span in found.values())


@pytest.mark.parametrize(
    "fault",
    [StageUnavailable(f"a sentence with {PROMPT}"), RuntimeError(PROMPT), KeyError(PROMPT)],
    ids=lambda fault: type(fault).__name__,
)
def test_a_stage_that_fails_shows_the_type_and_not_the_message(
    rig: Rig, tracing: Tracing, spans: InMemorySpanExporter, fault: Exception
) -> None:
    rig.generator.fault = fault
    order = rig.order(prompt=PROMPT)
    state = traced(rig, tracing, order.video_id)
    assert state == "failed"
    stage = named(spans)["stage generate"]
    assert stage.status.status_code is trace.StatusCode.ERROR
    assert dict(stage.attributes or {})["error.type"] == type(fault).__name__
    assert stage.events == ()
    assert "private" not in "".join(span.to_json() for span in spans.get_finished_spans())


def test_a_request_that_fails_or_is_refused_shows_no_word_of_it(
    client: TestClient, rig: Rig, spans: InMemorySpanExporter
) -> None:
    rig.door.action = Action.BLOCK
    client.post("/v1/videos", json={"prompt": PROMPT})
    rig.door.fault = RuntimeError(PROMPT)
    assert client.post("/v1/videos", json={"prompt": PROMPT}).status_code == 500
    client.get(f"/nothing/{PROMPT}?q={PROMPT}", headers={"x-words": PROMPT})
    client.request("PRIVATE", "/v1/videos")
    found = spans.get_finished_spans()
    assert [dict(span.attributes or {})["http.response.status_code"] for span in found] == [
        400,
        500,
        404,
        405,
    ]
    everything = "".join(span.to_json() for span in found)
    for secret in ("private", "PRIVATE", "Bearer", "cg_"):
        assert secret not in everything


def test_a_stranger_is_linked_to_and_not_followed(
    client: TestClient, spans: InMemorySpanExporter
) -> None:
    client.get("/v1/videos", headers={"traceparent": STRANGER})
    client.get("/v1/videos", headers={"traceparent": "x" * 10_000})
    followed, hostile = spans.get_finished_spans()
    assert followed.parent is None
    assert followed.context is not None
    assert f"{followed.context.trace_id:032x}" != STRANGER.split("-")[1]
    (link,) = followed.links
    assert f"{link.context.trace_id:032x}" == STRANGER.split("-")[1]
    assert hostile.links == ()


def test_the_job_carries_the_trace_of_its_request_to_the_worker(
    database: Database,
    rig: Rig,
    tracing: Tracing,
    client: TestClient,
    spans: InMemorySpanExporter,
    tmp_path: Path,
) -> None:
    migrate_engine(database.url)
    queue = JobQueue(database.url, tracing.origin)
    rig.queue = queue  # type: ignore[assignment]
    client.app.state.gateway.clips = rig.clips  # type: ignore[attr-defined]
    plain = JobQueue(database.url)

    def pipeline(steps: Any, scratch: Path) -> Any:
        del scratch
        rig.steps = steps
        return rig.pipeline

    worker = Worker(
        database=database,
        scratch=tmp_path / "work",
        record=rig.record,
        retries=rig.retries,
        housekeeping=rig.housekeeping,
        pipeline=pipeline,
        lease_seconds=15,
        tracing=tracing,
    )
    asked = client.post("/v1/videos", json={"prompt": PROMPT}).json()["id"]
    rig.queue = plain  # type: ignore[assignment]
    untraced = rig.order(prompt="another").video_id
    worker.start()
    try:
        deadline = time.monotonic() + 20
        while {rig.record.state(asked), rig.record.state(untraced)} != {"released"}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        worker.stop()
        queue.close()
        plain.close()
    found = spans.get_finished_spans()
    (request,) = [span for span in found if span.kind is trace.SpanKind.SERVER]
    jobs = {dict(s.attributes or {})["cinegate.video"]: s for s in found if s.name == "clip"}
    assert request.context is not None
    assert parent_of(jobs[asked]) == request.context.span_id
    assert parent_of(jobs[untraced]) is None
    traces = {s.context.trace_id for s in found if s.context and s.name.startswith("stage")}
    assert request.context.trace_id in traces
    assert len(traces) == 2
    assert "private" not in "".join(span.to_json() for span in found)


def test_without_an_address_nothing_is_sent_and_nothing_is_carried() -> None:
    off = Tracing()
    with off.span("a", {}) as noted:
        noted.note("b", 1)
        assert off.origin() is None
    assert TraceExport().endpoint is None
    off.close()


def test_the_global_provider_is_left_alone() -> None:
    before = trace.get_tracer_provider()
    tracing = exported("http://127.0.0.1:1/v1/traces")
    assert trace.get_tracer_provider() is before
    tracing.close()


@pytest.mark.enable_socket
def test_a_collector_that_does_not_answer_costs_a_bounded_time(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        tracing = exported(url)
        began = time.monotonic()
        with tracing.span("a", {}):
            pass
        assert time.monotonic() - began < 0.5
        tracing.close()
        assert time.monotonic() - began < 15


def test_an_export_without_the_extra_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationFault, match=r"cinegate\[telemetry\]"):
        exported("http://127.0.0.1:1/v1/traces")


def test_an_address_of_another_kind_is_refused() -> None:
    for wrong in ("collector:4317", "grpc://collector", "http://a b"):
        with pytest.raises(ValueError, match="endpoint"):
            Settings(tracing={"endpoint": wrong})  # type: ignore[arg-type]
