"""What the machine does to workers: no disk, no database, no memory. Real processes."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.jobs import migrate_engine
from gateway.schema import migrate
from tests.crash_kit import END_SECONDS, Site
from tests.postgres import PostgresServer

AWAY_SECONDS = 3.0


def under_way(site: Site, seconds: float = END_SECONDS) -> None:
    """Wait until a clip has got as far as its frames."""
    deadline = time.monotonic() + seconds
    while not any((site.folder / "vault").rglob("*.mp4")):
        assert time.monotonic() < deadline, "nothing was begun"
        time.sleep(0.005)


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of this process can grow: what a full disk or a used-up quota does."""
    usual = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, usual)


def test_while_the_disk_is_full_nothing_is_released_and_then_everything(site: Site) -> None:
    worker = site.start(linger="check")
    for _ in range(2):
        site.ask()
    under_way(site)
    with full_disk(worker.pid):
        time.sleep(AWAY_SECONDS)
        meanwhile = site.states()
    site.until_ended()
    assert set(meanwhile.values()) <= {"queued", "in_progress"}
    assert set(site.states().values()) == {"released"}
    assert worker.is_alive()
    assert site.faults() == []


@contextmanager
def away(server: PostgresServer, name: str) -> Iterator[None]:
    """Every connection is cut and none is let in: what a restart or a failover does."""
    server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
        yield
    finally:
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_clips_under_way_outlive_a_database_that_was_away(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as closing:
        name = closing.enter_context(postgres.database())
        url = postgres.url(name)
        migrate(url)
        migrate_engine(url)
        site = Site(url, tmp_path)
        closing.callback(site.close)
        worker = site.start(linger="mark")
        asked = [site.ask(), site.ask("broken")]
        while site.rig.row(site.rig.record.order(asked[0])).stage != "mark":
            time.sleep(0.01)
        with away(postgres, name):
            time.sleep(AWAY_SECONDS)
        site.until_ended()
        assert site.faults() == []
        assert worker.is_alive()
        late = site.ask()
        site.until_ended()
        assert site.states()[late] == "released"


def test_a_clip_that_kills_every_worker_fails_and_the_others_do_not_wait(site: Site) -> None:
    deadly = site.ask("deadly")
    plain = site.ask()
    dead = 0
    while site.states()[deadly] not in ("failed", "released"):
        worker = site.start(max_recoveries=3)
        worker.join(5)
        dead += not worker.is_alive()
        assert dead < 10, "it goes on killing"
    site.until_ended()
    assert site.states() == {deadly: "failed", plain: "released"}
    assert site.faults() == []
