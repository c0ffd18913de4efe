"""A real instance: server process, worker, embedded model, real gates, marks and log."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.db import Database
from gateway.jobs import migrate_engine
from tests.crash_kit import Site

START_SECONDS = 120
CLIP_SECONDS = 600
PROMPT = "a red ball rolling over a green meadow under a blue sky"
SIZE = "640x360"


def environment(data_dir: Path) -> dict[str, str]:
    """The variables of a child: this instance's folder and nothing that reaches a network."""
    return {
        **os.environ,
        "CINEGATE_DATA_DIR": str(data_dir),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


def run_cli(
    data_dir: Path, *arguments: str, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ``cinegate`` as a person would; the caller looks at the exit code."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=environment(data_dir),
        input=stdin,
        capture_output=True,
        timeout=CLIP_SECONDS,
        check=False,
    )


def run_here(data_dir: Path, *arguments: str | Path) -> str:
    """The same in this process, which saves a start; gives what was printed."""
    given = [str(argument) for argument in arguments]
    done = CliRunner().invoke(app, given, env={"CINEGATE_DATA_DIR": str(data_dir)})
    structlog.reset_defaults()
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def parsed(done: subprocess.CompletedProcess[bytes], code: int = 0) -> Any:
    """The JSON document on standard output of a command that ended with ``code``."""
    assert done.returncode == code, done.stderr.decode()[-2000:] + done.stdout.decode()[-500:]
    return json.loads(done.stdout)


@dataclass
class Instance:
    """A running server and a way to ask it."""

    url: str
    data_dir: Path
    key: str
    http: httpx.Client

    def finished(self, video_id: str) -> dict[str, Any]:
        """The job once it has ended; a held one would wait for a person for ever."""
        deadline = time.monotonic() + CLIP_SECONDS
        while time.monotonic() < deadline:
            video: dict[str, Any] = self.http.get(f"/v1/videos/{video_id}").json()
            assert video["gateway"]["state"] != "held", video
            if video["status"] in ("completed", "failed"):
                return video
            time.sleep(0.3)
        raise AssertionError("the clip did not end in time")


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    data_dir = tmp_path_factory.mktemp("instance")
    made = parsed(run_cli(data_dir, "keys", "create", "--name", "e2e", "--json"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (data_dir / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "--port", str(port)],
        env=environment(data_dir),
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(
            base_url=url, timeout=120, headers={"authorization": f"Bearer {made['key']}"}
        ) as http:
            _await_health(http, process, data_dir)
            yield Instance(url=url, data_dir=data_dir, key=made["key"], http=http)
    finally:
        process.terminate()
        process.wait(timeout=60)
        log.close()


def _await_health(http: httpx.Client, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError((folder / "server.log").read_text()[-3000:])
        try:
            if http.get("/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="session")
def released(instance: Instance) -> dict[str, Any]:
    """One clip that went the whole way, with its bytes."""
    response = instance.http.post(
        "/v1/videos", json={"prompt": PROMPT, "size": SIZE, "seconds": 4, "seed": 11}
    )
    assert response.status_code == 200, response.text
    video = instance.finished(response.json()["id"])
    assert video["status"] == "completed", video
    content = instance.http.get(f"/v1/videos/{video['id']}/content")
    assert content.status_code == 200
    return {**video, "bytes": content.content}


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    """A migrated place on which worker processes live and die."""
    migrate_engine(database.url)
    made = Site(database.url, tmp_path)
    yield made
    made.close()
