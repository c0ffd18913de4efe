"""Measures the door: how fast requests are taken in and looked up, and how fast jobs go round.

    python -m tests.bench.load [--rates 10,25,50,100,200] [--seconds 8] [--jobs 60]

A real server process (uvicorn) on SQLite and on PostgreSQL, every commit on disk, asked over
loopback. Open loop: requests are sent at fixed times, and a latency counts from the time at
which the request was due, so that a slow server cannot hide behind a client that waits for it.
"real" is the prompt gate as shipped, "none" one that allows everything at once: the difference
is what judging costs. Client, server and database share the cores of one machine.

Jobs per second: the pipeline of the tests (real database, engine, record, log, stores; model,
judges and marks that take no time) with one, two and four worker processes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from gateway.app import Gateway
from gateway.jobs import migrate_engine
from gateway.schema import migrate
from gateway.server import create_app
from gateway.settings import Limits, Settings
from tests.crash_kit import Site
from tests.fakes import FakePromptJudge
from tests.postgres import PostgresServer

OUT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "load.json"
START_SECONDS = 120
LATE_SECONDS = 10.0  # after its time; a request without an answer by then is lost
GOALS = {"sqlite": 50, "postgresql": 200}  # requests per second with a p99 of 100 ms
GOAL_MS = 100.0
PROMPT = "a red balloon over the sea at dusk, number {}"


class Unjudged(Gateway):
    """An instance whose prompt gate says yes to everything: never outside of a benchmark."""

    @cached_property
    def submissions(self) -> Any:  # type: ignore[override]
        """A judge that costs nothing."""
        return FakePromptJudge()


def instance(url: str, folder: Path, judge: str) -> Gateway:
    """The instance under test, with limits that are not met."""
    limits = Limits(
        requests_per_minute=60_000,
        request_burst=10_000,
        tenant_share=1_000,
        max_queued_per_tenant=10_000,
        clip_seconds_per_day=10_000_000,
        sequence_window_requests=0 if judge == "none" else 20,
    )
    settings = Settings(data_dir=folder, database_url=url, limits=limits)
    return (Gateway if judge == "real" else Unjudged)(settings)


def serve(url: str, folder: Path, judge: str, port: int) -> None:
    """The server process."""
    app = create_app(instance(url, folder, judge), worker=False)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextlib.contextmanager
def server(url: str, folder: Path, judge: str) -> Iterator[httpx.Client]:
    """A running server and a client with a key of it."""
    with instance(url, folder, judge).opened() as gateway:
        key = gateway.keys.create(name="bench").key
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.bench.load", "serve", url, str(folder), judge]
    process = subprocess.Popen([*command, str(port)])
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/healthz").status_code == httpx.codes.OK:
                    break
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)
        submitted(client, 10**6)  # the first one loads the judges
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(60)


def submitted(client: httpx.Client, number: int) -> str:
    """Ask for one clip; return its id."""
    answer = client.post("/v1/videos", json=wish(number), timeout=START_SECONDS)
    return str(answer.raise_for_status().json()["id"])


def wish(number: int) -> dict[str, object]:
    """A request that differs from every other."""
    return {"prompt": PROMPT.format(number), "model": "embedded", "seconds": "4"}


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds from the time a request was due; ``lost`` got no good answer."""

    database: str
    judge: str
    what: str
    rate: int
    sent: int
    lost: int
    p50: float
    p99: float


async def at_rate(client: httpx.Client, rate: int, seconds: float, what: str) -> list[float]:
    """Send requests at fixed times; milliseconds of each, infinite when it was lost."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    video = submitted(client, 10**6 + rate)
    base, headers = client.base_url, client.headers
    offset = int(time.time() * 1000) * 1000
    async with httpx.AsyncClient(base_url=base, headers=headers, limits=limits) as sender:

        async def one(number: int, due: float) -> float:
            await asyncio.sleep(due - time.monotonic())
            try:
                if what == "submit":
                    asked = sender.post(
                        "/v1/videos", json=wish(offset + number), timeout=LATE_SECONDS
                    )
                else:
                    asked = sender.get(f"/v1/videos/{video}", timeout=LATE_SECONDS)
                good = (await asked).is_success
            except httpx.TransportError:
                good = False
            return (time.monotonic() - due) * 1000 if good else float("inf")

        began = time.monotonic() + 0.2
        times = [began + number / rate for number in range(int(rate * seconds))]
        return list(await asyncio.gather(*(one(n, due) for n, due in enumerate(times))))


def latencies(
    kind: str, url: str, folder: Path, judge: str, rates: list[int], seconds: float
) -> Iterator[Latency]:
    """Rising rates until most requests are lost."""
    with server(url, folder, judge) as client:
        for what in ("submit", "status"):
            for rate in rates:
                taken = asyncio.run(at_rate(client, rate, seconds, what))
                lost = sum(value == float("inf") for value in taken)
                p50, p99 = (float(np.percentile(taken, q, method="higher")) for q in (50, 99))
                yield Latency(
                    database=kind, judge=judge, what=what, rate=rate, sent=len(taken),
                    lost=lost, p50=round(p50, 1), p99=round(p99, 1),
                )  # fmt: skip
                if lost * 2 > len(taken) or p50 > LATE_SECONDS * 500:
                    break


def work(url: str, folder: Path, ready: Any) -> None:
    """A worker process whose parts take no time."""
    from tests import crash_kit

    crash_kit.PAUSE_SECONDS = 0.0
    crash_kit.work(url, folder, {}, ready, 0, "", 20)


def jobs_per_second(url: str, folder: Path, workers: int, jobs: int) -> float:
    """How fast clips go from the queue to their release."""
    site = Site(url, folder)
    try:
        context = multiprocessing.get_context("forkserver")
        for _ in range(workers):
            ready = context.Event()
            process = context.Process(target=work, args=(url, folder, ready))
            process.start()
            site.processes.append(process)
            assert ready.wait(START_SECONDS), "the worker did not start"
        for _ in range(workers):
            site.ask()
        site.until_ended()
        began = time.monotonic()
        for _ in range(jobs):
            site.ask()
        site.until_ended()
        return jobs / (time.monotonic() - began)
    finally:
        site.close()


def main() -> None:
    """Runs everything; prints tables, writes JSON, and ends with one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="10,25,50,100,200")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--json", type=Path, default=OUT)
    options = parser.parse_args()
    rates = [int(rate) for rate in options.rates.split(",")]
    rows: list[Latency] = []
    rounds: list[dict[str, object]] = []
    postgres = PostgresServer(durable=True)
    with tempfile.TemporaryDirectory(prefix="load") as root:
        for number, (kind, judge) in enumerate(
            (kind, judge) for kind in GOALS for judge in ("none", "real")
        ):
            folder = Path(root) / str(number)
            with fresh(postgres, kind, folder) as url:
                for row in latencies(kind, url, folder, judge, rates, options.seconds):
                    rows.append(row)
                    print(*asdict(row).values(), sep="\t", flush=True)
        for kind in GOALS:
            for workers in (1, 2, 4):
                folder = Path(root) / f"{kind}{workers}"
                with fresh(postgres, kind, folder) as url:
                    speed = round(jobs_per_second(url, folder, workers, options.jobs), 2)
                rounds.append({"database": kind, "workers": workers, "jobs_per_second": speed})
                print(kind, workers, speed, sep="\t", flush=True)
    table = {
        "latency": [asdict(row) for row in rows],
        "jobs": rounds,
        "load": os.getloadavg()[0],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(table, indent=1) + "\n")
    print(verdict(rows))


@contextlib.contextmanager
def fresh(postgres: PostgresServer, kind: str, folder: Path) -> Iterator[str]:
    """An empty database of this kind."""
    folder.mkdir()
    with contextlib.ExitStack() as closing:
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'load.db'}"
        else:
            url = postgres.url(closing.enter_context(postgres.database()))
        migrate(url)
        migrate_engine(url)
        yield url


def verdict(rows: list[Latency]) -> str:
    """Whether the goals were met, as one line."""
    told = []
    for kind, rate in GOALS.items():
        for judge in ("none", "real"):
            met = [
                row.rate
                for row in rows
                if (row.database, row.judge, row.what) == (kind, judge, "submit")
                and row.p99 <= GOAL_MS
            ]
            most = max(met, default=0)
            word = "met" if most >= rate else "missed"
            told.append(f"{kind}, judge {judge}: {most}/s (goal {rate}: {word})")
    return f"Submit p99 within {GOAL_MS:.0f} ms up to: {'; '.join(told)}."


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
    else:
        main()
