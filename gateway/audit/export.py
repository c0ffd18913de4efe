"""The export: the log as static files that anybody can check, host or mirror."""

from __future__ import annotations

import shutil
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.books import Books
from gateway.audit.checkpoint import Checkpoint, CheckpointFault, CheckpointReader
from gateway.audit.entry import EventKind, read
from gateway.audit.folder import (
    CHECKPOINT,
    VERIFIER_KEY,
    bundle_path,
    head_path,
    pack,
    stamp_path,
    tile_path,
)
from gateway.audit.handover import LOG
from gateway.audit.merkle import HASH_BYTES, TILE_WIDTH, tile_widths
from gateway.db import Database
from gateway.errors import ConfigurationFault, Conflict, NotFound
from gateway.tables import AuditAnchor, AuditCheckpoint, AuditEntryRow


def export(database: Database, verifier: CheckpointReader, folder: Path) -> Checkpoint:
    """Write the log up to its newest checkpoint into a new folder (see ``folder``).

    The folder appears whole or not at all. It holds leaves only: no personal half. Raises
    NotFound before the first checkpoint, Conflict when the folder exists, and
    ConfigurationFault when it cannot be written or the checkpoint is not of this log.
    """
    if folder.exists():
        raise Conflict("The folder for the export exists already.")
    draft = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        with database.read() as session:
            head = _newest(session, verifier)
            _write(session, head, draft)
            _write_heads(session, head, draft)
        _put(draft, VERIFIER_KEY, f"{verifier.text}\n".encode())
        _put(draft, CHECKPOINT, head.note.encode())
        draft.rename(folder)
    except OSError as fault:
        raise ConfigurationFault("The export cannot be written there.") from fault
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return head


def _newest(session: Session, verifier: CheckpointReader) -> Checkpoint:
    note = session.scalar(
        sa.select(AuditCheckpoint.note).order_by(AuditCheckpoint.size.desc()).limit(1)
    )
    if note is None:
        raise NotFound("The log has no checkpoint yet.")
    try:
        return verifier.open(note)
    except CheckpointFault as fault:
        raise ConfigurationFault("The checkpoint is not signed by this key.") from fault


def _write(session: Session, head: Checkpoint, draft: Path) -> None:
    books = Books(session)
    for level, index, width in tile_widths(head.size):
        # The tree may have grown since; a tile only ever gets longer.
        hashes = books.tile(level, index, width)[: width * HASH_BYTES]
        _put(draft, tile_path(level, index, width), hashes)
    for start in range(0, head.size, TILE_WIDTH):
        end = min(start + TILE_WIDTH, head.size)
        leaves = session.scalars(
            sa.select(AuditEntryRow.leaf)
            .where(AuditEntryRow.index >= start, AuditEntryRow.index < end)
            .order_by(AuditEntryRow.index)
        ).all()
        _put(draft, bundle_path(start // TILE_WIDTH, end - start), pack(leaves))


def _write_heads(session: Session, head: Checkpoint, draft: Path) -> None:
    """Earlier heads: those that lead from one key to the next, and those that were stamped."""
    said = sa.select(AuditEntryRow.index, AuditEntryRow.leaf)
    own = said.where(AuditEntryRow.subject == LOG, AuditEntryRow.index < head.size)
    for index, leaf in session.execute(own).all():
        entry = read(leaf)
        if entry.kind in (EventKind.LOG_KEY_ADDED, EventKind.LOG_KEY_RETIRED):
            _write_head(session, AuditCheckpoint.size > index, head, draft)
        elif entry.kind == EventKind.CHECKPOINT_ANCHORED:
            size = entry.facts["size"]
            _write_head(session, AuditCheckpoint.size == size, head, draft)
            stamps = sa.select(AuditAnchor.size, AuditAnchor.reply)
            for stamp in session.execute(stamps.where(AuditAnchor.size == size)):
                _put(draft, stamp_path(stamp.size), stamp.reply)


def _write_head(
    session: Session, which: sa.ColumnElement[bool], newest: Checkpoint, draft: Path
) -> None:
    kept = sa.select(AuditCheckpoint.size, AuditCheckpoint.note)
    first = session.execute(kept.where(which).order_by(AuditCheckpoint.size).limit(1)).first()
    # The newest one has its own place.
    if first is not None and first.size < newest.size:
        _put(draft, head_path(first.size), first.note.encode())


def _put(draft: Path, name: str, content: bytes) -> None:
    path = draft / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
