"""The index of released clips: always as new as the database, whoever wrote to it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import fingerprints
from gateway.db import Database
from gateway.lookalikes import ClipLooks, Lookalikes
from gateway.tables import Video
from gateway.witnesses import Compared
from tests.contract.audit_kit import video_row
from tests.unit.fingerprint_clips import cut, drawn
from watermark.fingerprint.inverted import InvertedIndex
from watermark.fingerprint.match import Search
from watermark.fingerprint.query import Query
from watermark.watermarker import Frames


@pytest.fixture
def looks(database: Database) -> Lookalikes:
    return Lookalikes(database, make_index=InvertedIndex)


def release(database: Database, number: int) -> str:
    """A released clip that shows what its number draws."""
    record = ClipLooks().record(cut(drawn(number), 16), fps=24)
    row = {"sha256": "0" * 64, "size_bytes": 1, "watermark_ok": True, "credentials_ok": True}
    with database.write() as session:
        video_row(session, number, state="released", audit_index=number, **row)
        fingerprints.keep(session, f"{number:016x}", record)
    return f"{number:016x}"


def compared(looks: Lookalikes, clip: Frames) -> Compared:
    onlooker = looks.onlooker()
    assert sum(len(chunk) for chunk in onlooker.passing(cut(clip, 16))) == len(clip)
    return looks.compare(onlooker.query(fps=24))


def found(looks: Lookalikes, clip: Frames) -> list[str]:
    return [match.clip_id for match in compared(looks, clip).matches]


def test_a_copy_is_found_from_the_moment_of_its_release(
    database: Database, looks: Lookalikes
) -> None:
    copy = drawn(1)[:, 10:170, 10:310]
    assert compared(looks, copy) == Compared(
        enough_detail=True, matches=(), clips=0, released=0
    )
    clip = release(database, 1)
    assert found(looks, copy) == [clip]
    other = release(database, 2)
    assert found(looks, drawn(2)[:, ::-1, ::-1]) == [other]
    assert found(looks, drawn(3)) == []


def test_a_clip_that_another_process_deleted_is_forgotten(
    database: Database, looks: Lookalikes
) -> None:
    clips = [release(database, number) for number in (1, 2, 3)]
    assert found(looks, drawn(1)) == [clips[0]]
    elsewhere = Database(database.url)
    with elsewhere.write() as session:
        fingerprints.withdraw(session, clips[0])
        session.execute(
            sa.update(Video).where(Video.clip_id == clips[0]).values(state="deleted")
        )
    elsewhere.dispose()
    after = compared(looks, drawn(1))
    assert (after.matches, after.clips, after.released) == ((), 2, 2)
    assert found(Lookalikes(database, make_index=InvertedIndex), drawn(1)) == []


def test_a_clip_without_a_fingerprint_is_counted_as_not_compared(
    database: Database, looks: Lookalikes
) -> None:
    clips = [release(database, number) for number in (1, 2)]
    with database.write() as session:
        session.execute(sa.text("DELETE FROM fingerprints WHERE clip_id = :c"), {"c": clips[0]})
    after = compared(looks, drawn(3))
    assert (after.clips, after.released) == (1, 2)


def test_one_damaged_row_costs_that_clip_only(database: Database, looks: Lookalikes) -> None:
    first, second = release(database, 1), release(database, 2)
    with database.write() as session:
        fingerprints.keep(session, first, b"this is no fingerprint")
    assert found(looks, drawn(2)) == [second]
    assert compared(looks, drawn(1)).clips == 1


def test_a_likeness_that_may_be_chance_is_none(database: Database) -> None:
    clip = release(database, 1)

    class Doubtful(InvertedIndex):
        def search(self, query: Query, limit: int = 16) -> Search:
            found = super().search(query, limit)
            doubtful = [replace(match, log10_p=-5.9) for match in found.matches]
            return replace(found, matches=tuple(doubtful))

    assert found(Lookalikes(database, make_index=InvertedIndex), drawn(1)) == [clip]
    assert found(Lookalikes(database, make_index=Doubtful), drawn(1)) == []


def test_a_plain_picture_is_not_compared(database: Database, looks: Lookalikes) -> None:
    release(database, 1)
    assert not compared(looks, drawn(1) * 0).enough_detail


def test_a_database_that_is_away_is_not_silence(tmp_path: Path, empty_database: Path) -> None:
    path = tmp_path / "gate.db"
    shutil.copyfile(empty_database, path)
    database = Database(f"sqlite:///{path}")
    looks = Lookalikes(database, make_index=InvertedIndex)
    assert compared(looks, drawn(1)).matches == ()
    database.dispose()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(sa.exc.DatabaseError):
        compared(looks, drawn(1))
    database.dispose()
