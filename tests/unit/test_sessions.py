"""People and sessions: joining, signing in, and every way in which that is refused."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa

from gateway import sessions as sessions_module
from gateway.audit.log import SqlAuditLog
from gateway.credentials import Seal, step_of_code
from gateway.db import Database
from gateway.errors import (
    ConfigurationFault,
    Conflict,
    Error,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    RateLimited,
)
from gateway.people import INVITE_HOURS, RIGHTS, People, Right, Role
from gateway.sessions import IDLE, LONGEST, TRIES_PER_NAME_THERE, Sessions
from gateway.tables import PersonRow, SessionRow

PASSWORD = "a long enough password"
KEY = b"A" * 43 + b"="


class House:
    """People and their sessions on one database."""

    def __init__(self, database: Database, audit: SqlAuditLog, clock: Any) -> None:
        self.database, self.audit, self.clock = database, audit, clock
        self.people = People(database, audit, lambda: b"p" * 32, clock)
        self.sessions = Sessions(database, audit, self.people, Seal(KEY), clock)
        self.secrets: dict[str, str] = {}

    def code(self, name: str) -> str:
        """The next code, half a minute later, as nobody types two at once."""
        self.clock.now += dt.timedelta(seconds=30)
        return pyotp.TOTP(self.secrets[name]).at(self.clock.now)

    def joined(self, name: str, role: Role = Role.REVIEWER) -> str:
        token = self.people.invite(name, role, by="test").token
        self.secrets[name] = self.sessions.joining(token).secret
        return self.sessions.join(token, password=PASSWORD, code=self.code(name))

    def sign_in(self, name: str, **said: str) -> str:
        if "code" not in said:
            said["code"] = self.code(name.strip())
        told = {"password": PASSWORD, "address": "192.0.2.1"} | said
        return self.sessions.sign_in(name, **told)


@pytest.fixture
def house(database: Database, audit_log: SqlAuditLog, clock: Any) -> House:
    return House(database, audit_log, clock)


def test_somebody_joins_by_a_link_and_signs_in(house: House) -> None:
    cookie = house.joined("Ada")
    assert (who := house.sessions.signed_in(cookie)) is not None
    assert (who.person.name, who.person.role) == ("Ada", Role.REVIEWER)
    house.sessions.sign_out(cookie)
    assert house.sessions.signed_in(cookie) is None
    again = house.sign_in(" Ada ")
    assert house.sessions.signed_in(again) is not None
    assert again != cookie


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ("Zoe\u0308", "Zo\xeb"),
        ("A\0da\u202e ", " Ada"),
        ("\N{GRINNING FACE}" * 200, "\N{GRINNING FACE}" * 200),
    ],
)
def test_a_name_is_the_same_however_it_is_typed(house: House, given: str, typed: str) -> None:
    token = house.people.invite(given, Role.REVIEWER, by="test").token
    house.secrets[typed.strip()] = house.sessions.joining(token).secret
    house.sessions.join(token, password=PASSWORD, code=house.code(typed.strip()))
    assert house.sign_in(typed)
    with pytest.raises(NotAuthenticated):
        house.sign_in("\0", code="000000")


def test_a_link_is_good_once_and_for_a_time(house: House) -> None:
    token = house.people.invite("Ada", Role.REVIEWER, by="test").token
    secret = house.sessions.joining(token).secret
    assert house.sessions.joining(token).secret == secret
    house.secrets["Ada"] = secret
    house.sessions.join(token, password=PASSWORD, code=house.code("Ada"))
    for act in (
        lambda: house.sessions.joining(token),
        lambda: house.sessions.join(token, password=PASSWORD, code=house.code("Ada")),
        lambda: house.sessions.joining("no such token"),
    ):
        with pytest.raises(NotFound):
            act()
    late = house.people.invite("Ben", Role.REVIEWER, by="test").token
    house.clock.now += dt.timedelta(hours=INVITE_HOURS)
    with pytest.raises(NotFound):
        house.sessions.joining(late)


def test_joining_needs_a_long_password_and_a_right_code(house: House) -> None:
    token = house.people.invite("Ada", Role.REVIEWER, by="test").token
    house.secrets["Ada"] = house.sessions.joining(token).secret
    with pytest.raises(InvalidRequest, match="password"):
        house.sessions.join(token, password="short", code=house.code("Ada"))
    with pytest.raises(InvalidRequest, match="code"):
        house.sessions.join(token, password=PASSWORD, code="000000x")
    assert house.sessions.join(token, password=PASSWORD, code=house.code("Ada"))


def test_every_refusal_to_sign_in_reads_alike(house: House) -> None:
    house.joined("Ada")
    house.people.invite("Ben", Role.REVIEWER, by="test")  # has not joined
    gone = house.joined("Cy")
    house.people.end("Cy", by="test")
    assert house.sessions.signed_in(gone) is None
    told = set()
    for name, said in {
        "Ada": {"password": "not the password"},
        "Ada ": {"code": "123"},
        "Ben": {"code": "123456"},
        "Cy": {"code": house.code("Cy")},
        "Nobody": {"code": "123456"},
        "": {"password": "", "code": ""},
    }.items():
        with pytest.raises(NotAuthenticated) as refused:
            house.sign_in(name, **{"code": "000000", **said})
        told.add(refused.value.message)
    assert len(told) == 1


def test_a_code_is_good_once(house: House) -> None:
    house.joined("Ada")
    code = house.code("Ada")
    assert house.sign_in("Ada", code=code)
    with pytest.raises(NotAuthenticated):
        house.sign_in("Ada", code=code)


def test_one_code_opens_one_session_whoever_is_faster(house: House) -> None:
    house.joined("Ada")
    code = house.code("Ada")

    def attempt(_: int) -> bool:
        try:
            return bool(house.sign_in("Ada", code=code))
        except Error:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1


def test_codes_of_the_steps_beside_are_right_and_no_others() -> None:
    secret = pyotp.random_base32()
    made = pyotp.TOTP(secret)
    now = 1_800_000_000.0
    right = [
        shift
        for shift in range(-4, 5)
        if step_of_code(secret, made.at(int(now) + 30 * shift), now=now, last=None) is not None
    ]
    assert right == [-1, 0, 1]
    assert step_of_code(secret, "", now=now, last=None) is None
    assert step_of_code(secret, "ü" * 6, now=now, last=None) is None


def test_tries_are_counted_for_a_name(house: House) -> None:
    house.joined("Ada")
    for _ in range(int(TRIES_PER_NAME_THERE)):
        with pytest.raises(NotAuthenticated):
            house.sign_in("Ada", code="000000")
    with pytest.raises(RateLimited) as limited:
        house.sign_in("Ada")
    assert 0 < int(limited.value.headers["retry-after"]) <= 60


def test_a_stranger_elsewhere_does_not_lock_somebody_out(house: House) -> None:
    house.joined("Ada")
    for _ in range(40):
        with pytest.raises((NotAuthenticated, RateLimited)):
            house.sign_in("Ada", code="000000", address="198.51.100.7")
    assert house.sign_in("Ada")


def test_tries_are_counted_for_a_name_from_many_addresses(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "TRIES_PER_NAME", 3.0)
    for n in range(3):
        with pytest.raises(NotAuthenticated):
            house.sign_in("Ada", code="000000", address=f"198.51.100.{n}")
    with pytest.raises(RateLimited):
        house.sign_in("Ada", code="000000", address="198.51.100.9")


def test_tries_are_counted_for_an_address(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "TRIES_PER_ADDRESS", 3.0)
    for n in range(3):
        with pytest.raises(NotAuthenticated):
            house.sign_in(f"somebody {n}", code="000000")
    with pytest.raises(RateLimited):
        house.sign_in("somebody else", code="000000")


@pytest.mark.parametrize("after", [IDLE, LONGEST])
def test_a_session_ends(house: House, after: dt.timedelta) -> None:
    cookie = house.joined("Ada")
    started = house.clock.now
    while house.clock.now - started < after - dt.timedelta(minutes=2):
        step = min(after, dt.timedelta(minutes=20)) - dt.timedelta(minutes=2)
        if after == LONGEST:  # somebody who works without a break
            house.clock.now += step
            if house.clock.now - started >= LONGEST:
                break
            assert house.sessions.signed_in(cookie) is not None
        else:
            break
    house.clock.now = max(house.clock.now, started + after)
    assert house.sessions.signed_in(cookie) is None
    house.clock.now = started
    assert house.sessions.signed_in(cookie) is None  # and stays so, whatever the clock says


def test_a_new_role_holds_at_once_and_who_leaves_is_out(house: House) -> None:
    cookie = house.joined("Ada")
    house.people.assign("Ada", Role.AUDITOR, by="test")
    who = house.sessions.signed_in(cookie)
    assert who is not None
    assert not who.person.may(Right.RULE)
    house.people.end("Ada", by="test")
    assert house.sessions.signed_in(cookie) is None
    with pytest.raises(Conflict):
        house.people.invite("Ada", Role.REVIEWER, by="test")
    for act in (
        lambda: house.people.assign("Ada", Role.REVIEWER, by="test"),
        lambda: house.people.end("Ada", by="test"),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_new_link_ends_what_somebody_had_when_they_join_by_it(house: House) -> None:
    cookie = house.joined("Ada")
    old = house.secrets["Ada"]
    token = house.people.invite("Ada", Role.COMPLIANCE, by="test").token
    with pytest.raises(InvalidRequest):  # the old authenticator does not join anew
        house.sessions.join(token, password=PASSWORD, code=house.code("Ada"))
    new = house.sessions.joining(token).secret
    assert new != old
    # Whoever looks has not joined: a program that previews links, for one.
    assert house.sessions.signed_in(cookie) is not None
    assert house.sign_in("Ada")
    house.secrets["Ada"] = new
    joined = house.sessions.join(token, password=PASSWORD + "!", code=house.code("Ada"))
    assert house.sessions.signed_in(cookie) is None
    assert house.sessions.signed_in(joined) is not None
    house.secrets["Ada"] = old
    with pytest.raises(NotAuthenticated):
        house.sign_in("Ada")
    assert [s.person.role for s in house.people.list()] == [Role.COMPLIANCE]


def test_no_password_is_hashed_for_a_link_that_is_not_good(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(sessions_module, "hashed", hashed.append)
    with pytest.raises(NotFound):
        house.sessions.join("no such token", password=PASSWORD, code="000000")
    assert hashed == []


def test_nothing_secret_is_kept_or_printed(house: House) -> None:
    cookie = house.joined("Ada")
    invited = house.people.invite("Ben", Role.REVIEWER, by="test")
    joining = house.sessions.joining(invited.token)
    with house.database.read() as session:
        kept = [
            str({c.name: getattr(row, c.name) for c in type(row).__table__.columns})
            for table in (PersonRow, SessionRow)
            for row in session.scalars(sa.select(table))
        ]
    while house.audit.sequence():
        pass
    kept += [str(entry.leaf) for entry in house.audit.entries(limit=1000)]
    printed = repr(invited) + repr(joining)
    for secret in (cookie, invited.token, joining.secret, PASSWORD, house.secrets["Ada"]):
        assert secret not in printed + "".join(kept)


def test_codes_of_another_key_are_a_fault_of_configuration(house: House) -> None:
    house.joined("Ada")
    other = Seal(b"B" * 43 + b"=")
    house.sessions = Sessions(house.database, house.audit, house.people, other, house.clock)
    with pytest.raises(ConfigurationFault):
        house.sign_in("Ada")


def test_every_role_has_its_rights_and_no_role_has_all() -> None:
    assert set(RIGHTS) == set(Role)
    assert all(rights < frozenset(Right) for rights in RIGHTS.values())
    for role, rights in RIGHTS.items():
        assert (Right.MANAGE_PEOPLE in rights) is (role is Role.ADMINISTRATOR)
        assert not (Right.RULE in rights and Right.MANAGE_PEOPLE in rights)
