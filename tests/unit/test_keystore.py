"""The keystore: secrets are made once, kept to their owner, and never replaced silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault
from gateway.keystore import WATERMARK_FILE, random_secret, watermark_secrets
from gateway.provenance.keyfiles import secret_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    secret_folder(path)
    return path


def test_a_secret_is_made_once_and_readable_by_its_owner_only(folder: Path) -> None:
    first = random_secret(folder, "pepper", 32, in_use=False)
    assert random_secret(folder, "pepper", 32, in_use=True) == first
    assert (folder / "pepper").stat().st_mode & 0o077 == 0
    assert watermark_secrets(folder, in_use=False) == watermark_secrets(folder, in_use=True)


def test_a_missing_secret_that_something_depends_on_is_a_fault(folder: Path) -> None:
    with pytest.raises(ConfigurationFault, match="pepper"):
        random_secret(folder, "pepper", 32, in_use=True)
    with pytest.raises(ConfigurationFault, match="watermark"):
        watermark_secrets(folder, in_use=True)
    assert [path.name for path in folder.iterdir() if path.name != ".lock"] == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_loose_key_file_is_refused(folder: Path, mode: int) -> None:
    random_secret(folder, "pepper", 32, in_use=False)
    (folder / "pepper").chmod(mode)
    with pytest.raises(ConfigurationFault, match="0600"):
        random_secret(folder, "pepper", 32, in_use=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps({"version": 2, "keys": []}).encode(),
        json.dumps({"version": 1, "keys": []}).encode(),
        json.dumps({"version": 1, "keys": [{"id": "a"}]}).encode(),
        json.dumps({"version": 1, "keys": [{"id": "a", "secret": "xyz"}]}).encode(),
        json.dumps({"version": 1, "keys": [{"id": "a", "secret": "00"}] * 2}).encode(),
    ],
)
def test_a_damaged_key_file_is_refused(folder: Path, content: bytes) -> None:
    path = folder / WATERMARK_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationFault):
        watermark_secrets(folder, in_use=False)
