"""Bearer keys: who is calling, and for which tenant."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import InvalidRequest, NotAuthenticated, NotFound
from gateway.record import AuditOutbox
from gateway.tables import ApiKey, Tenant

PREFIX = "cg"
_FORM = re.compile(rf"{PREFIX}_([0-9a-f]{{8}})\.([A-Za-z0-9_-]{{43}})")
LAST_USED_RESOLUTION = dt.timedelta(minutes=1)
MAX_NAME_CHARS = 200
LOCAL_TENANT = "local"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody with a live key; every query is filtered by ``tenant_id``."""

    key_id: str
    tenant_id: str


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key at the only moment when its secret is known."""

    id: str
    key: str
    tenant_id: str

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r}, tenant_id={self.tenant_id!r})"


@dataclass(frozen=True, kw_only=True)
class KeyInfo:
    """What may be shown of a key."""

    id: str
    name: str
    tenant: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None


class KeyRing:
    """Creates, checks, lists and revokes keys.

    A secret has 256 random bits, so a keyed hash suffices where a password would need a slow
    one; the pepper lies outside the database.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditOutbox,
        pepper: Callable[[], bytes],
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._database = database
        self._audit = audit
        self._pepper = pepper
        self._clock = clock

    def create(self, *, name: str, tenant: str | None = None) -> NewKey:
        """A new key. It gets a tenant of its own, unless one is named to be shared.

        Raises InvalidRequest for a name that is empty, too long, or the command line's own.
        """
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        name = name.strip()
        owner = (
            f"{name[: MAX_NAME_CHARS - 20]} ({key_id})" if tenant is None else tenant.strip()
        )
        if not (0 < len(name) <= MAX_NAME_CHARS and 0 < len(owner) <= MAX_NAME_CHARS):
            raise InvalidRequest(
                f"A name needs 1 to {MAX_NAME_CHARS} characters.", param="name"
            )
        if owner == LOCAL_TENANT:
            raise InvalidRequest("That tenant is the command line's own.", param="tenant")
        with self._database.write() as session:
            tenant_id = self._tenant(session, owner).id
            session.add(
                ApiKey(
                    id=key_id,
                    tenant_id=tenant_id,
                    name=name,
                    secret_hmac=self._digest(secret),
                    created_at=self._clock(),
                )
            )
            self._note(session, EventKind.KEY_CREATED, key_id, tenant_id)
        return NewKey(id=key_id, key=f"{PREFIX}_{key_id}.{secret}", tenant_id=tenant_id)

    def local_caller(self) -> Caller:
        """The person at this machine's command line: a tenant of its own, without a key."""
        with self._database.write() as session:
            tenant_id = self._tenant(session, LOCAL_TENANT).id
        return Caller(key_id="local", tenant_id=tenant_id)

    def authenticate(self, bearer: str | None) -> Caller:
        """The caller behind ``Bearer cg_….…``. Raises NotAuthenticated, always alike."""
        scheme, _, credential = (bearer or "").partition(" ")
        match = _FORM.fullmatch(credential.strip())
        if match is not None and scheme.lower() == "bearer":
            key_id, secret = match.groups()
            digest = self._digest(secret)
            with self._database.read() as session:
                row = session.get(ApiKey, key_id)
            if (
                row is not None
                and hmac.compare_digest(row.secret_hmac, digest)
                and row.revoked_at is None
            ):
                self._touch(row)
                return Caller(key_id=row.id, tenant_id=row.tenant_id)
        raise NotAuthenticated("The API key is missing, not valid, or revoked.")

    def list(self) -> tuple[KeyInfo, ...]:
        """Every key, oldest first, without secrets."""
        statement = (
            sa.select(ApiKey, Tenant.name)
            .join(Tenant, Tenant.id == ApiKey.tenant_id)
            .order_by(ApiKey.created_at, ApiKey.id)
        )
        with self._database.read() as session:
            return tuple(
                KeyInfo(
                    id=key.id,
                    name=key.name,
                    tenant=tenant,
                    created_at=key.created_at,
                    last_used_at=key.last_used_at,
                    revoked_at=key.revoked_at,
                )
                for key, tenant in session.execute(statement)
            )

    def revoke(self, key_id: str) -> None:
        """Make a key useless at once. Raises NotFound when there is no live key of that id."""
        with self._database.write() as session:
            row = session.get(ApiKey, key_id)
            if row is None or row.revoked_at is not None:
                raise NotFound("There is no live key of that id.")
            row.revoked_at = self._clock()
            self._note(session, EventKind.KEY_REVOKED, key_id, row.tenant_id)

    def _tenant(self, session: Session, name: str) -> Tenant:
        row = session.scalars(sa.select(Tenant).where(Tenant.name == name)).one_or_none()
        if row is None:
            row = Tenant(id=f"tnt_{secrets.token_hex(8)}", name=name, created_at=self._clock())
            session.add(row)
            session.flush()
        return row

    def _digest(self, secret: str) -> bytes:
        return hmac.new(self._pepper(), secret.encode(), hashlib.sha256).digest()

    def _touch(self, row: ApiKey) -> None:
        now = self._clock()
        if row.last_used_at is not None and now - row.last_used_at < LAST_USED_RESOLUTION:
            return
        with self._database.write() as session:
            session.execute(
                sa.update(ApiKey).where(ApiKey.id == row.id).values(last_used_at=now)
            )

    def _note(self, session: Session, kind: EventKind, key_id: str, tenant_id: str) -> None:
        self._audit.record(
            session,
            Event(
                id=f"key_{key_id}:{kind}",
                kind=kind,
                subject=f"key_{key_id}",
                tenant=tenant_id,
                facts={"key_id": key_id},
            ),
        )
