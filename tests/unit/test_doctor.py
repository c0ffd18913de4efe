"""The doctor: whether the stores can be written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.doctor import readiness
from gateway.settings import Settings
from tests.object_store import KEY, Door, ObjectService, door

STORES = {"vault", "released"}


def stores_of(settings: Settings) -> dict[str, str | None]:
    asked = {check.part: check.problem for check in readiness(Gateway(settings))}
    return {part: asked[part] for part in STORES}


@pytest.mark.socket
def test_stores_in_buckets_are_written_and_read(
    tmp_path: Path, object_service: ObjectService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # From the environment, as most set-ups have it.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret)

    def settings(url: str) -> Settings:
        storage = {
            "kind": "s3",
            "vault_bucket": object_service.bucket().name,
            "released_bucket": object_service.bucket().name,
            "endpoint": url,
            "plain_http": True,
        }
        return Settings.model_validate({"data_dir": tmp_path, "storage": storage})

    assert stores_of(settings(object_service.url)) == dict.fromkeys(STORES)
    before: Door
    with door(object_service) as before:
        before.trouble, before.only = "403", "PUT"
        for problem in stores_of(settings(before.url)).values():
            assert problem is not None
            assert "denied" in problem
            assert KEY.key_id not in problem


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("no folder")
    told = stores_of(Settings(data_dir=tmp_path))
    assert told["vault"] is not None
    assert told["released"] is None
