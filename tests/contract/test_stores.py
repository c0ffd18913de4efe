"""The stores: what a folder and a bucket both promise, and what a bucket does when it fails."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.buckets import MAX_OBJECT_BYTES, Bucket, Folder, Place
from gateway.copies import Copies
from gateway.errors import StageUnavailable
from gateway.store import Ref, Released, Vault
from tests.object_store import KEY, Door, ObjectService, door

pytestmark = pytest.mark.socket

Alter = Callable[[str, bytes | None], None]


class Shelf:
    """A place of either kind, and what somebody does there behind the gateway's back."""

    def __init__(self, place: Place, service: ObjectService | None) -> None:
        self.place = place
        self._service = service

    def alter(self, ref: Ref, content: bytes | None) -> None:
        if isinstance(self.place, Folder):
            path = self.place.path / ref.name
            path.unlink() if content is None else path.write_bytes(content)
            return
        assert self._service is not None
        at = f"/{self.place.name}/{self.place.prefix}/{ref.name}"
        method = "DELETE" if content is None else "PUT"
        assert self._service.ask(method, at, content) in (200, 204)


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return Shelf(Folder(tmp_path / "store"), None)
    service: ObjectService = request.getfixturevalue("object_service")
    return Shelf(service.bucket(prefix="studio/one"), service)


@pytest.fixture
def released(shelf: Shelf, tmp_path: Path) -> Released:
    return Released(shelf.place, Copies(tmp_path / "copies", max_bytes=10**9))


def file_of(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "source.mp4"
    path.write_bytes(content)
    return path


# --- both kinds ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 12_000_001], ids=["empty", "small", "large"])
def test_what_is_stored_comes_back_and_storing_twice_is_harmless(
    shelf: Shelf, tmp_path: Path, size: int
) -> None:
    vault = Vault(shelf.place)
    source = file_of(tmp_path, bytes(size))
    ref = vault.put(source, scope="video_1", suffix="mp4")
    assert vault.put(source, scope="video_1", suffix="mp4") == ref
    with vault.checkout(ref, scratch=tmp_path / "work") as copy:
        assert copy.read_bytes() == source.read_bytes()
    assert not copy.exists()
    assert vault.read(ref) == source.read_bytes()


def test_what_lies_there_is_never_overwritten(shelf: Shelf, tmp_path: Path) -> None:
    """Whoever was first with a name keeps it; whoever reads it finds out."""
    vault = Vault(shelf.place)
    large = bytes(9_000_000)
    for content in (b"original", large):
        ref = vault.put_bytes(content, scope="video_1", suffix="jpg")
        shelf.alter(ref, b"replaced")
        assert vault.put_bytes(content, scope="video_1", suffix="jpg") == ref
        assert vault.put(file_of(tmp_path, content), scope="video_1", suffix="jpg") == ref
        with pytest.raises(StageUnavailable, match="not what was stored"):
            vault.read(ref)


@pytest.mark.parametrize("change", [b"replaced", b"orig", b"", None])
def test_changed_or_missing_bytes_are_never_handed_out(
    shelf: Shelf, tmp_path: Path, change: bytes | None
) -> None:
    vault = Vault(shelf.place)
    ref = vault.put_bytes(b"original", scope="video_1", suffix="jpg")
    shelf.alter(ref, change)
    with pytest.raises(StageUnavailable):
        vault.read(ref)
    with pytest.raises(StageUnavailable), vault.checkout(ref, scratch=tmp_path / "work"):
        raise AssertionError("changed bytes were handed out")
    assert not list((tmp_path / "work").iterdir())


def test_clearing_one_job_leaves_the_others(shelf: Shelf) -> None:
    vault = Vault(shelf.place)
    one = vault.put_bytes(b"one", scope="video_1", suffix="jpg")
    two = vault.put_bytes(b"one", scope="video_11", suffix="jpg")
    assert set(vault.scopes()) == {"video_1", "video_11"}
    vault.clear("video_1")
    vault.clear("video_1")
    with pytest.raises(StageUnavailable):
        vault.read(one)
    assert vault.read(two) == b"one"
    with pytest.raises(ValueError, match="scope"):
        vault.clear("../video_11")


def test_of_a_cleared_job_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    """Not the part of a file whose writer was killed either, which no listing shows."""
    vault = Vault(Folder(tmp_path / "vault"))
    ref = vault.put_bytes(b"whole", scope="video_1", suffix="mp4")
    part = tmp_path / "vault" / f"{ref.name}#1"
    part.write_bytes(b"who")
    vault.clear("video_1")
    assert not (tmp_path / "vault" / "video_1").exists()
    assert vault.scopes() == ()


def test_a_file_that_no_single_request_takes_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    with path.open("wb") as out:
        out.truncate(MAX_OBJECT_BYTES + 1)
    with pytest.raises(StageUnavailable, match="too large"):
        Vault(shelf.place).put(path, scope="video_1", suffix="mp4")


def test_the_probe_says_yes_and_leaves_nothing(shelf: Shelf) -> None:
    vault = Vault(shelf.place)
    vault.probe()
    vault.probe()
    assert vault.scopes() == ()
    if isinstance(shelf.place, Folder):
        assert not [path for path in shelf.place.path.rglob("*") if path.is_file()]


# --- what is served ------------------------------------------------------------------------


def test_what_is_served_is_what_was_released(shelf: Shelf, released: Released) -> None:
    ref = released.put_bytes(b"original", scope="video_1", suffix="mp4")
    for _ in range(2):
        assert released.intact(ref)
        assert released.local_path(ref).read_bytes() == b"original"


@pytest.mark.parametrize("change", [b"replaced", b"longer than before", None])
@pytest.mark.parametrize("asked_before", [True, False])
def test_what_was_altered_after_the_release_is_not_served(
    shelf: Shelf, released: Released, change: bytes | None, asked_before: bool
) -> None:
    ref = released.put_bytes(b"original", scope="video_1", suffix="mp4")
    assert not asked_before or released.intact(ref)
    shelf.alter(ref, change)
    assert not released.intact(ref)
    shelf.alter(ref, b"original")
    assert released.intact(ref)
    assert released.local_path(ref).read_bytes() == b"original"


def test_a_served_file_that_was_touched_on_this_machine_is_read_again(
    shelf: Shelf, released: Released
) -> None:
    ref = released.put_bytes(b"original", scope="video_1", suffix="mp4")
    assert released.intact(ref)
    released.local_path(ref).write_bytes(b"replaced")
    assert released.intact(ref) == isinstance(shelf.place, Bucket)
    if isinstance(shelf.place, Bucket):
        assert released.local_path(ref).read_bytes() == b"original"


def test_a_cleared_job_is_not_served(shelf: Shelf, released: Released) -> None:
    ref = released.put_bytes(b"original", scope="video_1", suffix="mp4")
    assert released.intact(ref)
    released.clear("video_1")
    assert not released.local_path(ref).exists()
    assert not released.intact(ref)


# --- a bucket that fails -------------------------------------------------------------------


@pytest.fixture
def before(object_service: ObjectService) -> Door:
    with door(object_service) as made:
        yield made  # type: ignore[misc]


ACTS = {
    "put": lambda store, ref, scratch: store.put_bytes(b"more", scope="video_2", suffix="mp4"),
    "read": lambda store, ref, scratch: store.read(ref),
    "checkout": lambda store, ref, scratch: store.checkout(ref, scratch=scratch).__enter__(),
    "scopes": lambda store, ref, scratch: store.scopes(),
    "clear": lambda store, ref, scratch: store.clear("video_1"),
    "serve": lambda store, ref, scratch: store.intact(ref),
    "probe": lambda store, ref, scratch: store.probe(),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("trouble", ["500", "403", "slow", "down", "no bucket"])
def test_a_bucket_in_trouble_is_a_clear_fault_without_a_secret(
    before: Door, object_service: ObjectService, tmp_path: Path, act: str, trouble: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    place = object_service.bucket(url=before.url)
    ref = Released(place, Copies(tmp_path / "copies", max_bytes=10**9)).put_bytes(
        b"original", scope="video_1", suffix="mp4"
    )
    if trouble == "down":
        place = dataclasses.replace(place, endpoint="http://127.0.0.1:9")
    elif trouble == "no bucket":
        place = dataclasses.replace(place, name="bucket-that-nobody-made")
    else:
        before.trouble = trouble
    store = Released(place, Copies(tmp_path / "copies", max_bytes=10**9))
    if (trouble, act) == ("no bucket", "serve"):
        assert not store.intact(ref)
        return
    with pytest.raises(StageUnavailable) as caught:
        ACTS[act](store, ref, tmp_path)
    told = f"{caught.value} {caught.value.message} {caplog.text} {store!r} {place!r}"
    assert KEY.key_id not in told
    assert KEY.secret not in told
    assert "127.0.0.1" not in caught.value.message
    # The library does not say why a list was refused.
    named = trouble == "403" and act not in ("scopes", "clear")
    assert ("denied" in caught.value.message) == named


@pytest.mark.parametrize("trouble", ["truncated", "altered"])
def test_bytes_that_change_on_the_way_are_never_handed_out(
    before: Door, object_service: ObjectService, tmp_path: Path, trouble: str
) -> None:
    place = object_service.bucket(url=before.url)
    store = Released(place, Copies(tmp_path / "copies", max_bytes=10**9))
    ref = store.put_bytes(b"original" * 100_000, scope="video_1", suffix="mp4")
    before.trouble, before.only = trouble, "GET"
    with pytest.raises(StageUnavailable):
        store.read(ref)
    with pytest.raises(StageUnavailable), store.checkout(ref, scratch=tmp_path / "work"):
        raise AssertionError("changed bytes were handed out")
    try:
        assert not store.intact(ref)
    except StageUnavailable:
        assert trouble == "truncated"
    assert not store.local_path(ref).exists()


def test_bytes_that_change_on_the_way_in_are_found_when_they_are_read(
    before: Door, object_service: ObjectService
) -> None:
    """A write whose answer was lost is tried again, and finds the object there."""
    place = object_service.bucket(url=before.url)
    vault = Vault(place)
    ref = vault.put_bytes(b"original", scope="video_1", suffix="mp4")
    assert object_service.ask("PUT", f"/{place.name}/{ref.name}", b"half") == 200
    assert vault.put_bytes(b"original", scope="video_1", suffix="mp4") == ref
    with pytest.raises(StageUnavailable):
        vault.read(ref)


def test_a_service_that_overwrites_is_refused_by_the_probe(
    before: Door, object_service: ObjectService
) -> None:
    before.trouble = "blind"
    with pytest.raises(StageUnavailable, match="create-only"):
        Vault(object_service.bucket(url=before.url)).probe()


def test_a_fault_that_passes_is_tried_again(
    before: Door, object_service: ObjectService
) -> None:
    vault = Vault(object_service.bucket(url=before.url))
    ref = vault.put_bytes(b"original", scope="video_1", suffix="mp4")
    before.trouble = "500"
    before.seen.clear()
    with pytest.raises(StageUnavailable):
        vault.read(ref)
    assert len(before.seen) == 2  # as often as the tests' patience says, no more
    before.trouble = ""
    assert vault.read(ref) == b"original"


def test_a_copy_is_fetched_once_for_many_requests(
    before: Door, object_service: ObjectService, tmp_path: Path
) -> None:
    store = Released(
        object_service.bucket(url=before.url), Copies(tmp_path / "copies", max_bytes=10**9)
    )
    ref = store.put_bytes(b"original", scope="video_1", suffix="mp4")
    before.seen.clear()
    assert all(store.intact(ref) for _ in range(5))
    assert [line.split()[0] for line in before.seen].count("GET") == 1
    assert [line.split()[0] for line in before.seen].count("HEAD") == 5


def test_a_key_that_was_replaced_is_used_without_a_restart(
    before: Door, object_service: ObjectService
) -> None:
    current = [KEY]
    place = dataclasses.replace(
        object_service.bucket(url=before.url), credentials=lambda: current[0]
    )
    vault = Vault(place)
    ref = vault.put_bytes(b"original", scope="video_1", suffix="mp4")
    current[0] = dataclasses.replace(KEY, key_id="AKIATHENEXTONE")
    deadline = time.monotonic() + 10
    while before.keys != {KEY.key_id, "AKIATHENEXTONE"}:
        assert time.monotonic() < deadline
        assert vault.read(ref) == b"original"
        time.sleep(0.05)
