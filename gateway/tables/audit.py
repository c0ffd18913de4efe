"""The audit log: an outbox, the entries, their tree and its signed heads."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from gateway.tables.base import Table


class AuditOutbox(Table):
    """Events written in the transaction of their fact, waiting for an index."""

    __tablename__ = "audit_outbox"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(
        sa.String(200), unique=True, comment="video:step:kind; makes a repeated step harmless"
    )
    leaf: Mapped[bytes] = mapped_column(sa.LargeBinary, comment="RFC 8785 JSON of the entry")


class AuditEntryRow(Table):
    """A sequenced leaf. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "audit_entries"
    index: Mapped[int] = mapped_column(
        "idx", sa.BigInteger, primary_key=True, autoincrement=False, comment="0-based"
    )
    event_id: Mapped[str] = mapped_column(sa.String(200), unique=True, comment="See the outbox")
    subject: Mapped[str] = mapped_column(
        sa.String(80), index=True, comment="Copy of the leaf's subject, for looking up"
    )
    leaf: Mapped[bytes] = mapped_column(sa.LargeBinary, comment="RFC 8785 JSON, exact bytes")


class AuditTile(Table):
    """A tile of the RFC 6962 tree: up to 256 hashes of one level. Grows, never changes."""

    __tablename__ = "audit_tiles"
    level: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="0 = leaf"
    )
    index: Mapped[int] = mapped_column(
        "idx", sa.BigInteger, primary_key=True, autoincrement=False, comment="0-based"
    )
    hashes: Mapped[bytes] = mapped_column(sa.LargeBinary, comment="32 bytes each, up to 256")


class AuditHead(Table):
    """The committed size of the tree; one row, the sequencer's lock."""

    __tablename__ = "audit_head"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="Always 1")
    size: Mapped[int] = mapped_column(sa.BigInteger, comment="Number of leaves")


class AuditCheckpoint(Table):
    """A signed tree head (C2SP note). Triggers refuse UPDATE and DELETE."""

    __tablename__ = "audit_checkpoints"
    size: Mapped[int] = mapped_column(
        sa.BigInteger, primary_key=True, autoincrement=False, comment="Leaves covered"
    )
    note: Mapped[str] = mapped_column(sa.Text, comment="C2SP signed note")


class AuditAnchor(Table):
    """The stamp of an outside authority on a head. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "audit_anchors"
    size: Mapped[int] = mapped_column(
        sa.BigInteger, primary_key=True, autoincrement=False, comment="Of the head"
    )
    reply: Mapped[bytes] = mapped_column(
        sa.LargeBinary, comment="RFC 3161 TimeStampResp over the head's note, DER"
    )


class AuditPersonal(Table):
    """The personal half of an event; deleting the row makes its commitment unlinkable."""

    __tablename__ = "audit_personal"
    event_id: Mapped[str] = mapped_column(sa.String(200), primary_key=True, comment="Event")
    record_key: Mapped[bytes] = mapped_column(sa.LargeBinary(32), comment="Random, per record")
    record: Mapped[bytes] = mapped_column(sa.LargeBinary, comment="RFC 8785 JSON, personal")
