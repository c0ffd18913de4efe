"""What every test shares: no network but loopback where a test asks for it, one clock."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gateway.audit.checkpoint import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.schema import migrate

# The same examples in every run: a change is judged by itself. `make fuzz` draws new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=3000, deadline=None, print_blob=True)
settings.load_profile("steady")

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


class TickingClock:
    """A clock that moves a second forward each time it is asked."""

    def __init__(self, now: dt.datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> TickingClock:
    return TickingClock()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("schema") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Iterator[Database]:
    path = tmp_path / "cinegate.db"
    shutil.copyfile(empty_database, path)
    opened = Database(f"sqlite:///{path}")
    yield opened
    opened.dispose()


@pytest.fixture
def checkpoint_key() -> CheckpointKey:
    return CheckpointKey.create()


@pytest.fixture
def audit_log(
    database: Database, checkpoint_key: CheckpointKey, clock: TickingClock
) -> SqlAuditLog:
    return SqlAuditLog(database, checkpoint_key, clock)
