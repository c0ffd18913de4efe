"""Withdrawal: a released clip is taken back at once and for good, and the log says why."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from gateway.api.videos import as_object
from gateway.audit.books import check_database
from gateway.audit.entry import EventKind
from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.audit.report import CheckReport
from gateway.db import Database
from gateway.errors import Conflict, InvalidRequest, NotFound, Withdrawn
from gateway.orders import Order
from gateway.proof import consult
from gateway.registry import SqlRegistry
from gateway.server import create_app
from gateway.settings import Retention
from gateway.tables import AuditPersonal, FingerprintRow, Video
from gateway.withdrawal import MAX_NOTE_CHARS, SENTENCES, Reason, Withdrawals, event_id
from tests.contract.audit_kit import Room
from tests.unit.rig import Rig
from tests.unit.test_api import StandInGateway
from tests.unit.test_cli_records import folder, run

__all__ = ["folder"]  # a fixture, used by itself


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


@pytest.fixture
def order(rig: Rig) -> Order:
    made = rig.order()
    assert rig.produce(made) == "released"
    return made


def withdrawals(rig: Rig) -> Withdrawals:
    return Withdrawals(
        database=rig.database, audit=rig.audit, released=rig.released, clock=rig.clock
    )


def withdraw(rig: Rig, order: Order, reason: Reason = Reason.PERSON) -> Video:
    return withdrawals(rig).withdraw(order.video_id, reason, note="letter of Ms B", by="kim")


def checked(rig: Rig, key: CheckpointKey) -> CheckReport:
    rig.audit.sequence()
    return check_database(rig.database, key.verifier, now=rig.clock())


def as_owner(rig: Rig, key: CheckpointKey, statement: str, *values: Any) -> None:
    """What whoever owns the database can do: no triggers."""
    Room(folder=rig.folder, database=rig.database, key=key, log=rig.audit).execute(  # type: ignore[arg-type]
        statement, *values
    )


def files(rig: Rig) -> list[Path]:
    return [path for path in (rig.folder / "released").rglob("*") if path.is_file()]


def test_a_withdrawn_clip_is_fetched_by_nobody_and_seen_by_its_owner(
    rig: Rig, order: Order, checkpoint_key: CheckpointKey
) -> None:
    assert files(rig)
    withdraw(rig, order)
    assert files(rig) == []
    for variant in ("video", "thumbnail"):
        with pytest.raises(Withdrawn, match="It shows somebody who did not agree to it"):
            rig.clips.content(rig.caller, order.video_id, variant=variant)
    (shown,), _ = rig.clips.page(rig.caller, after=None, limit=10, ascending=True)
    assert (shown.id, shown.withdrawn) == (order.video_id, "person")
    assert shown.completed_at == rig.row(order).completed_at is not None
    with rig.database.read() as session:
        (look,) = session.scalars(sa.select(FingerprintRow))
        half = session.scalars(
            sa.select(AuditPersonal.record).where(
                AuditPersonal.event_id.endswith("video.withdrawn")
            )
        ).one()
    assert look.record is None
    assert b"letter of Ms B" in half
    (entry,) = (
        row for row in rig.audit.entries() if row.entry.kind == EventKind.VIDEO_WITHDRAWN
    ) if rig.audit.sequence() else ()  # fmt: skip
    assert entry.entry.facts["reason"] == "person"
    assert b"Ms B" not in entry.leaf
    assert b"kim" not in entry.leaf
    assert checked(rig, checkpoint_key).ok


def test_it_happens_once_and_to_released_clips_only(rig: Rig, order: Order) -> None:
    waiting = rig.order(prompt="another")
    with pytest.raises(Conflict, match="it is queued"):
        withdraw(rig, waiting)
    with pytest.raises(InvalidRequest):
        withdrawals(rig).withdraw(
            order.video_id, Reason.RIGHTS, note="x" * (MAX_NOTE_CHARS + 1), by="kim"
        )
    with pytest.raises(NotFound):
        withdrawals(rig).withdraw("video_none", Reason.RIGHTS, note="", by="kim")
    withdraw(rig, order)
    with pytest.raises(Conflict, match="withdrawn already"):
        withdraw(rig, order, Reason.RIGHTS)
    with pytest.raises(Withdrawn):
        rig.clips.delete(rig.caller, order.video_id)
    assert rig.row(order).withdrawn == "person"
    rig.clips.delete(rig.caller, waiting.video_id)
    with pytest.raises(Conflict, match="it is deleted"):
        withdraw(rig, waiting)


def test_nobody_else_learns_of_it(rig: Rig, order: Order) -> None:
    withdraw(rig, order)
    made = rig.keys.create(name="other", tenant=None)
    other = rig.keys.authenticate(f"Bearer {made.key}")
    with pytest.raises(NotFound) as told:
        rig.clips.content(other, order.video_id, variant="video")
    assert not isinstance(told.value, Withdrawn)
    with pytest.raises(NotFound) as told:
        rig.clips.delete(other, order.video_id)
    assert not isinstance(told.value, Withdrawn)


def test_a_crash_before_the_file_goes_leaves_no_way_to_it(
    rig: Rig, order: Order, monkeypatch: pytest.MonkeyPatch, checkpoint_key: CheckpointKey
) -> None:
    def crash(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rig.released, "clear", crash)
        with pytest.raises(KeyboardInterrupt):
            withdraw(rig, order)
    assert files(rig)
    with pytest.raises(Withdrawn):
        rig.clips.content(rig.caller, order.video_id, variant="video")
    rig.housekeeping.clear_shelf()
    assert files(rig) == []
    assert checked(rig, checkpoint_key).ok


def test_a_log_that_cannot_be_written_leaves_the_clip_as_it_is(
    rig: Rig, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_session: Session, _event: object) -> None:
        raise ConnectionError("no log")

    monkeypatch.setattr(rig.audit, "record", broken)
    with pytest.raises(ConnectionError):
        withdraw(rig, order)
    assert rig.row(order).state == "released"
    assert files(rig)


@pytest.mark.parametrize(
    "values",
    [{"withdrawn": "rights"}, {"withdrawn": None}, {"state": "released"}],
    ids=lambda values: "-".join(values),
)
def test_a_row_that_says_otherwise_than_the_log_is_found(
    rig: Rig, order: Order, checkpoint_key: CheckpointKey, values: dict[str, Any]
) -> None:
    withdraw(rig, order)
    assert checked(rig, checkpoint_key).ok
    with (
        pytest.raises(sa.exc.DatabaseError, match="stays withdrawn"),
        rig.database.write() as session,
    ):
        session.execute(sa.update(Video).values(**values))
    ((column, value),) = values.items()
    as_owner(rig, checkpoint_key, f"UPDATE videos SET {column} = ?", value)
    assert [fault.where for fault in checked(rig, checkpoint_key).faults] == [order.video_id]


def test_a_row_that_says_it_without_an_entry_is_found(
    rig: Rig, order: Order, checkpoint_key: CheckpointKey
) -> None:
    with rig.database.write() as session:
        session.execute(sa.update(Video).values(withdrawn="rights"))
    assert not checked(rig, checkpoint_key).ok


def test_what_is_old_of_it_is_forgotten_as_of_others(
    rig: Rig, order: Order, checkpoint_key: CheckpointKey
) -> None:
    withdraw(rig, order)
    rig.housekeeping.expire()
    rig.housekeeping.tidy()
    row = rig.row(order)
    assert (row.state, row.withdrawn) == ("deleted", "person")
    assert checked(rig, checkpoint_key).ok


def test_note_and_name_are_erased_by_the_age_of_the_withdrawal(
    rig: Rig, order: Order, checkpoint_key: CheckpointKey
) -> None:
    def noted() -> bool:
        with rig.database.read() as session:
            return session.get(AuditPersonal, event_id(order.video_id)) is not None

    rig.retention = Retention(prompt_days=30)
    with rig.database.write() as session:
        session.execute(sa.update(Video).values(created_at=rig.clock() - dt.timedelta(days=90)))
    withdraw(rig, order)
    rig.housekeeping.forget()
    assert (noted(), rig.row(order).prompt) == (True, ""), "the clip is old, the note is new"
    with rig.database.write() as session:
        session.execute(
            sa.update(Video).values(withdrawn_at=rig.clock() - dt.timedelta(days=31))
        )
    rig.housekeeping.forget()
    assert not noted()
    assert checked(rig, checkpoint_key).ok


def test_whoever_checks_a_copy_is_told_when_the_entry_is_signed(rig: Rig, order: Order) -> None:
    registry = SqlRegistry(rig.database)
    rig.audit.sequence()
    assert consult(registry, rig.audit, order.clip_id).details(None)["withdrawn"] is None
    withdraw(rig, order)
    # Not before: what no signed head covers is not claimed.
    assert consult(registry, rig.audit, order.clip_id).withdrawn is None
    rig.audit.sequence()
    known = consult(registry, rig.audit, order.clip_id)
    assert known.manifest_id is None
    told = known.details(None)["withdrawn"]
    assert (told["reason"], told["meaning"]) == ("person", SENTENCES[Reason.PERSON])
    assert told["at"].startswith(str(rig.clock().year))


@pytest.mark.one_database
def test_the_door_answers_gone(rig: Rig) -> None:
    key = rig.keys.create(name="k").key
    rig.caller = rig.keys.authenticate(f"Bearer {key}")
    order = rig.order()
    assert rig.produce(order) == "released"
    withdraw(rig, order, Reason.LEGAL_ORDER)
    app = create_app(StandInGateway(rig), worker=False)  # type: ignore[arg-type]
    with TestClient(app, headers={"authorization": f"Bearer {key}"}) as client:
        path = f"/v1/videos/{order.video_id}"
        shown = client.get(path).json()
        assert (shown["status"], shown["gateway"]["state"]) == ("failed", "withdrawn")
        assert shown["error"]["code"] == "video_withdrawn"
        assert shown["gateway"]["clip_id"] is None
        for headers in ({}, {"range": "bytes=0-9"}):
            gone = client.get(f"{path}/content", headers=headers)
            assert (gone.status_code, gone.json()["error"]["code"]) == (410, "video_withdrawn")
            assert "A court or an authority ordered it." in gone.json()["error"]["message"]
        remixed = client.post(f"{path}/remix", json={"prompt": "bluer"})
        assert remixed.status_code in (409, 410)
        assert client.delete(path).status_code == 410


def test_a_reason_of_a_later_release_withholds_the_bytes_and_breaks_no_list(
    rig: Rig, order: Order
) -> None:
    with rig.database.write() as session:
        session.execute(sa.update(Video).values(state="deleted", withdrawn="of_later"))
    with pytest.raises(Withdrawn, match=r"This video was withdrawn\.$"):
        rig.clips.content(rig.caller, order.video_id, variant="video")
    (shown,), _ = rig.clips.page(rig.caller, after=None, limit=10, ascending=True)
    assert as_object(shown).gateway.state == "withdrawn"


@pytest.mark.one_database
def test_the_command_names_its_reasons(folder: Path) -> None:
    run("withdraw", "video_none", "--reason", "rights", code=6)
    run("withdraw", "video_none", "--reason", "because", code=2)
    told = "".join(run("withdraw", "--help").split())
    assert [reason for reason in Reason if reason not in told] == []
