"""What keeps requests apart and within bounds: keys of retries, buckets of a rate."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from gateway.tables.base import Table, UtcTime


class IdempotencyRow(Table):
    """What was answered under an ``Idempotency-Key``: a video, or a refusal."""

    __tablename__ = "idempotency_keys"
    tenant_id: Mapped[str] = mapped_column(
        sa.ForeignKey("tenants.id"), primary_key=True, comment="Whose key it is"
    )
    key: Mapped[str] = mapped_column(
        sa.String(255), primary_key=True, comment="As the client sent it"
    )
    asked: Mapped[str] = mapped_column(
        sa.String(64), comment="SHA-256 of the canonical request that it stands for"
    )
    video_id: Mapped[str | None] = mapped_column(sa.String(40), comment="Null when refused")
    refusal: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON(none_as_null=True), comment="Error object of a refusal; no score or term"
    )
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")


class RateBucketRow(Table):
    """A token bucket: of a key, a tenant, or tries to sign in."""

    __tablename__ = "rate_buckets"
    id: Mapped[str] = mapped_column(
        sa.String(80), primary_key=True, comment="key:… or tenant:…"
    )
    tokens: Mapped[float] = mapped_column(sa.Double, comment="Requests left at that time")
    at: Mapped[float] = mapped_column(
        sa.Double, comment="Seconds since 1970 by the database's clock"
    )
