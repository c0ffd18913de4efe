"""What every collection of fingerprints promises, the exact one and the fast one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.unit.fingerprint_clips import drawn
from watermark.fingerprint.exhaustive import ExhaustiveIndex
from watermark.fingerprint.index import FingerprintIndex
from watermark.fingerprint.inverted import IndexInvalid, InvertedIndex
from watermark.fingerprint.maker import fingerprint, query
from watermark.fingerprint.points import Points
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import Fingerprint, FingerprintInvalid
from watermark.watermarker import Frames

CLIPS = 12
NEVER_ADDED = 99
both = pytest.mark.parametrize("make", [ExhaustiveIndex, InvertedIndex])
Make = Callable[[], FingerprintIndex]


@pytest.fixture(scope="module")
def records() -> dict[str, Fingerprint]:
    return {f"clip-{seed}": fingerprint([drawn(seed)], fps=12) for seed in range(CLIPS)}


def filled(make: Make, records: dict[str, Fingerprint]) -> FingerprintIndex:
    index = make()
    for clip_id, record in records.items():
        index.add(clip_id, record)
    return index


def cropped(clip: Frames) -> Frames:
    return clip[:, 10:142, 60:300]


def mirrored(clip: Frames) -> Frames:
    return clip[:, :, ::-1]


def reversed_and_darker(clip: Frames) -> Frames:
    return (clip[::-1] * 0.7).astype(np.uint8)


def turned(clip: Frames) -> Frames:
    return np.rot90(clip, 1, (1, 2))


def small_and_blurred(clip: Frames) -> Frames:
    return np.stack([cv2.GaussianBlur(cv2.resize(one, (220, 124)), (0, 0), 1) for one in clip])


def one_second(clip: Frames) -> Frames:
    return clip[9:21]


def inside_another(clip: Frames) -> Frames:
    other = drawn(NEVER_ADDED, frames=len(clip), height=360, width=640)
    other[:, 120:300, 200:520] = clip
    return other


@both
@pytest.mark.parametrize(
    "damage",
    [
        cropped,
        mirrored,
        reversed_and_darker,
        turned,
        small_and_blurred,
        one_second,
        inside_another,
    ],
)
def test_a_damaged_copy_leads_to_its_clip(
    make: Make, records: dict[str, Fingerprint], damage: Callable[[Frames], Frames]
) -> None:
    index = filled(make, records)
    found = index.search(query([damage(drawn(5))], fps=12))
    assert found.outcome == "matches"
    first = found.matches[0]
    assert first.clip_id == "clip-5"
    assert first.credible
    assert 0 < first.similarity <= 1
    assert first.mirrored == (damage is mirrored)
    assert not any(match.credible for match in found.matches[1:])


@both
def test_a_strange_clip_leads_nowhere(make: Make, records: dict[str, Fingerprint]) -> None:
    found = filled(make, records).search(query([drawn(NEVER_ADDED)], fps=12))
    assert not any(match.credible for match in found.matches)


@both
def test_a_plain_copy_is_said_to_have_too_little_detail(
    make: Make, records: dict[str, Fingerprint]
) -> None:
    plain = query([np.full((6, 90, 160, 3), 77, np.uint8)], fps=12)
    found = filled(make, records).search(plain)
    assert found.outcome == "too_little_detail"
    assert found.matches == ()


@both
def test_a_clip_with_too_few_points_is_never_found(
    make: Make, records: dict[str, Fingerprint]
) -> None:
    index = filled(make, records)
    whole = records["clip-5"].points
    few = Points(codes=whole.codes[:12], places=whole.places[:12], aspect=whole.aspect)
    index.add("sparse", Fingerprint(points=few, duration_ms=1000))
    assert "sparse" in index
    found = index.search(query([drawn(5)], fps=12))
    assert [match.clip_id for match in found.matches if match.credible] == ["clip-5"]
    assert "sparse" not in {match.clip_id for match in found.matches}


@both
def test_a_removed_clip_is_no_longer_found(make: Make, records: dict[str, Fingerprint]) -> None:
    index = filled(make, records)
    wanted = query([drawn(5)], fps=12)
    assert index.search(wanted).matches[0].clip_id == "clip-5"
    assert index.remove("clip-5")
    assert not index.remove("clip-5")
    assert "clip-5" not in index
    assert len(index) == CLIPS - 1
    assert "clip-5" not in {match.clip_id for match in index.search(wanted).matches}
    index.add("clip-5", records["clip-5"])
    assert index.search(wanted).matches[0].clip_id == "clip-5"


@both
def test_adding_an_id_again_replaces_its_clip(
    make: Make, records: dict[str, Fingerprint]
) -> None:
    index = filled(make, records)
    assert len(index) == CLIPS
    index.add("clip-5", fingerprint([drawn(50)], fps=12))
    assert len(index) == CLIPS
    assert index.search(query([drawn(50)], fps=12)).matches[0].clip_id == "clip-5"
    assert not any(m.credible for m in index.search(query([drawn(5)], fps=12)).matches)


@both
def test_the_limit_is_kept(make: Make, records: dict[str, Fingerprint]) -> None:
    index = make()
    for number in range(20):
        index.add(f"copy-{number:02}", records["clip-5"])
    wanted = query([drawn(5)], fps=12)
    assert len(index.search(wanted, 3).matches) == 3
    assert len(index.search(wanted, 100).matches) == 16
    assert index.search(wanted, 0).matches == ()
    assert index.search(wanted, -1).matches == ()


@both
def test_an_empty_collection_finds_nothing(make: Make) -> None:
    assert make().search(query([drawn(5)], fps=12)).outcome == "nothing_like_it"


@both
def test_a_stored_fingerprint_is_a_query_too(
    make: Make, records: dict[str, Fingerprint]
) -> None:
    copy = fingerprint([cropped(drawn(5))], fps=12)
    found = filled(make, records).search(Query.of(copy))
    assert found.matches[0].clip_id == "clip-5"
    assert found.matches[0].credible


def test_both_give_the_same_matches_in_any_order_of_adding(
    records: dict[str, Fingerprint],
) -> None:
    exact = filled(ExhaustiveIndex, records)
    fast = InvertedIndex()
    wanted = query([small_and_blurred(drawn(7))], fps=12)
    for clip_id in sorted(records, reverse=True):
        fast.add(clip_id, records[clip_id])
        fast.search(wanted)
    assert fast.search(wanted).matches[0] == exact.search(wanted).matches[0]


def test_an_index_is_rebuilt_from_the_bytes_of_a_database(
    records: dict[str, Fingerprint], tmp_path: Path
) -> None:
    rows = [(clip_id, record.to_bytes()) for clip_id, record in records.items()]
    index = InvertedIndex.of(rows)
    wanted = query([cropped(drawn(3))], fps=12)
    expected = index.search(wanted)
    assert expected.matches[0].clip_id == "clip-3"
    index.remove("clip-4")
    index.save(tmp_path / "index")
    again = InvertedIndex.load(tmp_path / "index")
    assert len(again) == CLIPS - 1
    assert "clip-4" not in again
    assert records["clip-4"].to_bytes()[14:22][::-1] not in (tmp_path / "index").read_bytes()
    assert again.search(wanted).matches[0].clip_id == "clip-3"
    assert again.remove("clip-3")
    with pytest.raises(FingerprintInvalid):
        InvertedIndex.of([("clip-1", b"nothing")])


def test_a_removed_clip_leaves_no_point_behind(records: dict[str, Fingerprint]) -> None:
    index = InvertedIndex.of((clip_id, one.to_bytes()) for clip_id, one in records.items())
    wanted = query([drawn(3)], fps=12)
    before = index.search(wanted).matches[0]
    kept = np.concatenate([one.points.codes for one in records.values()])
    own = np.setdiff1d(records["clip-4"].points.codes, records["clip-3"].points.codes)
    index.remove("clip-4")
    shelf = index._shelves[0][0]
    assert np.isin(own, kept).all()
    assert not np.isin(own, shelf.codes).any()
    assert not np.isin(own, shelf.listed).any()
    assert (np.diff(shelf.listed.astype(object)) >= 0).all()
    after = index.search(wanted).matches[0]
    assert (after.clip_id, after.pairs) == (before.clip_id, before.pairs)


def test_the_last_clip_of_a_shelf_leaves_nothing_behind(
    records: dict[str, Fingerprint],
) -> None:
    index = filled(InvertedIndex, {"only": records["clip-4"]})
    wanted = query([drawn(4)], fps=12)
    assert index.search(wanted).matches[0].clip_id == "only"
    index.remove("only")
    assert index.search(wanted).outcome == "nothing_like_it"
    index.add("again", records["clip-4"])
    assert index.search(wanted).matches[0].clip_id == "again"
    index.compact()
    assert index.search(wanted).matches[0].clip_id == "again"


def test_an_empty_index_is_saved_and_loaded(tmp_path: Path) -> None:
    InvertedIndex().save(tmp_path / "index")
    assert len(InvertedIndex.load(tmp_path / "index")) == 0


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04nonsense", b"\x93NUMPY\x01\x00v\x00{}"])
def test_a_damaged_index_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(raw)
    with pytest.raises(IndexInvalid):
        InvertedIndex.load(tmp_path / "index")
    with pytest.raises(IndexInvalid):
        InvertedIndex.load(tmp_path / "absent")
