"""How a migration runs: on a connection that is handed in, or on the configured database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from gateway.db import Database
from gateway.settings import load_settings
from gateway.tables import Table


def ours(name: str | None, kind: str, _parents: Any) -> bool:
    """The job engine keeps its own tables in the same database; leave them alone."""
    return kind != "table" or name in Table.metadata.tables


def run(connection: sa.Connection) -> None:
    """Run the migrations that were asked for, in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        include_name=ours,
        render_as_batch=True,
        transactional_ddl=True,
        user_module_prefix="tables.",
    )
    with context.begin_transaction():
        context.run_migrations()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    run(handed_in)
elif context.is_offline_mode():
    context.configure(
        url=load_settings().database,
        target_metadata=Table.metadata,
        literal_binds=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    database = Database(load_settings().database)
    with database.write() as session:
        run(session.connection())
    database.dispose()
