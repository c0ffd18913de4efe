"""The log in the database: events go in with their fact, come out proven."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit import merkle, rows
from gateway.audit.checkpoint import Checkpoint, CheckpointFault, CheckpointSigner
from gateway.audit.entry import Entry, Event, EventKind, leaf, personal_half, read
from gateway.audit.receipt import Receipt
from gateway.audit.rows import SqlTiles
from gateway.db import Database
from gateway.errors import ConfigurationFault, Conflict, NotFound
from gateway.tables import (
    AuditCheckpoint,
    AuditEntryRow,
    AuditHead,
    AuditOutbox,
    AuditPersonal,
)

BATCH = 1_000
MAX_LISTED = 1_000

Clock = Callable[[], dt.datetime]


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """An entry with its place in the log and its exact bytes."""

    index: int
    leaf: bytes
    entry: Entry


class AuditLog(Protocol):
    """The seam between the business code and the log."""

    def record(self, session: Session, event: Event) -> None:
        """Write the event in the caller's transaction; see SqlAuditLog."""

    def sequence(self) -> int:
        """Give waiting events their index and sign the new head; return how many."""

    def index_of(self, event_id: str) -> int | None:
        """The index of an event, or None while it waits."""

    def covered(self, event_id: str) -> int | None:
        """The index of an event that a signed checkpoint covers, or None."""

    def checkpoint(self) -> Checkpoint | None:
        """The newest signed head."""

    def inclusion(self, event_id: str) -> Receipt:
        """A receipt that stands without the gateway."""


class SqlAuditLog:
    """The log on SQLite or PostgreSQL.

    ``record`` writes to an outbox inside the caller's transaction: fact and event become
    durable together or not at all. ``sequence`` moves waiting events into the tree, commits,
    and only then signs the committed size. Any number of processes may do so at once.
    """

    def __init__(self, database: Database, signer: CheckpointSigner, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock

    def record(self, session: Session, event: Event) -> None:
        """Add the event to the caller's transaction.

        The same statement under the same id again, at any later time, is harmless: the
        first one stays. A *different* statement (kind, subject, tenant, facts or personal
        half) under a known id raises Conflict, so that no state is stored that the log
        contradicts; the caller's transaction must then be rolled back.
        """
        half = personal_half(event)
        commitment = None if half is None else half.commitment
        written = leaf(event, self._clock(), commitment=commitment)
        added = rows.add_waiting(session, event.id, written)
        # Asked after the insert: on PostgreSQL it may have waited for a sequencer that was
        # just moving the earlier event into the log.
        earlier = rows.logged_leaf(session, event.id)
        if earlier is None and added:
            if half is not None:
                rows.add_personal(session, event.id, half.record_key, half.record)
            return
        if earlier is None:
            # The sequencer may move it between the two questions, never back.
            earlier = rows.waiting_leaf(session, event.id) or rows.logged_leaf(
                session, event.id
            )
        elif added:
            session.execute(sa.delete(AuditOutbox).where(AuditOutbox.event_id == event.id))
        kept = session.scalar(
            sa.select(AuditPersonal.record).where(AuditPersonal.event_id == event.id)
        )
        # An erased personal half can no longer be compared.
        same_person = kept is None or (half is not None and half.record == kept)
        if (
            earlier is not None
            and same_person
            and read(earlier).statement == read(written).statement
        ):
            return
        raise Conflict("The log already holds another statement under this event id.")

    def erase(self, session: Session, event_id: str) -> None:
        """Delete the personal half of an event and its key, and record that it was done.

        What remains in the log is random data that nobody can link to the person.
        """
        found = session.scalar(
            sa.select(AuditPersonal.event_id)
            .where(AuditPersonal.event_id == event_id)
            .with_for_update()
        )
        if found is None:
            raise NotFound("There is no personal half under this event id.")
        session.execute(sa.delete(AuditPersonal).where(AuditPersonal.event_id == event_id))
        subject = event_id.partition(":")[0]
        self.record(
            session,
            Event(
                id=f"{event_id}:{EventKind.PERSONAL_ERASED}",
                kind=EventKind.PERSONAL_ERASED,
                subject=subject,
                facts={"event": event_id},
            ),
        )

    def sequence(self) -> int:
        """Move one batch of waiting events into the tree and sign the head.

        1. In one transaction, under the head's lock: read up to BATCH waiting events, give
           them the next indices, grow the tiles, store the size, delete exactly the rows
           that were read.
        2. After that commit, and outside any transaction: sign the committed size. A note
           signed inside a transaction that rolls back could contradict a later one.
        3. Publish the note.

        Returns the number of events moved. A failure in 2 raises and leaves the entries
        without a checkpoint: nothing counts as covered, and the next call signs them.
        """
        added = self._append() if self._has_waiting() else 0
        self._publish()
        return added

    def index_of(self, event_id: str) -> int | None:
        """The index of an event, or None while it waits. An index alone proves nothing."""
        with self._database.read() as session:
            return session.scalar(
                sa.select(AuditEntryRow.index).where(AuditEntryRow.event_id == event_id)
            )

    def covered(self, event_id: str) -> int | None:
        """The index of an event proven to be under a signed checkpoint, or None.

        The signature and the path from the stored leaf to the signed root are checked each
        time. Raises ConfigurationFault when they do not hold.
        """
        found = self._receipt(event_id)
        return None if found is None else found.index

    def checkpoint(self) -> Checkpoint | None:
        """The newest signed head, or None before the first. Its signature was checked."""
        with self._database.read() as session:
            return self._newest(session)

    def inclusion(self, event_id: str) -> Receipt:
        """The receipt of an event. Raises NotFound until a checkpoint covers it."""
        found = self._receipt(event_id)
        if found is None:
            raise NotFound("The log has no signed entry under this event id.")
        return found

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """The proof that the newest head extends the tree of ``old`` leaves."""
        with self._database.read() as session:
            newest = self._newest(session)
            if newest is None or not 0 <= old <= newest.size:
                raise NotFound("The log has no such size.")
            return merkle.consistency_proof(SqlTiles(session), old, newest.size)

    def entries(
        self, *, subject: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[AuditEntry, ...]:
        """Entries, newest first; ``before`` is an index to continue from."""
        query = sa.select(AuditEntryRow.index, AuditEntryRow.leaf)
        if subject is not None:
            query = query.where(AuditEntryRow.subject == subject)
        if before is not None:
            query = query.where(AuditEntryRow.index < before)
        query = query.order_by(AuditEntryRow.index.desc()).limit(min(limit, MAX_LISTED))
        with self._database.read() as session:
            found = session.execute(query).all()
        return tuple(AuditEntry(index=i, leaf=text, entry=read(text)) for i, text in found)

    def _has_waiting(self) -> bool:
        with self._database.read() as session:
            return session.scalar(sa.select(AuditOutbox.id).limit(1)) is not None

    def _append(self) -> int:
        with self._database.write() as session:
            size = rows.locked_size(session)
            waiting = session.execute(
                sa.select(AuditOutbox.id, AuditOutbox.event_id, AuditOutbox.leaf)
                .order_by(AuditOutbox.id)
                .limit(BATCH)
            ).all()
            if not waiting:
                return 0
            new = [
                {
                    "index": size + offset,
                    "event_id": row.event_id,
                    "subject": read(row.leaf).subject,
                    "leaf": row.leaf,
                }
                for offset, row in enumerate(waiting)
            ]
            tiles = SqlTiles(session)
            hashes_of = [merkle.leaf_hash(row.leaf) for row in waiting]
            try:
                grown = merkle.grown_tiles(tiles, size, hashes_of)
            except merkle.TreeFault as fault:
                raise ConfigurationFault("The log's tree is damaged.") from fault
            session.execute(sa.insert(AuditEntryRow), new)
            for (level, index), hashes in grown.items():
                rows.put_tile(
                    session, level, index, hashes, is_new=not tiles.tile(level, index)
                )
            session.execute(
                sa.update(AuditHead)
                .where(AuditHead.id == rows.HEAD)
                .values(size=size + len(new))
            )
            # Exactly the rows that were read, never "all up to": on PostgreSQL a row with a
            # smaller id may be committed later.
            session.execute(
                sa.delete(AuditOutbox).where(AuditOutbox.id.in_([row.id for row in waiting]))
            )
            return len(new)

    def _publish(self) -> None:
        with self._database.read() as session:
            size = (
                session.scalar(sa.select(AuditHead.size).where(AuditHead.id == rows.HEAD)) or 0
            )
            published = session.scalar(sa.select(sa.func.max(AuditCheckpoint.size))) or 0
            if size <= published:
                return
            # The tree must still be the one that was signed last; two notes that contradict
            # each other must never exist.
            newest = self._newest(session)
            tiles = SqlTiles(session)
            if newest is not None and self._root(tiles, newest.size) != newest.root:
                raise ConfigurationFault("The log no longer matches its last checkpoint.")
            root = self._root(tiles, size)
        note = self._signer.sign(size, root)
        signed = self._opened(note)
        if (signed.size, signed.root) != (size, root):
            raise ConfigurationFault("The log's signer signed something else.")
        with self._database.write() as session:
            rows.locked_size(session)
            published = session.scalar(sa.select(sa.func.max(AuditCheckpoint.size))) or 0
            if size > published:
                session.execute(sa.insert(AuditCheckpoint).values(size=size, note=note))

    def _receipt(self, event_id: str) -> Receipt | None:
        with self._database.read() as session:
            row = session.execute(
                sa.select(AuditEntryRow.index, AuditEntryRow.leaf).where(
                    AuditEntryRow.event_id == event_id
                )
            ).one_or_none()
            newest = self._newest(session)
            if row is None or newest is None:
                return None
            index, written = row
            if index >= newest.size:
                return None
            try:
                receipt = Receipt(
                    index=index,
                    leaf=written,
                    proof=merkle.inclusion_proof(SqlTiles(session), index, newest.size),
                    checkpoint=newest.note,
                )
                if receipt.verify(self._signer.verifier).id == event_id:
                    return receipt
            except (ValueError, TypeError) as fault:
                # TypeError: SQLite lets text stand where bytes should.
                raise ConfigurationFault("The log does not match its checkpoint.") from fault
        raise ConfigurationFault("The log holds the entry under another name.")

    def _newest(self, session: Session) -> Checkpoint | None:
        row = session.execute(
            sa.select(AuditCheckpoint.size, AuditCheckpoint.note)
            .order_by(AuditCheckpoint.size.desc())
            .limit(1)
        ).one_or_none()
        if row is None:
            return None
        found = self._opened(row.note)
        if found.size != row.size:
            raise ConfigurationFault("The log's last checkpoint is stored under another size.")
        return found

    def _opened(self, note: str) -> Checkpoint:
        try:
            return self._signer.verifier.open(note)
        except CheckpointFault as fault:
            raise ConfigurationFault(
                "The log's last checkpoint is not signed by the key of this gateway."
            ) from fault

    @staticmethod
    def _root(tiles: SqlTiles, size: int) -> bytes:
        try:
            return merkle.root(tiles, size)
        except merkle.TreeFault as fault:
            raise ConfigurationFault("The log's tree is damaged.") from fault
