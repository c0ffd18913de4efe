"""Whose clip is made next: every tenant has its share, however much another one asks for."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.tables import Tenant, Video

FIRST = 1
LAST = 2**31 - 1  # the engine's lowest priority
PER_SECOND = 60  # turns that a second of video costs a tenant of one share

# Made once: to build a statement costs more than to run it.
_TENANT = sa.bindparam("b_tenant", type_=sa.String)
_AUDIENCE = sa.select(Tenant.audience).where(Tenant.id == _TENANT)
_PUT_OFF = sa.select(sa.func.min(Video.turn)).where(Video.state == "queued")
_NEXT = _PUT_OFF.where(Video.tries == 0)
_UNDER_WAY = sa.select(sa.func.max(Video.turn)).where(Video.state == "in_progress")
_COST = Video.seconds * sa.bindparam("b_cost", type_=sa.BigInteger)
_END = sa.select(sa.func.max(sa.cast(Video.turn, sa.BigInteger) + _COST)).where(
    Video.tenant_id == _TENANT, Video.state.in_(("queued", "in_progress"))
)


def next_turn(session: Session, tenant_id: str, *, shares: Mapping[str, int]) -> int:
    """The turn of a new clip of this tenant; the lowest is made first.

    Start-time fair queueing (Goyal, Vin, Cheng 1996): a clip's turn is where the tenant's
    last one ends, or the turn that is being served if that is later. A clip of a tenant with
    n shares costs an n-th, so that it gets n times as much when there is not enough for all.
    ``shares`` are by audience, 1 when it is not named. Call it behind the tenant's row lock.
    """
    mine = {"b_tenant": tenant_id}
    audience = session.scalar(_AUDIENCE, mine)
    cost = max(1, PER_SECOND // max(1, shares.get(str(audience), 1)))
    end = session.scalar(_END, mine | {"b_cost": cost})
    return min(max(served(session), end or FIRST), LAST)


def served(session: Session) -> int:
    """The turn that is being served: the lowest that waits, or else that is under way.

    A clip that waits for another try counts when there is nothing else: its turn is of the
    time before, and who began there would go before all that came meanwhile.
    """
    for asked in (_NEXT, _UNDER_WAY, _PUT_OFF):
        turn = session.scalar(asked)
        if turn is not None:
            return max(FIRST, turn)
    return FIRST
