"""Workers in processes of their own, killed and frozen, on both databases."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.buckets import Patience
from gateway.jobs import migrate_engine
from gateway.leases import Lease
from tests.crash_kit import LEASE_SECONDS, Site
from tests.object_store import ObjectService
from tests.storm import freeze, storm

KILLS = 12


def reached(site: Site, video_id: str, stage: str) -> None:
    deadline = time.monotonic() + 60
    while site.rig.row(site.rig.record.order(video_id)).stage != stage:
        assert time.monotonic() < deadline, stage
        time.sleep(0.002)


def test_workers_that_are_killed_and_frozen_lose_nothing_and_repeat_nothing(
    site: Site,
) -> None:
    happened = storm(site, kills=KILLS, seed=5)
    assert site.faults() == []
    assert happened["killed"] + happened["killed at a write"] >= KILLS


def test_a_dead_workers_job_is_resumed_within_three_leases(site: Site) -> None:
    first = site.start(linger="check")
    video_id = site.ask()
    reached(site, video_id, "check")
    site.start()
    first.kill()
    first.join(30)
    started = time.monotonic()
    watching = Lease(site.database, seconds=60)
    while len(watching.living()) > 1:
        time.sleep(0.01)
    site.until_ended()
    assert site.states() == {video_id: "released"}
    # The job itself takes some of this time; the machine may be busy.
    assert time.monotonic() - started < 3 * LEASE_SECONDS + 20
    assert site.faults() == []


@pytest.mark.parametrize("stage", ["generate", "mark"])
def test_a_frozen_worker_that_wakes_up_records_nothing(site: Site, stage: str) -> None:
    """It wakes while the next one works; its scratch is gone, so its stage will fail."""
    frozen = site.start(linger=stage)
    video_id = site.ask()
    reached(site, video_id, stage)
    freeze(site, frozen)
    before = site.rig.record.order(video_id).claim
    site.start()
    deadline = time.monotonic() + 60
    while (after := site.rig.record.order(video_id).claim) == before:
        assert time.monotonic() < deadline, "nobody took it over"
        time.sleep(0.002)
    os.kill(frozen.pid, signal.SIGCONT)
    site.until_ended()
    assert site.states() == {video_id: "released"}
    assert site.rig.record.order(video_id).claim == after
    second = site.ask()
    site.until_ended()
    assert site.states()[second] == "released"
    assert site.faults() == []
    assert frozen.is_alive()  # it goes on with other jobs


def test_workers_that_are_killed_lose_nothing_when_media_lies_in_buckets(
    tmp_path: Path, empty_database: Path, object_service: ObjectService
) -> None:
    url = f"sqlite:///{shutil.copyfile(empty_database, tmp_path / 'cinegate.db')}"
    migrate_engine(url)
    # A busy machine is not a store in trouble, which would fail clips here.
    places = {
        name: replace(object_service.bucket(), patience=Patience())
        for name in ("vault", "released")
    }
    site = Site(url, tmp_path, places)
    try:
        happened = storm(site, kills=KILLS // 2, seed=7)
        assert site.faults() == []
        assert not (tmp_path / "vault").exists()
        assert "released" in site.states().values()
        assert happened["killed"] + happened["killed at a write"] >= KILLS // 2
    finally:
        site.close()
