"""Who reviews, what waits for them, and how they ruled."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from gateway.tables.base import Table, UtcTime


class PersonRow(Table):
    """Somebody who signs in at the console. A person who has left stays on record."""

    __tablename__ = "people"
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="psn_<16 hex>")
    name: Mapped[str] = mapped_column(
        sa.String(200), unique=True, comment="To sign in with; personal, never logged"
    )
    role: Mapped[str] = mapped_column(sa.String(20), comment="gateway.people.Role")
    tenant_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("tenants.id"), comment="Whose requests they may not rule on"
    )
    invite_hmac: Mapped[bytes | None] = mapped_column(
        sa.LargeBinary(32), comment="Of the token in the link; null: none is open"
    )
    invite_until: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC")
    password_hash: Mapped[str | None] = mapped_column(
        sa.String(200), comment="Argon2id, PHC string; null: has not joined yet"
    )
    totp_sealed: Mapped[bytes | None] = mapped_column(
        sa.LargeBinary, comment="Secret of the one-time codes, encrypted"
    )
    totp_step: Mapped[int | None] = mapped_column(
        sa.BigInteger, comment="Step of the last code used: none is good twice"
    )
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    ended_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")


class SessionRow(Table):
    """A browser in which somebody is signed in."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(
        sa.String(64), primary_key=True, comment="SHA-256 of the cookie's value, hex"
    )
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id"), index=True, comment="Who"
    )
    form_token: Mapped[str] = mapped_column(
        sa.String(64), comment="What every form of it must carry"
    )
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    seen_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC, throttled")


class CaseRow(Table):
    """A hold that waits for people, and what they came to.

    ``outcome``: allow, refuse, or void when the clip was deleted meanwhile. The constraints
    hold the rules of ruling in the database: nothing restricted is allowed, and nothing is
    allowed on fewer rulings than it needs.
    """

    __tablename__ = "cases"
    __table_args__ = (
        sa.UniqueConstraint("video_id", "run", name="uq_cases_hold"),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome IN ('allow','refuse','void')", name="outcome_known"
        ),
        sa.CheckConstraint("needed IN (1, 2)", name="one_or_two_people"),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome <> 'allow' OR (restricted IS FALSE"
            " AND (allows >= needed OR settled IS TRUE))",
            name="allowed_by_enough",
        ),
        sa.Index("ix_cases_open", "outcome", "opened_at"),
    )
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="case_<16 hex>")
    video_id: Mapped[str] = mapped_column(sa.ForeignKey("videos.id"), comment="What is held")
    tenant_id: Mapped[str] = mapped_column(sa.String(40), comment="Whose request it is")
    run: Mapped[int] = mapped_column(comment="Which run of the job was held")
    stage: Mapped[str] = mapped_column(sa.String(20), comment="prompt or frames")
    verdict_event: Mapped[str] = mapped_column(
        sa.String(200), comment="Event of the verdict that held it"
    )
    policy: Mapped[str] = mapped_column(sa.String(64), comment="SHA-256 of the policy file")
    grounds: Mapped[list[str]] = mapped_column(sa.JSON, comment="Verdict.grounds")
    restricted: Mapped[bool] = mapped_column(
        comment="May show a minor: for trained people, never allowed"
    )
    escalated: Mapped[bool] = mapped_column(
        default=False, server_default=sa.false(), comment="For a compliance officer"
    )
    passed_on: Mapped[str | None] = mapped_column(
        sa.Text, comment="Why it was left to an officer; personal, never logged"
    )
    needed: Mapped[int] = mapped_column(
        default=1, server_default="1", comment="How many people must agree"
    )
    allows: Mapped[int] = mapped_column(
        default=0, server_default="0", comment="Rulings for it, all by different people"
    )
    settled: Mapped[bool] = mapped_column(
        default=False,
        server_default=sa.false(),
        comment="Two disagreed and a compliance officer ruled",
    )
    holder_id: Mapped[str | None] = mapped_column(sa.String(40), comment="Who looks at it now")
    holder_until: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC")
    opened_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    closed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC")
    outcome: Mapped[str | None] = mapped_column(sa.String(10), comment="See the class")

    @property
    def step(self) -> str:
        """What the event of its outcome is called in the log, before the kind.

        What was ruled on is part of the name: whoever changes it here is looked up in vain.
        """
        matter = json.dumps([self.policy, *self.grounds]).encode()
        on = hashlib.sha256(matter).hexdigest()[:32]
        return f"{self.video_id}:{self.stage}.{self.run}.{self.outcome}.{on}"


class RulingRow(Table):
    """One person's ruling: never changed, and one only for each person and case."""

    __tablename__ = "rulings"
    __table_args__ = (
        sa.UniqueConstraint("case_id", "person_id", name="uq_rulings_one_each"),
        sa.CheckConstraint("seat IN (1, 2, 3)", name="seat_known"),
        sa.CheckConstraint("decision IN ('allow','refuse')", name="decision_known"),
        sa.CheckConstraint(
            "person_tenant IS NULL OR person_tenant <> case_tenant", name="not_ones_own"
        ),
    )
    case_id: Mapped[str] = mapped_column(
        sa.ForeignKey("cases.id"), primary_key=True, comment="On what"
    )
    seat: Mapped[int] = mapped_column(
        primary_key=True, comment="1 and 2 rule blind of each other; 3 settles"
    )
    person_id: Mapped[str] = mapped_column(sa.ForeignKey("people.id"), comment="Who")
    person_tenant: Mapped[str | None] = mapped_column(
        sa.String(40), comment="Their own tenant then"
    )
    case_tenant: Mapped[str] = mapped_column(sa.String(40), comment="Whose request it is")
    decision: Mapped[str] = mapped_column(sa.String(10), comment="allow or refuse")
    reason: Mapped[str] = mapped_column(sa.String(40), comment="gateway.review.reasons")
    note: Mapped[str] = mapped_column(sa.Text, comment="Personal; never logged")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
