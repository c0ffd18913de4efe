"""The schema: brings the database to the form that this release expects."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from gateway.db import Database
from gateway.errors import ConfigurationFault

# Any constant will do; it keeps two processes that start together from migrating at once.
POSTGRES_LOCK = 0x63696E65


def migrate(database_url: str, revision: str = "head") -> str | None:
    """Bring the database to ``revision`` and return it; None stands for an empty schema.

    One transaction, under a lock: several processes may call this as they start, and a
    failure leaves the schema as it was. Tables of others (the job engine's) are not touched.
    Goes forward, or back when the revision is older ("base" drops everything of ours).
    Raises ConfigurationFault when the database cannot be reached, or was made by a newer
    release.
    """
    database = Database(database_url)
    try:
        with database.write() as session:
            connection = session.connection()
            if not database.is_sqlite:
                lock = sa.select(sa.func.pg_advisory_xact_lock(POSTGRES_LOCK))
                connection.execute(lock)
            _run(connection, revision)
            return _revision(connection)
    except sa.exc.DatabaseError as fault:
        raise ConfigurationFault(
            "The database cannot be opened, or is not one that can be migrated."
        ) from fault
    except CommandError as fault:
        raise ConfigurationFault(
            "The database is of a release that this one does not know."
        ) from fault
    finally:
        database.dispose()


def current(database_url: str) -> str | None:
    """The revision of the database, or None when it has none. Raises ConfigurationFault."""
    database = Database(database_url)
    try:
        with database.read() as session:
            return _revision(session.connection())
    except sa.exc.DatabaseError as fault:
        raise ConfigurationFault("The database cannot be opened.") from fault
    finally:
        database.dispose()


def head() -> str | None:
    """The revision that this release expects."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def require_current(database_url: str) -> None:
    """Return when the database has the expected form; raise ConfigurationFault otherwise."""
    if current(database_url) == head():
        return
    raise ConfigurationFault(
        "The database is not of this release: run 'cinegate migrate', after a backup."
    )


def migrations_dir() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "migrations", package.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigurationFault("The migrations are not installed.")


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    # The option parser reads "%" as the start of a variable.
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    return config


def _run(connection: sa.Connection, revision: str) -> None:
    config = _config(connection)
    known = [r.revision for r in ScriptDirectory.from_config(config).walk_revisions()]
    at = _revision(connection)
    if at is not None and at not in known:
        raise CommandError("unknown revision")
    target = known[0] if revision == "head" else revision
    # walk_revisions goes from the newest to the oldest; "base" is older than all.
    ages = {name: age for age, name in enumerate(known)} | {"base": len(known)}
    if target not in ages:
        raise CommandError("unknown target")
    if ages[target] > ages[at or "base"]:
        command.downgrade(config, target)
    else:
        command.upgrade(config, target)


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
