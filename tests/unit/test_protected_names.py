"""The operator's names: in force at once in every process, whole or not at all."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.log import SqlAuditLog
from gateway.cli.name_files import COLUMNS, read_names, write_names
from gateway.db import Database
from gateway.errors import InvalidRequest, NotFound
from gateway.protected_names import NameRegistry
from gateway.tables import ProtectedNameRow
from safety.gazetteer import Gazetteer, GazetteerInvalid, ProtectedName
from safety.verdict import Category

FIGURE = Category.PUBLIC_FIGURE
SHIPPED = Gazetteer(
    names=(ProtectedName(category=FIGURE, subject="tom-hanks", name="Tom Hanks"),)
)
QUILL = ProtectedName(
    category=FIGURE, subject="ada-quill", name="Ada Quill", aliases=("A. Quill",)
)


@pytest.fixture
def registry(database: Database, audit_log: SqlAuditLog, clock: Any) -> NameRegistry:
    return NameRegistry(database, lambda: audit_log, clock, SHIPPED)


def subjects(registry: NameRegistry) -> set[str]:
    return {name.subject for name in registry.in_force().names}


def test_a_name_counts_at_once_also_for_another_process(
    registry: NameRegistry, database: Database, audit_log: SqlAuditLog, clock: Any
) -> None:
    elsewhere = NameRegistry(database, lambda: audit_log, clock, SHIPPED)
    before = elsewhere.in_force()
    row = registry.add(QUILL, note="asked", by="tester")
    assert subjects(elsewhere) == {"tom-hanks", "ada-quill"}
    assert elsewhere.in_force().digest != before.digest
    registry.remove(row)
    assert elsewhere.in_force().digest == before.digest


def test_names_are_read_again_only_when_one_changed(registry: NameRegistry) -> None:
    registry.add(QUILL, by="tester")
    assert registry.in_force() is registry.in_force()


def test_an_id_is_taken_once_and_free_after_its_removal(registry: NameRegistry) -> None:
    row = registry.add(QUILL, by="tester")
    with pytest.raises(InvalidRequest):
        registry.add(QUILL, by="tester")
    registry.remove(row)
    with pytest.raises(NotFound):
        registry.remove(row)
    registry.add(QUILL, by="tester")
    assert [own.name for own in registry.list()] == [QUILL]


def test_a_shipped_id_gets_more_spellings_and_cannot_be_removed(
    registry: NameRegistry,
) -> None:
    more = ProtectedName(category=FIGURE, subject="tom-hanks", name="Thomas J. Hanks")
    registry.add(more, by="tester")
    [name] = registry.in_force().names
    assert name.spellings == ("Tom Hanks", "Thomas J. Hanks")
    with pytest.raises(NotFound):
        registry.remove("tom-hanks")


def test_an_import_adds_replaces_and_leaves(registry: NameRegistry) -> None:
    other = replace(QUILL, subject="bo-quill", name="Bo Quill", aliases=())
    done = registry.bring_in([QUILL, other], note="", by="tester")
    assert (done.added, done.replaced, done.unchanged) == (2, 0, 0)
    done = registry.bring_in([replace(QUILL, certain=False), other], note="", by="tester")
    assert (done.added, done.replaced, done.unchanged) == (0, 1, 1)
    assert len(registry.list()) == 2


def test_a_row_that_is_no_name_stops_everything_that_judges_by_names(
    registry: NameRegistry, database: Database
) -> None:
    registry.add(QUILL, by="tester")
    with database.write() as session:
        session.execute(sa.update(ProtectedNameRow).values(category="hate"))
    registry._cached = None
    with pytest.raises(GazetteerInvalid):
        registry.in_force()


def test_without_any_instance_the_shipped_names_hold(
    tmp_path: Path, audit_log: SqlAuditLog, clock: Any
) -> None:
    for path in ("none.db", "no/folder/none.db"):
        nothing = Database(f"sqlite:///{tmp_path / path}")
        assert NameRegistry(nothing, lambda: audit_log, clock, SHIPPED).in_force() is SHIPPED
        nothing.dispose()
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "none.db").touch()
    empty = Database(f"sqlite:///{tmp_path / 'none.db'}")
    assert NameRegistry(empty, lambda: audit_log, clock, SHIPPED).in_force() is SHIPPED
    empty.dispose()


def test_a_database_that_cannot_be_read_is_no_empty_one(
    tmp_path: Path, audit_log: SqlAuditLog, clock: Any
) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    broken = Database(f"sqlite:///{tmp_path / 'broken.db'}")
    with pytest.raises(sa.exc.DatabaseError):
        NameRegistry(broken, lambda: audit_log, clock, SHIPPED).in_force()
    broken.dispose()


def test_every_change_is_in_the_log_without_the_name(
    registry: NameRegistry, audit_log: SqlAuditLog
) -> None:
    row = registry.add(QUILL, by="tester")
    registry.remove(row)
    while audit_log.sequence():
        pass
    entries = [e.entry for e in audit_log.entries(subject=row, limit=10)]
    assert {str(e.kind) for e in entries} == {"name.added", "name.removed"}
    assert not any("quill" in str(e.facts).lower() for e in entries)


# --- the CSV file -------------------------------------------------------------------------


def test_a_file_brings_back_what_was_written(tmp_path: Path) -> None:
    names = (QUILL, ProtectedName(category=FIGURE, subject="x", name='A "B", C', certain=False))
    path = tmp_path / "names.csv"
    path.write_text(write_names(names), encoding="utf-8")
    assert read_names(path) == names


def test_an_id_is_made_where_none_is_given(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("category,name\npublic_figure,Zoë Löwe\n", encoding="utf-8")
    assert [name.subject for name in read_names(path)] == ["zoe-lowe"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"name\nAda Quill\n",
        b"category,name,secret\npublic_figure,Ada Quill,x\n",
        b"category,name\nhate,Ada Quill\n",
        b"category,name\neverything,Ada Quill\n",
        b"category,name\npublic_figure,\n",
        b"category,name\npublic_figure,Ada Quill,more\n",
        b"category,name,certain\npublic_figure,Ada Quill,perhaps\n",
        b'category,name\npublic_figure,"Ada\n',
        b"category,name\npublic_figure,\xff\xfe\n",
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "names.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest):
        read_names(path)


@given(st.binary(max_size=200))
def test_no_file_breaks_the_reader(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.mktemp("csv") / "names.csv"
    path.write_bytes(",".join(COLUMNS).encode() + b"\n" + content)
    with contextlib.suppress(InvalidRequest):
        assert all(name.spellings for name in read_names(path))
