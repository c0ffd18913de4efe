"""The tables, as SQLAlchemy 2 mappings. Stored values are for ever: append, never rename."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcTime(sa.TypeDecorator[dt.datetime]):
    """A UTC-aware time on every database; refuses naive values."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, _dialect: Any) -> Any:
        """Turn an aware time into UTC; a naive one is an error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A stored time must carry a time zone.")
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: Any, _dialect: Any) -> dt.datetime | None:
        """Give the time back as UTC-aware."""
        if value is None:
            return None
        aware: dt.datetime = (
            value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
        )
        return aware


class Table(DeclarativeBase):
    """The parent of every mapping; holds the naming of constraints."""

    metadata = sa.MetaData(naming_convention=NAMING)


def _one_live(name: str, *columns: str) -> sa.Index:
    """At most one row that was not removed for the same values."""
    live = sa.text("removed_at IS NULL")
    return sa.Index(name, *columns, unique=True, sqlite_where=live, postgresql_where=live)


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
        sa.Index("ix_videos_fingerprint", "tenant_id", "fingerprint"),
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


class AuditPersonal(Table):
    """The personal half of an event; deleting the row makes its commitment unlinkable."""

    __tablename__ = "audit_personal"
    event_id: Mapped[str] = mapped_column(sa.String(200), primary_key=True, comment="Event")
    record_key: Mapped[bytes] = mapped_column(sa.LargeBinary(32), comment="Random, per record")
    record: Mapped[bytes] = mapped_column(sa.LargeBinary, comment="RFC 8785 JSON, personal")


class ProtectedNameRow(Table):
    """A name that the operator protects, beside the shipped lists. Removed ones stay."""

    __tablename__ = "protected_names"
    __table_args__ = (_one_live("uq_protected_names_live", "category", "subject"),)
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="name_<16 hex>")
    category: Mapped[str] = mapped_column(sa.String(40), comment="Whose list it extends")
    subject: Mapped[str] = mapped_column(sa.String(80), comment="Id in that list")
    name: Mapped[str] = mapped_column(sa.String(200), comment="May be personal; never logged")
    aliases: Mapped[list[str]] = mapped_column(sa.JSON, comment="Further spellings")
    certain: Mapped[bool] = mapped_column(comment="False: also means something else")
    neutral: Mapped[str] = mapped_column(sa.String(200), comment="What a rewrite says instead")
    note: Mapped[str] = mapped_column(sa.Text, comment="Why, for operators")
    added_by: Mapped[str] = mapped_column(sa.String(200), comment="Who added it")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")


class HashListRow(Table):
    """The hashes of one category in one list of an operator, as one version of it.

    A change ends the row, which then loses its hashes, and adds another.
    """

    __tablename__ = "hash_lists"
    __table_args__ = (_one_live("uq_hash_lists_live", "name", "category"),)
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="list_<16 hex>")
    name: Mapped[str] = mapped_column(sa.String(80), comment="What operators call the list")
    category: Mapped[str] = mapped_column(sa.String(40), comment="What a match is scored as")
    size: Mapped[int] = mapped_column(comment="Number of hashes")
    version: Mapped[str] = mapped_column(
        sa.String(64), comment="HMAC-SHA-256(salt, hashes), hex; tells nothing of them"
    )
    salt: Mapped[bytes] = mapped_column(sa.LargeBinary(32), comment="Random; secret")
    hashes: Mapped[bytes] = mapped_column(
        sa.LargeBinary, deferred=True, comment="32 bytes each, sorted; secret, never logged"
    )
    references: Mapped[list[str] | None] = mapped_column(
        "refs",
        sa.JSON(none_as_null=True),
        deferred=True,
        comment="What the source calls each hash, in their order; never logged",
    )
    note: Mapped[str] = mapped_column(sa.Text, comment="Source and why, for operators")
    added_by: Mapped[str] = mapped_column(sa.String(200), comment="Who added it")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")


class EnrolledFaceRow(Table):
    """A person who is recognised by their face. Ending it erases the templates."""

    __tablename__ = "enrolled_faces"
    __table_args__ = (_one_live("uq_enrolled_faces_live", "category", "subject"),)
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="face_<16 hex>")
    category: Mapped[str] = mapped_column(sa.String(40), comment="What a match is scored as")
    subject: Mapped[str] = mapped_column(sa.String(80), comment="Whose consents lift a match")
    pictures: Mapped[int] = mapped_column(comment="Number of templates")
    templates: Mapped[bytes] = mapped_column(
        sa.LargeBinary,
        deferred=True,
        comment="safety.likeness.packed; biometric, never logged; empty when ended",
    )
    evidence_sha256: Mapped[str] = mapped_column(sa.String(64), comment="Of the document, hex")
    evidence_reference: Mapped[str] = mapped_column(
        sa.String(400), comment="Where the document is kept"
    )
    enrolled_by: Mapped[str] = mapped_column(sa.String(200), comment="Who enrolled")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")


class Consent(Table):
    """A record that somebody agreed: a person, an owner of rights, an artist.

    It lifts the rule of ``category`` for ``subject``, for one tenant, in one project or all,
    from ``valid_from`` until ``valid_to`` (not included) or until it is revoked.
    """

    __tablename__ = "consents"
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="rec_<16 hex>")
    category: Mapped[str] = mapped_column(sa.String(40), comment="Whose rule it lifts")
    subject: Mapped[str] = mapped_column(sa.String(80), comment="Id in the list of names")
    tenant_id: Mapped[str] = mapped_column(
        sa.ForeignKey("tenants.id"), index=True, comment="For whom"
    )
    project: Mapped[str | None] = mapped_column(sa.String(100), comment="Null: every project")
    scope: Mapped[str] = mapped_column(sa.Text, comment="What was agreed, in words")
    evidence_sha256: Mapped[str] = mapped_column(sa.String(64), comment="Of the document, hex")
    evidence_reference: Mapped[str] = mapped_column(
        sa.String(400), comment="Where the document is kept"
    )
    valid_from: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    valid_to: Mapped[dt.datetime | None] = mapped_column(
        UtcTime, comment="UTC, not included; null: until revoked"
    )
    recorded_by: Mapped[str] = mapped_column(sa.String(200), comment="Who recorded it")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    revoked_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")
