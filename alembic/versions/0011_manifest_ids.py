"""Clips are found by the id of their manifest.

Revision: 0011, after 0010.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_index("ix_videos_manifest_id", "videos", ["manifest_id"])


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_videos_manifest_id", table_name="videos")
