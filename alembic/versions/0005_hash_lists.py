"""Hash lists: pictures that an operator knows by their perceptual hashes.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LIVE = "removed_at IS NULL"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "hash_lists",
        sa.Column("id", sa.String(40), nullable=False, comment="list_<16 hex>"),
        sa.Column(
            "name", sa.String(80), nullable=False, comment="What operators call the list"
        ),
        sa.Column(
            "category", sa.String(40), nullable=False, comment="What a match is scored as"
        ),
        sa.Column("size", sa.Integer(), nullable=False, comment="Number of hashes"),
        sa.Column(
            "version",
            sa.String(64),
            nullable=False,
            comment="HMAC-SHA-256(salt, hashes), hex; tells nothing of them",
        ),
        sa.Column("salt", sa.LargeBinary(32), nullable=False, comment="Random; secret"),
        sa.Column(
            "hashes",
            sa.LargeBinary(),
            nullable=False,
            comment="32 bytes each, sorted; secret, never logged",
        ),
        sa.Column(
            "refs",
            sa.JSON(),
            nullable=True,
            comment="What the source calls each hash, in their order; never logged",
        ),
        sa.Column("note", sa.Text(), nullable=False, comment="Source and why, for operators"),
        sa.Column("added_by", sa.String(200), nullable=False, comment="Who added it"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.Column(
            "removed_at", sa.DateTime(timezone=True), nullable=True, comment="UTC; null = live"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hash_lists")),
    )
    op.create_index(
        "uq_hash_lists_live",
        "hash_lists",
        ["name", "category"],
        unique=True,
        sqlite_where=sa.text(LIVE),
        postgresql_where=sa.text(LIVE),
    )


def downgrade() -> None:
    """Go back: every list is lost."""
    op.drop_index("uq_hash_lists_live", table_name="hash_lists")
    op.drop_table("hash_lists")
