"""kill -9 in every stage of a real clip: the next worker runs exactly what remains."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.pipeline import STAGES
from gateway.settings import load_settings
from gateway.wish import Wish
from tests.e2e.conftest import CLIP_SECONDS, PROMPT, SIZE, environment, parsed, run_cli


class Worker:
    """A worker process on a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.log = (data_dir / "worker.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "work"],
            env=environment(data_dir),
            stdout=self.log,
            stderr=self.log,
        )

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        self.log.close()

    def stop(self) -> None:
        """Ask politely; a worker that does not end is a fault, but not one that stays."""
        try:
            self.process.terminate()
            assert self.process.wait(timeout=60) == 0
        finally:
            self.kill()


def ask(data_dir: Path, query: str, *values: Any) -> list[Any]:
    connection = sqlite3.connect(f"file:{data_dir / 'cinegate.db'}?mode=ro", uri=True)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def wait_for(data_dir: Path, video_id: str, stage: str | None, worker: Worker) -> str:
    """Until the stage is under way, or until the end when ``stage`` is None."""
    deadline = time.monotonic() + CLIP_SECONDS
    while time.monotonic() < deadline:
        ((state, at),) = ask(data_dir, "SELECT state, stage FROM videos WHERE id=?", video_id)
        if stage is not None and state == "in_progress" and at == stage:
            return str(state)
        if state not in ("queued", "in_progress"):
            return str(state)
        assert worker.process.poll() is None, (data_dir / "worker.log").read_text()[-2000:]
        time.sleep(0.005)
    raise AssertionError(f"{stage} was not reached")


def submitted(data_dir: Path) -> str:
    (data_dir / "gateway.toml").write_text("lease_seconds = 1.0\n", encoding="utf-8")
    gateway = Gateway(load_settings(data_dir=data_dir))
    with gateway.opened():
        caller = gateway.keys.local_caller()
        row = gateway.clips.submit(caller, Wish(prompt=PROMPT, size=SIZE, seconds=2, seed=21))
    return row.id


def stages_of(data_dir: Path, video_id: str) -> dict[str, Any]:
    rows = ask(data_dir, "SELECT stage, facts FROM stages WHERE video_id=?", video_id)
    return {stage: json.loads(facts) for stage, facts in rows}


def test_a_worker_killed_in_every_stage_loses_nothing_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    video_id = submitted(tmp_path)
    done_before: dict[str, Any] = {}
    for stage in STAGES:
        worker = Worker(tmp_path)
        try:
            assert wait_for(tmp_path, video_id, stage, worker) == "in_progress"
        finally:
            worker.kill()
        done = stages_of(tmp_path, video_id)
        assert all(done.get(name) == facts for name, facts in done_before.items())
        assert stage not in done or stage == "publish"
        assert not ask(tmp_path, "SELECT 1 FROM videos WHERE state='released'")
        done_before = done
    worker = Worker(tmp_path)
    assert wait_for(tmp_path, video_id, None, worker) == "released"
    worker.stop()
    after = stages_of(tmp_path, video_id)
    assert all(after[name] == facts for name, facts in done_before.items())
    kinds = [kind for (kind,) in ask(tmp_path, EVENTS, video_id)]
    assert sorted(kinds) == sorted(set(kinds)), "an event was logged twice"
    assert parsed(run_cli(tmp_path, "audit", "check", "--json"))["ok"]

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    twin = submitted(undisturbed)
    worker = Worker(undisturbed)
    assert wait_for(undisturbed, twin, None, worker) == "released"
    worker.stop()
    same = stages_of(undisturbed, twin)["generate"]["raw"]["sha256"]
    assert after["generate"]["raw"]["sha256"] == same, "the clip is not the same after crashes"


EVENTS = "SELECT event_id FROM audit_entries WHERE subject=? ORDER BY idx"
