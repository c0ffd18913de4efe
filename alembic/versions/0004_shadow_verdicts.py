"""Shadow verdicts: what a policy on trial would have said, and for whom a verdict was given.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. Of the verdicts there are, neither is known."""
    op.add_column(
        "verdicts",
        sa.Column(
            "circumstances",
            sa.JSON(),
            nullable=True,
            comment="Audience, region and time it was given for",
        ),
    )
    op.add_column(
        "verdicts",
        sa.Column(
            "shadow",
            sa.JSON(),
            nullable=True,
            comment="Policy on trial and its action; decides nothing",
        ),
    )


def downgrade() -> None:
    """Go back: what the added columns held is lost."""
    op.drop_column("verdicts", "shadow")
    op.drop_column("verdicts", "circumstances")
