"""Hash lists: what they know stops, what they cannot tell is held, and they never tell."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import sqlalchemy as sa
import structlog
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images
from typer.testing import CliRunner

from gateway.audit.log import SqlAuditLog
from gateway.cli.hash_files import read_hashes
from gateway.cli.main import app
from gateway.db import Database
from gateway.errors import InvalidRequest, NotFound
from gateway.hash_lists import HashListRegistry, ListedHash, Loaded
from gateway.tables import AuditOutbox, HashListRow
from safety.frames import FrameGate
from safety.hash_list import HashList, HashListInvalid, HashListJudge, HashLists, views
from safety.pdq import HASH_BYTES, picture_hash
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action, Category

MINORS, TERROR = Category.SEXUAL_MINORS, Category.EXTREMISM_TERROR
EXPLICIT = Category.SEXUAL_EXPLICIT
CHINA, FLOWER = load_sample_images().images
KNOWN = bytes(picture_hash(CHINA).symmetries[0])


def balanced(seed: int) -> bytes:
    """A hash with 128 bits set, as PDQ gives them."""
    order = np.random.default_rng(seed).permutation(256)
    return np.packbits(order < 128).tobytes()


def one(value: bytes = KNOWN, category: Category = MINORS, reference: str = "") -> ListedHash:
    return ListedHash(hash=value, category=category, reference=reference)


def lists(category: Category = MINORS, *hashes: bytes, version: str = "v1") -> HashLists:
    packed = b"".join(hashes or (KNOWN,))
    return HashLists([HashList(name="x", category=category, version=version, hashes=packed)])


# --- the judge --------------------------------------------------------------------------


def test_a_listed_picture_scores_one_in_the_category_of_its_list() -> None:
    judge = HashListJudge(lists=lambda: lists(MINORS))
    small = cv2.resize(CHINA, (320, 214), interpolation=cv2.INTER_AREA)
    [known] = judge.score(small[None])
    [other] = judge.score(cv2.resize(FLOWER, (320, 214))[None])
    assert (known.scores, other.scores) == ({MINORS: 1.0}, {MINORS: 0.0})
    assert judge.categories == {MINORS}


def test_a_mirrored_picture_is_known() -> None:
    found = lists().find(np.ascontiguousarray(CHINA[:, ::-1]))
    assert [listed.name for listed in found.listed] == ["x"]


@pytest.mark.parametrize("shade", [0, 255, 120])
@pytest.mark.parametrize("edges", [((60, 60), (0, 0)), ((0, 0), (90, 200)), ((40, 0), (30, 9))])
def test_bars_around_a_picture_do_not_hide_it(shade: int, edges: Any) -> None:
    framed = np.pad(CHINA, (*edges, (0, 0)), constant_values=shade)
    grain = np.random.default_rng(1).integers(0, 8, framed.shape[:2], dtype=np.uint8)
    framed = np.maximum(framed, grain[..., None])
    [listed] = lists().find(framed).listed
    assert listed.distance <= 12
    assert lists(MINORS, bytes(picture_hash(framed).symmetries[0])).find(framed).listed


@pytest.mark.parametrize("picture", [CHINA, np.full((90, 160, 3), 7, np.uint8)])
def test_a_picture_without_a_frame_is_looked_at_once(picture: Any) -> None:
    assert len(views(picture)) == 1


def test_a_list_is_named_once_with_its_nearest_hash() -> None:
    near = bytes([KNOWN[0] ^ 3, *KNOWN[1:]])
    both = HashLists(
        [
            HashList(name="a", category=MINORS, version="1", hashes=balanced(1) + near + KNOWN),
            HashList(name="b", category=TERROR, version="2", hashes=near + balanced(2)),
            HashList(name="c", category=TERROR, version="3", hashes=balanced(3)),
        ]
    )
    found = both.find(CHINA).listed
    assert [(f.name, f.category, f.row, f.distance) for f in found] == [
        ("a", MINORS, 2, 0),
        ("b", TERROR, 0, 2),
    ]


def test_a_featureless_picture_has_no_score_and_a_blank_one_shows_nothing() -> None:
    judge = HashListJudge(lists=lists)
    slope = np.linspace(0, 60, 160).astype(np.uint8)[None, :, None].repeat(3, 2).repeat(90, 0)
    blank = np.full((90, 160, 3), 7, np.uint8)
    assert [row.scores for row in judge.score(np.stack([slope, blank]))] == [{}, {MINORS: 0.0}]


def test_a_match_counts_however_weak_the_hash() -> None:
    slope = np.linspace(0, 60, 160).astype(np.uint8)[None, :, None].repeat(3, 2).repeat(90, 0)
    weak = bytes(picture_hash(slope).symmetries[0])
    found = lists(MINORS, weak).find(slope)
    assert not found.telling
    [row] = HashListJudge(lists=lambda: lists(MINORS, weak)).score(slope[None])
    assert row.scores == {MINORS: 1.0}


def test_without_lists_nothing_is_judged() -> None:
    judge = HashListJudge(lists=HashLists)
    assert (judge.name, judge.categories) == ("hash-lists@none", frozenset())
    assert [row.scores for row in judge.score(CHINA[None])] == [{}]


def test_the_name_changes_with_the_versions_and_not_with_their_order() -> None:
    first, second = lists(version="1").lists[0], lists(version="2").lists[0]
    assert HashLists([first, second]).digest == HashLists([second, first]).digest
    assert HashLists([first]).digest != HashLists([second]).digest


def test_the_gate_refuses_a_listed_frame_and_holds_an_undecided_one() -> None:
    gate = FrameGate(
        classifiers=(HashListJudge(lists=lambda: lists(EXPLICIT)),),
        policy=Policy.load(POLICY_PATH),
    )
    listed = gate.judge(iter([CHINA[None]]), fps=1.0)
    assert listed.action is Action.BLOCK
    assert listed.reasons[0].category is EXPLICIT
    slope = np.linspace(0, 60, 160).astype(np.uint8)[None, :, None].repeat(3, 2).repeat(90, 0)
    report = gate.report(iter([slope[None]]), fps=1.0)
    assert [fault.error for fault in report.faults] == ["IncompleteAnswer"]


def test_lists_that_cannot_be_read_hold_the_clip() -> None:
    def broken() -> HashLists:
        raise HashListInvalid("A stored list is damaged.")

    with pytest.raises(HashListInvalid):
        HashListJudge(lists=broken).score(CHINA[None])


@pytest.mark.parametrize("hashes", [b"", b"a" * 31, b"a" * 33])
def test_a_list_of_half_hashes_cannot_be_made(hashes: bytes) -> None:
    with pytest.raises(HashListInvalid):
        HashList(name="x", category=MINORS, version="1", hashes=hashes)


def test_nothing_that_is_shown_of_a_list_holds_a_hash() -> None:
    held = lists()
    shown = [repr(held), repr(held.lists[0]), repr(held.find(CHINA)), repr(one())]
    for text in shown:
        assert KNOWN.hex() not in text
        assert repr(KNOWN)[2:-1] not in text


# --- the registry -----------------------------------------------------------------------


@pytest.fixture
def registry(database: Database, audit_log: SqlAuditLog, clock: Any) -> HashListRegistry:
    return HashListRegistry(database, lambda: audit_log, clock)


def names(registry: HashListRegistry) -> list[tuple[str, Category, int]]:
    return [(own.name, own.category, own.size) for own in registry.list()]


def test_a_hash_counts_at_once_also_for_another_process(
    registry: HashListRegistry, database: Database, audit_log: SqlAuditLog, clock: Any
) -> None:
    elsewhere = HashListRegistry(database, lambda: audit_log, clock)
    assert elsewhere.in_force().digest == "none"
    registry.add("ngo", one(), by="tester")
    assert [found.name for found in elsewhere.in_force().find(CHINA).listed] == ["ngo"]
    assert registry.in_force() is registry.in_force()
    registry.remove(registry.list()[0].id, by="tester")
    assert elsewhere.in_force().find(CHINA).listed == ()


def test_an_import_replaces_the_list_in_every_category(registry: HashListRegistry) -> None:
    first = [one(balanced(1)), one(balanced(2)), one(balanced(3), TERROR)]
    assert registry.bring_in("ngo", first, by="t") == Loaded(added=3, removed=0, unchanged=0)
    registry.add("other", one(balanced(9)), by="t")
    second = [one(balanced(2)), one(balanced(4))]
    assert registry.bring_in("ngo", second, by="t") == Loaded(added=1, removed=2, unchanged=1)
    assert names(registry) == [("other", MINORS, 1), ("ngo", MINORS, 2)]


def test_the_same_import_again_changes_nothing(registry: HashListRegistry) -> None:
    entries = [one(balanced(seed), reference=str(seed)) for seed in range(3)]
    registry.bring_in("ngo", entries, by="t")
    before = registry.list()
    again = registry.bring_in("ngo", reversed(entries), by="t")
    assert again == Loaded(added=0, removed=0, unchanged=3)
    assert registry.list() == before


def test_adding_to_a_list_keeps_its_others_and_their_references(
    registry: HashListRegistry,
) -> None:
    registry.add("ngo", one(balanced(1), reference="a/1"), note="from the NGO", by="t")
    registry.add("ngo", one(KNOWN, reference="a/2"), by="t")
    assert registry.add("ngo", one(KNOWN, reference="a/2"), by="t").added == 0
    [own] = registry.list()
    assert (own.size, own.note) == (2, "from the NGO")
    [listed] = registry.in_force().find(CHINA).listed
    assert registry.reference(listed) == "a/2"


def test_a_removed_list_leaves_no_hash_behind(
    registry: HashListRegistry, database: Database
) -> None:
    registry.add("ngo", one(reference="a/1"), by="t")
    [own] = registry.list()
    registry.remove(own.id, by="t")
    with pytest.raises(NotFound):
        registry.remove(own.id, by="t")
    with database.read() as session:
        [row] = session.scalars(sa.select(HashListRow)).all()
        assert (row.hashes, row.references, row.size) == (b"", None, 1)


def test_the_log_has_every_change_and_nothing_of_the_hashes(
    registry: HashListRegistry, audit_log: SqlAuditLog, database: Database
) -> None:
    registry.add("ngo", one(reference="a/1"), by="tester")
    registry.remove(registry.list()[0].id, by="tester")
    with database.read() as session:
        leaves = [row.leaf.decode() for row in session.scalars(sa.select(AuditOutbox))]
    kinds = [json.loads(leaf)["kind"] for leaf in leaves]
    assert kinds == ["hash_list.added", "hash_list.removed"]
    for leaf in leaves:
        facts = json.loads(leaf)["facts"]
        assert facts.keys() == {"category", "size", "version"}
        assert KNOWN.hex() not in leaf
        assert "a/1" not in leaf
        assert "ngo" not in leaf


def test_a_version_tells_nothing_of_the_content(registry: HashListRegistry) -> None:
    registry.add("a", one(), by="t")
    registry.add("b", one(), by="t")
    first, second = registry.list()
    assert first.version != second.version


def test_a_change_that_cannot_be_logged_did_not_happen(database: Database, clock: Any) -> None:
    class Broken:
        def record(self, session: Any, event: Any) -> None:
            raise RuntimeError("no log")

    registry = HashListRegistry(database, Broken, clock)
    with pytest.raises(RuntimeError):
        registry.add("ngo", one(), by="t")
    assert registry.list() == ()


@pytest.mark.parametrize(
    "change",
    [{"hashes": KNOWN[:-1] + b"\0"}, {"hashes": KNOWN * 2}, {"category": "no_such"}],
    ids=["bits", "size", "category"],
)
def test_a_damaged_row_is_never_read_as_a_shorter_list(
    registry: HashListRegistry, database: Database, change: dict[str, Any]
) -> None:
    registry.add("ngo", one(), by="t")
    with database.write() as session:
        session.execute(sa.update(HashListRow).values(change))
    with pytest.raises(HashListInvalid):
        registry.in_force()


def test_an_instance_that_was_never_made_has_no_lists_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    registry = HashListRegistry(Database(f"sqlite:///{path}"), lambda: None, lambda: None)  # type: ignore[arg-type,return-value]
    assert len(registry.in_force()) == 0
    assert not path.exists()


def test_a_broken_database_is_not_an_empty_list(
    registry: HashListRegistry, database: Database
) -> None:
    with database.write() as session:
        session.execute(sa.text("ALTER TABLE hash_lists RENAME COLUMN removed_at TO r"))
    with pytest.raises(sa.exc.DatabaseError):
        registry.in_force()


@pytest.mark.parametrize(
    ("name", "entry", "note", "by"),
    [
        ("", one(), "", "t"),
        ("a b", one(), "", "t"),
        ("x" * 81, one(), "", "t"),
        ("ngo", one(), "", ""),
        ("ngo", one(), "n" * 1001, "t"),
        ("ngo", one(b"short"), "", "t"),
        ("ngo", one(reference="r" * 201), "", "t"),
    ],
)
def test_what_does_not_fit_is_refused(
    registry: HashListRegistry, name: str, entry: ListedHash, note: str, by: str
) -> None:
    with pytest.raises(InvalidRequest):
        registry.add(name, entry, note=note, by=by)
    with pytest.raises(InvalidRequest):
        registry.bring_in("ngo", [], by="t")


# --- the files --------------------------------------------------------------------------


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "list.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_plain_lines_are_read(tmp_path: Path) -> None:
    text = f"﻿# a comment\n\n{KNOWN.hex()}\r\n  {balanced(1).hex().upper()}  \n"
    read = read_hashes(written(tmp_path, text), TERROR)
    assert [(e.hash, e.category) for e in read.entries] == [
        (KNOWN, TERROR),
        (balanced(1), TERROR),
    ]


def test_a_table_may_name_category_reference_and_quality(tmp_path: Path) -> None:
    text = (
        "Hash,quality,category,reference\n"
        f"{KNOWN.hex()},100,sexual_minors,a/1\n"
        f"{balanced(1).hex()},49,,a/2\n"
        f'{balanced(2).hex()},,,"a,3"\n'
    )
    read = read_hashes(written(tmp_path, text), TERROR)
    assert read.skipped == 1
    assert [(e.hash, e.category, e.reference) for e in read.entries] == [
        (KNOWN, MINORS, "a/1"),
        (balanced(2), TERROR, "a,3"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{KNOWN.hex()}\n{KNOWN.hex()[:-1]}\n", 2),
        (f"{KNOWN.hex()}0\n", 1),
        (f"hash\n{'0' * 64}\n", 2),
        (f"hash,category\n{KNOWN.hex()},no_such\n", 2),
        (f"hash,quality\n{KNOWN.hex()},high\n", 2),
        (f"hash,quality\n{KNOWN.hex()}\n", 2),
        (f"hash,quality\n{KNOWN.hex()},50,3\n", 2),
        (f"hash,md5\n{KNOWN.hex()},x\n", None),
        (f'hash,reference\n{KNOWN.hex()},"x\n', None),
        (b"hash\n\xff\xfe", None),
        (f"hash,hash,category\n{KNOWN.hex()},a,b\n", None),
    ],
)
def test_a_wrong_line_refuses_the_file_without_repeating_it(
    tmp_path: Path, text: str | bytes, line: int | None
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_hashes(written(tmp_path, text), MINORS)
    assert KNOWN.hex()[:16] not in refusal.value.message
    if line is not None:
        assert f"Line {line}" in refusal.value.message


def test_sums_that_are_no_perceptual_hashes_are_refused(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    sums = "\n".join(draw.bytes(HASH_BYTES).hex() for _ in range(200))
    with pytest.raises(InvalidRequest, match="SHA-256"):
        read_hashes(written(tmp_path, sums), MINORS)
    real = "\n".join(balanced(seed).hex() for seed in range(200))
    assert len(read_hashes(written(tmp_path, real), MINORS).entries) == 200


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("lists") / "list.txt"
    path.write_text("hash,reference\n" + text, encoding="utf-8", errors="replace")
    with contextlib.suppress(InvalidRequest):
        assert read_hashes(path, MINORS).entries == ()


# --- the commands -----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CINEGATE_DATA_DIR", str(tmp_path / "data"))
    yield tmp_path
    structlog.reset_defaults()


def run(*arguments: str | Path, code: int = 0, typed: str | None = None) -> str:
    done = CliRunner().invoke(app, [str(a) for a in ("hashes", *arguments)], input=typed)
    assert done.exit_code == code, (done.output, done.exception)
    assert KNOWN.hex() not in done.output
    return done.output


def parsed(*arguments: str | Path, code: int = 0, typed: str | None = None) -> Any:
    return json.loads(run(*arguments, "--json", code=code, typed=typed))


def test_a_list_is_loaded_shown_asked_and_removed(folder: Path) -> None:
    picture = folder / "china.png"
    Image.fromarray(CHINA).save(picture)
    told = parsed(
        "add", "-", "--list", "ngo", "--category", "sexual_minors", "--reference", "a/1",
        typed=KNOWN.hex() + "\n",
    )  # fmt: skip
    assert (told["added"], told["hash_lists"] != "none") == (1, True)
    [row] = parsed("list")
    assert (row["list"], row["category"], row["size"]) == ("ngo", "sexual_minors", 1)
    found = parsed("check", picture)
    assert found["matched"] == [
        {"list": "ngo", "category": "sexual_minors", "distance": 0, "reference": "a/1"}
    ]
    path = written(folder, balanced(1).hex())
    told = parsed("import", path, "--list", "ngo", "--category", "sexual_minors")
    assert (told["added"], told["removed"]) == (1, 1)
    assert "No list knows it" in run("check", picture)
    [row] = parsed("list")
    run("remove", row["row"])
    run("remove", row["row"], code=6)
    assert parsed("list") == []


def test_a_wrong_hash_is_refused_with_a_sentence(folder: Path) -> None:
    for typed in ("0" * 64, "f" * 64, KNOWN.hex()[1:], ""):
        told = parsed("add", "-", "--list", "a", "--category", "hate", code=6, typed=typed)
        assert told["error"]["param"] == "hash"
    path = written(folder, KNOWN.hex())
    assert parsed("import", path, "--list", "a", code=6)["error"]["param"] == "category"


def test_a_picture_that_cannot_be_compared_is_not_called_unknown(folder: Path) -> None:
    path = folder / "flat.png"
    Image.new("RGB", (200, 100), (9, 9, 9)).save(path)
    told = parsed("check", path)
    assert (told["decided"], told["matched"]) == (False, [])
    assert "not decided" in run("check", path)
    path.write_bytes(b"no picture")
    run("check", path, code=6)


def test_a_changed_list_has_another_version() -> None:
    held = lists().lists[0]
    assert HashLists([replace(held, version="2")]).digest != HashLists([held]).digest
