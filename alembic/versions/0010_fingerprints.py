"""Fingerprints of released clips, in the order in which they came and went.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. Clips that were released before get theirs from a chore."""
    op.create_table(
        "fingerprints",
        sa.Column("clip_id", sa.String(length=16), nullable=False, comment="Of videos"),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            comment="Which change this was, in the order of commits; new with each change",
        ),
        sa.Column(
            "record",
            sa.LargeBinary(),
            nullable=True,
            comment="docs/fingerprint.md; null: the clip is gone, or gave none",
        ),
        sa.ForeignKeyConstraint(
            ["clip_id"], ["videos.clip_id"], name=op.f("fk_fingerprints_clip_id_videos")
        ),
        sa.PrimaryKeyConstraint("clip_id", name=op.f("pk_fingerprints")),
        sa.UniqueConstraint("number", name=op.f("uq_fingerprints_number")),
    )


def downgrade() -> None:
    """Go back. The fingerprints are lost; going forward again, a chore makes them anew."""
    op.drop_table("fingerprints")
