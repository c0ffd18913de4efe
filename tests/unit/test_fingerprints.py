"""Fingerprints in the database: kept with the release, gone with the clip, none missed."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import fingerprints
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.settings import Retention
from gateway.tables import FingerprintRow, Video
from tests.contract.audit_kit import NOON, video_row
from tests.unit.rig import Rig


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


def changes(database: Database, number: int = 0) -> list[tuple[int, str, bytes | None]]:
    with database.read() as session:
        return list(fingerprints.since(session, number))


def test_changes_come_in_the_order_of_commits(database: Database) -> None:
    with database.write() as session:
        for number in range(3):
            video_row(session, number)
    a, b, c = (f"{number:016x}" for number in range(3))
    for clip in (a, b, c):
        with database.write() as session:
            fingerprints.keep(session, clip, clip.encode())
    with database.write() as session:
        fingerprints.withdraw(session, b)
        fingerprints.withdraw(session, "unheard of")
        fingerprints.withdraw(session, b)
    assert changes(database) == [(1, a, a.encode()), (3, c, c.encode()), (4, b, None)]
    assert changes(database, 3) == [(4, b, None)]


def test_nobody_who_follows_the_numbers_misses_one(database: Database) -> None:
    """A slow transaction must not commit a number below one that was already seen."""
    clips = 24
    with database.write() as session:
        for number in range(clips):
            video_row(session, number)
    done = threading.Event()
    seen: dict[str, bytes | None] = {}

    def follow() -> None:
        number = 0
        while not done.is_set():
            for at, clip, record in changes(database, number):
                number, seen[clip] = at, record
        for _at, clip, record in changes(database, number):
            seen[clip] = record

    def write(number: int) -> None:
        with database.write() as session:
            fingerprints.keep(session, f"{number:016x}", b"look")
            threading.Event().wait(0.002 * (number % 5))

    watcher = threading.Thread(target=follow)
    watcher.start()
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(clips)))
    finally:
        done.set()
        watcher.join()
    assert len(seen) == clips


def test_a_release_and_its_fingerprint_are_one_transaction(rig: Rig) -> None:
    order = rig.order()
    assert rig.produce(order) == "released"
    assert changes(rig.database) == [(1, order.clip_id, rig.looks.given[0])]


def test_a_clip_that_is_not_released_has_no_fingerprint(rig: Rig) -> None:
    rig.log.covers = False
    assert rig.produce(rig.order()) == "failed"
    assert changes(rig.database) == []


def test_a_fingerprint_that_cannot_be_kept_releases_nothing(rig: Rig) -> None:
    with rig.database.write() as session:
        session.execute(sa.text("ALTER TABLE fingerprints RENAME TO gone"))
    order = rig.order()
    with pytest.raises(sa.exc.DatabaseError):
        rig.pipeline.run(order)
    assert rig.row(order).state == "in_progress"


def test_what_its_owner_deleted_is_compared_no_more(rig: Rig) -> None:
    order = rig.order()
    assert rig.produce(order) == "released"
    rig.clips.delete(rig.caller, order.video_id)
    assert changes(rig.database) == [(2, order.clip_id, None)]


def test_what_is_past_its_time_is_compared_no_more(rig: Rig) -> None:
    rig.retention = Retention(released_days=1)
    order = rig.order()
    assert rig.produce(order) == "released"
    with rig.database.write() as session:
        session.execute(sa.update(Video).values(completed_at=NOON - dt.timedelta(days=2)))
    rig.housekeeping.expire()
    assert rig.row(order).state == "deleted"
    assert changes(rig.database) == [(2, order.clip_id, None)]


def test_a_release_that_is_repeated_keeps_its_first_fingerprint(rig: Rig) -> None:
    order = rig.order()
    assert rig.produce(order) == "released"
    rig.record.release(order, audit_index=0, fingerprint=b"another")
    with rig.database.read() as session:
        row = session.get(FingerprintRow, order.clip_id)
    assert row is not None
    assert (row.number, row.record) == (1, rig.looks.given[0])
