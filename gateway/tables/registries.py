"""What operators keep: names, hash lists, faces, and records of consent."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from gateway.tables.base import Table, UtcTime, one_live


class ProtectedNameRow(Table):
    """A name that the operator protects, beside the shipped lists. Removed ones stay."""

    __tablename__ = "protected_names"
    __table_args__ = (one_live("uq_protected_names_live", "category", "subject"),)
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="name_<16 hex>")
    category: Mapped[str] = mapped_column(sa.String(40), comment="Whose list it extends")
    subject: Mapped[str] = mapped_column(sa.String(80), comment="Id in that list")
    name: Mapped[str] = mapped_column(sa.String(200), comment="May be personal; never logged")
    aliases: Mapped[list[str]] = mapped_column(sa.JSON, comment="Further spellings")
    certain: Mapped[bool] = mapped_column(comment="False: also means something else")
    neutral: Mapped[str] = mapped_column(sa.String(200), comment="What a rewrite says instead")
    note: Mapped[str] = mapped_column(sa.Text, comment="Why, for operators")
    added_by: Mapped[str] = mapped_column(sa.String(200), comment="Who added it")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")


class HashListRow(Table):
    """The hashes of one category in one list of an operator, as one version of it.

    A change ends the row, which then loses its hashes, and adds another.
    """

    __tablename__ = "hash_lists"
    __table_args__ = (one_live("uq_hash_lists_live", "name", "category"),)
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="list_<16 hex>")
    name: Mapped[str] = mapped_column(sa.String(80), comment="What operators call the list")
    category: Mapped[str] = mapped_column(sa.String(40), comment="What a match is scored as")
    size: Mapped[int] = mapped_column(comment="Number of hashes")
    version: Mapped[str] = mapped_column(
        sa.String(64), comment="HMAC-SHA-256(salt, hashes), hex; tells nothing of them"
    )
    salt: Mapped[bytes] = mapped_column(sa.LargeBinary(32), comment="Random; secret")
    hashes: Mapped[bytes] = mapped_column(
        sa.LargeBinary, deferred=True, comment="32 bytes each, sorted; secret, never logged"
    )
    references: Mapped[list[str] | None] = mapped_column(
        "refs",
        sa.JSON(none_as_null=True),
        deferred=True,
        comment="What the source calls each hash, in their order; never logged",
    )
    note: Mapped[str] = mapped_column(sa.Text, comment="Source and why, for operators")
    added_by: Mapped[str] = mapped_column(sa.String(200), comment="Who added it")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")


class EnrolledFaceRow(Table):
    """A person who is recognised by their face. Ending it erases the templates."""

    __tablename__ = "enrolled_faces"
    __table_args__ = (one_live("uq_enrolled_faces_live", "category", "subject"),)
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="face_<16 hex>")
    category: Mapped[str] = mapped_column(sa.String(40), comment="What a match is scored as")
    subject: Mapped[str] = mapped_column(sa.String(80), comment="Whose consents lift a match")
    pictures: Mapped[int] = mapped_column(comment="Number of templates")
    templates: Mapped[bytes] = mapped_column(
        sa.LargeBinary,
        deferred=True,
        comment="safety.likeness.packed; biometric, never logged; empty when ended",
    )
    evidence_sha256: Mapped[str] = mapped_column(sa.String(64), comment="Of the document, hex")
    evidence_reference: Mapped[str] = mapped_column(
        sa.String(400), comment="Where the document is kept"
    )
    enrolled_by: Mapped[str] = mapped_column(sa.String(200), comment="Who enrolled")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")


class Consent(Table):
    """A record that somebody agreed: a person, an owner of rights, an artist.

    It lifts the rule of ``category`` for ``subject``, for one tenant, in one project or all,
    from ``valid_from`` until ``valid_to`` (not included) or until it is revoked.
    """

    __tablename__ = "consents"
    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, comment="rec_<16 hex>")
    category: Mapped[str] = mapped_column(sa.String(40), comment="Whose rule it lifts")
    subject: Mapped[str] = mapped_column(sa.String(80), comment="Id in the list of names")
    tenant_id: Mapped[str] = mapped_column(
        sa.ForeignKey("tenants.id"), index=True, comment="For whom"
    )
    project: Mapped[str | None] = mapped_column(sa.String(100), comment="Null: every project")
    scope: Mapped[str] = mapped_column(sa.Text, comment="What was agreed, in words")
    evidence_sha256: Mapped[str] = mapped_column(sa.String(64), comment="Of the document, hex")
    evidence_reference: Mapped[str] = mapped_column(
        sa.String(400), comment="Where the document is kept"
    )
    valid_from: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    valid_to: Mapped[dt.datetime | None] = mapped_column(
        UtcTime, comment="UTC, not included; null: until revoked"
    )
    recorded_by: Mapped[str] = mapped_column(sa.String(200), comment="Who recorded it")
    created_at: Mapped[dt.datetime] = mapped_column(UtcTime, comment="UTC")
    revoked_at: Mapped[dt.datetime | None] = mapped_column(UtcTime, comment="UTC; null = live")
