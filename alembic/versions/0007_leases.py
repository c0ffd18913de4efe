"""Leases of workers, and who works on which clip.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=40), nullable=False, comment="worker-<16 hex>"),
        sa.Column(
            "place",
            sa.String(length=200),
            nullable=False,
            comment="Host and process, for people",
        ),
        sa.Column(
            "expires",
            sa.Double(),
            nullable=False,
            comment="Seconds since 1970 by the database's clock",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.add_column(
        "videos",
        sa.Column(
            "claim",
            sa.String(length=32),
            nullable=True,
            comment="Who works on it now: random, new with each take-over",
        ),
    )


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("videos") as batch:
        batch.drop_column("claim")
    op.drop_table("workers")
