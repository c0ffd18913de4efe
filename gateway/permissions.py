"""Permissions: who a tenant is, and which consents and licences hold for its requests."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import InvalidRequest, NotFound
from gateway.record import AuditOutbox, Clock
from gateway.seams import Owner
from gateway.tables import Consent, Tenant
from safety.circumstances import Audience, Circumstances, Grant
from safety.gazetteer import GazetteerInvalid, require_id
from safety.regions import REGIONS
from safety.soundness import LIFTABLE
from safety.verdict import Category

MAX_SCOPE_CHARS = 2_000
MAX_REFERENCE_CHARS = 400
MAX_WHO_CHARS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
# Made once: to build a statement costs more than to run it.
_LIVE_CONSENTS = sa.select(Consent).where(
    Consent.tenant_id == sa.bindparam("b_tenant", type_=sa.String),
    Consent.revoked_at.is_(None),
    sa.or_(
        Consent.project.is_(None),
        Consent.project == sa.bindparam("b_project", type_=sa.String),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What is to be recorded. ``project`` None holds for all, ``valid_to`` None until revoked.

    ``evidence_sha256`` is that of the document in which it was agreed, 64 small hex digits;
    ``evidence_reference`` says where the document is kept.
    """

    category: Category
    subject: str
    tenant_id: str
    project: str | None
    scope: str
    evidence_sha256: str
    evidence_reference: str
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    recorded_by: str


@dataclass(frozen=True, kw_only=True)
class ConsentRecord:
    """A record as it is kept."""

    id: str
    agreement: Agreement
    created_at: dt.datetime
    revoked_at: dt.datetime | None

    def state(self, at: dt.datetime) -> str:
        """revoked, future, expired or live."""
        said = self.agreement
        if self.revoked_at is not None:
            return "revoked"
        if said.valid_from > at:
            return "future"
        if said.valid_to is not None and said.valid_to <= at:
            return "expired"
        return "live"


@dataclass(frozen=True, kw_only=True)
class TenantStanding:
    """A tenant, how far it is vetted, and where it is (None: not known)."""

    id: str
    name: str
    audience: Audience
    region: str | None


class Permissions:
    """Keeps records and answers what holds for a request. ``region`` is that of tenants
    without one of their own, None when that is not known either.
    """

    def __init__(
        self, database: Database, audit: AuditOutbox, clock: Clock, *, region: str | None = None
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._region = region

    def circumstances(
        self, owner: Owner, *, project: str | None, at: dt.datetime | None = None
    ) -> Circumstances:
        """Under which circumstances a request is judged at the time ``at``, or now.

        A record counts when it is this tenant's, of this project or of all, not revoked, and
        ``valid_from <= at < valid_to``. Without a project only records of all projects count.
        An unknown tenant is a stranger without records.
        """
        at = self._clock() if at is None else at
        with self._database.read() as session:
            tenant = session.get(Tenant, owner.tenant_id)
            asked = {"b_tenant": owner.tenant_id, "b_project": project}
            rows = session.scalars(_LIVE_CONSENTS, asked).all()
        if tenant is None:
            return Circumstances(at=at, region=self._region)
        standing = _standing(tenant)
        grants = (_grant(row) for row in rows if _holds(row, at))
        return Circumstances(
            audience=standing.audience,
            region=standing.region or self._region,
            at=at,
            grants=frozenset(grant for grant in grants if grant is not None),
        )

    # --- records ----------------------------------------------------------------------

    def record(self, agreed: Agreement) -> ConsentRecord:
        """Keep a record. Raises InvalidRequest, or NotFound when there is no such tenant."""
        _require(agreed)
        row = Consent(
            id=f"rec_{secrets.token_hex(8)}",
            category=agreed.category.value,
            subject=agreed.subject,
            tenant_id=agreed.tenant_id,
            project=agreed.project,
            scope=agreed.scope,
            evidence_sha256=agreed.evidence_sha256,
            evidence_reference=agreed.evidence_reference,
            valid_from=agreed.valid_from,
            valid_to=agreed.valid_to,
            recorded_by=agreed.recorded_by,
            created_at=self._clock(),
        )
        with self._database.write() as session:
            if session.get(Tenant, agreed.tenant_id) is None:
                raise NotFound("There is no such tenant.", param="tenant")
            session.add(row)
            session.flush()
            self._note(session, row, EventKind.CONSENT_RECORDED, by=row.recorded_by)
        return _record(row)

    def revoke(self, record_id: str, *, by: str) -> None:
        """End a record at once: also a job that waits is judged without it. Raises NotFound."""
        with self._database.write() as session:
            row = session.get(Consent, record_id)
            if row is None or row.revoked_at is not None:
                raise NotFound("There is no such record, or it is revoked already.")
            row.revoked_at = self._clock()
            self._note(session, row, EventKind.CONSENT_REVOKED, by=by)

    def list(self, *, tenant_id: str | None = None) -> tuple[ConsentRecord, ...]:
        """Every record, or those of one tenant; oldest first."""
        statement = sa.select(Consent).order_by(Consent.created_at, Consent.id)
        if tenant_id is not None:
            statement = statement.where(Consent.tenant_id == tenant_id)
        with self._database.read() as session:
            return tuple(_record(row) for row in session.scalars(statement))

    def get(self, record_id: str) -> ConsentRecord:
        """One record. Raises NotFound."""
        with self._database.read() as session:
            row = session.get(Consent, record_id)
        if row is None:
            raise NotFound("There is no such record.")
        return _record(row)

    # --- tenants ----------------------------------------------------------------------

    def tenants(self) -> tuple[TenantStanding, ...]:
        """Every tenant, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(sa.select(Tenant).order_by(Tenant.created_at, Tenant.id))
            return tuple(_standing(row) for row in rows)

    def tenant(self, name_or_id: str) -> TenantStanding:
        """The tenant of this name or id. Raises NotFound."""
        with self._database.read() as session:
            return _standing(self._tenant(session, name_or_id))

    def vet(self, name_or_id: str, audience: Audience, *, by: str) -> TenantStanding:
        """Say how far a tenant is vetted. Raises NotFound."""
        with self._database.write() as session:
            row = self._tenant(session, name_or_id)
            row.audience = audience.value
            self._note_tenant(session, row, by)
            return _standing(row)

    def place(self, name_or_id: str, region: str | None, *, by: str) -> TenantStanding:
        """Say in which region a tenant is. Raises NotFound, InvalidRequest for no region."""
        if region is not None and region not in REGIONS:
            raise InvalidRequest(
                "A region is two capital letters of ISO 3166-1.", param="region"
            )
        with self._database.write() as session:
            row = self._tenant(session, name_or_id)
            row.region = region
            self._note_tenant(session, row, by)
            return _standing(row)

    def _tenant(self, session: Session, name_or_id: str) -> Tenant:
        row = session.scalars(
            sa.select(Tenant).where(sa.or_(Tenant.id == name_or_id, Tenant.name == name_or_id))
        ).one_or_none()
        if row is None:
            raise NotFound("There is no such tenant.", param="tenant")
        return row

    def _note_tenant(self, session: Session, row: Tenant, by: str) -> None:
        kind = EventKind.TENANT_VETTED
        self._audit.record(
            session,
            Event(
                id=f"{row.id}:{secrets.token_hex(8)}:{kind}",
                kind=kind,
                subject=row.id,
                tenant=row.id,
                facts={"audience": row.audience, "region": row.region},
                personal={"by": by},
            ),
        )

    def _note(self, session: Session, row: Consent, kind: EventKind, *, by: str) -> None:
        # Who agreed to what is personal: the leaf names the document by its digest only.
        self._audit.record(
            session,
            Event(
                id=f"{row.id}:{kind}",
                kind=kind,
                subject=row.id,
                tenant=row.tenant_id,
                facts={
                    "category": row.category,
                    "evidence_sha256": row.evidence_sha256,
                    "valid_from": row.valid_from.isoformat(),
                    "valid_to": None if row.valid_to is None else row.valid_to.isoformat(),
                },
                personal={
                    "subject": row.subject,
                    "project": row.project,
                    "evidence_reference": row.evidence_reference,
                    "by": by,
                },
            ),
        )


def _standing(row: Tenant) -> TenantStanding:
    try:
        audience = Audience(row.audience)
    except ValueError:
        audience = Audience.PUBLIC
    return TenantStanding(id=row.id, name=row.name, audience=audience, region=row.region)


def _record(row: Consent) -> ConsentRecord:
    return ConsentRecord(
        id=row.id,
        agreement=Agreement(
            category=Category(row.category),
            subject=row.subject,
            tenant_id=row.tenant_id,
            project=row.project,
            scope=row.scope,
            evidence_sha256=row.evidence_sha256,
            evidence_reference=row.evidence_reference,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            recorded_by=row.recorded_by,
        ),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


def _holds(row: Consent, at: dt.datetime) -> bool:
    """True within the time of a record, be it revoked or not."""
    return row.valid_from <= at and (row.valid_to is None or at < row.valid_to)


def _grant(row: Consent) -> Grant | None:
    """The grant of a record; None for a category that this release does not know."""
    try:
        return Grant(category=Category(row.category), subject=row.subject)
    except ValueError:
        return None


def _require(agreed: Agreement) -> None:
    if agreed.category not in LIFTABLE:
        raise InvalidRequest("No record lifts a rule of that category.", param="category")
    try:
        require_id(agreed.subject)
    except GazetteerInvalid as fault:
        raise InvalidRequest(str(fault), param="subject") from fault
    if agreed.project is not None and not _PROJECT.fullmatch(agreed.project):
        raise InvalidRequest("That is not the name of a project.", param="project")
    if not 0 < len(agreed.scope.strip()) <= MAX_SCOPE_CHARS:
        raise InvalidRequest("Say in words what was agreed.", param="scope")
    if not _SHA256.fullmatch(agreed.evidence_sha256):
        raise InvalidRequest("The evidence needs its SHA-256 in hex.", param="evidence")
    if not 0 < len(agreed.evidence_reference) <= MAX_REFERENCE_CHARS:
        raise InvalidRequest("Say where the evidence is kept.", param="reference")
    if not 0 < len(agreed.recorded_by) <= MAX_WHO_CHARS:
        raise InvalidRequest("Say who records it.", param="by")
    moments = [agreed.valid_from, *filter(None, [agreed.valid_to])]
    if any(moment.tzinfo is None for moment in moments):
        raise InvalidRequest("A time needs its zone.", param="valid_from")
    if agreed.valid_to is not None and agreed.valid_to <= agreed.valid_from:
        raise InvalidRequest("The record would end before it begins.", param="valid_to")
