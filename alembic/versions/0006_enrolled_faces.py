"""Enrolled faces: people who are recognised, with the evidence that allows it.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LIVE = "removed_at IS NULL"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "enrolled_faces",
        sa.Column("id", sa.String(40), nullable=False, comment="face_<16 hex>"),
        sa.Column(
            "category", sa.String(40), nullable=False, comment="What a match is scored as"
        ),
        sa.Column(
            "subject", sa.String(80), nullable=False, comment="Whose consents lift a match"
        ),
        sa.Column("pictures", sa.Integer(), nullable=False, comment="Number of templates"),
        sa.Column(
            "templates",
            sa.LargeBinary(),
            nullable=False,
            comment="safety.likeness.packed; biometric, never logged; empty when ended",
        ),
        sa.Column(
            "evidence_sha256", sa.String(64), nullable=False, comment="Of the document, hex"
        ),
        sa.Column(
            "evidence_reference",
            sa.String(400),
            nullable=False,
            comment="Where the document is kept",
        ),
        sa.Column("enrolled_by", sa.String(200), nullable=False, comment="Who enrolled"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.Column(
            "removed_at", sa.DateTime(timezone=True), nullable=True, comment="UTC; null = live"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolled_faces")),
    )
    op.create_index(
        "uq_enrolled_faces_live",
        "enrolled_faces",
        ["category", "subject"],
        unique=True,
        sqlite_where=sa.text(LIVE),
        postgresql_where=sa.text(LIVE),
    )


def downgrade() -> None:
    """Go back: every enrolment is lost."""
    op.drop_index("uq_enrolled_faces_live", table_name="enrolled_faces")
    op.drop_table("enrolled_faces")
