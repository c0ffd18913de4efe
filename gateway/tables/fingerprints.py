"""What released clips look like, for finding copies without marks."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from gateway.tables.base import Table


class FingerprintRow(Table):
    """The fingerprint of one clip. Not ``videos.fingerprint``, which is that of a request.

    A row is never removed: whoever follows the numbers learns from it that a clip went.
    """

    __tablename__ = "fingerprints"
    clip_id: Mapped[str] = mapped_column(
        sa.String(16), sa.ForeignKey("videos.clip_id"), primary_key=True, comment="Of videos"
    )
    number: Mapped[int] = mapped_column(
        sa.BigInteger,
        unique=True,
        comment="Which change this was, in the order of commits; new with each change",
    )
    record: Mapped[bytes | None] = mapped_column(
        sa.LargeBinary, comment="docs/fingerprint.md; null: the clip is gone, or gave none"
    )
