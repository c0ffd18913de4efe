"""The first schema: tenants, keys, videos, stages, verdicts, and the append-only log.

Revision: 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite. REPLACE deletes without firing a DELETE trigger, hence the ones on INSERT.
TAKEN = {
    "audit_entries": "idx = NEW.idx OR event_id = NEW.event_id",
    "audit_checkpoints": "size = NEW.size",
    "audit_tiles": "level = NEW.level AND idx = NEW.idx",
    "audit_head": "id = NEW.id",
}
CHANGED = {
    "audit_tiles": (
        "NEW.level <> OLD.level OR NEW.idx <> OLD.idx"
        " OR length(NEW.hashes) < length(OLD.hashes)"
        " OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes"
    ),
    "audit_head": "NEW.id <> OLD.id OR NEW.size < OLD.size",
}


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "audit_checkpoints",
        sa.Column(
            "size",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Leaves covered",
        ),
        sa.Column("note", sa.Text(), nullable=False, comment="C2SP signed note"),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_entries",
        sa.Column(
            "idx", sa.BigInteger(), autoincrement=False, nullable=False, comment="0-based"
        ),
        sa.Column("event_id", sa.String(length=200), nullable=False, comment="See the outbox"),
        sa.Column(
            "subject",
            sa.String(length=80),
            nullable=False,
            comment="Copy of the leaf's subject, for looking up",
        ),
        sa.Column(
            "leaf", sa.LargeBinary(), nullable=False, comment="RFC 8785 JSON, exact bytes"
        ),
        sa.PrimaryKeyConstraint("idx", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_entries_event_id")),
    )
    op.create_index(
        op.f("ix_audit_entries_subject"), "audit_entries", ["subject"], unique=False
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="Always 1"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Number of leaves"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "audit_outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column(
            "event_id",
            sa.String(length=200),
            nullable=False,
            comment="video:step:kind; makes a repeated step harmless",
        ),
        sa.Column(
            "leaf", sa.LargeBinary(), nullable=False, comment="RFC 8785 JSON of the entry"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_outbox")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_outbox_event_id")),
    )
    op.create_table(
        "audit_personal",
        sa.Column("event_id", sa.String(length=200), nullable=False, comment="Event"),
        sa.Column(
            "record_key",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="Random, per record",
        ),
        sa.Column(
            "record", sa.LargeBinary(), nullable=False, comment="RFC 8785 JSON, personal"
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_audit_personal")),
    )
    op.create_table(
        "audit_tiles",
        sa.Column(
            "level", sa.Integer(), autoincrement=False, nullable=False, comment="0 = leaf"
        ),
        sa.Column(
            "idx", sa.BigInteger(), autoincrement=False, nullable=False, comment="0-based"
        ),
        sa.Column(
            "hashes", sa.LargeBinary(), nullable=False, comment="32 bytes each, up to 256"
        ),
        sa.PrimaryKeyConstraint("level", "idx", name=op.f("pk_audit_tiles")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=40), nullable=False, comment="tnt_<hex>"),
        sa.Column("name", sa.String(length=200), nullable=False, comment="Shown to operators"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "verdicts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column(
            "subject",
            sa.String(length=80),
            nullable=False,
            comment="Video id, or request id of a refused prompt",
        ),
        sa.Column(
            "event_id", sa.String(length=200), nullable=False, comment="Event that recorded it"
        ),
        sa.Column("stage", sa.String(length=20), nullable=False, comment="prompt or frames"),
        sa.Column(
            "action", sa.String(length=10), nullable=False, comment="allow, review, block"
        ),
        sa.Column("scores", sa.JSON(), nullable=False, comment="Category → 0..1"),
        sa.Column("reasons", sa.JSON(), nullable=False, comment="Rules that spoke, with times"),
        sa.Column(
            "policy", sa.String(length=64), nullable=False, comment="SHA-256 of the policy file"
        ),
        sa.Column("judges", sa.JSON(), nullable=False, comment="name@version"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sa.UniqueConstraint("event_id", name=op.f("uq_verdicts_event_id")),
    )
    op.create_index(op.f("ix_verdicts_subject"), "verdicts", ["subject"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=8), nullable=False, comment="Public part, hex"),
        sa.Column(
            "tenant_id", sa.String(length=40), nullable=False, comment="Whose clips it reaches"
        ),
        sa.Column(
            "name", sa.String(length=200), nullable=False, comment="What the owner calls it"
        ),
        sa.Column(
            "secret_hmac",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="HMAC-SHA-256(pepper, secret)",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.Column(
            "revoked_at", sa.DateTime(timezone=True), nullable=True, comment="UTC; null = live"
        ),
        sa.Column(
            "last_used_at", sa.DateTime(timezone=True), nullable=True, comment="UTC, throttled"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_api_keys_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_tenant_id"), "api_keys", ["tenant_id"], unique=False)
    op.create_table(
        "videos",
        sa.Column("id", sa.String(length=40), nullable=False, comment="video_<32 hex>"),
        sa.Column("tenant_id", sa.String(length=40), nullable=False, comment="Owner"),
        sa.Column(
            "clip_id",
            sa.String(length=16),
            nullable=False,
            comment="Random 64-bit watermark payload, hex",
        ),
        sa.Column(
            "fingerprint",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the canonical request, for retries without a key",
        ),
        sa.Column(
            "prompt", sa.Text(), nullable=False, comment="Personal; never logged or signed"
        ),
        sa.Column("model", sa.String(length=100), nullable=False, comment="Generator name"),
        sa.Column("seconds", sa.Integer(), nullable=False, comment="Asked length"),
        sa.Column("width", sa.Integer(), nullable=False, comment="Pixels"),
        sa.Column("height", sa.Integer(), nullable=False, comment="Pixels"),
        sa.Column("seed", sa.BigInteger(), nullable=False, comment="0..2^63-1"),
        sa.Column("state", sa.String(length=20), nullable=False, comment="See the class"),
        sa.Column(
            "stage",
            sa.String(length=20),
            nullable=False,
            comment="The stage under way or last run",
        ),
        sa.Column("progress", sa.Integer(), nullable=False, comment="Percent, whole"),
        sa.Column(
            "refusal",
            sa.JSON(),
            nullable=True,
            comment="Error object shown when refused, held or failed; no score or term",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True, comment="UTC"),
        sa.Column("sha256", sa.String(length=64), nullable=True, comment="Released file, hex"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True, comment="Released file"),
        sa.Column(
            "thumbnail", sa.JSON(), nullable=True, comment="Reference to the released still"
        ),
        sa.Column(
            "watermark_ok", sa.Boolean(), nullable=True, comment="Read back from stored bytes"
        ),
        sa.Column(
            "credentials_ok", sa.Boolean(), nullable=True, comment="Trusted in the stored bytes"
        ),
        sa.Column("manifest_id", sa.String(length=200), nullable=True, comment="C2PA label"),
        sa.Column(
            "audit_index",
            sa.BigInteger(),
            nullable=True,
            comment="Log index of the publication entry, under a checkpoint",
        ),
        sa.CheckConstraint(
            "state <> 'released' OR (sha256 IS NOT NULL AND size_bytes IS NOT NULL"
            " AND watermark_ok IS TRUE AND credentials_ok IS TRUE AND audit_index IS NOT NULL)",
            name=op.f("ck_videos_released_is_marked_signed_logged"),
        ),
        sa.CheckConstraint(
            "state IN ('queued','in_progress','held','refused','failed','released','deleted')",
            name=op.f("ck_videos_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_videos_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_videos")),
        sa.UniqueConstraint("clip_id", name=op.f("uq_videos_clip_id")),
    )
    op.create_index(
        "ix_videos_fingerprint", "videos", ["tenant_id", "fingerprint"], unique=False
    )
    op.create_index(
        "ix_videos_tenant_created", "videos", ["tenant_id", "created_at"], unique=False
    )
    op.create_table(
        "stages",
        sa.Column("video_id", sa.String(length=40), nullable=False, comment="Video"),
        sa.Column("stage", sa.String(length=20), nullable=False, comment="Stage name"),
        sa.Column(
            "facts", sa.JSON(), nullable=False, comment="Digests, sizes, names; never pixels"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.id"], name=op.f("fk_stages_video_id_videos")
        ),
        sa.PrimaryKeyConstraint("video_id", "stage", name=op.f("pk_stages")),
    )
    op.execute("INSERT INTO audit_head (id, size) VALUES (1, 0)")
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    """Go back to nothing. The triggers go with their tables."""
    op.drop_table("stages")
    op.drop_index("ix_videos_tenant_created", table_name="videos")
    op.drop_index("ix_videos_fingerprint", table_name="videos")
    op.drop_table("videos")
    op.drop_index(op.f("ix_api_keys_tenant_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index(op.f("ix_verdicts_subject"), table_name="verdicts")
    op.drop_table("verdicts")
    op.drop_table("tenants")
    op.drop_table("audit_tiles")
    op.drop_table("audit_personal")
    op.drop_table("audit_outbox")
    op.drop_table("audit_head")
    op.drop_index(op.f("ix_audit_entries_subject"), table_name="audit_entries")
    op.drop_table("audit_entries")
    op.drop_table("audit_checkpoints")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_refuse()")


def _guard_sqlite() -> None:
    """Entries and checkpoints are written once; tiles and the size only grow."""
    for table, taken in TAKEN.items():
        refuse = f"SELECT RAISE(ABORT, '{table} is append-only')"
        changed = CHANGED.get(table, "1")
        for name, event, condition in (
            ("insert", "INSERT", f"EXISTS (SELECT 1 FROM {table} WHERE {taken})"),  # noqa: S608
            ("update", "UPDATE", changed),
            ("delete", "DELETE", "1"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table}"
                f" WHEN {condition} BEGIN {refuse}; END"
            )


def _guard_postgresql() -> None:
    """The same, with one function. A superuser can still drop it: see docs/audit.md."""
    op.execute(
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in TAKEN:
        op.execute(
            f"CREATE TRIGGER {table}_delete BEFORE DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        changed = CHANGED.get(table)
        each = f"FOR EACH ROW WHEN ({changed})" if changed else "FOR EACH STATEMENT"
        op.execute(
            f"CREATE TRIGGER {table}_update BEFORE UPDATE ON {table}"
            f" {each} EXECUTE FUNCTION audit_refuse()"
        )
