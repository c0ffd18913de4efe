"""Copies to serve from: bounded, and never one that somebody may be reading."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gateway.copies import IDLE_SECONDS, IN_USE_SECONDS, Copies


def kept(copies: Copies, name: str, size: int = 100) -> Path:
    copies.folder.mkdir(exist_ok=True)
    checked = copies.folder / f"checked-{name.replace('/', '-')}"
    checked.write_bytes(bytes(size))
    copies.keep(name, "tag", checked, modified=1_000_000)
    return copies.path(name)


def unused_for(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds, path.stat().st_mtime))


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", max_bytes=250)
    old, older = kept(copies, "video_1/a"), kept(copies, "video_2/b")
    unused_for(old, IN_USE_SECONDS + 10)
    unused_for(older, IN_USE_SECONDS + 20)
    new = kept(copies, "video_3/c")
    assert [path.exists() for path in (old, older, new)] == [True, False, True]
    assert copies.current("video_1/a", "tag")
    assert not copies.current("video_2/b", "tag")


def test_a_copy_in_use_is_kept_whatever_the_bound(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", max_bytes=0)
    first = kept(copies, "video_1/a")
    assert kept(copies, "video_2/b").exists()
    assert first.exists()


def test_asking_for_a_copy_counts_as_use(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", max_bytes=150)
    path = kept(copies, "video_1/a")
    unused_for(path, IN_USE_SECONDS + 10)
    assert copies.current("video_1/a", "tag")
    kept(copies, "video_2/b")
    assert path.exists()


def test_what_nobody_asked_for_in_a_day_goes_although_there_is_room(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", max_bytes=10**9)
    path = kept(copies, "video_1/a")
    stray = copies.folder / "tmp-of-a-crash.mp4"
    stray.write_bytes(b"half")
    for each in (path, stray):
        unused_for(each, IDLE_SECONDS + 10)
    kept(copies, "video_2/b")
    assert not path.exists()
    assert not stray.exists()


def test_a_copy_counts_for_its_tag_and_untouched_only(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", max_bytes=10**9)
    path = kept(copies, "video_1/a")
    assert path.stat().st_mtime == 1_000_000
    assert copies.current("video_1/a", "tag")
    assert not copies.current("video_1/a", "another tag")
    path.write_bytes(bytes(100))
    assert not copies.current("video_1/a", "tag")
    assert not Copies(copies.folder, max_bytes=1).current("video_1/a", "tag")
