"""The stores: bytes by content, never overwritten, never outside their folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StageUnavailable
from gateway.store import Ref, Vault

SHA = "0" * 64


def test_what_is_stored_comes_back_and_storing_twice_is_harmless(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    source = tmp_path / "a.mp4"
    source.write_bytes(b"frames" * 1000)
    ref = vault.put(source, scope="video_1", suffix="mp4")
    assert vault.put(source, scope="video_1", suffix="mp4") == ref
    with vault.checkout(ref, scratch=tmp_path / "work") as copy:
        assert copy.read_bytes() == source.read_bytes()
    assert not copy.exists()
    assert Ref.from_dict(ref.to_dict()) == ref


def test_changed_or_missing_bytes_are_never_handed_out(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    ref = vault.put_bytes(b"original", scope="video_1", suffix="jpg")
    stored = tmp_path / "vault" / ref.name
    stored.write_bytes(b"replaced")
    with pytest.raises(StageUnavailable):
        vault.read(ref)
    with pytest.raises(StageUnavailable), vault.checkout(ref, scratch=tmp_path / "work"):
        raise AssertionError("changed bytes were handed out")
    stored.unlink()
    with pytest.raises(StageUnavailable):
        vault.read(ref)
    assert not list((tmp_path / "work").iterdir())


def test_clearing_one_job_leaves_the_others(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    one = vault.put_bytes(b"one", scope="video_1", suffix="jpg")
    two = vault.put_bytes(b"one", scope="video_11", suffix="jpg")
    assert set(vault.scopes()) == {"video_1", "video_11"}
    vault.clear("video_1")
    vault.clear("video_1")
    with pytest.raises(StageUnavailable):
        vault.read(one)
    assert vault.read(two) == b"one"


def test_a_folder_that_cannot_be_used_is_a_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StageUnavailable):
        Vault(tmp_path / "file" / "vault").put_bytes(b"x", scope="a", suffix="jpg")


@given(scope=st.text(max_size=80), suffix=st.text(max_size=10))
def test_a_reference_never_names_a_path_outside(scope: str, suffix: str) -> None:
    try:
        ref = Ref(scope=scope, sha256=SHA, size=1, suffix=suffix)
    except ValueError:
        return
    assert Path("/root", ref.name).resolve().parent == Path("/root", scope)
    assert ref.name.count("/") == 1
