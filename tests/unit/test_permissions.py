"""Which records hold for a request, and that whatever is unsure lifts nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.audit.log import SqlAuditLog
from gateway.auth import Caller, KeyRing
from gateway.db import Database
from gateway.errors import InvalidRequest, NotFound
from gateway.permissions import Agreement, Permissions
from gateway.tables import AuditPersonal, Consent, Tenant
from safety.circumstances import Audience, Grant
from safety.verdict import Category

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
HANKS = Grant(category=Category.PUBLIC_FIGURE, subject="tom-hanks")


class Desk:
    """Permissions with two tenants."""

    def __init__(self, database: Database, audit: SqlAuditLog, clock: Any) -> None:
        self.database, self.audit = database, audit
        self.permissions = Permissions(database, audit, clock, region="FR")
        keys = KeyRing(database, audit, lambda: b"p" * 32, clock)
        self.caller = self.of(keys, "one")
        self.other = self.of(keys, "two")
        self.agreement = Agreement(
            category=HANKS.category,
            subject=HANKS.subject,
            tenant_id=self.caller.tenant_id,
            project="pilot",
            scope="One scene without dialogue",
            evidence_sha256="ab" * 32,
            evidence_reference="contracts/17",
            valid_from=NOON,
            valid_to=NOON + HOUR,
            recorded_by="tester",
        )

    @staticmethod
    def of(keys: KeyRing, tenant: str) -> Caller:
        made = keys.create(name=tenant, tenant=tenant)
        return keys.authenticate(f"Bearer {made.key}")

    def record(self, **changes: Any) -> str:
        return self.permissions.record(replace(self.agreement, **changes)).id

    def grants(
        self, *, project: str | None = "pilot", at: dt.datetime = NOON, other: bool = False
    ) -> frozenset[Grant]:
        owner = self.other if other else self.caller
        return self.permissions.circumstances(owner, project=project, at=at).grants


@pytest.fixture
def desk(database: Database, audit_log: SqlAuditLog, clock: Any) -> Desk:
    return Desk(database, audit_log, clock)


def test_a_record_holds_for_its_tenant_project_and_time(desk: Desk) -> None:
    desk.record()
    assert desk.grants() == {HANKS}
    assert desk.grants(at=NOON + HOUR - dt.timedelta(microseconds=1)) == {HANKS}


@pytest.mark.parametrize(
    "asked",
    [
        {"at": NOON - dt.timedelta(microseconds=1)},
        {"at": NOON + HOUR},
        {"project": "sequel"},
        {"project": "PILOT"},
        {"project": ""},
        {"project": None},
        {"other": True},
    ],
)
def test_outside_of_these_it_lifts_nothing(desk: Desk, asked: dict[str, Any]) -> None:
    desk.record()
    assert desk.grants(**asked) == frozenset()


def test_a_record_of_every_project_holds_also_without_one(desk: Desk) -> None:
    desk.record(project=None, valid_to=None)
    assert desk.grants(project=None) == {HANKS}
    assert desk.grants(project="sequel", at=NOON + 10_000 * HOUR) == {HANKS}
    assert desk.grants(other=True) == frozenset()


def test_a_revoked_record_lifts_nothing_at_any_time(desk: Desk) -> None:
    ident = desk.record()
    desk.permissions.revoke(ident, by="tester")
    assert desk.grants() == frozenset()
    assert desk.permissions.get(ident).state(NOON) == "revoked"
    with pytest.raises(NotFound):
        desk.permissions.revoke(ident, by="tester")


def test_another_record_of_the_same_subject_survives_a_revocation(desk: Desk) -> None:
    first = desk.record()
    desk.record(project=None)
    desk.permissions.revoke(first, by="tester")
    assert desk.grants() == {HANKS}


def test_times_in_another_zone_are_the_same_times(desk: Desk) -> None:
    tokyo = dt.timezone(dt.timedelta(hours=9))
    desk.record(valid_from=NOON.astimezone(tokyo), valid_to=(NOON + HOUR).astimezone(tokyo))
    assert desk.grants(at=NOON.astimezone(tokyo)) == {HANKS}
    assert desk.grants(at=(NOON + HOUR).astimezone(tokyo)) == frozenset()


def test_a_tenant_is_public_until_it_is_vetted(desk: Desk) -> None:
    known = desk.permissions.circumstances(desk.caller, project=None, at=NOON)
    assert (known.audience, known.region, known.at) == (Audience.PUBLIC, "FR", NOON)
    desk.permissions.vet("one", Audience.STUDIO, by="tester")
    desk.permissions.place(desk.caller.tenant_id, "DE", by="tester")
    known = desk.permissions.circumstances(desk.caller, project=None, at=NOON)
    assert (known.audience, known.region) == (Audience.STUDIO, "DE")
    other = desk.permissions.circumstances(desk.other, project=None, at=NOON)
    assert (other.audience, other.region) == (Audience.PUBLIC, "FR")
    assert desk.permissions.place("one", None, by="tester").region is None


def test_a_stored_word_that_is_no_audience_counts_as_public(desk: Desk) -> None:
    with desk.database.write() as session:
        session.execute(sa.update(Tenant).values(audience="owner"))
    known = desk.permissions.circumstances(desk.caller, project=None, at=NOON)
    assert known.audience is Audience.PUBLIC


def test_a_stored_category_that_is_not_known_lifts_nothing(desk: Desk) -> None:
    desk.record()
    with desk.database.write() as session:
        session.execute(sa.update(Consent).values(category="everything"))
    assert desk.grants() == frozenset()


def test_an_unknown_tenant_is_a_stranger(desk: Desk) -> None:
    stranger = Caller(key_id="x", tenant_id="tnt_gone")
    known = desk.permissions.circumstances(stranger, project="pilot", at=NOON)
    assert (known.audience, known.grants) == (Audience.PUBLIC, frozenset())


@pytest.mark.parametrize(
    "change",
    [
        {"category": Category.HATE},
        {"category": Category.SEXUAL_MINORS},
        {"subject": ""},
        {"subject": "Tom Hanks"},
        {"project": "two words"},
        {"project": ""},
        {"scope": " "},
        {"scope": "x" * 2_001},
        {"evidence_sha256": "ab"},
        {"evidence_sha256": "AB" * 32},
        {"evidence_reference": ""},
        {"recorded_by": ""},
        {"valid_to": NOON},
        {"valid_from": NOON.replace(tzinfo=None)},
        {"valid_to": NOON.replace(tzinfo=None)},
    ],
)
def test_a_record_that_says_too_little_is_refused(desk: Desk, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        desk.record(**change)
    assert desk.permissions.list() == ()


def test_a_record_needs_a_tenant(desk: Desk) -> None:
    with pytest.raises(NotFound):
        desk.record(tenant_id="tnt_gone")
    with pytest.raises(NotFound):
        desk.permissions.vet("three", Audience.STUDIO, by="tester")
    with pytest.raises(InvalidRequest):
        desk.permissions.place("one", "ZZ", by="tester")


def test_every_change_is_in_the_log_and_no_person_is(desk: Desk) -> None:
    ident = desk.record()
    desk.permissions.revoke(ident, by="somebody")
    desk.permissions.vet("one", Audience.STUDIO, by="somebody")
    desk.permissions.vet("one", Audience.PUBLIC, by="somebody")
    while desk.audit.sequence():
        pass
    entries = [e.entry for e in desk.audit.entries(subject=ident, limit=10)]
    assert {str(e.kind) for e in entries} == {"consent.recorded", "consent.revoked"}
    tenant = [e.entry for e in desk.audit.entries(subject=desk.caller.tenant_id, limit=10)]
    assert [str(e.kind) for e in tenant] == ["tenant.vetted"] * 2
    for entry in (*entries, *tenant):
        assert entry.tenant == desk.caller.tenant_id
        assert not any(word in str(entry.facts) for word in ("hanks", "contracts", "somebody"))
        assert entry.personal is not None
    with desk.database.read() as session:
        kept = session.get(AuditPersonal, f"{ident}:consent.recorded")
    assert kept is not None
    assert b"tom-hanks" in kept.record
