"""People who are recognised by their face: enrolment with a receipt, and its end.

A person is enrolled so that clips which show the face are stopped unless a consent is on
record (``gateway.permissions``). Pictures are not kept; of a face the database has templates,
which are biometric data: they are erased when the enrolment ends, and never logged or shown.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import InvalidRequest, NotFound
from gateway.in_force import InForce
from gateway.record import AuditOutbox, Clock
from gateway.tables import EnrolledFaceRow
from safety.face_embedding import maker
from safety.gazetteer import GazetteerInvalid, require_id
from safety.likeness import ENROLLABLE, Enrolled, FaceRegistry, Templates, packed, unpacked
from safety.verdict import Category

PURPOSE = (
    "To recognise this face in clips and reference pictures, so that they are stopped unless"
    " the person agreed to them."
)
MAX_REFERENCE_CHARS = 400
MAX_WHO_CHARS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Enrolling:
    """Who is to be enrolled, and why that is allowed.

    ``evidence_sha256`` is that of the document in which the person, or who speaks for them,
    asked for it: 64 small hex digits; ``evidence_reference`` says where it is kept.
    """

    category: Category
    subject: str
    evidence_sha256: str
    evidence_reference: str
    enrolled_by: str


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What an enrolled person is given: the fields of a consent receipt (ISO/IEC TS 27560).

    ``pictures`` is how many were used. ``digest`` is in the audit log: who has the receipt can
    show that it is the one that was given.
    """

    id: str
    category: str
    subject: str
    purpose: str
    pictures: int
    evidence_sha256: str
    evidence_reference: str
    enrolled_by: str
    enrolled_at: str
    ended_at: str | None

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the receipt as it was given, without its end."""
        given = {name: value for name, value in asdict(self).items() if name != "ended_at"}
        written = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(written.encode()).hexdigest()


class EnrolledFaces:
    """Keeps enrolments; ``in_force`` gives the people as they are recognised now.

    ``audit`` is asked for only when something changes: whoever just judges needs no log. A row
    is never changed but to end it, and two counts tell whether any was. ``in_force`` raises
    TemplatesRefused for templates of other models or damaged ones, so that clips are held.
    """

    def __init__(
        self, database: Database, audit: Callable[[], AuditOutbox], clock: Clock
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self.in_force = InForce(
            database, EnrolledFaceRow, read=_registry, nothing=FaceRegistry()
        )

    def list(self) -> tuple[Receipt, ...]:
        """Every enrolment that was not ended, oldest first."""
        with self._database.read() as session:
            return tuple(_receipt(row) for row in session.scalars(_live()))

    def receipt(self, enrolment_id: str) -> Receipt:
        """One receipt, also of an enrolment that ended. Raises NotFound."""
        with self._database.read() as session:
            row = session.get(EnrolledFaceRow, enrolment_id)
        if row is None:
            raise NotFound("There is no such enrolment; see 'faces list'.")
        return _receipt(row)

    def is_enrolled(self, category: Category, subject: str) -> bool:
        """Whether this person is recognised now."""
        with self._database.read() as session:
            return session.scalar(_of(category, subject)) is not None

    def enrol(self, person: Enrolling, templates: Templates) -> Receipt:
        """Keep the templates, float32[K,128], of a person who is not enrolled yet.

        Raises InvalidRequest.
        """
        _require(person)
        row = EnrolledFaceRow(
            id=f"face_{secrets.token_hex(8)}",
            category=person.category.value,
            subject=person.subject,
            pictures=len(templates),
            templates=packed(templates, maker=maker()),
            evidence_sha256=person.evidence_sha256,
            evidence_reference=person.evidence_reference,
            enrolled_by=person.enrolled_by,
            created_at=self._clock(),
        )
        with self._database.write() as session:
            if session.scalar(_of(person.category, person.subject)) is not None:
                raise InvalidRequest(
                    "This person is enrolled already; end that first: 'faces remove'.",
                    param="subject",
                )
            session.add(row)
            session.flush()
            receipt = _receipt(row)
            self._note(session, row, EventKind.FACE_ENROLLED, receipt, row.enrolled_by)
        return receipt

    def remove(self, enrolment_id: str, *, by: str) -> Receipt:
        """End an enrolment and erase its templates. Raises NotFound."""
        with self._database.write() as session:
            row = session.get(EnrolledFaceRow, enrolment_id)
            if row is None or row.removed_at is not None:
                raise NotFound("There is no such enrolment; see 'faces list'.")
            row.removed_at = self._clock()
            row.templates = b""
            receipt = _receipt(row)
            self._note(session, row, EventKind.FACE_REMOVED, receipt, by)
        return receipt

    def _note(
        self, session: Session, row: EnrolledFaceRow, kind: EventKind, given: Receipt, by: str
    ) -> None:
        self._audit().record(
            session,
            Event(
                id=f"{row.id}:{kind}",
                kind=kind,
                subject=row.id,
                facts={
                    "category": row.category,
                    "pictures": row.pictures,
                    "evidence_sha256": row.evidence_sha256,
                    "receipt_sha256": given.digest,
                },
                personal={
                    "subject": row.subject,
                    "evidence_reference": row.evidence_reference,
                    "by": by,
                },
            ),
        )


def _live() -> sa.Select[EnrolledFaceRow]:
    return (
        sa.select(EnrolledFaceRow)
        .where(EnrolledFaceRow.removed_at.is_(None))
        .order_by(EnrolledFaceRow.created_at, EnrolledFaceRow.id)
    )


def _of(category: Category, subject: str) -> sa.Select[str]:
    return sa.select(EnrolledFaceRow.id).where(
        EnrolledFaceRow.removed_at.is_(None),
        EnrolledFaceRow.category == category.value,
        EnrolledFaceRow.subject == subject,
    )


def _registry(session: Session) -> FaceRegistry:
    rows: Sequence[EnrolledFaceRow] = session.scalars(
        _live().options(undefer(EnrolledFaceRow.templates))
    ).all()
    made_by = maker() if rows else b""
    return FaceRegistry(
        people=tuple(
            Enrolled(
                subject=row.subject,
                category=Category(row.category),
                templates=unpacked(row.templates, maker=made_by),
            )
            for row in rows
        )
    )


def _receipt(row: EnrolledFaceRow) -> Receipt:
    return Receipt(
        id=row.id,
        category=row.category,
        subject=row.subject,
        purpose=PURPOSE,
        pictures=row.pictures,
        evidence_sha256=row.evidence_sha256,
        evidence_reference=row.evidence_reference,
        enrolled_by=row.enrolled_by,
        enrolled_at=_utc(row.created_at),
        ended_at=None if row.removed_at is None else _utc(row.removed_at),
    )


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat()


def _require(person: Enrolling) -> None:
    if person.category not in ENROLLABLE:
        raise InvalidRequest("Only people are enrolled by their face.", param="category")
    try:
        require_id(person.subject)
    except GazetteerInvalid as fault:
        raise InvalidRequest(str(fault), param="subject") from fault
    if not _SHA256.fullmatch(person.evidence_sha256):
        raise InvalidRequest("The evidence needs its SHA-256 in hex.", param="evidence")
    if not 0 < len(person.evidence_reference) <= MAX_REFERENCE_CHARS:
        raise InvalidRequest("Say where the evidence is kept.", param="reference")
    if not 0 < len(person.enrolled_by) <= MAX_WHO_CHARS:
        raise InvalidRequest("Say who enrols the person.", param="by")
