"""Where the settings put the two stores, and what is not told of the key to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway import shelves
from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.settings import Settings, load_settings

TWO = 'kind = "s3"\nvault_bucket = "vault-a"\nreleased_bucket = "released-a"\n'
KEY = "[default]\naws_access_key_id = AKIDOFOURS\naws_secret_access_key = very%secret\n"


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ('kind = "s3"', "two different"),
        ('kind = "s3"\nvault_bucket = "one-a"\nreleased_bucket = "one-a"', "two different"),
        ('kind = "s3"\nreleased_bucket = "one-a"', "two different"),
        ('kind = "s3"\nvault_bucket = "A/../b"\nreleased_bucket = "one-a"', "vault_bucket"),
        ('vault_bucket = "one-a"', "kind = 's3'"),
        (TWO + 'endpoint = "http://127.0.0.1:9000"', "TLS"),
        (TWO + 'endpoint = "https://user:word@s3.example"', "endpoint"),
        (TWO + 'prefix = "../other"', "prefix"),
    ],
)
def test_stores_that_would_lie_together_or_open_are_refused(
    tmp_path: Path, storage: str, told: str
) -> None:
    (tmp_path / "gateway.toml").write_text(f"[storage]\n{storage}\n", encoding="utf-8")
    with pytest.raises(ConfigurationFault, match=told) as caught:
        load_settings(data_dir=tmp_path)
    assert "word" not in caught.value.message


@pytest.mark.parametrize(
    ("endpoint", "refused"), [("http://s3.example", True), ("http://127.0.0.1:9000", False)]
)
def test_production_refuses_a_bucket_without_tls_but_on_this_machine(
    endpoint: str, refused: bool
) -> None:
    storage = {
        "kind": "s3",
        "vault_bucket": "vault-a",
        "released_bucket": "released-a",
        "endpoint": endpoint,
        "plain_http": True,
    }
    settings = Settings.model_validate({"environment": "production", "storage": storage})
    assert ("without TLS" in " ".join(settings.production_faults())) == refused


def settings_with(tmp_path: Path, **storage: Any) -> Settings:
    chosen = {
        "kind": "s3",
        "vault_bucket": "vault-a",
        "released_bucket": "released-a",
        "endpoint": "http://127.0.0.1:9",
        "plain_http": True,
        "credentials": tmp_path / "s3.credentials",
    }
    return Settings.model_validate({"data_dir": tmp_path, "storage": {**chosen, **storage}})


def test_a_key_in_a_file_is_read_when_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "s3.credentials"
    path.write_text(KEY + "aws_session_token = lent\n")
    path.chmod(0o600)
    key = shelves.file_credentials(path)
    assert (key.key_id, key.secret, key.token) == ("AKIDOFOURS", "very%secret", "lent")
    assert "secret" not in repr(key).replace("secret=", "")
    assert "lent" not in repr(key)


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s3.credentials"
    path.write_text(KEY)
    path.chmod(mode)
    with pytest.raises(StageUnavailable, match="mode") as caught:
        shelves.vault(settings_with(tmp_path)).probe()
    assert "AKID" not in caught.value.message


@pytest.mark.parametrize(
    "content",
    ["", "AKIDOFOURS very%secret", "[default]\nAKIDOFOURS", "[other]\na = 1", "\0\xff"],
)
def test_a_key_file_that_cannot_be_read_is_named_and_not_quoted(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "s3.credentials"
    path.write_bytes(content.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationFault, match=r"s3\.credentials") as caught:
        shelves.file_credentials(path)
    assert "AKID" not in caught.value.message
    assert caught.value.__cause__ is None
    with pytest.raises(StageUnavailable):
        shelves.released(settings_with(tmp_path)).scopes()


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    shelves.vault(settings_with(tmp_path))
    shelves.released(settings_with(tmp_path))
    assert not list(tmp_path.iterdir())
