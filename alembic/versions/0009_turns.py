"""Whose turn it is, how often a job was tried, and work that is done once in a while.

Revision: 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = {
    "turn": ("1", "Place in the queue, lowest first; not unique"),
    "run": ("0", "How often it was put back in the queue"),
    "tries": ("0", "Interruptions since a stage last gave something"),
}


def upgrade() -> None:
    """Go forward."""
    for name, (default, comment) in COLUMNS.items():
        column = sa.Column(
            name, sa.Integer(), server_default=default, nullable=False, comment=comment
        )
        op.add_column("videos", column)
    op.create_index("ix_videos_waiting", "videos", ["state", "tenant_id", "turn"])
    op.create_table(
        "chores",
        sa.Column("name", sa.String(length=40), nullable=False, comment="Which"),
        sa.Column(
            "due",
            sa.Double(),
            nullable=False,
            comment="Next time, seconds since 1970 by the database's clock",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chores")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("chores")
    op.drop_index("ix_videos_waiting", table_name="videos")
    with op.batch_alter_table("videos") as batch:
        for name in reversed(COLUMNS):
            batch.drop_column(name)
