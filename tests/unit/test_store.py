"""References and folders: never a path outside, clear faults. See contract/test_stores.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buckets import Folder
from gateway.errors import StageUnavailable
from gateway.store import Ref, Vault

SHA = "0" * 64


def test_a_folder_that_cannot_be_used_is_a_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StageUnavailable):
        Vault(Folder(tmp_path / "file" / "vault")).put_bytes(b"x", scope="a", suffix="jpg")


@given(scope=st.text(max_size=80), suffix=st.text(max_size=10))
def test_a_reference_never_names_a_path_outside(scope: str, suffix: str) -> None:
    try:
        ref = Ref(scope=scope, sha256=SHA, size=1, suffix=suffix)
    except ValueError:
        return
    assert Path("/root", ref.name).resolve().parent == Path("/root", scope)
    assert ref.name.count("/") == 1
