"""The doors beside the prompt: what a client may say, remixes, and doors that stay shut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient

from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.server import create_app
from safety.verdict import Action
from tests.unit.rig import Rig
from tests.unit.test_api import StandInGateway, assert_error

pytestmark = pytest.mark.one_database

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


@pytest.fixture
def client(rig: Rig) -> Iterator[TestClient]:
    app = create_app(StandInGateway(rig), worker=False)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as opened:
        opened.headers["authorization"] = f"Bearer {rig.keys.create(name='test').key}"
        yield opened


@pytest.fixture
def official(client: TestClient) -> openai.OpenAI:
    """OpenAI's own client, speaking to this service."""
    key = client.headers["authorization"].removeprefix("Bearer ")
    return openai.OpenAI(
        base_url="http://testserver/v1", api_key=key, http_client=client, max_retries=0
    )


def made(client: TestClient, rig: Rig, **fields: str) -> str:
    """A released clip of the client's."""
    video = client.post("/v1/videos", json={"prompt": "a red ball", **fields}).json()
    rig.produce(rig.record.order(video["id"]))
    return str(video["id"])


@pytest.mark.parametrize("form", [False, True])
def test_every_text_arrives_by_json_and_by_form(
    client: TestClient, rig: Rig, *, form: bool
) -> None:
    tenant_id = rig.keys.authenticate(client.headers["authorization"]).tenant_id
    rig.offered("req_0123456789abcdef", "a red ball", tenant_id=tenant_id)
    fields = {
        "prompt": "a red ball",
        "negative_prompt": "blurry",
        "title": "The ball",
        "project": "feature-7",
        "rewrite_of": "req_0123456789abcdef",
    }
    sent: Any = (
        {"files": {k: (None, v) for k, v in fields.items()}} if form else {"json": fields}
    )
    video = client.post("/v1/videos", **sent).json()
    told = {name: video["gateway"].get(name, video.get(name)) for name in fields}
    assert told == fields


@pytest.mark.parametrize("field", ["negative_prompt", "title", "project", "rewrite_of"])
def test_a_bad_text_names_its_field(client: TestClient, field: str) -> None:
    body = {"prompt": "a red ball", field: "x" * 4_001}
    assert_error(client.post("/v1/videos", json=body), 400, "invalid_value", field)


def test_the_official_client_remixes_a_released_clip(
    official: openai.OpenAI, client: TestClient, rig: Rig
) -> None:
    parent = made(client, rig)
    remix = official.videos.remix(parent, prompt="now it is blue")
    assert (remix.status, remix.prompt) == ("queued", "now it is blue")
    assert remix.remixed_from_video_id == parent
    rig.produce(rig.record.order(remix.id))
    assert official.videos.retrieve(remix.id).status == "completed"
    assert rig.generator.requests[-1].prompt == "a red ball. now it is blue."


def test_the_official_client_sends_a_negative_prompt_and_a_title(
    official: openai.OpenAI, rig: Rig
) -> None:
    more = {"negative_prompt": "blurry", "title": "The ball"}
    video = official.videos.create(prompt="a red ball", extra_body=more)
    assert rig.record.order(video.id).title == "The ball"
    assert rig.record.order(video.id).negative_prompt == "blurry"


def test_a_refused_remix_is_a_bad_request_for_the_official_client(
    official: openai.OpenAI, client: TestClient, rig: Rig
) -> None:
    parent = made(client, rig)
    rig.door.action = Action.BLOCK
    with pytest.raises(openai.BadRequestError) as refused:
        official.videos.remix(parent, prompt="now something bad")
    assert refused.value.code == "moderation_blocked"
    assert "bad" not in refused.value.message


def test_a_clip_that_is_not_released_cannot_be_remixed(
    official: openai.OpenAI, client: TestClient
) -> None:
    waiting = client.post("/v1/videos", json={"prompt": "a red ball"}).json()["id"]
    with pytest.raises(openai.ConflictError) as refused:
        official.videos.remix(waiting, prompt="now it is blue")
    assert refused.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.NotFoundError):
        official.videos.remix("video_of_another", prompt="now it is blue")


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": "x", "seed": 1}, "seed")],
)
def test_a_bad_remix_gets_one_clear_error(
    client: TestClient, rig: Rig, body: dict[str, Any], param: str
) -> None:
    response = client.post(f"/v1/videos/{made(client, rig)}/remix", json=body)
    assert_error(response, 400, "invalid_value", param)


def test_doors_that_no_model_here_has_say_so_to_the_official_client(
    official: openai.OpenAI,
) -> None:
    clip = ("clip.mp4", b"bytes", "video/mp4")
    for attempt in (
        lambda: official.videos.edit(prompt="a", video=clip),
        lambda: official.videos.extend(prompt="a", seconds="8", video=clip),
        lambda: official.videos.create_character(name="a", video=clip),
    ):
        with pytest.raises(openai.BadRequestError, match="from text only") as refused:
            attempt()
        assert (refused.value.code, refused.value.param) == ("invalid_value", "video")
    with pytest.raises(openai.NotFoundError):
        official.videos.get_character("char_1")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/videos/video_x/remix"),
        ("POST", "/v1/videos/edits"),
        ("POST", "/v1/videos/extensions"),
        ("POST", "/v1/videos/characters"),
        ("GET", "/v1/videos/characters/char_x"),
    ],
)
def test_every_door_needs_a_key(client: TestClient, method: str, path: str) -> None:
    del client.headers["authorization"]
    body = {"prompt": "x"} if method == "POST" else None
    assert_error(client.request(method, path, json=body), 401, "invalid_api_key")
