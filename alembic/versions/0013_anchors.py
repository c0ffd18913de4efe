"""Stamps of an outside authority on heads of the log.

Revision: 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = "audit_anchors"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        TABLE,
        sa.Column(
            "size", sa.BigInteger(), autoincrement=False, nullable=False, comment="Of the head"
        ),
        sa.Column(
            "reply",
            sa.LargeBinary(),
            nullable=False,
            comment="RFC 3161 TimeStampResp over the head's note, DER",
        ),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_anchors")),
    )
    if op.get_bind().dialect.name == "sqlite":
        refuse = f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
        for name, event, condition in (
            # REPLACE deletes without firing a DELETE trigger.
            ("insert", "INSERT", f"EXISTS (SELECT 1 FROM {TABLE} WHERE size = NEW.size)"),  # noqa: S608
            ("update", "UPDATE", "1"),
            ("delete", "DELETE", "1"),
        ):
            op.execute(
                f"CREATE TRIGGER {TABLE}_{name} BEFORE {event} ON {TABLE}"
                f" WHEN {condition} {refuse}"
            )
    else:
        for name, event in (("update", "UPDATE"), ("delete", "DELETE OR TRUNCATE")):
            op.execute(
                f"CREATE TRIGGER {TABLE}_{name} BEFORE {event} ON {TABLE}"
                " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
            )


def downgrade() -> None:
    """Go back. The stamps are lost: export the log first."""
    op.drop_table(TABLE)
