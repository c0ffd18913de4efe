"""The migrations: up, down and up again, and the same schema as the mappings."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.pool import NullPool

from gateway import schema
from gateway.db import Database
from gateway.errors import ConfigurationFault
from gateway.tables import (
    ApiKey,
    AuditCheckpoint,
    AuditEntryRow,
    AuditHead,
    AuditTile,
    CaseRow,
    Table,
    Tenant,
    Video,
)
from tests.postgres import PostgresServer

ROOT = Path(schema.__file__).resolve().parent.parent
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
BEFORE_REVIEW = "0009"


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'gate.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind that the gateway runs on."""
    if request.param == "sqlite":
        yield url_of(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as name:
        yield server.url(name)


def run(url: str, *statements: str) -> None:
    """What somebody does to the database who is not the gateway."""
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def names(url: str) -> set[str]:
    """The tables that there are."""
    return set(inspected(url, lambda known: known.get_table_names()))


def inspected(url: str, ask: Callable[[sa.Inspector], Any]) -> Any:
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return ask(sa.inspect(connection))


def others(url: str) -> list[Any]:
    """Triggers, indices and functions of ours: what a table could leave behind."""
    kinds = (
        "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'index')"
        " AND name NOT LIKE 'sqlite%'"
        if url.startswith("sqlite")
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION SELECT proname"
        " FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION SELECT indexname"
        " FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return list(connection.exec_driver_sql(kinds).scalars())


def test_an_empty_database_goes_up_down_and_up(url: str) -> None:
    assert schema.current(url) is None
    assert schema.migrate(url) == schema.head()
    ours = set(Table.metadata.tables)
    assert names(url) == ours | {"alembic_version"}
    assert len(others(url)) > 10
    assert schema.migrate(url, "base") is None
    assert names(url) == {"alembic_version"}
    assert others(url) == []
    assert schema.migrate(url) == schema.current(url) == schema.head()
    assert names(url) == ours | {"alembic_version"}


def test_a_filled_database_goes_down_and_up(url: str) -> None:
    schema.migrate(url)
    database = Database(url)
    with database.write() as session:
        session.add(Tenant(id="tnt_1", name="Example", created_at=NOW))
        session.flush()
        session.add(
            ApiKey(id="00", tenant_id="tnt_1", name="k", secret_hmac=bytes(32), created_at=NOW)
        )
        session.add(AuditEntryRow(index=0, event_id="a:b", subject="a", leaf=b"0"))
        session.add(AuditTile(level=0, index=0, hashes=bytes(32)))
        session.add(AuditCheckpoint(size=1, note="note"))
        session.execute(sa.update(AuditHead).values(size=1))
    database.dispose()
    assert schema.migrate(url, "base") is None
    assert names(url) == {"alembic_version"}
    assert schema.migrate(url) == schema.head()


def test_what_is_held_gets_its_case_with_the_tables_of_review(url: str) -> None:
    schema.migrate(url, BEFORE_REVIEW)
    reasons = (
        '[{"category": "hate", "rule": "CG-H2"}, {"category": "None", "rule": "CG-FAULT"}]'
    )
    run(
        url,
        f"INSERT INTO tenants (id, name, created_at, audience) VALUES ('tnt_1', 'E', '{NOW}',"
        " 'public')",
        *(
            "INSERT INTO videos (id, tenant_id, clip_id, fingerprint, prompt, model, seconds,"
            " width, height, seed, state, stage, progress, created_at, run) VALUES"
            f" ('video_{n}', 'tnt_1', '{n}', 'f', 'p', 'm', 4, 32, 16, 0, '{state}', 'check',"
            f" 70, '{NOW}', 2)"
            for n, state in enumerate(("held", "refused"))
        ),
        *(
            "INSERT INTO verdicts (subject, event_id, stage, action, scores, reasons, policy,"
            f" judges, created_at) VALUES ('video_0', 'video_0:{step}', '{stage}', 'review',"
            f" '{{}}', '{reasons}', 'abc', '[]', '{NOW}')"
            for step, stage in (
                ("approve:verdict.given", "prompt"),
                ("check:verdict.given", "frames"),
            )
        ),
    )
    schema.migrate(url)
    database = Database(url)
    with database.read() as session:
        (case,) = session.scalars(sa.select(CaseRow)).all()
    database.dispose()
    assert (case.video_id, case.run, case.stage, case.policy) == ("video_0", 2, "frames", "abc")
    assert case.grounds == ["-:CG-FAULT", "hate:CG-H2"]
    assert (case.restricted, case.outcome, case.opened_at) == (False, None, NOW)


def test_postgres_is_made_as_the_mappings_say(postgres: PostgresServer) -> None:
    with postgres.database() as migrated, postgres.database() as mapped:
        schema.migrate(postgres.url(migrated))
        Table.metadata.create_all(sa.create_engine(postgres.url(mapped), poolclass=NullPool))
        for table in Table.metadata.tables:
            for kind in ("columns", "check_constraints", "pk_constraint", "indexes",
                         "unique_constraints", "foreign_keys"):  # fmt: skip
                ask = methodcaller(f"get_{kind}", table)
                found = inspected(postgres.url(migrated), ask)
                assert flat(found) == flat(inspected(postgres.url(mapped), ask)), (table, kind)


def test_the_migrations_make_what_the_mappings_say(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    schema.migrate(url)
    migrated, mapped = Database(url), sa.create_engine("sqlite://")
    Table.metadata.create_all(mapped)
    with migrated.engine.connect() as connection, mapped.connect() as other:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
        for table in Table.metadata.tables:
            # Autogenerate does not compare these.
            for ask in ("get_check_constraints", "get_pk_constraint", "get_indexes"):
                found = getattr(sa.inspect(connection), ask)(table)
                wanted = getattr(sa.inspect(other), ask)(table)
                assert flat(found) == flat(wanted), table
    migrated.dispose()
    mapped.dispose()


def flat(found: object) -> list[str]:
    """Constraints without their order and line breaks."""
    items = found if isinstance(found, list) else [found]
    return sorted(" ".join(plain(sorted(item.items())).split()) for item in items)


def plain(value: object) -> str:
    """The condition of an index is an object without a text of its own in ``repr``."""
    if isinstance(value, dict):
        return plain(sorted(value.items()))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(plain, value))}]"
    return str(value)


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    schema.migrate(url)
    before = (tmp_path / "gate.db").read_bytes()
    assert schema.migrate(url) == schema.head()
    assert (tmp_path / "gate.db").read_bytes() == before


def test_tables_of_the_job_engine_are_left_alone(url: str) -> None:
    run(
        url,
        "CREATE TABLE workflow_status (id TEXT)",
        "INSERT INTO workflow_status VALUES ('a')",
    )
    schema.migrate(url)
    schema.migrate(url, "base")
    assert names(url) == {"alembic_version", "workflow_status"}


def test_a_migration_that_fails_leaves_the_schema_as_it_was(url: str) -> None:
    run(url, "CREATE TABLE videos (id TEXT)")
    with pytest.raises(ConfigurationFault):
        schema.migrate(url)
    assert names(url) == {"videos"}


def _migrate(url: str) -> str | None:
    return schema.migrate(url)


def test_processes_that_start_together_migrate_once(url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_migrate, [url] * 4, chunksize=1) == [schema.head()] * 4


def test_a_database_of_another_release_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationFault):
        schema.require_current(url)
    schema.migrate(url)
    schema.require_current(url)
    run(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationFault):
        schema.require_current(url)
    with pytest.raises(ConfigurationFault):
        schema.migrate(url)
    with pytest.raises(ConfigurationFault):
        schema.migrate(url, "base")


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault):
        schema.migrate(url_of(tmp_path), "9999")


@pytest.mark.parametrize("content", [None, b"this is not a database, but it is long enough"])
def test_a_database_that_cannot_be_opened_is_a_configuration_fault(
    tmp_path: Path, content: bytes | None
) -> None:
    folder = tmp_path / "absent" if content is None else tmp_path
    if content is not None:
        (folder / "gate.db").write_bytes(content * 100)
    for act in (schema.migrate, schema.current):
        with pytest.raises(ConfigurationFault) as refusal:
            act(url_of(folder))
        assert str(tmp_path) not in refusal.value.message


def test_there_is_one_head_and_it_is_found_beside_the_package() -> None:
    assert schema.migrations_dir() == ROOT / "alembic"
    newest = max(path.name for path in (ROOT / "alembic" / "versions").glob("[0-9]*.py"))
    assert schema.head() == newest.partition("_")[0]


def test_the_library_is_not_shadowed_by_our_folder() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()
    code = "import alembic.command; print(alembic.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "site-packages" in found.stdout


def test_tenants_keep_what_they_had_through_the_permissions(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    schema.migrate(url, "0002")
    raw = sqlite3.connect(tmp_path / "gate.db")
    raw.execute("INSERT INTO tenants (id, name, created_at) VALUES ('t', 'T', '2026-11-22')")
    raw.commit()
    schema.migrate(url, "0003")
    told = "SELECT id, name, audience, region FROM tenants"
    assert raw.execute(told).fetchall() == [("t", "T", "public", None)]
    raw.execute(
        "INSERT INTO consents VALUES ('r', 'public_figure', 'a-b', 't', NULL, 's', ?, 'x',"
        " '2026-11-22', NULL, 'me', '2026-11-22', NULL)",
        ["0" * 64],
    )
    name = "(?, 'public_figure', 'a-b', 'A B', '[]', 1, '', '', 'me', '2026-11-22', ?)"
    raw.execute(f"INSERT INTO protected_names VALUES {name}", ["n1", "2026-11-23"])
    raw.execute(f"INSERT INTO protected_names VALUES {name}", ["n2", None])
    with pytest.raises(sqlite3.IntegrityError):  # one live name for an id
        raw.execute(f"INSERT INTO protected_names VALUES {name}", ["n3", None])
    raw.commit()
    schema.migrate(url, "0002")
    assert raw.execute("SELECT * FROM tenants").fetchall() == [("t", "T", "2026-11-22")]
    assert not {"consents", "protected_names"} & names(url)
    raw.close()
    assert schema.migrate(url) == schema.head()


def test_clips_keep_what_they_had_through_the_fingerprints(url: str) -> None:
    schema.migrate(url, "0009")
    columns = {
        "id": "'v'", "tenant_id": "'t'", "clip_id": "'00c0ffee00c0ffee'", "fingerprint": "'f'",
        "prompt": "'p'", "model": "'m'", "seconds": "4", "width": "64", "height": "64",
        "seed": "0", "state": "'queued'", "stage": "'approve'", "progress": "0",
        "created_at": "'2026-11-22'",
    }  # fmt: skip
    run(
        url,
        "INSERT INTO tenants (id, name, created_at) VALUES ('t', 'T', '2026-11-22')",
        f"INSERT INTO videos ({', '.join(columns)}) VALUES ({', '.join(columns.values())})",
    )
    before = kept(url)
    schema.migrate(url, "0010")
    known = "INSERT INTO fingerprints (clip_id, number, record) VALUES ('{}', {}, NULL)"
    run(url, known.format("00c0ffee00c0ffee", 1))
    for clip, number in (("00c0ffee00c0ffee", 2), ("unheard of", 2)):
        with pytest.raises(sa.exc.IntegrityError):  # one a clip, and only of a clip
            run(url, "PRAGMA foreign_keys = ON" if url.startswith("sqlite") else "SELECT 1",
                known.format(clip, number))  # fmt: skip
    assert kept(url) == before
    schema.migrate(url, "0009")
    assert kept(url) == before
    assert "fingerprints" not in names(url)
    assert schema.migrate(url) == schema.head()
    assert kept(url) == before


def kept(url: str) -> list[Any]:
    """What is in the rows of clips."""
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        told = "SELECT id, clip_id, prompt, state, turn FROM videos"
        return list(connection.exec_driver_sql(told))


def test_released_needs_both_marks_and_an_index(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    schema.migrate(url)
    raw = sqlite3.connect(tmp_path / "gate.db")
    raw.execute("INSERT INTO tenants (id, name, created_at) VALUES ('t', 'T', '2026-11-22')")
    columns = [row[1] for row in raw.execute("PRAGMA table_info(videos)")]
    good = dict.fromkeys(columns, "1") | {
        "id": "v", "tenant_id": "t", "state": "released", "watermark_ok": 1,
        "credentials_ok": 1, "audit_index": 0, "sha256": "0" * 64, "size_bytes": 9,
    }  # fmt: skip
    insert = (
        f"INSERT INTO videos ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    )
    needed = ("watermark_ok", "credentials_ok", "audit_index", "sha256", "size_bytes")
    for name in needed:
        for value in (None, 0) if name.endswith("_ok") else (None,):
            with pytest.raises(sqlite3.IntegrityError):
                raw.execute(insert, [{**good, name: value}[column] for column in columns])
    raw.execute(insert, [good[column] for column in columns])
    raw.close()


def test_a_database_that_cannot_answer_is_not_an_empty_one(
    tmp_path: Path, database: Database
) -> None:
    nothing = Database(f"sqlite:///{tmp_path / 'none.db'}")
    assert not nothing.has_any(sa.select(ApiKey.id))
    nothing.dispose()
    assert not database.has_any(sa.select(ApiKey.id))
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database" * 100)
    unreadable = Database(f"sqlite:///{broken}")
    with pytest.raises(sa.exc.DatabaseError):
        unreadable.has_any(sa.select(ApiKey.id))
    unreadable.dispose()
    with database.write() as session:
        session.execute(sa.text("ALTER TABLE api_keys RENAME COLUMN id TO gone"))
    with pytest.raises(sa.exc.DatabaseError):
        database.has_any(sa.select(ApiKey.id))


def test_the_release_before_can_go_on_writing(url: str) -> None:
    """A rolling upgrade: the tables are new, some processes are not."""
    schema.migrate(url)
    newest = {"turn", "run", "tries"}
    database = Database(url)
    with database.write() as session:
        session.add(Tenant(id="tnt_1", name="Example", created_at=NOW))
        session.flush()
        old = {
            "id": "video_1",
            "tenant_id": "tnt_1",
            "clip_id": "0" * 16,
            "fingerprint": "f",
            "prompt": "a red ball",
            "model": "embedded",
            "seconds": 4,
            "width": 1280,
            "height": 720,
            "seed": 1,
            "state": "queued",
            "stage": "approve",
            "progress": 0,
            "created_at": "2026-11-22 00:00:00+00:00",
        }
        assert not newest & old.keys()
        columns, values = ", ".join(old), ", ".join(f":{name}" for name in old)
        session.execute(sa.text(f"INSERT INTO videos ({columns}) VALUES ({values})"), old)
    with database.read() as session:
        row = session.get(Video, "video_1")
        assert row is not None
        assert (row.turn, row.run, row.tries) == (1, 0, 0)
    database.dispose()
