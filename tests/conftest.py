"""What every test shares: no network but loopback where a test asks for it, one clock."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.schema import migrate
from tests.object_store import ObjectService
from tests.postgres import PostgresServer

# The same examples in every run: a change is judged by itself. `make fuzz` draws new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=3000, deadline=None, print_blob=True)
settings.load_profile("steady")

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


# Files whose few tests take long. They begin first, so that none is left alone at the end.
SLOW_FOLDERS = {"browser", "e2e"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run on one database alone what is marked so: the one that is named, else SQLite.

    Slow files come first, then those with many tests.
    """
    kept = [item for item in items if _is_for_this_database(item)]
    sizes = Counter(item.path for item in kept)
    items[:] = sorted(
        kept, key=lambda item: (item.path.parent.name not in SLOW_FOLDERS, -sizes[item.path])
    )


def _is_for_this_database(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("one_database")
    callspec = getattr(item, "callspec", None)
    if marker is None or callspec is None:
        return True
    wanted = marker.args[0] if marker.args else "sqlite"
    return callspec.params.get("database", wanted) == wanted


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


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """A real PostgreSQL of this process."""
    return PostgresServer()


@pytest.fixture(scope="session")
def object_service() -> Iterator[ObjectService]:
    """A real S3-compatible service of this process."""
    service = ObjectService()
    yield service
    service.stop()


@dataclass
class Spares:
    """Migrated databases that a test gave back, emptied for the next one to use."""

    server: PostgresServer
    names: list[str] = field(default_factory=list)
    columns: str = ""

    def take(self) -> str:
        if self.names:
            return self.names.pop()
        name = self.server.create()
        migrate(self.server.url(name))
        self.columns = self.server.columns(name)
        return name

    def give_back(self, name: str) -> None:
        if self.server.columns(name) == self.columns:
            self.server.empty(name)
            self.names.append(name)


@pytest.fixture(scope="session")
def spares(postgres: PostgresServer) -> Spares:
    return Spares(postgres)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database, of each kind that the gateway runs on."""
    with contextlib.ExitStack() as closing:
        if request.param == "sqlite":
            path = tmp_path / "cinegate.db"
            shutil.copyfile(request.getfixturevalue("empty_database"), path)
            url = f"sqlite:///{path}"
        else:
            spares: Spares = request.getfixturevalue("spares")
            name = spares.take()
            closing.callback(spares.give_back, name)
            url = spares.server.url(name)
        opened = Database(url)
        closing.callback(opened.dispose)
        yield opened


@pytest.fixture
def checkpoint_key() -> CheckpointKey:
    return CheckpointKey.create()


@pytest.fixture
def audit_log(
    database: Database, checkpoint_key: CheckpointKey, clock: TickingClock
) -> SqlAuditLog:
    return SqlAuditLog(database, checkpoint_key, clock)
