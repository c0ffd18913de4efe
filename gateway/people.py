"""People: who works at the console, in which role, and what a role may do."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.record import AuditOutbox, Clock
from gateway.tables import PersonRow, SessionRow, Tenant

INVITE_HOURS = 72
MAX_NAME_CHARS = 200


class Role(StrEnum):
    """What somebody is here for. Stored for ever: append, never rename."""

    REVIEWER = "reviewer"
    TRAINED_REVIEWER = "trained_reviewer"
    COMPLIANCE = "compliance"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Right(StrEnum):
    """What a route may ask for. Whatever a role does not list, it may not do."""

    READ_CASES = "read_cases"
    RULE = "rule"
    RULE_RESTRICTED = "rule_restricted"
    SETTLE = "settle"
    MANAGE_PEOPLE = "manage_people"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.REVIEWER: frozenset({Right.READ_CASES, Right.RULE}),
    Role.TRAINED_REVIEWER: frozenset({Right.READ_CASES, Right.RULE, Right.RULE_RESTRICTED}),
    Role.COMPLIANCE: frozenset({Right.READ_CASES, Right.RULE, Right.SETTLE}),
    Role.AUDITOR: frozenset({Right.READ_CASES}),
    Role.ADMINISTRATOR: frozenset({Right.MANAGE_PEOPLE}),
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who may sign in. ``tenant_id`` is whose requests they make themselves."""

    id: str
    name: str
    role: Role
    tenant_id: str | None = None

    def may(self, right: Right) -> bool:
        """Whether their role has the right."""
        return right in RIGHTS[self.role]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A person as administrators see them."""

    person: Person
    joined: bool
    invited_until: dt.datetime | None
    ended_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """A link at the only moment when its token is known."""

    person: Person
    token: str
    until: dt.datetime

    def __repr__(self) -> str:
        return f"Invitation(person={self.person.id!r})"


class People:
    """Invites people, changes what they are here for, and lets them go."""

    def __init__(
        self,
        database: Database,
        audit: AuditOutbox,
        pepper: Callable[[], bytes],
        clock: Clock,
    ) -> None:
        self._database = database
        self._audit = audit
        self._pepper = pepper
        self._clock = clock

    def invite(
        self, name: str, role: Role, *, by: str, tenant: str | None = None
    ) -> Invitation:
        """Make a link with which somebody joins; for a known person, a new one.

        Their password and codes, if any, are good until they have joined by it. ``tenant``
        is the name or id of the tenant whose requests they make; who has one keeps it unless
        another is named. Raises InvalidRequest, or NotFound for an unknown tenant.
        """
        name = tidy_name(name)
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise InvalidRequest(
                f"A name needs 1 to {MAX_NAME_CHARS} characters.", param="name"
            )
        token = secrets.token_urlsafe(32)
        until = self._clock() + dt.timedelta(hours=INVITE_HOURS)
        with self._database.write() as session:
            own = _tenant(session, tenant)
            row = session.scalars(sa.select(PersonRow).where(PersonRow.name == name)).first()
            if row is None:
                row = PersonRow(
                    id=f"psn_{secrets.token_hex(8)}", name=name, created_at=self._clock()
                )
                session.add(row)
            elif row.ended_at is not None:
                raise Conflict("This person has left; invite them under another name.")
            row.role, row.tenant_id = role.value, own or row.tenant_id
            row.invite_hmac, row.invite_until = self.digest(token), until
            session.flush()
            self._note(session, row, EventKind.PERSON_INVITED, by=by)
            return Invitation(person=as_person(row), token=token, until=until)

    def assign(self, name: str, role: Role, *, by: str) -> Person:
        """Give somebody another role; it holds for what they do next. Raises NotFound."""
        with self._database.write() as session:
            row = self._living(session, name)
            row.role = role.value
            self._note(session, row, EventKind.PERSON_ASSIGNED, by=by)
            return as_person(row)

    def end(self, name: str, *, by: str) -> Person:
        """Let somebody go: signed out everywhere, at once. Raises NotFound."""
        with self._database.write() as session:
            row = self._living(session, name)
            row.ended_at, row.invite_hmac, row.invite_until = self._clock(), None, None
            row.password_hash = row.totp_sealed = None
            session.execute(sa.delete(SessionRow).where(SessionRow.person_id == row.id))
            self._note(session, row, EventKind.PERSON_ENDED, by=by)
            return as_person(row)

    def list(self) -> tuple[Standing, ...]:
        """Everybody, the first to come first."""
        with self._database.read() as session:
            rows = session.scalars(sa.select(PersonRow).order_by(PersonRow.created_at)).all()
        return tuple(
            Standing(
                person=as_person(row),
                joined=row.password_hash is not None,
                invited_until=row.invite_until,
                ended_at=row.ended_at,
            )
            for row in rows
        )

    def digest(self, token: str) -> bytes:
        """What is kept of a link's token."""
        return hmac.new(self._pepper(), b"invite:" + token.encode(), hashlib.sha256).digest()

    def code_secret(self, token: str) -> str:
        """The secret of the one-time codes of whoever joins by a link: Base32, 160 bits."""
        made = hmac.new(self._pepper(), b"codes:" + token.encode(), hashlib.sha256).digest()
        return base64.b32encode(made[:20]).decode()

    def _living(self, session: Session, name: str) -> PersonRow:
        named = sa.or_(PersonRow.name == name, PersonRow.id == name)
        row = session.scalars(
            sa.select(PersonRow).where(named, PersonRow.ended_at.is_(None))
        ).first()
        if row is None:
            raise NotFound("There is no such person.")
        return row

    def _note(self, session: Session, row: PersonRow, kind: EventKind, *, by: str) -> None:
        event = Event(
            id=f"{row.id}:{secrets.token_hex(4)}:{kind}",
            kind=kind,
            subject=row.id,
            facts={"person": row.id, "role": row.role},
            personal={"by": by},
        )
        self._audit.record(session, event)


def tidy_name(name: str) -> str:
    """A name as it is kept and looked up, however a keyboard composed or spaced it."""
    whole = unicodedata.normalize("NFC", name)
    return " ".join("".join(c for c in whole if c.isprintable() or c.isspace()).split())


def as_person(row: PersonRow) -> Person:
    """A row as what the rest of the program knows of somebody."""
    return Person(id=row.id, name=row.name, role=Role(row.role), tenant_id=row.tenant_id)


def _tenant(session: Session, named: str | None) -> str | None:
    if named is None:
        return None
    wanted = sa.or_(Tenant.id == named, Tenant.name == named)
    found = session.scalars(sa.select(Tenant.id).where(wanted)).first()
    if found is None:
        raise NotFound("There is no such tenant.", param="tenant")
    return found
