"""Rates and quotas: exact under threads, on both databases."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.allowance import Allowance
from gateway.audit.log import SqlAuditLog
from gateway.auth import Caller
from gateway.db import Database
from gateway.errors import RateLimited
from gateway.settings import Limits
from gateway.tables import RateBucketRow, Video
from gateway.wish import Wish
from tests.unit.rig import Rig

ME = Caller(key_id="k1", tenant_id="t1")


def now() -> dt.datetime:
    return dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def allowance(database: Database, **limits: Any) -> Allowance:
    plain = {"requests_per_minute": 0.001, "request_burst": 20, "tenant_share": 2}
    return Allowance(database, Limits(**{**plain, **limits}), now)


def granted(database: Database, **limits: Any) -> int:
    """How many of 64 tries by 8 threads are granted."""
    mine, won = allowance(database, **limits), []

    def ask() -> None:
        for _ in range(8):
            try:
                mine.take(ME)
            except RateLimited:
                continue
            won.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(won)


def test_a_burst_is_granted_exactly_however_many_ask_at_once(database: Database) -> None:
    assert granted(database) == 20


def test_all_keys_of_a_tenant_share_a_larger_bucket(database: Database) -> None:
    mine = allowance(database, request_burst=3)
    for key in ("k1", "k2"):
        for _ in range(3):
            mine.take(replace(ME, key_id=key))
    with pytest.raises(RateLimited):
        mine.take(replace(ME, key_id="k3"))
    mine.take(Caller(key_id="k3", tenant_id="t2"))  # what was refused cost nothing


def test_it_says_when_to_come_back_and_grants_it_then(database: Database) -> None:
    mine = allowance(database, requests_per_minute=120, request_burst=1)
    mine.take(ME)
    with pytest.raises(RateLimited) as refusal:
        mine.take(ME)
    assert refusal.value.headers["retry-after"] == "1"
    time.sleep(0.6)
    mine.take(ME)


def test_a_clock_that_goes_back_refills_nothing_and_forward_not_more_than_the_burst(
    database: Database,
) -> None:
    mine = allowance(database, request_burst=2)
    mine.take(ME)
    mine.take(ME)
    for shift in (3600.0, -86_400.0 * 365 * 100):
        with database.write() as session:
            session.execute(sa.update(RateBucketRow).values(at=RateBucketRow.at + shift))
        if shift > 0:
            with pytest.raises(RateLimited):
                mine.take(ME)
        else:
            mine.take(ME)
            mine.take(ME)
            with pytest.raises(RateLimited):
                mine.take(ME)


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


def test_a_day_has_so_many_seconds_and_our_mistakes_are_free(rig: Rig) -> None:
    rig.limits = rig.limits.model_copy(update={"clip_seconds_per_day": 4})
    rows = [rig.clips.submit(rig.caller, Wish(prompt=f"ball {n}", seconds=2)) for n in (1, 2)]
    with pytest.raises(RateLimited) as refusal:
        rig.clips.submit(rig.caller, Wish(prompt="ball 3", seconds=1))
    assert 86_000 < int(refusal.value.headers["retry-after"]) <= 86_400
    with rig.database.write() as session:
        session.execute(sa.update(Video).where(Video.id == rows[0].id).values(state="failed"))
    rig.clips.submit(rig.caller, Wish(prompt="ball 3", seconds=2))
    with pytest.raises(RateLimited):
        rig.clips.submit(rig.caller, Wish(prompt="ball 4", seconds=1))
    rig.clips.delete(rig.caller, rows[1].id)  # it was made
    with pytest.raises(RateLimited):
        rig.clips.submit(rig.caller, Wish(prompt="ball 4", seconds=1))
    rig.clock.now += dt.timedelta(hours=24)
    rig.clips.submit(rig.caller, Wish(prompt="ball 4", seconds=2))


def test_requests_at_once_do_not_overspend_the_day(rig: Rig) -> None:
    rig.limits = rig.limits.model_copy(update={"clip_seconds_per_day": 5})
    won: list[str] = []

    def ask(number: int) -> None:
        with contextlib.suppress(RateLimited):
            won.append(
                rig.clips.submit(rig.caller, Wish(prompt=f"ball {number}", seconds=1)).id
            )

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 5


def test_a_request_over_the_rate_is_not_even_judged(rig: Rig) -> None:
    rig.limits = Limits(request_burst=1, requests_per_minute=0.001, dedupe_window_seconds=0)
    rig.clips.submit(rig.caller, Wish(prompt="ball 1"))
    asked = len(rig.door.weighed)
    with pytest.raises(RateLimited):
        rig.clips.submit(rig.caller, Wish(prompt="ball 2"))
    assert len(rig.door.weighed) == asked
