"""A service and a worker in processes of their own, as a balancer and Prometheus see them."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import START_SECONDS, environment
from tests.unit.test_telemetry import Scrape, free_port


@contextmanager
def running(data_dir: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (data_dir / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", *arguments],
            env=environment(data_dir),
            stdout=log,
            stderr=log,
        )
        try:
            yield process
            process.terminate()
            # The server ends in order and then by the signal that it was sent.
            assert process.wait(timeout=60) in (0, -signal.SIGTERM)
        finally:
            process.kill()
            process.wait(timeout=30)


def readiness(url: str, *, degraded: bool) -> httpx.Response:
    """The answer once it says so, and at the latest after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"{url}/readyz", timeout=20)
            ready = answer.status_code == 200 and answer.json()["degraded"] is degraded
            if ready or time.monotonic() > deadline:
                return answer
        assert time.monotonic() < deadline, "the service did not start"
        time.sleep(0.2)


@pytest.mark.socket
def test_a_service_is_degraded_until_a_worker_lives_and_both_are_scraped(
    tmp_path: Path,
) -> None:
    port, of_service, of_worker = (free_port() for _ in range(3))
    url = f"http://127.0.0.1:{port}"
    serve = ("serve", "--no-worker", "--port", str(port), "--metrics-port", str(of_service))
    with running(tmp_path, *serve):
        alone = readiness(url, degraded=True)
        assert alone.status_code == 200, alone.text
        faults = {part for part, said in alone.json()["checks"].items() if said != "ok"}
        assert faults == {"workers"}
        with running(tmp_path, "work", "--metrics-port", str(of_worker)):
            both = readiness(url, degraded=False)
            assert (both.status_code, both.json()["degraded"]) == (200, False), both.text
            for each in (of_service, of_worker):
                seen = Scrape(each)
                assert seen.value("living_workers") == 1
                assert (seen.value("certificate_seconds") or 0) > 0
            served = Scrape(of_service).of("requests_total")
            assert {dict(labels)["route"] for labels in served} == {"/readyz"}
            assert httpx.get(f"{url}/metrics", timeout=20).status_code == 404
        left = readiness(url, degraded=True)
        assert left.json()["checks"]["workers"] != "ok"
