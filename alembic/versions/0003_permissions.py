"""Permissions: how far a tenant is vetted, the operator's names, consents and licences.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LIVE = "removed_at IS NULL"


def upgrade() -> None:
    """Go forward. Every tenant there is counts as public until somebody vets it."""
    op.add_column(
        "tenants",
        sa.Column(
            "audience",
            sa.String(20),
            nullable=False,
            server_default="public",
            comment="How far vetted; an unknown word counts as public",
        ),
    )
    op.add_column(
        "tenants",
        sa.Column(
            "region",
            sa.String(2),
            nullable=True,
            comment="ISO 3166-1 alpha-2; null: in every region",
        ),
    )
    op.create_table(
        "protected_names",
        sa.Column("id", sa.String(40), nullable=False, comment="name_<16 hex>"),
        sa.Column("category", sa.String(40), nullable=False, comment="Whose list it extends"),
        sa.Column("subject", sa.String(80), nullable=False, comment="Id in that list"),
        sa.Column(
            "name", sa.String(200), nullable=False, comment="May be personal; never logged"
        ),
        sa.Column("aliases", sa.JSON(), nullable=False, comment="Further spellings"),
        sa.Column(
            "certain", sa.Boolean(), nullable=False, comment="False: also means something else"
        ),
        sa.Column(
            "neutral", sa.String(200), nullable=False, comment="What a rewrite says instead"
        ),
        sa.Column("note", sa.Text(), nullable=False, comment="Why, for operators"),
        sa.Column("added_by", sa.String(200), nullable=False, comment="Who added it"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.Column(
            "removed_at", sa.DateTime(timezone=True), nullable=True, comment="UTC; null = live"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protected_names")),
    )
    op.create_index(
        "uq_protected_names_live",
        "protected_names",
        ["category", "subject"],
        unique=True,
        sqlite_where=sa.text(LIVE),
        postgresql_where=sa.text(LIVE),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.String(40), nullable=False, comment="rec_<16 hex>"),
        sa.Column("category", sa.String(40), nullable=False, comment="Whose rule it lifts"),
        sa.Column("subject", sa.String(80), nullable=False, comment="Id in the list of names"),
        sa.Column("tenant_id", sa.String(40), nullable=False, comment="For whom"),
        sa.Column("project", sa.String(100), nullable=True, comment="Null: every project"),
        sa.Column("scope", sa.Text(), nullable=False, comment="What was agreed, in words"),
        sa.Column(
            "evidence_sha256", sa.String(64), nullable=False, comment="Of the document, hex"
        ),
        sa.Column(
            "evidence_reference",
            sa.String(400),
            nullable=False,
            comment="Where the document is kept",
        ),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.Column(
            "valid_to",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="UTC, not included; null: until revoked",
        ),
        sa.Column("recorded_by", sa.String(200), nullable=False, comment="Who recorded it"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="UTC"),
        sa.Column(
            "revoked_at", sa.DateTime(timezone=True), nullable=True, comment="UTC; null = live"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_consents_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index(op.f("ix_consents_tenant_id"), "consents", ["tenant_id"], unique=False)


def downgrade() -> None:
    """Go back: every record is lost, so that no rule is lifted any more."""
    op.drop_index(op.f("ix_consents_tenant_id"), table_name="consents")
    op.drop_table("consents")
    op.drop_index("uq_protected_names_live", table_name="protected_names")
    op.drop_table("protected_names")
    op.drop_column("tenants", "region")
    op.drop_column("tenants", "audience")
