"""A released clip can be withdrawn for a reason.

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column(
        "videos",
        sa.Column(
            "withdrawn",
            sa.String(length=40),
            nullable=True,
            comment="Why it was taken back; its state is deleted then",
        ),
    )


def downgrade() -> None:
    """Go back. Withdrawn clips are deleted ones then; the log still says why."""
    op.drop_column("videos", "withdrawn")
