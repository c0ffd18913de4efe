"""The backfill: clips of an earlier release get their fingerprints, each once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import fingerprints
from gateway.audit.log import SqlAuditLog
from gateway.backfill import Backfill
from gateway.copies import Copies
from gateway.db import Database
from gateway.errors import Interrupted
from gateway.lookalikes import ClipLooks, Lookalikes
from gateway.media.codec import Mp4Codec
from gateway.store import Ref, Released
from gateway.tables import FingerprintRow, Video
from tests.contract.audit_kit import video_row
from tests.unit.fingerprint_clips import cut, drawn
from tests.unit.rig import Rig
from watermark.fingerprint.inverted import InvertedIndex

CODEC = Mp4Codec(preset="ultrafast", threads=1)


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


@pytest.fixture
def backfill(rig: Rig) -> Backfill:
    return Backfill(
        database=rig.database,
        released=rig.released,
        codec=CODEC,
        looks=ClipLooks(),
        scratch=rig.folder / "work",
    )


def release(rig: Rig, number: int, spoil: Callable[[Path], object] = lambda _: None) -> Ref:
    """A clip as an earlier release left it: on the shelf, without a fingerprint."""
    path = rig.folder / "clip.mp4"
    CODEC.encode(cut(drawn(number), 16), path, fps=12)
    ref = rig.released.put(path, scope=f"video_{number}", suffix="mp4")
    spoil(rig.released.local_path(ref))
    with rig.database.write() as session:
        video_row(
            session, number, state="released", sha256=ref.sha256, size_bytes=ref.size,
            watermark_ok=True, credentials_ok=True, audit_index=number,
        )  # fmt: skip
    return ref


def rows(rig: Rig) -> dict[str, bool]:
    with rig.database.read() as session:
        found = session.scalars(sa.select(FingerprintRow)).all()
    return {row.clip_id: row.record is not None for row in found}


def test_what_is_missing_is_made_the_newest_first(rig: Rig, backfill: Backfill) -> None:
    for number in (1, 2, 3):
        release(rig, number)
    assert backfill.some(2) == 2
    assert rows(rig) == {f"{3:016x}": True, f"{2:016x}": True}
    assert backfill.some(2) == 1
    assert backfill.some(2) == 0
    looks = Lookalikes(rig.database, make_index=InvertedIndex)
    onlooker = looks.onlooker()
    list(onlooker.passing(cut(drawn(1)[:, 20:], 16)))
    found = looks.compare(onlooker.query(fps=12))
    assert [match.clip_id for match in found.matches] == [f"{1:016x}"]
    assert (found.clips, found.released) == (3, 3)
    assert not list((rig.folder / "work").iterdir())


def test_a_file_that_is_not_as_it_was_released_gives_none(rig: Rig, backfill: Backfill) -> None:
    release(rig, 1, Path.unlink)
    release(rig, 2, lambda path: path.write_bytes(b"changed"))
    release(rig, 3)
    assert backfill.some() == 1
    assert rows(rig) == {f"{1:016x}": False, f"{2:016x}": False, f"{3:016x}": True}
    assert backfill.some() == 0


class Away:
    """A place that cannot be reached."""

    def open(self, *, brisk: bool) -> Any:
        raise TimeoutError(brisk)


def test_a_store_that_does_not_answer_is_asked_again(rig: Rig, backfill: Backfill) -> None:
    release(rig, 1)
    cut_off = Backfill(
        database=rig.database,
        released=Released(Away(), Copies(rig.folder / "copies", max_bytes=1)),
        codec=CODEC,
        looks=ClipLooks(),
        scratch=rig.folder / "work",
    )
    with pytest.raises(Interrupted):
        cut_off.some()
    assert rows(rig) == {}
    assert backfill.some() == 1


def test_what_an_earlier_version_deleted_loses_its_fingerprint(
    rig: Rig, backfill: Backfill
) -> None:
    for number in (1, 2):
        release(rig, number)
    assert backfill.some() == 2
    with rig.database.write() as session:
        session.execute(sa.update(Video).where(Video.id == "video_1").values(state="deleted"))
    backfill.withdraw_gone()
    assert rows(rig) == {f"{1:016x}": False, f"{2:016x}": True}
    backfill.withdraw_gone()
    with rig.database.read() as session:
        assert max(number for number, _, _ in fingerprints.since(session, 0)) == 3


def test_what_was_made_or_deleted_meanwhile_stays_as_it_is(
    rig: Rig, backfill: Backfill
) -> None:
    release(rig, 1)
    release(rig, 2)

    class Slow(ClipLooks):
        def record(self, chunks: Any, *, fps: float) -> bytes:
            with rig.database.write() as session:
                fingerprints.keep(session, f"{1:016x}", b"first")
                session.execute(
                    sa.update(Video).where(Video.id == "video_2").values(state="deleted")
                )
            return super().record(chunks, fps=fps)

    slow = Backfill(
        database=rig.database,
        released=rig.released,
        codec=CODEC,
        looks=Slow(),
        scratch=rig.folder / "work",
    )
    assert slow.some() == 0
    with rig.database.read() as session:
        kept = list(fingerprints.since(session, 0))
    assert [(clip, record) for _, clip, record in kept] == [(f"{1:016x}", b"first")]


def test_a_clip_that_raises_something_unforeseen_stops_no_other(
    rig: Rig, backfill: Backfill, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        release(rig, number)
    record, calls = ClipLooks.record, []

    def first_breaks(looks: ClipLooks, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("an array of another shape")
        return record(looks, *args, **options)

    monkeypatch.setattr(ClipLooks, "record", first_breaks)
    assert backfill.some() == 1
    assert rows(rig) == {f"{2:016x}": False, f"{1:016x}": True}
