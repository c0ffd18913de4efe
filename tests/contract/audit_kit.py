"""What the audit tests share: a migrated database, a log on it, and events to record."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.audit.keys import KeyFile
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.schema import migrate
from gateway.tables import Tenant, Video

NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'log.db'}"


def noon() -> dt.datetime:
    return NOON


@dataclass
class Room:
    """A gateway's log in a folder of its own."""

    folder: Path
    database: Database
    key: KeyFile
    log: SqlAuditLog

    def record(self, *events: Event) -> None:
        with self.database.write() as session:
            for event in events:
                self.log.record(session, event)

    def fill(self, count: int, *, batch: int = 10_000, **changes: Any) -> list[str]:
        """Record and sequence ``count`` events; return their ids."""
        events = [event(number, **changes) for number in range(count)]
        for start in range(0, count, batch):
            self.record(*events[start : start + batch])
            while self.log.sequence():
                pass
        return [each.id for each in events]

    def execute(self, statement: str, *values: object) -> None:
        """What somebody with the file or the superuser's word can do: no triggers, no rules."""
        if not self.database.is_sqlite:
            with self.database.engine.begin() as connection:
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
                connection.exec_driver_sql(_for_postgres(statement), values)
            return
        file = self.database.url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(file)) as raw:
            raw.execute("PRAGMA synchronous = OFF")
            raw.execute("PRAGMA ignore_check_constraints = ON")
            triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for (name,) in raw.execute(triggers).fetchall():
                raw.execute(f"DROP TRIGGER {name}")
            raw.execute(statement, values)
            raw.commit()


def _for_postgres(statement: str) -> str:
    """SQLite's spelling of bytes and of what stands for a value, in PostgreSQL's."""
    statement = re.sub(r"zeroblob\((\d+)\)", r"decode(repeat('00', \1), 'hex')", statement)
    return re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", statement).replace("?", "%s")


def open_room(
    folder: Path,
    clock: Callable[[], dt.datetime] = noon,
    *,
    database: Database | None = None,
) -> Room:
    """The log on a migrated database, or on one of its own in the folder."""
    if database is None:
        migrate(url_of(folder))
        database = Database(url_of(folder))
    key = KeyFile.load_or_create(folder / "keys")
    return Room(
        folder=folder, database=database, key=key, log=SqlAuditLog(database, key, clock)
    )


def event(number: int = 0, **changes: Any) -> Event:
    subject = str(changes.pop("subject", f"video_{number}"))
    kind = str(changes.pop("kind", EventKind.VIDEO_MARKED))
    plain: dict[str, Any] = {
        "id": f"{subject}:mark:{kind}",
        "kind": kind,
        "subject": subject,
        "tenant": "tnt_1",
        "facts": {"clip_id": f"{number:016x}"},
    }
    return Event(**{**plain, **changes})


def video_row(session: Session, number: int, **changes: Any) -> Video:
    """Add a video that was accepted (and its tenant)."""
    if session.get(Tenant, "tnt_1") is None:
        session.add(Tenant(id="tnt_1", name="Example", created_at=NOON))
        session.flush()
    plain: dict[str, Any] = {
        "id": f"video_{number}",
        "tenant_id": "tnt_1",
        "clip_id": f"{number:016x}",
        "fingerprint": "0" * 64,
        "prompt": "a paper boat on a pond",
        "model": "embedded",
        "seconds": 4,
        "width": 64,
        "height": 64,
        "seed": 0,
        "state": "in_progress",
        "stage": "publish",
        "created_at": NOON,
    }
    row = Video(**{**plain, **changes})
    session.add(row)
    return row


def release(room: Room, number: int) -> None:
    """Publish and release a video the way the pipeline does."""
    sha256 = f"{number:064x}"
    facts: dict[str, Any] = {
        "clip_id": f"{number:016x}",
        "sha256": sha256,
        "size_bytes": 1_000,
        "manifest_id": "urn:c2pa:1",
    }
    published = event(number, kind=EventKind.VIDEO_PUBLISHED, facts=facts)
    with room.database.write() as session:
        video_row(session, number)
        room.log.record(session, published)
    room.log.sequence()
    index = room.log.covered(published.id)
    assert index is not None
    with room.database.write() as session:
        row = session.get(Video, f"video_{number}")
        assert row is not None
        row.sha256, row.size_bytes, row.manifest_id = sha256, 1_000, "urn:c2pa:1"
        row.watermark_ok = row.credentials_ok = True
        row.audit_index, row.state = index, "released"
        room.log.record(session, event(number, kind=EventKind.VIDEO_RELEASED, facts=facts))
    room.log.sequence()
