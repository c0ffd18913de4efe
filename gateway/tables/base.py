"""What every mapping shares: names of constraints, UTC times, one live row."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcTime(sa.TypeDecorator[dt.datetime]):
    """A UTC-aware time on every database; refuses naive values."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, _dialect: Any) -> Any:
        """Turn an aware time into UTC; a naive one is an error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A stored time must carry a time zone.")
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: Any, _dialect: Any) -> dt.datetime | None:
        """Give the time back as UTC-aware."""
        if value is None:
            return None
        aware: dt.datetime = (
            value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
        )
        return aware


class Table(DeclarativeBase):
    """The parent of every mapping; holds the naming of constraints."""

    metadata = sa.MetaData(naming_convention=NAMING)


def one_live(name: str, *columns: str) -> sa.Index:
    """At most one row that was not removed for the same values."""
    live = sa.text("removed_at IS NULL")
    return sa.Index(name, *columns, unique=True, sqlite_where=live, postgresql_where=live)
