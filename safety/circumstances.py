"""Who asks, where and when: what the policy weighs beside the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

from safety.verdict import Category


class Audience(StrEnum):
    """How far a creator was vetted. Stored in policy files and keys: append, never rename."""

    PUBLIC = "public"
    STUDIO = "studio"
    INTERNAL = "internal"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A recorded consent or licence: this subject may be shown.

    ``subject`` is the id of a name in the lists, for example ``mickey-mouse``.
    """

    category: Category
    subject: str


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """The circumstances of one request; what is unknown counts as the strictest.

    ``region`` is an ISO 3166-1 alpha-2 code; None is in every region. ``at`` is an aware
    time; None lies in every dated window. ``notes`` are fixed words for what a judge saw
    beside the offences, such as a face; whoever judges takes them.
    """

    audience: Audience = Audience.PUBLIC
    region: str | None = None
    at: datetime | None = None
    grants: frozenset[Grant] = frozenset()
    notes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError("The time of a request must carry a time zone.")

    def words(self) -> dict[str, str]:
        """Audience, region, time and notes as plain words for the record; what is unknown is
        left out. Grants are not told: they have done their work before anything is scored.
        """
        told = {"audience": str(self.audience)}
        if self.region is not None:
            told["region"] = self.region
        if self.at is not None:
            told["at"] = self.at.isoformat()
        if self.notes:
            told["notes"] = " ".join(sorted(self.notes))
        return told

    @classmethod
    def from_words(cls, told: Mapping[str, object]) -> Self:
        """What ``words`` told. Anything that cannot be read counts as the strictest."""
        try:
            audience = Audience(str(told.get("audience")))
        except ValueError:
            audience = Audience.PUBLIC
        region = told.get("region")
        try:
            at = datetime.fromisoformat(str(told.get("at")))
        except ValueError:
            at = None
        return cls(
            audience=audience,
            region=region if isinstance(region, str) else None,
            at=at if at is not None and at.tzinfo is not None else None,
            notes=frozenset(str(told.get("notes", "")).split()),
        )


STRICTEST: Final = Circumstances()
"""A stranger, anywhere, at any time, without any record."""
