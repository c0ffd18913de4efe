"""Anchors: what an outside authority stamped shows when the log was written anew."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import check
from gateway.audit.anchors import Anchors, asking
from gateway.audit.books import check_database
from gateway.audit.check import Stamping, check_export
from gateway.audit.entry import EventKind
from gateway.audit.export import export
from gateway.audit.log import SqlAuditLog
from gateway.audit.report import CheckReport, FaultKind
from gateway.audit.stamps import StampFault, StampReader
from gateway.db import Database
from gateway.errors import NotFound, StageUnavailable
from gateway.provenance.certificates import Authority, make_root, make_stamping
from gateway.provenance.timestamp import LocalTimestampAuthority, TimestampResponder
from gateway.tables import AuditAnchor, AuditEntryRow
from tests.contract.audit_kit import NOON, Room, event, open_room

DAY = dt.timedelta(days=1)
ROOT = make_root(organisation="Outside", role="root", now=NOON)
STAMPING = make_stamping(organisation="Outside", root=ROOT, now=NOON)


def pem(root: Authority) -> str:
    return root.certificate.public_bytes(Encoding.PEM).decode()


READER = StampReader(pem(ROOT))


@dataclass
class Yard:
    """A log, an authority, and one clock that both go by."""

    room: Room
    now: list[dt.datetime]
    anchors: Anchors = field(init=False)

    def __post_init__(self) -> None:
        self.anchors = self.anchored_by(STAMPING)

    def anchored_by(self, authority: Authority, reader: StampReader = READER) -> Anchors:
        responder = TimestampResponder(authority, clock=self.clock)
        return Anchors(
            database=self.room.database,
            log=self.room.log,
            ask=responder.answer,
            reader=reader,
            every=DAY,
            clock=self.clock,
        )

    def clock(self) -> dt.datetime:
        return self.now[-1]

    def later(self, hours: float) -> None:
        self.now.append(self.now[-1] + dt.timedelta(hours=hours))

    def write(self, number: int) -> None:
        self.room.record(event(number))
        self.room.log.sequence()

    def days(self, count: int) -> None:
        """Some days in each of which something happens and the log is stamped."""
        for number in range(count):
            self.write(number)
            self.anchors.anchor_if_due()
            self.room.log.sequence()
            self.later(24)

    def checked(self, hours: float | None = None, **more: object) -> CheckReport:
        within = None if hours is None else dt.timedelta(hours=hours)
        plain: dict[str, object] = {
            "now": self.clock(),
            "stamping": Stamping(READER.time_of, within),
        }
        return check_database(self.room.database, self.room.key.verifier, **{**plain, **more})


@pytest.fixture
def yard(tmp_path: Path, database: Database) -> Yard:
    now = [NOON]
    return Yard(room=open_room(tmp_path, lambda: now[-1], database=database), now=now)


def kinds(report: CheckReport) -> list[FaultKind]:
    return [fault.kind for fault in report.faults]


def count(yard: Yard) -> int:
    with yard.room.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(AuditAnchor)) or 0


def test_a_stamp_is_kept_and_stands_in_the_log(yard: Yard) -> None:
    with pytest.raises(NotFound):
        yard.anchors.anchor()
    yard.write(0)
    made = yard.anchors.anchor_if_due()
    assert made is not None
    yard.room.log.sequence()
    assert (made.size, made.stamp.time) == (1, NOON)
    assert READER.read(made.reply, made.note).time == NOON
    assert [e.entry.kind for e in yard.room.log.entries(subject="log")] == [
        EventKind.CHECKPOINT_ANCHORED
    ]
    report = yard.checked(hours=24)
    assert (report.ok, report.stamps, report.stamped_at) == (True, 1, NOON.isoformat())


def test_a_log_is_stamped_once_in_its_time(yard: Yard) -> None:
    yard.write(0)
    assert yard.anchors.anchor_if_due() is not None
    yard.later(23.9)
    yard.write(1)
    assert yard.anchors.anchor_if_due() is None
    yard.later(0.2)
    assert yard.anchors.anchor_if_due() is not None
    assert count(yard) == 2


def test_stamping_one_head_twice_changes_nothing(yard: Yard) -> None:
    yard.write(0)
    yard.anchors.anchor()
    yard.anchors.anchor()
    yard.room.log.sequence()
    assert count(yard) == 1
    assert yard.checked().ok


@pytest.mark.parametrize("wrong", ["away", "junk", "refusal", "another", "stranger"])
def test_what_is_no_stamp_of_ours_is_not_kept(yard: Yard, wrong: str) -> None:
    responder = TimestampResponder(STAMPING, clock=yard.clock)
    strange_root = make_root(organisation="Nobody", role="root", now=NOON)
    stranger = make_stamping(organisation="Nobody", root=strange_root, now=NOON)
    early: list[bytes] = []

    def ask(query: bytes) -> bytes:
        early.append(query)
        if wrong == "away":
            raise StageUnavailable("no answer")
        return {
            "junk": b"<html>busy</html>",
            "refusal": responder.answer(b"x"),
            # The reply to an earlier question: another nonce.
            "another": responder.answer(early[0]),
            "stranger": TimestampResponder(stranger, clock=yard.clock).answer(query),
        }[wrong]

    yard.write(0)
    anchors = Anchors(
        database=yard.room.database,
        log=yard.room.log,
        ask=ask,
        reader=READER,
        every=DAY,
        clock=yard.clock,
    )
    if wrong == "another":
        anchors.anchor()
        yard.room.log.sequence()
    before = count(yard)
    with pytest.raises(StageUnavailable):
        anchors.anchor()
    yard.room.log.sequence()
    assert count(yard) == before
    assert yard.checked().ok


def test_another_authority_may_take_over(yard: Yard) -> None:
    yard.days(1)
    root = make_root(organisation="Other", role="root", now=NOON)
    other = make_stamping(organisation="Other", root=root, now=NOON)
    anchors = yard.anchored_by(other, StampReader(pem(root)))
    assert anchors.anchor_if_due() is not None
    yard.room.log.sequence()
    assert kinds(yard.checked()) == [FaultKind.SIGNATURE]
    assert yard.anchors.newest() is None, "what is of nobody trusted is none"
    both = StampReader(pem(ROOT) + pem(root)).time_of
    assert yard.checked(stamping=Stamping(both)).stamps == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_anchors SET reply = 'x'",
        "DELETE FROM audit_anchors",
        "INSERT OR REPLACE INTO audit_anchors VALUES (1, 'x')",
        "TRUNCATE audit_anchors",
    ],
)
def test_a_stamp_is_written_once(yard: Yard, statement: str) -> None:
    yard.days(1)
    with pytest.raises(sa.exc.DatabaseError), yard.room.database.write() as session:
        session.execute(sa.text(statement))
    assert count(yard) == 1


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM audit_anchors WHERE size = 1", FaultKind.MISSING),
        ("UPDATE audit_anchors SET reply = x'00' WHERE size = 1", FaultKind.CHANGED),
        ("UPDATE audit_anchors SET size = 2 WHERE size = 1", FaultKind.MISSING),
    ],
)
@pytest.mark.parametrize("read", [True, False])
def test_a_stamp_that_is_gone_or_changed_is_found(
    yard: Yard, statement: str, kind: FaultKind, read: bool
) -> None:
    yard.days(3)
    yard.room.execute(statement)
    report = yard.checked(stamping=Stamping(READER.time_of if read else None))
    assert kinds(report) == [kind]


def written_anew(yard: Yard, size: int) -> None:
    """What whoever holds the key can do: keep some entries, forget the rest and all stamps."""
    with yard.room.database.read() as session:
        leaves = session.scalars(
            sa.select(AuditEntryRow.leaf).where(AuditEntryRow.index < size)
        ).all()
    for name in ("entries", "tiles", "checkpoints", "head", "anchors"):
        yard.room.execute(f"DELETE FROM audit_{name}")
    for leaf in leaves:
        value = json.loads(leaf)
        if value["kind"] != EventKind.CHECKPOINT_ANCHORED:
            insert = "INSERT INTO audit_outbox (event_id, leaf) VALUES (?, ?)"
            yard.room.execute(insert, value["id"], leaf)
    log = SqlAuditLog(yard.room.database, yard.room.key, lambda: yard.now[-1])
    while log.sequence():
        pass


def test_a_log_that_was_written_anew_lacks_the_stamps_of_its_days(yard: Yard) -> None:
    yard.days(5)
    assert yard.checked(hours=36).ok
    written_anew(yard, 6)
    yard.anchors.anchor()
    yard.room.log.sequence()
    # Alone it is a sound log. Only the authority could say when it was written.
    assert yard.checked().ok
    report = yard.checked(hours=36)
    assert kinds(report) == [FaultKind.LATE]
    assert "were stamped at 2026-11-27T12:00:00+00:00 only" in report.faults[0].text


def test_a_log_that_was_cut_back_is_found_with_a_stamped_head_kept_elsewhere(
    yard: Yard,
) -> None:
    yard.days(4)
    kept = yard.anchors.newest()
    assert kept is not None
    assert yard.checked(anchor=kept.note).ok
    written_anew(yard, 3)
    assert FaultKind.TRUNCATED in kinds(yard.checked(anchor=kept.note))


def test_an_entry_cannot_be_dated_after_the_stamp_above_it(yard: Yard) -> None:
    yard.later(48)
    yard.write(0)
    yard.now.append(NOON)
    yard.anchors.anchor()
    yard.room.log.sequence()
    report = yard.checked()
    assert kinds(report) == [FaultKind.CHANGED]
    assert report.faults[0].text == "an entry under it is dated after it"


def test_a_row_that_the_log_does_not_know_stands_for_nothing(yard: Yard) -> None:
    """Nor does it part old entries from the stamp that came too late for them."""
    yard.write(0)
    yard.write(1)
    yard.later(100)
    yard.anchors.anchor()
    yard.room.log.sequence()
    assert kinds(yard.checked(hours=36)) == [FaultKind.LATE]
    yard.room.execute("INSERT INTO audit_anchors (size, reply) VALUES (1, x'00')")
    assert kinds(yard.checked(hours=36)) == [FaultKind.LATE]


def test_entries_that_nobody_stamped_any_more_are_found(yard: Yard) -> None:
    yard.days(2)
    yard.write(50)
    yard.later(100)
    yard.write(51)
    assert yard.checked().ok
    assert kinds(yard.checked(hours=36)) == [FaultKind.LATE]


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Yard]:
    now = [NOON]
    folder = tmp_path_factory.mktemp("stamped")
    made = Yard(room=open_room(folder, lambda: now[-1]), now=now)
    made.days(3)
    export(made.room.database, made.room.key.verifier, folder / "out")
    return folder / "out", made


def test_an_export_carries_the_stamps(stamped: tuple[Path, Yard]) -> None:
    folder, yard = stamped
    key = yard.room.key.verifier.text
    found = check_export(folder, key, stamping=Stamping(READER.time_of, DAY))
    assert (found.ok, found.stamps) == (True, 3)
    assert sorted(path.name for path in (folder / "heads").iterdir()) == [
        "1", "1.tsr", "3", "3.tsr", "5", "5.tsr",
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_of_it_is_found(stamped: tuple[Path, Yard], data: st.DataObject) -> None:
    folder, yard = stamped
    file = data.draw(st.sampled_from(sorted((folder / "heads").iterdir())))
    good = file.read_bytes()
    at = data.draw(st.integers(min_value=0, max_value=len(good) - 1))
    byte = data.draw(st.integers(min_value=0, max_value=255).filter(lambda b: b != good[at]))
    file.write_bytes(good[:at] + bytes([byte]) + good[at + 1 :])
    try:
        for read in (None, READER.time_of):
            key = yard.room.key.verifier.text
            assert not check_export(folder, key, stamping=Stamping(read)).ok
    finally:
        file.write_bytes(good)


def test_a_stamp_that_was_added_to_an_export_is_found(
    stamped: tuple[Path, Yard], tmp_path: Path
) -> None:
    folder, yard = stamped
    shutil.copytree(folder, tmp_path / "out")
    shutil.copy(folder / "heads" / "1.tsr", tmp_path / "out" / "heads" / "2.tsr")
    report = check_export(tmp_path / "out", yard.room.key.verifier.text)
    assert kinds(report) == [FaultKind.STRAY]


def test_the_checker_reads_stamps_where_it_is_given_roots(
    stamped: tuple[Path, Yard], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, yard = stamped
    (tmp_path / "roots.pem").write_text(pem(ROOT))
    plain = [str(folder), "--key", yard.room.key.verifier.text]
    roots = [*plain, "--roots", str(tmp_path / "roots.pem")]
    assert check.main([*roots, "--within", "36"]) == check.EXIT_OK
    told = capsys.readouterr().out
    assert "3 stamps, the last of 2026-11-24T12:00:00+00:00" in told
    assert check.main([*roots, "--within", "0.5"]) == check.EXIT_FAULTS
    assert check.main([*plain, "--within", "36"]) == check.EXIT_UNCHECKED
    for hours in ("nan", "inf", "0", "-5", "1e300"):
        assert check.main([*roots, "--within", hours]) == check.EXIT_UNCHECKED
    (tmp_path / "roots.pem").write_text("none")
    assert check.main(roots) == check.EXIT_UNCHECKED


def test_the_authority_is_asked_over_http(yard: Yard) -> None:
    yard.now.append(dt.datetime.now(dt.UTC))
    yard.write(0)
    made = make_stamping(organisation="Outside", root=ROOT, now=yard.clock())
    anchors = yard.anchored_by(made)
    with LocalTimestampAuthority(made, clock=yard.clock) as url:
        anchors._ask = asking(url)
        assert anchors.anchor().size == 1
    with pytest.raises(StageUnavailable):
        asking(url)(b"query")


def test_roots_that_are_none_are_refused() -> None:
    with pytest.raises(StampFault):
        StampReader("")


@settings(max_examples=100, deadline=None)
@given(junk=st.binary(max_size=200))
def test_junk_is_refused_in_one_way(junk: bytes) -> None:
    with pytest.raises(StampFault):
        READER.read(junk, "note")
