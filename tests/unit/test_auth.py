"""Keys: made once, kept as a hash, checked in one way, useless after revocation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit.log import SqlAuditLog
from gateway.auth import KeyRing
from gateway.db import Database
from gateway.errors import InvalidRequest, NotAuthenticated, NotFound


@pytest.fixture
def keys(database: Database, audit_log: SqlAuditLog, clock: Any) -> KeyRing:
    return KeyRing(database, audit_log, lambda: b"p" * 32, clock)


def test_a_key_opens_its_own_tenant(keys: KeyRing) -> None:
    made = keys.create(name="laptop", tenant="studio")
    caller = keys.authenticate(f"Bearer {made.key}")
    assert (caller.key_id, caller.tenant_id) == (made.id, made.tenant_id)


def test_the_secret_is_nowhere_in_the_database(
    keys: KeyRing, database: Database, tmp_path: Path
) -> None:
    made = keys.create(name="laptop")
    secret = made.key.partition(".")[2].encode()
    with database.write() as session:
        session.connection().exec_driver_sql("SELECT 1")
    for path in tmp_path.glob("cinegate.db*"):
        assert secret not in path.read_bytes()
    assert made.key not in repr(made)


def test_a_revoked_key_is_useless_and_stays_listed(keys: KeyRing) -> None:
    made = keys.create(name="laptop")
    keys.revoke(made.id)
    with pytest.raises(NotAuthenticated):
        keys.authenticate(f"Bearer {made.key}")
    with pytest.raises(NotFound):
        keys.revoke(made.id)
    assert keys.list()[0].revoked_at is not None


def test_the_right_id_with_another_secret_is_refused(keys: KeyRing) -> None:
    one, two = keys.create(name="one"), keys.create(name="two")
    mixed = one.key.partition(".")[0] + "." + two.key.partition(".")[2]
    with pytest.raises(NotAuthenticated):
        keys.authenticate(f"Bearer {mixed}")


def test_another_pepper_makes_every_key_useless(
    keys: KeyRing, database: Database, audit_log: SqlAuditLog, clock: Any
) -> None:
    made = keys.create(name="laptop")
    other = KeyRing(database, audit_log, lambda: b"q" * 32, clock)
    with pytest.raises(NotAuthenticated):
        other.authenticate(f"Bearer {made.key}")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(bearer=st.one_of(st.none(), st.text(max_size=120)))
def test_any_other_text_is_refused_alike(keys: KeyRing, bearer: str | None) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        keys.authenticate(bearer)
    assert str(refused.value) == "The API key is missing, not valid, or revoked."


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_key_needs_a_name(keys: KeyRing, name: str) -> None:
    with pytest.raises(InvalidRequest):
        keys.create(name=name)


def test_each_key_has_a_tenant_of_its_own_unless_one_is_shared(keys: KeyRing) -> None:
    one, two = keys.create(name="default"), keys.create(name="default")
    assert one.tenant_id != two.tenant_id
    three, four = (keys.create(name=n, tenant="studio") for n in ("a", "b"))
    assert three.tenant_id == four.tenant_id


def test_the_command_lines_own_tenant_is_nobodys(keys: KeyRing) -> None:
    with pytest.raises(InvalidRequest):
        keys.create(name="x", tenant="local")
    assert keys.create(name="local").tenant_id != keys.local_caller().tenant_id


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case_and_demanded(keys: KeyRing, scheme: str) -> None:
    made = keys.create(name="laptop")
    assert keys.authenticate(f"{scheme} {made.key}").key_id == made.id
    with pytest.raises(NotAuthenticated):
        keys.authenticate(made.key)
