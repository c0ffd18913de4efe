"""Retries under a key: one job, one answer, whatever happens in between."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import Conflict, Error, InvalidRequest, PromptRefused, RateLimited
from gateway.settings import Limits
from gateway.tables import IdempotencyRow, VerdictRow, Video
from gateway.wish import Wish
from safety.verdict import Action
from tests.unit.rig import Rig

WISH = Wish(prompt="a red ball", seed=1, idempotency_key="try-1")


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


def count(rig: Rig, table: type) -> int:
    with rig.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_the_same_key_is_the_same_job_as_it_is_now(rig: Rig) -> None:
    first = rig.clips.submit(rig.caller, WISH)
    rig.produce(rig.record.order(first.id))
    again = rig.clips.submit(rig.caller, WISH)
    assert (again.id, again.state) == (first.id, "released")
    assert count(rig, Video) == 1
    other = rig.clips.submit(rig.caller, replace(WISH, idempotency_key="try-2"))
    assert other.id != first.id


@pytest.mark.parametrize(
    "change", [{"prompt": "a blue ball"}, {"seed": 2}, {"title": "x"}, {"size": "64x32"}]
)
def test_a_key_does_not_serve_for_another_request(rig: Rig, change: dict[str, Any]) -> None:
    rig.clips.submit(rig.caller, WISH)
    with pytest.raises(Conflict) as refusal:
        rig.clips.submit(rig.caller, replace(WISH, **change))
    assert refusal.value.param == "Idempotency-Key"
    assert count(rig, Video) == 1


def test_keys_of_tenants_are_apart(rig: Rig) -> None:
    first = rig.clips.submit(rig.caller, WISH)
    stranger = rig.keys.create(name="another")
    caller = replace(rig.caller, key_id=stranger.id, tenant_id=stranger.tenant_id)
    assert rig.clips.submit(caller, WISH).id != first.id


def test_a_refusal_is_given_again_and_judged_once(rig: Rig) -> None:
    rig.door.action = Action.BLOCK
    with pytest.raises(PromptRefused) as first:
        rig.clips.submit(rig.caller, WISH)
    rig.door.action = Action.ALLOW
    with pytest.raises(PromptRefused) as again:
        rig.clips.submit(rig.caller, WISH)
    assert again.value.envelope() == first.value.envelope()
    assert count(rig, VerdictRow) == 1
    assert (
        rig.clips.submit(rig.caller, replace(WISH, idempotency_key="try-2")).state == "queued"
    )


def test_what_was_malformed_or_over_a_limit_may_be_put_right_under_the_same_key(
    rig: Rig,
) -> None:
    with pytest.raises(InvalidRequest):
        rig.clips.submit(rig.caller, replace(WISH, seconds=99))
    rig.limits = Limits(max_queued_per_tenant=1)
    rig.clips.submit(rig.caller, Wish(prompt="something else"))
    with pytest.raises(RateLimited):
        rig.clips.submit(rig.caller, WISH)
    assert count(rig, IdempotencyRow) == 0
    rig.limits = Limits()
    assert rig.clips.submit(rig.caller, WISH).state == "queued"


@pytest.mark.parametrize("key", ["", "a" * 256, "with space", "ünicode", "line\nbreak", "\0"])
def test_a_key_that_is_none_is_refused(rig: Rig, key: str) -> None:
    with pytest.raises(InvalidRequest):
        rig.clips.submit(rig.caller, replace(WISH, idempotency_key=key))


def test_a_key_is_forgotten_after_its_time_and_its_row_too(rig: Rig) -> None:
    first = rig.clips.submit(rig.caller, WISH)
    rig.clock.now += dt.timedelta(hours=25)
    again = rig.clips.submit(rig.caller, WISH)
    assert again.id != first.id
    assert count(rig, IdempotencyRow) == 1


def test_the_key_of_a_deleted_video_makes_no_new_one(rig: Rig) -> None:
    first = rig.clips.submit(rig.caller, WISH)
    rig.clips.delete(rig.caller, first.id)
    with pytest.raises(Conflict):
        rig.clips.submit(rig.caller, WISH)


def at_once(rig: Rig, wish: Wish, times: int) -> list[Any]:
    """The ids that as many tries at the same time got, or their errors."""
    start, got = threading.Barrier(times), []

    def ask() -> None:
        start.wait()
        try:
            got.append(rig.clips.submit(rig.caller, wish).id)
        except Error as fault:
            got.append(fault)

    threads = [threading.Thread(target=ask) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_tries_at_the_same_time_are_one_job(rig: Rig) -> None:
    assert len(set(at_once(rig, WISH, 8))) == 1
    assert count(rig, Video) == 1
    assert len(rig.queue.jobs) == 1


def test_retries_without_a_key_at_the_same_time_are_one_job(rig: Rig) -> None:
    rig.limits = rig.limits.model_copy(update={"dedupe_window_seconds": 600})
    assert len(set(at_once(rig, replace(WISH, idempotency_key=None), 8))) == 1
    assert count(rig, Video) == 1
