"""More doors: what a request says beside its prompt, who asked, and what it came from.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    for column in _added():
        op.add_column("videos", column)


def downgrade() -> None:
    """Go back: what the added columns held is lost."""
    for column in reversed(_added()):
        op.drop_column("videos", column.name)


def _added() -> tuple[sa.Column[object], ...]:
    """The columns, new ones on every call: a column belongs to one table only."""
    return (
        sa.Column(
            "key_id", sa.String(40), nullable=True, comment="Key that asked; null: unknown"
        ),
        sa.Column(
            "negative_prompt",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="What the clip must not show; personal, never logged or signed",
        ),
        sa.Column(
            "title",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="What the creator calls the clip; personal",
        ),
        sa.Column(
            "project",
            sa.String(100),
            nullable=True,
            comment="Whose consent and licence records",
        ),
        sa.Column(
            "remixed_from", sa.String(40), nullable=True, comment="Video that this one changes"
        ),
        sa.Column(
            "lineage",
            sa.JSON(),
            nullable=True,
            comment="Prompts that this one changes, oldest first; personal",
        ),
        sa.Column(
            "rewrite_of",
            sa.String(80),
            nullable=True,
            comment="Refused request whose offered wording this is",
        ),
    )
