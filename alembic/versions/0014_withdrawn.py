"""A released clip can be withdrawn for a reason, and stays so.

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NAME = "videos_withdrawn_stays"
# A trigger and no CHECK: SQLite would have to write the whole table anew for one. Whoever makes
# ``videos`` anew on SQLite makes this one anew too.
BROKEN = (
    "OLD.withdrawn IS NOT NULL AND (NEW.state <> 'deleted' OR NEW.withdrawn IS NULL"
    " OR NEW.withdrawn <> OLD.withdrawn)"
)


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
    op.add_column(
        "videos",
        sa.Column(
            "withdrawn_at", sa.DateTime(timezone=True), nullable=True, comment="UTC, with it"
        ),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {NAME} BEFORE UPDATE ON videos WHEN {BROKEN}"
            " BEGIN SELECT RAISE(ABORT, 'a withdrawn video stays withdrawn'); END"
        )
    else:
        op.execute(
            f"CREATE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'a withdrawn video stays withdrawn'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {NAME} BEFORE UPDATE ON videos FOR EACH ROW WHEN ({BROKEN})"
            f" EXECUTE FUNCTION {NAME}()"
        )


def downgrade() -> None:
    """Go back. Withdrawn clips are deleted ones then; the log still says why."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER {NAME}")
    else:
        op.execute(f"DROP TRIGGER {NAME} ON videos")
        op.execute(f"DROP FUNCTION {NAME}()")
    op.drop_column("videos", "withdrawn_at")
    op.drop_column("videos", "withdrawn")
