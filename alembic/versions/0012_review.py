"""People who review, what waits for them, and how they ruled.

Revision: 0012, after 0011.
"""

from __future__ import annotations

import json
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go forward: what is held already gets its case."""
    op.create_table(
        "people",
        sa.Column("id", sa.String(40), nullable=False, comment="psn_<16 hex>"),
        sa.Column(
            "name",
            sa.String(200),
            nullable=False,
            comment="To sign in with; personal, never logged",
        ),
        sa.Column("role", sa.String(20), nullable=False, comment="gateway.people.Role"),
        sa.Column(
            "tenant_id",
            sa.String(40),
            nullable=True,
            comment="Whose requests they may not rule on",
        ),
        sa.Column(
            "invite_hmac",
            sa.LargeBinary(32),
            nullable=True,
            comment="Of the token in the link; null: none is open",
        ),
        sa.Column("invite_until", UTC, nullable=True, comment="UTC"),
        sa.Column(
            "password_hash",
            sa.String(200),
            nullable=True,
            comment="Argon2id, PHC string; null: has not joined yet",
        ),
        sa.Column(
            "totp_sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="Secret of the one-time codes, encrypted",
        ),
        sa.Column(
            "totp_step",
            sa.BigInteger(),
            nullable=True,
            comment="Step of the last code used: none is good twice",
        ),
        sa.Column("created_at", UTC, nullable=False, comment="UTC"),
        sa.Column("ended_at", UTC, nullable=True, comment="UTC; null = live"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("name", name=op.f("uq_people_name")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_people_tenant_id_tenants")
        ),
    )
    op.create_table(
        "sessions",
        sa.Column(
            "id",
            sa.String(64),
            nullable=False,
            comment="SHA-256 of the cookie's value, hex",
        ),
        sa.Column("person_id", sa.String(40), nullable=False, comment="Who"),
        sa.Column(
            "form_token",
            sa.String(64),
            nullable=False,
            comment="What every form of it must carry",
        ),
        sa.Column("created_at", UTC, nullable=False, comment="UTC"),
        sa.Column("seen_at", UTC, nullable=False, comment="UTC, throttled"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_sessions_person_id_people")
        ),
    )
    op.create_index(op.f("ix_sessions_person_id"), "sessions", ["person_id"])
    _cases()
    op.create_table(
        "rulings",
        sa.Column("case_id", sa.String(40), nullable=False, comment="On what"),
        sa.Column(
            "seat",
            sa.Integer(),
            nullable=False,
            comment="1 and 2 rule blind of each other; 3 settles",
        ),
        sa.Column("person_id", sa.String(40), nullable=False, comment="Who"),
        sa.Column(
            "person_tenant", sa.String(40), nullable=True, comment="Their own tenant then"
        ),
        sa.Column("case_tenant", sa.String(40), nullable=False, comment="Whose request it is"),
        sa.Column("decision", sa.String(10), nullable=False, comment="allow or refuse"),
        sa.Column("reason", sa.String(40), nullable=False, comment="gateway.review.reasons"),
        sa.Column("note", sa.Text(), nullable=False, comment="Personal; never logged"),
        sa.Column("created_at", UTC, nullable=False, comment="UTC"),
        sa.PrimaryKeyConstraint("case_id", "seat", name=op.f("pk_rulings")),
        sa.UniqueConstraint("case_id", "person_id", name=op.f("uq_rulings_one_each")),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_rulings_case_id_cases")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_rulings_person_id_people")
        ),
        sa.CheckConstraint("seat IN (1, 2, 3)", name=op.f("ck_rulings_seat_known")),
        sa.CheckConstraint(
            "decision IN ('allow','refuse')", name=op.f("ck_rulings_decision_known")
        ),
        sa.CheckConstraint(
            "person_tenant IS NULL OR person_tenant <> case_tenant",
            name=op.f("ck_rulings_not_ones_own"),
        ),
    )
    _open_cases()


def downgrade() -> None:
    """Go back: people, sessions and rulings are lost; the log keeps what was ruled."""
    for name in ("rulings", "cases", "sessions", "people"):
        op.drop_table(name)


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.String(40), nullable=False, comment="case_<16 hex>"),
        sa.Column("video_id", sa.String(40), nullable=False, comment="What is held"),
        sa.Column("tenant_id", sa.String(40), nullable=False, comment="Whose request it is"),
        sa.Column("run", sa.Integer(), nullable=False, comment="Which run of the job was held"),
        sa.Column("stage", sa.String(20), nullable=False, comment="prompt or frames"),
        sa.Column(
            "verdict_event",
            sa.String(200),
            nullable=False,
            comment="Event of the verdict that held it",
        ),
        sa.Column(
            "policy", sa.String(64), nullable=False, comment="SHA-256 of the policy file"
        ),
        sa.Column("grounds", sa.JSON(), nullable=False, comment="Verdict.grounds"),
        sa.Column(
            "restricted",
            sa.Boolean(),
            nullable=False,
            comment="May show a minor: for trained people, never allowed",
        ),
        sa.Column(
            "escalated",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="For a compliance officer",
        ),
        sa.Column(
            "passed_on",
            sa.Text(),
            nullable=True,
            comment="Why it was left to an officer; personal, never logged",
        ),
        sa.Column(
            "needed",
            sa.Integer(),
            server_default="1",
            nullable=False,
            comment="How many people must agree",
        ),
        sa.Column(
            "allows",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Rulings for it, all by different people",
        ),
        sa.Column(
            "settled",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="Two disagreed and a compliance officer ruled",
        ),
        sa.Column("holder_id", sa.String(40), nullable=True, comment="Who looks at it now"),
        sa.Column("holder_until", UTC, nullable=True, comment="UTC"),
        sa.Column("opened_at", UTC, nullable=False, comment="UTC"),
        sa.Column("closed_at", UTC, nullable=True, comment="UTC"),
        sa.Column("outcome", sa.String(10), nullable=True, comment="See the class"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("video_id", "run", name=op.f("uq_cases_hold")),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.id"], name=op.f("fk_cases_video_id_videos")
        ),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome IN ('allow','refuse','void')",
            name=op.f("ck_cases_outcome_known"),
        ),
        sa.CheckConstraint("needed IN (1, 2)", name=op.f("ck_cases_one_or_two_people")),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome <> 'allow' OR (restricted IS FALSE"
            " AND (allows >= needed OR settled IS TRUE))",
            name=op.f("ck_cases_allowed_by_enough"),
        ),
    )
    op.create_index("ix_cases_open", "cases", ["outcome", "opened_at"])


def _open_cases() -> None:
    """A case for each clip that is held now, from the last verdict that held it."""
    connection = op.get_bind()
    held = connection.execute(
        sa.text(
            "SELECT v.id, v.tenant_id, v.run, v.created_at, j.stage, j.event_id, j.policy,"
            " j.reasons FROM videos v JOIN verdicts j ON j.id = (SELECT max(k.id)"
            " FROM verdicts k WHERE k.subject = v.id AND k.action = 'review')"
            " WHERE v.state = 'held'"
        )
    ).all()
    for row in held:
        reasons = row.reasons if isinstance(row.reasons, list) else json.loads(row.reasons)
        names = [(str(r["category"]).replace("None", "-"), r["rule"]) for r in reasons]
        connection.execute(
            sa.text(
                "INSERT INTO cases (id, video_id, tenant_id, run, stage, verdict_event, policy,"
                " grounds, restricted, opened_at) VALUES (:id, :video, :tenant, :run, :stage,"
                " :event, :policy, :grounds, :restricted, :opened)"
            ),
            {
                "id": f"case_{secrets.token_hex(8)}",
                "video": row.id,
                "tenant": row.tenant_id,
                "run": row.run,
                "stage": row.stage,
                "event": row.event_id,
                "policy": row.policy,
                "grounds": json.dumps(sorted({f"{name}:{rule}" for name, rule in names})),
                "restricted": "sexual_minors" in dict(names),
                "opened": row.created_at,
            },
        )
