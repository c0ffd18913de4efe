"""Rates: token buckets in the database, which all processes share."""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.db import Database
from gateway.errors import RateLimited
from gateway.tables import RateBucketRow


class Rates:
    """Each bucket is one conditional UPDATE by the database's clock, so that it cannot be
    overspent from any number of processes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # Made once: to build a statement costs more than to run it.
        self._spent, self._level = _statements(database)

    def spend(
        self, session: Session, name: str, *, per_second: float, burst: float, told: str
    ) -> None:
        """Take one from a bucket that fills at a rate up to ``burst``, or raise RateLimited
        with the sentence ``told``. A bucket that is not known is full.
        """
        bucket = {"b_name": name, "b_rate": per_second, "b_burst": burst}
        if session.execute(self._spent, bucket).all():
            return
        # Empty, or not there yet.
        now = self._database.now()
        self._database.add_missing(session, RateBucketRow, id=name, tokens=burst, at=now)
        if session.execute(self._spent, bucket).all():
            return
        left = float(session.scalar(self._level, bucket) or 0.0)
        raise RateLimited(told, retry_after=max(1, math.ceil((1 - left) / per_second)))


def _statements(database: Database) -> tuple[sa.Executable, sa.Select[Any]]:
    """Take one from a bucket; what is in it."""
    now = database.now()
    name = sa.bindparam("b_name", type_=sa.String)
    rate = sa.bindparam("b_rate", type_=sa.Double)
    burst = sa.bindparam("b_burst", type_=sa.Double)
    # A clock that went back refills nothing.
    gained = sa.case((now > RateBucketRow.at, (now - RateBucketRow.at) * rate), else_=0)
    filled = RateBucketRow.tokens + gained
    level = sa.case((filled > burst, burst), else_=filled)
    return (
        sa.update(RateBucketRow)
        .where(RateBucketRow.id == name, level >= 1)
        .values(tokens=level - 1, at=now)
        .execution_options(synchronize_session=False)
        .returning(RateBucketRow.id),
        sa.select(level).where(RateBucketRow.id == name),
    )
