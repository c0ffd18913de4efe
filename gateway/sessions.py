"""Sessions: joining by a link, signing in and out, and who is behind a cookie."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.credentials import (
    Seal,
    demand_password,
    hashed,
    is_password,
    picture_of_secret,
    step_of_code,
)
from gateway.db import Database
from gateway.errors import InvalidRequest, NotAuthenticated, NotFound
from gateway.people import People, Person, as_person, tidy_name
from gateway.rates import Rates
from gateway.record import AuditOutbox, Clock
from gateway.tables import PersonRow, SessionRow

IDLE = dt.timedelta(minutes=30)
LONGEST = dt.timedelta(hours=12)
SEEN_RESOLUTION = dt.timedelta(minutes=1)
# Tries to sign in: buckets that refill slowly. One address alone cannot use up those of a name.
TRIES_PER_NAME_THERE, TRIES_PER_ADDRESS, TRIES_PER_NAME = 5.0, 30.0, 60.0
SECONDS_PER_TRY = 60.0
WRONG = "The name, the password or the code is not right."
CLOSED = "This link is not good any more; ask for a new one."


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Who is at the other end since when, and what each form of theirs must carry."""

    person: Person
    form_token: str
    since: dt.datetime

    def is_from_form(self, token: str) -> bool:
        """Whether a form carried this session's token."""
        return hmac.compare_digest(token.encode(), self.form_token.encode())


@dataclass(frozen=True, kw_only=True)
class Joining:
    """What somebody who joins is shown: the secret for their authenticator, once."""

    person: Person
    secret: str
    picture: str

    def __repr__(self) -> str:
        return f"Joining(person={self.person.id!r})"


class Sessions:
    """Keeps who is signed in. Every refusal to sign in reads alike."""

    def __init__(
        self, database: Database, audit: AuditOutbox, people: People, seal: Seal, clock: Clock
    ) -> None:
        self._database = database
        self._audit = audit
        self._people = people
        self._seal = seal
        self._clock = clock
        self._rates = Rates(database)

    # --- joining ----------------------------------------------------------------------

    def joining(self, token: str) -> Joining:
        """Whom a link is for, with a secret for their codes. Raises NotFound.

        To look changes nothing: programs that show what is behind a link look, too.
        """
        with self._database.read() as session:
            person = as_person(self._invited(session, token))
        secret = self._people.code_secret(token)
        return Joining(
            person=person, secret=secret, picture=picture_of_secret(secret, person.name)
        )

    def join(self, token: str, *, password: str, code: str) -> str:
        """Set the password, after a first right code; return a new session's cookie value.

        What a known person had ends here. Raises NotFound for a link that is not good,
        InvalidRequest for the rest.
        """
        # Before the password is hashed, which costs more than everything else.
        secret = self.joining(token).secret
        demand_password(password)
        if (step := self._step(secret, code, last=None)) is None:
            raise InvalidRequest("The code is not right. Try the next one.", param="code")
        kept = hashed(password)
        with self._database.write() as session:
            row = self._invited(session, token)
            row.password_hash, row.totp_step = kept, step
            row.totp_sealed = self._seal.close(secret)
            row.invite_hmac = row.invite_until = None
            session.execute(sa.delete(SessionRow).where(SessionRow.person_id == row.id))
            self._note(session, row, EventKind.PERSON_JOINED)
            return self._opened(session, row)

    # --- signing in -------------------------------------------------------------------

    def sign_in(self, name: str, *, password: str, code: str, address: str) -> str:
        """A new session's cookie value. Raises NotAuthenticated, or RateLimited.

        An address has so many tries, and a name there and everywhere; a right one costs too.
        """
        name = tidy_name(name)
        buckets = (
            ("address", address, TRIES_PER_ADDRESS),
            ("there", f"{address} {name}", TRIES_PER_NAME_THERE),
            ("name", name, TRIES_PER_NAME),
        )
        for kind, value, burst in buckets:
            with self._database.write() as session:
                self._rates.spend(
                    session,
                    f"signin:{kind}:{_digest(value)}",
                    per_second=1 / SECONDS_PER_TRY,
                    burst=burst,
                    told="Too many tries; wait a minute.",
                )
        with self._database.read() as session:
            row = session.scalars(
                sa.select(PersonRow).where(PersonRow.name == name, PersonRow.ended_at.is_(None))
            ).first()
        known = is_password(None if row is None else row.password_hash, password)
        if known and row is not None:
            with self._database.write() as session:
                row = session.get_one(PersonRow, row.id, with_for_update=True)
                step = self._step_of(row, code)
                if step is not None and row.ended_at is None and row.password_hash is not None:
                    row.totp_step = step
                    return self._opened(session, row)
        raise NotAuthenticated(WRONG)

    def sign_out(self, cookie: str) -> None:
        """End the session of a cookie, if there is one."""
        with self._database.write() as session:
            session.execute(sa.delete(SessionRow).where(SessionRow.id == _digest(cookie)))

    def signed_in(self, cookie: str | None) -> SignedIn | None:
        """Who is behind a cookie now; None when nobody is, or not any more."""
        if not cookie:
            return None
        now, ident = self._clock(), _digest(cookie)
        with self._database.read() as session:
            found = session.execute(
                sa.select(SessionRow, PersonRow)
                .join(PersonRow, PersonRow.id == SessionRow.person_id)
                .where(SessionRow.id == ident, PersonRow.ended_at.is_(None))
            ).first()
        if found is None:
            return None
        kept, row = found
        if now - kept.created_at >= LONGEST or now - kept.seen_at >= IDLE:
            self.sign_out(cookie)
            return None
        if now - kept.seen_at >= SEEN_RESOLUTION:
            with self._database.write() as session:
                session.execute(
                    sa.update(SessionRow).where(SessionRow.id == ident).values(seen_at=now)
                )
        return SignedIn(
            person=as_person(row), form_token=kept.form_token, since=kept.created_at
        )

    # --- shared -----------------------------------------------------------------------

    def _invited(self, session: Session, token: str) -> PersonRow:
        row = session.scalars(
            sa.select(PersonRow)
            .where(
                PersonRow.invite_hmac == self._people.digest(token),
                PersonRow.ended_at.is_(None),
            )
            .with_for_update()
        ).first()
        if row is None or row.invite_until is None or row.invite_until <= self._clock():
            raise NotFound(CLOSED)
        return row

    def _step_of(self, row: PersonRow, code: str) -> int | None:
        if row.totp_sealed is None:
            return None
        return self._step(self._seal.open(row.totp_sealed), code, last=row.totp_step)

    def _step(self, secret: str, code: str, *, last: int | None) -> int | None:
        now = self._clock().timestamp()
        return step_of_code(secret, "".join(code.split()), now=now, last=last)

    def _opened(self, session: Session, row: PersonRow) -> str:
        now, cookie = self._clock(), secrets.token_urlsafe(32)
        session.add(
            SessionRow(
                id=_digest(cookie),
                person_id=row.id,
                form_token=secrets.token_urlsafe(32),
                created_at=now,
                seen_at=now,
            )
        )
        over = sa.delete(SessionRow).where(SessionRow.created_at <= now - LONGEST)
        session.execute(over)
        self._note(session, row, EventKind.SESSION_OPENED)
        return cookie

    def _note(self, session: Session, row: PersonRow, kind: EventKind) -> None:
        event = Event(
            id=f"{row.id}:{secrets.token_hex(4)}:{kind}",
            kind=kind,
            subject=row.id,
            facts={"person": row.id, "role": row.role},
        )
        self._audit.record(session, event)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
