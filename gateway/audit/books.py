"""The books: the log in the database, compared with the state it should explain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.check import UNREAD, Check, Stamping
from gateway.audit.checkpoint import CheckpointReader
from gateway.audit.entry import Entry, EntryFault, EventKind, Personal, read
from gateway.audit.report import CheckReport, FaultKind, KeptEntry, KeptFault
from gateway.db import Database
from gateway.tables import (
    AuditAnchor,
    AuditCheckpoint,
    AuditEntryRow,
    AuditHead,
    AuditOutbox,
    AuditPersonal,
    AuditTile,
    CaseRow,
    StageRow,
    VerdictRow,
    Video,
)

# How long an event may wait for its index and checkpoint before that is a fault.
GRACE = dt.timedelta(seconds=60)
FETCH = 1_000
MAX_DAMAGES = 20
UNREADABLE = "a stored value cannot be read"


class Books:
    """The stored log, read in one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def size(self) -> int:
        """The size in the head row; -1 when there is not exactly one row."""
        sizes = [size for (size,) in self._rows(sa.select(AuditHead.size))]
        return sizes[0] if len(sizes) == 1 else -1

    def notes(self) -> Iterator[tuple[int, str]]:
        """Every checkpoint, smallest first."""
        query = sa.select(AuditCheckpoint.size, AuditCheckpoint.note)
        for size, note in self._rows(query.order_by(AuditCheckpoint.size)):
            _require(f"checkpoint {size}", (size, int), (note, str))
            yield size, note

    def stamps(self) -> Iterator[tuple[int, bytes]]:
        """Every stamp."""
        for size, reply in self._rows(sa.select(AuditAnchor.size, AuditAnchor.reply)):
            _require(f"stamp {size}", (size, int), (reply, bytes))
            yield size, reply

    def entries(self) -> Iterator[KeptEntry]:
        """Every leaf, in order of index."""
        query = sa.select(
            AuditEntryRow.index,
            AuditEntryRow.leaf,
            AuditEntryRow.event_id,
            AuditEntryRow.subject,
        ).order_by(AuditEntryRow.index)
        for index, leaf, event_id, subject in self._rows(query):
            _require(f"entry {index}", (index, int), (leaf, bytes))
            columns = {"id": event_id, "subject": subject}
            yield KeptEntry(index=index, leaf=leaf, columns=columns)

    def tile(self, level: int, index: int, _width: int) -> bytes:
        """The stored hashes, or no bytes."""
        query = sa.select(AuditTile.hashes).where(
            AuditTile.level == level, AuditTile.index == index
        )
        try:
            stored: object = self._session.scalar(query)
        except sa.exc.DatabaseError:
            return b""
        return stored if isinstance(stored, bytes) else b""

    def tiles(self) -> Iterator[tuple[int, int]]:
        """The place of every stored tile."""
        for level, index in self._rows(sa.select(AuditTile.level, AuditTile.index)):
            _require(f"tile {level}/{index}", (level, int), (index, int))
            yield level, index

    def _rows(self, query: sa.Executable) -> Iterator[Any]:
        try:
            yield from self._session.execute(query, execution_options={"yield_per": FETCH})
        except sa.exc.DatabaseError as fault:
            raise KeptFault(FaultKind.MALFORMED, "database", UNREADABLE) from fault


def _require(where: str, *values: tuple[object, type]) -> None:
    """SQLite lets text stand where bytes should."""
    if not all(isinstance(value, expected) for value, expected in values):
        raise KeptFault(FaultKind.MALFORMED, where, "a value is of another type")


@dataclass
class _Seen:
    """What the comparison needs to remember of the entries."""

    published: dict[int, Entry] = field(default_factory=dict)
    released: dict[str, Entry] = field(default_factory=dict)
    ruled: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    withdrawn: dict[str, object] = field(default_factory=dict)
    personal: dict[str, str] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    last: Entry | None = None
    uncovered_since: str | None = None


def check_database(
    database: Database,
    verifier: CheckpointReader,
    *,
    now: dt.datetime,
    anchor: str | None = None,
    stamping: Stamping = UNREAD,
) -> CheckReport:
    """Check the log in the database, which may be in use. Besides the promises of Check:

    1. No event has waited longer than a minute for its index, nor an entry for a checkpoint.
    2. Each kept personal half fits its commitment; each missing one was erased on record.
    3. Each video that is or was released names a ``video.published`` entry under a
       checkpoint, of the same video, tenant, clip id, SHA-256, size and manifest; and its
       release is on record.
    4. Each recorded release belongs to a known released video, or to one deleted or withdrawn
       on record; a withdrawn one is so for the reason on record.
    5. Each verdict and each finished stage has its event in the log or waiting for it.
    6. Each case that people closed has its ruling in the log, and each such ruling a case.
    7. A SQLite file is sound: its pages, its indexes, its constraints.

    What waits in the outbox is not under a signature yet; a change there is found only when
    the leaf is malformed or 2 to 6 contradict it.
    """
    with database.read() as session:
        if not database.is_sqlite:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        check = Check(Books(session), verifier, anchor=anchor, stamping=stamping)
        seen = _Seen()

        def watch(index: int, entry: Entry) -> None:
            _remember(seen, index, entry)
            if seen.uncovered_since is None and (
                check.newest is None or index >= check.newest.size
            ):
                seen.uncovered_since = entry.time

        check.run(watch)
        try:
            if database.is_sqlite:
                _check_file(session, check)
            _check_waiting(session, check, seen, now)
            _check_personal(session, check, seen)
            _check_released(session, check, seen)
            _check_withdrawn(session, check, seen)
            _check_origins(session, check)
            _check_ruled(session, check, seen)
        except (sa.exc.DatabaseError, TypeError, ValueError):
            # SQLite lets any value stand in any column; whoever edits the file may put it
            # there. Where one cannot even be read, nothing more can be compared.
            check.fault(FaultKind.MALFORMED, "database", UNREADABLE)
        return check.report()


def _remember(seen: _Seen, index: int, entry: Entry) -> None:
    if entry.kind == EventKind.VIDEO_PUBLISHED:
        seen.published[index] = entry
    elif entry.kind == EventKind.VIDEO_RELEASED:
        seen.released[entry.subject] = entry
    elif entry.kind == EventKind.VIDEO_RULED:
        seen.ruled.add(entry.id)
    elif entry.kind in (EventKind.VIDEO_DELETED, EventKind.VIDEO_EXPIRED):
        seen.gone.add(entry.subject)
    elif entry.kind == EventKind.VIDEO_WITHDRAWN:
        seen.gone.add(entry.subject)
        seen.withdrawn[entry.subject] = entry.facts.get("reason")
    elif entry.kind == EventKind.PERSONAL_ERASED:
        seen.erased.add(str(entry.facts.get("event")))
    if entry.personal is not None:
        seen.personal[entry.id] = entry.personal


def _check_file(session: Session, check: Check) -> None:
    # 7: an index that was changed would make later look-ups lie.
    for (text,) in session.execute(sa.text(f"PRAGMA integrity_check({MAX_DAMAGES})")):
        if text != "ok":
            check.fault(FaultKind.MALFORMED, "database", str(text))


def _check_waiting(session: Session, check: Check, seen: _Seen, now: dt.datetime) -> None:
    # 1
    limit = (now - GRACE).astimezone(dt.UTC).isoformat(timespec="microseconds")
    oldest = limit.removesuffix("+00:00") + "Z"
    if seen.uncovered_since is not None and seen.uncovered_since < oldest:
        check.fault(FaultKind.UNSIGNED, "entries", "the newest are under no checkpoint")
    for event_id, leaf in session.execute(sa.select(AuditOutbox.event_id, AuditOutbox.leaf)):
        where = f"waiting event {event_id}"
        try:
            entry = read(leaf)
        except EntryFault as fault:
            check.fault(FaultKind.MALFORMED, where, str(fault))
            continue
        if entry.id != event_id:
            check.fault(FaultKind.CHANGED, where, "the leaf is of another event")
        if entry.time < oldest:
            check.fault(FaultKind.WAITING, where, "it has no index after a minute")
        # What waits is as good as logged for the comparisons that follow.
        _remember(seen, -1, entry)


def _check_personal(session: Session, check: Check, seen: _Seen) -> None:
    # 2
    query = sa.select(AuditPersonal.event_id, AuditPersonal.record_key, AuditPersonal.record)
    for event_id, record_key, record in session.execute(query):
        half = Personal(record=record, record_key=record_key)
        if seen.personal.pop(event_id, None) != half.commitment:
            check.fault(
                FaultKind.PERSONAL, event_id, "the personal half is not the one committed to"
            )
    for event_id in seen.personal.keys() - seen.erased:
        check.fault(FaultKind.PERSONAL, event_id, "the personal half is gone without record")


def _check_released(session: Session, check: Check, seen: _Seen) -> None:
    # 3
    covered = 0 if check.newest is None else check.newest.size
    query = sa.select(
        Video.id,
        Video.tenant_id,
        Video.state,
        Video.clip_id,
        Video.sha256,
        Video.size_bytes,
        Video.manifest_id,
        Video.audit_index,
    ).where(sa.or_(Video.state == "released", Video.audit_index.is_not(None)))
    videos = {row.id: row for row in session.execute(query)}
    for video in videos.values():
        entry = seen.published.get(-1 if video.audit_index is None else video.audit_index)
        fits = (
            entry is not None
            and video.audit_index is not None
            and 0 <= video.audit_index < covered
            and (entry.subject, entry.tenant) == (video.id, video.tenant_id)
            and entry.facts.get("clip_id") == video.clip_id
            and entry.facts.get("sha256") == video.sha256
            and entry.facts.get("size_bytes", video.size_bytes) == video.size_bytes
            and entry.facts.get("manifest_id", video.manifest_id) == video.manifest_id
        )
        if not fits:
            check.fault(FaultKind.STATE, video.id, "its publication is not as the log has it")
        if video.id not in seen.released:
            check.fault(FaultKind.STATE, video.id, "its release is not on record")
    # 4
    for subject in seen.released.keys() - seen.gone:
        row = videos.get(subject)
        if row is None or row.state != "released":
            check.fault(FaultKind.STATE, subject, "it was released and is gone without record")


def _check_withdrawn(session: Session, check: Check, seen: _Seen) -> None:
    # 4
    query = sa.select(Video.id, Video.state, Video.withdrawn)
    for row in session.execute(query.where(Video.withdrawn.is_not(None))):
        if (row.state, seen.withdrawn.pop(row.id, None)) != ("deleted", row.withdrawn):
            check.fault(FaultKind.STATE, row.id, "its withdrawal is not as the log has it")
    for subject in seen.withdrawn:
        check.fault(FaultKind.STATE, subject, "it was withdrawn and its row does not say so")


def _check_origins(session: Session, check: Check) -> None:
    # 5
    for event_id in session.scalars(
        sa.select(VerdictRow.event_id).where(
            ~sa.exists().where(AuditEntryRow.event_id == VerdictRow.event_id),
            ~sa.exists().where(AuditOutbox.event_id == VerdictRow.event_id),
        )
    ):
        check.fault(FaultKind.STATE, event_id, "a verdict has no entry")
    step = StageRow.video_id + ":" + StageRow.stage + ":"
    for video_id, stage in session.execute(
        sa.select(StageRow.video_id, StageRow.stage).where(
            ~sa.exists().where(
                AuditEntryRow.subject == StageRow.video_id,
                sa.func.substr(AuditEntryRow.event_id, 1, sa.func.length(step)) == step,
            ),
            ~sa.exists().where(
                sa.func.substr(AuditOutbox.event_id, 1, sa.func.length(step)) == step
            ),
        )
    ):
        check.fault(FaultKind.STATE, f"{video_id}:{stage}", "a finished stage has no entry")


def _check_ruled(session: Session, check: Check, seen: _Seen) -> None:
    # 6
    closed = sa.select(CaseRow).where(CaseRow.outcome.in_(("allow", "refuse")))
    known = {f"{case.step}:{EventKind.VIDEO_RULED}" for case in session.scalars(closed)}
    for event_id in known - seen.ruled:
        check.fault(FaultKind.STATE, event_id, "a case is closed without a ruling on record")
    for event_id in seen.ruled - known:
        check.fault(FaultKind.STATE, event_id, "a ruling on record has no case")
