"""Keys of retries and buckets of a rate.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.String(length=40), nullable=False, comment="Whose key it is"),
        sa.Column(
            "key", sa.String(length=255), nullable=False, comment="As the client sent it"
        ),
        sa.Column(
            "asked",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the canonical request that it stands for",
        ),
        sa.Column("video_id", sa.String(length=40), nullable=True, comment="Null when refused"),
        sa.Column(
            "refusal",
            sa.JSON(),
            nullable=True,
            comment="Error object of a refusal; no score or term",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_idempotency_keys_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "rate_buckets",
        sa.Column("id", sa.String(length=80), nullable=False, comment="key:… or tenant:…"),
        sa.Column("tokens", sa.Double(), nullable=False, comment="Requests left at that time"),
        sa.Column(
            "at",
            sa.Double(),
            nullable=False,
            comment="Seconds since 1970 by the database's clock",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_buckets")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("rate_buckets")
    op.drop_table("idempotency_keys")
