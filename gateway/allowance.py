"""How much a key and a tenant may ask for: a rate, a queue, and seconds of video a day."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.auth import Caller
from gateway.db import Database
from gateway.errors import RateLimited
from gateway.rates import Rates
from gateway.settings import Limits
from gateway.tables import Tenant, Video

DAY = dt.timedelta(days=1)
# Our mistakes and our refusals are not charged.
FREE = ("refused", "failed")


class Allowance:
    """Token buckets for requests, and counts of what a tenant has under way and had today."""

    def __init__(
        self, database: Database, limits: Limits, clock: Callable[[], dt.datetime]
    ) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._rates = Rates(database)
        # Made once: to build a statement costs more than to run it.
        self._waiting, self._used, self._oldest = _tenant_statements()

    def take(self, caller: Caller) -> None:
        """Spend one request of the key and one of the tenant, or neither: RateLimited."""
        rate = self._limits.requests_per_minute / 60
        buckets = (
            (f"key:{caller.key_id}", rate, self._limits.request_burst),
            (
                f"tenant:{caller.tenant_id}",
                rate * self._limits.tenant_share,
                self._limits.request_burst * self._limits.tenant_share,
            ),
        )
        with self._database.write() as session:
            for name, per_second, burst in buckets:
                self._rates.spend(
                    session,
                    name,
                    per_second=per_second,
                    burst=burst,
                    told="Too many requests; slow down.",
                )

    def demand_room(self, session: Session, caller: Caller, *, seconds: int) -> None:
        """Raise RateLimited when the queue is full or the day's seconds are used up.

        Takes the tenant's row for the rest of the transaction: two requests at once are
        counted one after the other.
        """
        session.execute(
            sa.select(Tenant.id)
            .where(Tenant.id == caller.tenant_id)
            .with_for_update(key_share=True)
        )
        mine = {"b_tenant": caller.tenant_id}
        waiting = session.scalar(self._waiting, mine)
        if waiting is None or waiting >= self._limits.max_queued_per_tenant:
            raise RateLimited("Too many of your clips are waiting; try again later.")
        since = self._clock() - DAY
        used = session.scalar(self._used, mine | {"b_since": since})
        most = self._limits.clip_seconds_per_day
        if used is None or used + seconds > most:
            oldest = session.scalar(self._oldest, mine | {"b_since": since})
            wait = DAY if oldest is None else oldest - since
            raise RateLimited(
                f"Your clips of the last 24 hours would be longer than {most} seconds in all.",
                retry_after=max(1, math.ceil(wait.total_seconds())),
            )


def _tenant_statements() -> tuple[sa.Select[Any], sa.Select[Any], sa.Select[Any]]:
    """A tenant's clips under way; its seconds since a time; the first of those."""
    mine = Video.tenant_id == sa.bindparam("b_tenant", type_=sa.String)
    charged = (
        mine,
        Video.created_at > sa.bindparam("b_since", type_=Video.created_at.type),
        Video.state.not_in(FREE),
    )
    return (
        sa.select(sa.func.count()).where(mine, Video.state.in_(("queued", "in_progress"))),
        sa.select(sa.func.coalesce(sa.func.sum(Video.seconds), 0)).where(*charged),
        sa.select(sa.func.min(Video.created_at)).where(*charged),
    )
