"""Who asks for clips, the requests, and what their stages gave."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from gateway.tables.base import Table, UtcTime


class Tenant(Table):
    """An organisation or person whose clips nobody else sees."""

    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="tnt_<hex>")
    name: Mapped[str] = mapped_column(sa.String(200), unique=True, comment="Shown to operators")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    audience: Mapped[str] = mapped_column(
        sa.String(20),
        default="public",
        server_default="public",
        comment="How far vetted; an unknown word counts as public",
    )
    region: Mapped[str | None] = mapped_column(
        sa.String(2), comment="ISO 3166-1 alpha-2; null: in every region"
    )


class ApiKey(Table):
    """A bearer key. The secret itself is never stored."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(sa.String(8), primary_key=True, comment="Public part, hex")
    tenant_id: Mapped[str] = mapped_column(
        sa.ForeignKey("tenants.id"), index=True, comment="Whose clips it reaches"
    )
    name: Mapped[str] = mapped_column(sa.String(200), comment="What the owner calls it")
    secret_hmac: Mapped[bytes] = mapped_column(
        sa.LargeBinary(32), comment="HMAC-SHA-256(pepper, secret)"
    )
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    revoked_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")
    last_used_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC, throttled")


class Video(Table):
    """One accepted request and what became of it.

    States: queued, in_progress, held, refused, failed, released, deleted. The constraint is
    the one law in the database: released needs both marks read back and a log index.
    """

    __tablename__ = "videos"
    __table_args__ = (
        sa.CheckConstraint(
            "state <> 'released' OR (sha256 IS NOT NULL AND size_bytes IS NOT NULL"
            " AND watermark_ok IS TRUE AND credentials_ok IS TRUE AND audit_index IS NOT NULL)",
            name="released_is_marked_signed_logged",
        ),
        sa.CheckConstraint(
            "state IN ('queued','in_progress','held','refused','failed','released','deleted')",
            name="state_known",
        ),
        sa.Index("ix_videos_tenant_created", "tenant_id", "created_at"),
        sa.Index("ix_videos_waiting", "state", "tenant_id", "turn"),
        sa.Index("ix_videos_fingerprint", "tenant_id", "fingerprint"),
        sa.Index("ix_videos_manifest_id", "manifest_id"),
    )
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="video_<32 hex>")
    tenant_id: Mapped[str] = mapped_column(sa.ForeignKey("tenants.id"), comment="Owner")
    key_id: Mapped[str | None] = mapped_column(
        sa.String(40), comment="Key that asked; null: unknown"
    )
    clip_id: Mapped[str] = mapped_column(
        sa.String(16), unique=True, comment="Random 64-bit watermark payload, hex"
    )
    fingerprint: Mapped[str] = mapped_column(
        sa.String(64), comment="SHA-256 of the canonical request, for retries without a key"
    )
    prompt: Mapped[str] = mapped_column(sa.Text, comment="Personal; never logged or signed")
    negative_prompt: Mapped[str] = mapped_column(
        sa.Text,
        default="",
        server_default="",
        comment="What the clip must not show; personal, never logged or signed",
    )
    title: Mapped[str] = mapped_column(
        sa.Text,
        default="",
        server_default="",
        comment="What the creator calls the clip; personal",
    )
    project: Mapped[str | None] = mapped_column(
        sa.String(100), comment="Whose consent and licence records"
    )
    remixed_from: Mapped[str | None] = mapped_column(
        sa.String(40), comment="Video that this one changes"
    )
    lineage: Mapped[list[str] | None] = mapped_column(
        sa.JSON(none_as_null=True),
        comment="Prompts that this one changes, oldest first; personal",
    )
    rewrite_of: Mapped[str | None] = mapped_column(
        sa.String(80), comment="Refused request whose offered wording this is"
    )
    model: Mapped[str] = mapped_column(sa.String(100), comment="Generator name")
    seconds: Mapped[int] = mapped_column(comment="Asked length")
    width: Mapped[int] = mapped_column(comment="Pixels")
    height: Mapped[int] = mapped_column(comment="Pixels")
    seed: Mapped[int] = mapped_column(sa.BigInteger, comment="0..2^63-1")
    state: Mapped[str] = mapped_column(sa.String(20), comment="See the class")
    stage: Mapped[str] = mapped_column(sa.String(20), comment="The stage under way or last run")
    progress: Mapped[int] = mapped_column(default=0, comment="Percent, whole")
    refusal: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON, comment="Error object shown when refused, held or failed; no score or term"
    )
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    completed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC")
    withdrawn: Mapped[str | None] = mapped_column(
        sa.String(40), comment="Why it was taken back; its state is deleted then"
    )
    withdrawn_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC, with it")
    sha256: Mapped[str | None] = mapped_column(sa.String(64), comment="Released file, hex")
    size_bytes: Mapped[int | None] = mapped_column(sa.BigInteger, comment="Released file")
    thumbnail: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON, comment="Reference to the released still"
    )
    watermark_ok: Mapped[bool | None] = mapped_column(comment="Read back from stored bytes")
    credentials_ok: Mapped[bool | None] = mapped_column(comment="Trusted in the stored bytes")
    manifest_id: Mapped[str | None] = mapped_column(sa.String(200), comment="C2PA label")
    audit_index: Mapped[int | None] = mapped_column(
        sa.BigInteger, comment="Log index of the publication entry, under a checkpoint"
    )
    claim: Mapped[str | None] = mapped_column(
        sa.String(32), comment="Who works on it now: random, new with each take-over"
    )
    turn: Mapped[int] = mapped_column(
        default=1,
        server_default="1",
        comment="Place in the queue, lowest first; not unique",
    )
    run: Mapped[int] = mapped_column(
        default=0, server_default="0", comment="How often it was put back in the queue"
    )
    tries: Mapped[int] = mapped_column(
        default=0,
        server_default="0",
        comment="Interruptions since a stage last gave something",
    )


class ChoreRow(Table):
    """Work that all workers together do once in a while."""

    __tablename__ = "chores"
    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="Which")
    due: Mapped[float] = mapped_column(
        sa.Double, comment="Next time, seconds since 1970 by the database's clock"
    )


class WorkerRow(Table):
    """A living worker. A row whose time is over is a dead or frozen one's."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="worker-<16 hex>")
    place: Mapped[str] = mapped_column(sa.String(200), comment="Host and process, for people")
    expires: Mapped[float] = mapped_column(
        sa.Double, comment="Seconds since 1970 by the database's clock"
    )


class StageRow(Table):
    """What a stage gave for one video: written once, in the transaction of its audit entry.

    A stage that runs again after a crash finds its row and does nothing.
    """

    __tablename__ = "stages"
    video_id: Mapped[str] = mapped_column(
        sa.ForeignKey("videos.id"), primary_key=True, comment="Video"
    )
    stage: Mapped[str] = mapped_column(sa.String(20), primary_key=True, comment="Stage name")
    facts: Mapped[dict[str, Any]] = mapped_column(
        sa.JSON, comment="Digests, sizes, names; never pixels"
    )
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")


class VerdictRow(Table):
    """A verdict as it was given; scores stay here and never leave."""

    __tablename__ = "verdicts"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subject: Mapped[str] = mapped_column(
        sa.String(80), index=True, comment="Video id, or request id of a refused prompt"
    )
    event_id: Mapped[str] = mapped_column(
        sa.String(200), unique=True, comment="Event that recorded it"
    )
    stage: Mapped[str] = mapped_column(sa.String(20), comment="prompt or frames")
    action: Mapped[str] = mapped_column(sa.String(10), comment="allow, review, block")
    scores: Mapped[dict[str, Any]] = mapped_column(sa.JSON, comment="Category → 0..1")
    reasons: Mapped[list[Any]] = mapped_column(sa.JSON, comment="Rules that spoke, with times")
    policy: Mapped[str] = mapped_column(sa.String(64), comment="SHA-256 of the policy file")
    judges: Mapped[list[Any]] = mapped_column(sa.JSON, comment="name@version")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    circumstances: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON(none_as_null=True), comment="Audience, region and time it was given for"
    )
    shadow: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON(none_as_null=True), comment="Policy on trial and its action; decides nothing"
    )
