"""The database of a moment: copied to a file while others write, and put back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.db import BUSY_TIMEOUT_MS, Database
from gateway.errors import ConfigurationFault, StageUnavailable

DUMP_SECONDS = 6 * 3600


@contextmanager
def snapshot(url: str, target: Path) -> Iterator[Session]:
    """Copy the database to ``target``; the session sees exactly what the copy holds.

    SQLite by its backup interface, PostgreSQL by ``pg_dump`` in the custom form, of the same
    snapshot. Raises ConfigurationFault when the tool is missing, StageUnavailable when the
    copy did not succeed or is not sound.
    """
    if url.startswith("sqlite"):
        _copy(sqlite_path(url), target)
        copied = Database(f"sqlite:///{target}")
        try:
            with copied.read() as session:
                yield session
        finally:
            copied.dispose()
            with closing(sqlite3.connect(target)) as connection:
                connection.execute("PRAGMA journal_mode=DELETE")  # one file, no side files
        return
    database = Database(url)
    try:
        with database.read() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            moment = session.scalar(sa.text("SELECT pg_export_snapshot()"))
            form = ("--format=custom", "--no-owner", "--no-privileges")
            _run(url, "pg_dump", *form, f"--snapshot={moment}", f"--file={target}")
            yield session
    except sa.exc.DatabaseError as fault:
        raise StageUnavailable("The database cannot be read.") from fault
    finally:
        database.dispose()


def demand_empty(url: str) -> None:
    """Return when nothing is in the database; raise ConfigurationFault otherwise."""
    if url.startswith("sqlite"):
        if sqlite_path(url).exists():
            raise ConfigurationFault("There is a database already: restore into a new one.")
        return
    database = Database(url)
    try:
        with database.read() as session:
            tables = sa.text(
                "SELECT count(*) FROM information_schema.tables"
                " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
            if session.scalar(tables) != 0:
                raise ConfigurationFault("The database is not empty: restore into a new one.")
    except sa.exc.DatabaseError as fault:
        raise ConfigurationFault("The database cannot be opened.") from fault
    finally:
        database.dispose()


def put_back(url: str, source: Path) -> None:
    """Make an empty database what ``source`` holds: all of it, or nothing.

    Raises StageUnavailable when that fails.
    """
    if url.startswith("sqlite"):
        path = sqlite_path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        source.chmod(0o600)
        shutil.move(source, path)
        return
    form = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    _run(url, "pg_restore", *form, str(source))


def sqlite_path(url: str) -> Path:
    """The file behind the URL. Raises ConfigurationFault when it is only in memory."""
    name = sa.engine.make_url(url).database
    if name in (None, "", ":memory:"):
        raise ConfigurationFault("A database in memory cannot be backed up.")
    return Path(str(name))


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise ConfigurationFault("There is no database in this data folder.")
    try:
        with (
            closing(sqlite3.connect(source, timeout=BUSY_TIMEOUT_MS / 1000)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
            if copy.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise StageUnavailable("The copy of the database is not sound.")
    except sqlite3.Error as fault:
        raise StageUnavailable("The database cannot be copied.") from fault


def _run(url: str, tool: str, *arguments: str) -> None:
    """Run a tool of PostgreSQL. The password goes by the environment, where ``ps`` is blind."""
    found = shutil.which(tool)
    if found is None:
        raise ConfigurationFault(
            f"{tool} is not installed; it belongs to PostgreSQL's client tools."
        )
    address = sa.engine.make_url(url).set(drivername="postgresql")
    secret = {} if address.password is None else {"PGPASSWORD": str(address.password)}
    bare = sa.URL.create(
        "postgresql",
        username=address.username,
        host=address.host,
        port=address.port,
        database=address.database,
        query=address.query,
    )
    try:
        done = subprocess.run(  # noqa: S603 - a fixed tool, no shell, our own arguments
            [found, *arguments, f"--dbname={bare.render_as_string(hide_password=False)}"],
            env={**os.environ, **secret},
            capture_output=True,
            timeout=DUMP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise StageUnavailable(f"{tool} did not finish.") from fault
    if done.returncode != 0:
        if b"server version mismatch" in done.stderr:
            raise ConfigurationFault(
                f"{tool} is older than the server: install the client tools of its version."
            )
        raise StageUnavailable(f"{tool} failed with code {done.returncode}.")
