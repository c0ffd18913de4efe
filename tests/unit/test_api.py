"""The HTTP API over fakes: shapes, the error envelope, limits, isolation."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import UnreadableClip
from gateway.findings import Finding
from gateway.server import create_app
from gateway.settings import Limits, Settings
from gateway.tracing import Tracing
from gateway.verify import Report
from safety.verdict import Action
from tests.unit.rig import Rig

pytestmark = pytest.mark.one_database

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


class StandInVerifier:
    """Answers every file with one report, and remembers that the file existed."""

    def __init__(self) -> None:
        self.finding = Finding.UNKNOWN
        self.unreadable: str | None = None
        self.seen: list[tuple[Path, int]] = []

    def verify(self, path: Path) -> Report:
        self.seen.append((path, path.stat().st_size))
        return Report(
            finding=self.finding,
            clip_id=None,
            sentence="We cannot tell.",
            evidence={},
            looked_at=(),
            content_sha256="0" * 64,
            checked_at=NOW,
            unreadable=self.unreadable,
        )


class StandInGateway:
    """The parts that the routes ask for, from a rig."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.settings = Settings(
            data_dir=rig.folder,
            limits=Limits(
                dedupe_window_seconds=0, max_upload_bytes=50_000, max_body_bytes=20_000
            ),
        )
        self.keys = rig.keys
        self.clips = rig.clips
        self.prompts = rig.door
        self.released = rig.released
        self.cards: dict[str, Any] = {}
        self.verifier = StandInVerifier()
        self.telemetry = rig.observer
        self.tracing = Tracing()

    @contextlib.contextmanager
    def running(self, *, worker: bool) -> Iterator[StandInGateway]:
        del worker
        yield self


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


@pytest.fixture
def gateway(rig: Rig) -> StandInGateway:
    return StandInGateway(rig)


@pytest.fixture
def client(gateway: StandInGateway) -> Iterator[TestClient]:
    app = create_app(gateway, worker=False)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as opened:
        key = gateway.keys.create(name="test").key
        opened.headers["authorization"] = f"Bearer {key}"
        yield opened


def assert_error(response: Any, status: int, code: str, param: str | None = None) -> None:
    """The one canonical check of an error."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"].endswith(".")
    assert response.headers["x-request-id"].startswith("req_")


def test_json_and_multipart_make_the_same_job(client: TestClient) -> None:
    fields = {"prompt": "a red ball", "seconds": "1", "size": "32x16", "seed": "5"}
    by_form = client.post("/v1/videos", files={k: (None, v) for k, v in fields.items()})
    by_json = client.post("/v1/videos", json={**fields, "seconds": 1, "seed": 5})
    for response in (by_form, by_json):
        assert response.status_code == 200, response.text
        video = response.json()
        assert video["object"] == "video"
        assert (video["status"], video["progress"], video["seconds"]) == ("queued", 0, "1")
        assert video["gateway"]["seed"] == 5
        assert video["gateway"]["clip_id"] is None


def test_a_retry_under_the_same_key_is_the_same_job(client: TestClient) -> None:
    key = {"idempotency-key": "0c3f6a1e"}
    first = client.post("/v1/videos", json={"prompt": "a red ball", "seed": 1}, headers=key)
    again = client.post("/v1/videos", json={"prompt": "a red ball", "seed": 1}, headers=key)
    assert first.json() == again.json()
    other = client.post("/v1/videos", json={"prompt": "a blue ball"}, headers=key)
    assert other.status_code == 409
    assert other.json()["error"]["param"] == "Idempotency-Key"
    assert other.headers["x-should-retry"] == "false"
    bad = client.post("/v1/videos", json={"prompt": "a"}, headers={"idempotency-key": " "})
    assert bad.status_code == 400


def test_a_database_that_is_away_is_503_and_says_nothing_of_itself(
    client: TestClient, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise sa.exc.OperationalError("SELECT prompt", {}, Exception("db.internal refused"))

    monkeypatch.setattr(type(rig.clips), "get", away)
    answer = client.get("/v1/videos/video_1")
    assert_error(answer, 503, "interrupted")
    assert answer.headers["retry-after"]
    assert "db.internal" not in answer.text
    assert "SELECT" not in answer.text


def test_a_job_goes_from_queued_to_a_file_with_ranges(client: TestClient, rig: Rig) -> None:
    made = client.post("/v1/videos", json={"prompt": "a red ball"}).json()
    content = f"/v1/videos/{made['id']}/content"
    assert_error(client.get(content), 409, "conflict")
    rig.produce(rig.record.order(made["id"]))
    video = client.get(f"/v1/videos/{made['id']}")
    assert video.headers["openai-poll-after-ms"]
    assert (video.json()["status"], video.json()["progress"]) == ("completed", 100)
    whole = client.get(content)
    assert whole.headers["content-type"] == "video/mp4"
    part = client.get(content, headers={"range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, whole.content[2:6])
    beyond = client.get(content, headers={"range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416
    for wrong in ("bytes=abc", "octets=0-1", "bytes=0-1," * 9 + "0-1"):
        bad = client.get(content, headers={"range": wrong})
        assert_error(bad, 400, "invalid_value", "range")
    still = client.get(content, params={"variant": "thumbnail"})
    assert still.headers["content-type"] == "image/jpeg"
    assert_error(
        client.get(content, params={"variant": "spritesheet"}), 400, "invalid_value", "variant"
    )


def test_lists_and_deletes(client: TestClient) -> None:
    ids = [
        client.post("/v1/videos", json={"prompt": f"ball {n}"}).json()["id"] for n in range(3)
    ]
    page = client.get("/v1/videos", params={"limit": 2}).json()
    assert [v["id"] for v in page["data"]] == ids[:0:-1]
    assert (page["has_more"], page["last_id"]) == (True, ids[1])
    rest = client.get("/v1/videos", params={"limit": 2, "after": page["last_id"]}).json()
    assert [v["id"] for v in rest["data"]] == ids[:1]
    assert client.delete(f"/v1/videos/{ids[0]}").json() == {
        "id": ids[0],
        "object": "video.deleted",
        "deleted": True,
    }
    assert_error(client.get(f"/v1/videos/{ids[0]}"), 404, "not_found", "video_id")


def test_a_refused_prompt_is_400_with_rule_and_without_score(
    client: TestClient, gateway: StandInGateway
) -> None:
    gateway.prompts.action = Action.BLOCK
    response = client.post("/v1/videos", json={"prompt": "something bad"})
    assert_error(response, 400, "moderation_blocked", "prompt")
    error = response.json()["error"]
    assert (error["stage"], error["rules"]) == ("prompt", ["T-1"])
    assert "0.9" not in response.text
    assert "bad" not in response.text


def test_a_held_job_stays_in_progress_for_clients(
    client: TestClient, gateway: StandInGateway
) -> None:
    gateway.prompts.action = Action.REVIEW
    video = client.post("/v1/videos", json={"prompt": "something odd"}).json()
    assert video["status"] == "in_progress"
    assert video["gateway"]["review"] == {"state": "pending"}


def test_a_refused_clip_is_failed_with_the_reason(client: TestClient, rig: Rig) -> None:
    made = client.post("/v1/videos", json={"prompt": "a red ball"}).json()
    rig.frames.action = Action.BLOCK
    rig.produce(rig.record.order(made["id"]))
    video = client.get(f"/v1/videos/{made['id']}").json()
    assert (video["status"], video["error"]["code"]) == ("failed", "moderation_blocked")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/videos"),
        ("GET", "/v1/videos"),
        ("GET", "/v1/videos/video_x"),
        ("DELETE", "/v1/videos/video_x"),
        ("GET", "/v1/videos/video_x/content"),
        ("POST", "/v1/moderations"),
        ("GET", "/v1/models"),
    ],
)
@pytest.mark.parametrize("header", [None, "Bearer cg_00000000." + "A" * 43, "Basic x"])
def test_every_creator_route_needs_a_key(
    client: TestClient, method: str, path: str, header: str | None
) -> None:
    del client.headers["authorization"]
    headers = {"authorization": header} if header else {}
    body = {"prompt": "x", "input": "x"} if method == "POST" else None
    response = client.request(method, path, headers=headers, json=body)
    assert_error(response, 401, "invalid_api_key")


BAD_BODIES: list[tuple[dict[str, Any], str | None]] = [
    ({"json": {}}, "prompt"),
    ({"json": []}, None),
    ({"json": {"prompt": 5}}, "prompt"),
    ({"json": {"prompt": "a", "seconds": "many"}}, "seconds"),
    ({"json": {"prompt": "a", "unknown": 1}}, "unknown"),
    ({"json": {"prompt": ""}}, "prompt"),
    ({"content": b"{", "headers": {"content-type": "application/json"}}, None),
    ({"content": b'{"prompt": "\xff"}', "headers": {"content-type": "application/json"}}, None),
    ({"content": b"[" * 9000, "headers": {"content-type": "application/json"}}, None),
    ({"content": b"prompt", "headers": {"content-type": "text/plain"}}, None),
    ({"files": {"prompt": (None, b"\xff\xfe")}}, "prompt"),
    ({"files": {"prompt": (None, "a"), "input_reference": ("a.png", b"x")}}, "input_reference"),
    ({"files": [("prompt", (None, "a")), ("prompt", (None, "b"))]}, "prompt"),
    ({"data": {"prompt": "a"}}, None),
    ({"json": {"prompt": "a", "seconds": True}}, "seconds"),
    ({"json": {"prompt": "a", "seed": 4.5}}, "seed"),
    ({"json": {"prompt": "a", "seed": "1e3"}}, "seed"),
    (
        {
            "content": b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na ball',
            "headers": {"content-type": "multipart/form-data; boundary=b"},
        },
        None,
    ),
]


@pytest.mark.parametrize(("request_parts", "param"), BAD_BODIES)
def test_a_bad_body_gets_one_clear_error(
    client: TestClient, request_parts: dict[str, Any], param: str | None
) -> None:
    response = client.post("/v1/videos", **request_parts)
    assert_error(response, 400, "invalid_value", param)
    assert client.get("/v1/videos").json()["data"] == []


@pytest.mark.parametrize(
    "parts",
    [
        {"files": {"prompt": (None, "a"), "input_reference": ("a.png", b"x", "image/png")}},
        {"files": {"prompt": (None, "a"), "input_reference": (None, "file_123")}},
        {"json": {"prompt": "a", "input_reference": "file_123"}},
        {"json": {"prompt": "a", "input_reference": {"image_url": "https://x.test/a.png"}}},
    ],
    ids=["file", "form", "id", "address"],
)
def test_a_reference_image_is_refused_with_the_reason(
    client: TestClient, parts: dict[str, Any]
) -> None:
    response = client.post("/v1/videos", **parts)
    assert_error(response, 400, "invalid_value", "input_reference")
    assert response.json()["error"]["message"] == (
        "The models here make clips from text only: they take no reference image."
    )


def test_a_body_over_the_limit_is_stopped_while_it_arrives(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    for body in (b"x" * 30_000, endless()):
        response = client.post(
            "/v1/videos", content=body, headers={"content-type": "application/json"}
        )
        assert_error(response, 413, "clip_too_large")


def test_moderations_have_openais_shape_and_ours(client: TestClient) -> None:
    answer = client.post("/v1/moderations", json={"input": ["a", "b"]}).json()
    assert len(answer["results"]) == 2
    result = answer["results"][0]
    assert result["flagged"] is False
    openai_names = {"harassment", "sexual/minors", "violence/graphic", "self-harm/intent"}
    assert openai_names | {"public_figure"} <= set(result["categories"])
    assert set(result["categories"]) == set(result["category_scores"])


@pytest.mark.parametrize(
    "body", [{}, {"input": []}, {"input": ["a"] * 33}, {"input": "x" * 5000}, {"input": 5}]
)
def test_moderations_refuse_what_they_cannot_judge(
    client: TestClient, body: dict[str, Any]
) -> None:
    response = client.post("/v1/moderations", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_value"


def test_verify_needs_no_account_and_keeps_nothing(
    client: TestClient, gateway: StandInGateway
) -> None:
    del client.headers["authorization"]
    for parts in (
        {"files": {"file": ("clip.mp4", b"video bytes")}},
        {"content": b"video bytes", "headers": {"content-type": "video/mp4"}},
    ):
        report = client.post("/v1/verify", **parts)  # type: ignore[arg-type]
        assert report.status_code == 200
        assert report.json()["finding"] == "unknown"
    assert [size for _, size in gateway.verifier.seen] == [11, 11]
    assert not any(path.exists() for path, _ in gateway.verifier.seen)


def test_an_unreadable_file_is_could_not_check_and_never_unknown(
    client: TestClient, gateway: StandInGateway
) -> None:
    gateway.verifier.finding = Finding.COULD_NOT_CHECK
    gateway.verifier.unreadable = "not_media"
    response = client.post("/v1/verify", files={"file": ("a.txt", b"text")})
    assert_error(response, UnreadableClip.status, UnreadableClip.code, "file")
    assert response.json()["error"]["finding"] == "could_not_check"


def test_bad_uploads_get_one_clear_error(client: TestClient) -> None:
    assert_error(client.post("/v1/verify", json={"file": "x"}), 400, "invalid_value")
    assert_error(client.post("/v1/verify", data={"file": "text"}), 400, "invalid_value")
    assert_error(
        client.post("/v1/verify", files={"file": ("a.mp4", b"")}), 400, "invalid_value", "file"
    )
    big = client.post("/v1/verify", files={"file": ("a.mp4", b"x" * 200_000)})
    assert_error(big, 413, "clip_too_large")


def test_an_unforeseen_fault_shows_a_reference_only(
    client: TestClient, gateway: StandInGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.prompts.fault = RuntimeError("secret detail")
    response = client.post("/v1/videos", json={"prompt": "my private words"})
    assert_error(response, 500, "internal_error")
    assert "secret detail" not in response.text
    assert "my private words" not in capsys.readouterr().err


def test_unknown_addresses_and_methods_use_the_envelope(client: TestClient) -> None:
    assert_error(client.get("/v1/nothing"), 404, "not_found")
    assert client.put("/v1/videos").json()["error"]["code"] == "invalid_value"


OPEN = ("/v1/verify", "/v1/content_provenance_checks")


def test_every_route_declares_its_errors(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            declared = set(operation["responses"])
            if path.startswith("/v1/") and path not in OPEN:
                assert {"401", "413", "500", "503"} <= declared, (method, path)
            if method == "post":
                assert "400" in declared, (method, path)


def test_pages_have_a_strict_policy_and_no_inline_code(client: TestClient) -> None:
    for path in ("/", "/verify"):
        page = client.get(path)
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.text
        assert "style=" not in page.text


def test_a_page_answers_errors_as_a_page(client: TestClient) -> None:
    page = client.post("/verify", files={"file": ("a.mp4", b"")})
    assert page.status_code == 400
    assert "The file is empty." in page.text
    assert page.headers["content-type"].startswith("text/html")


def test_the_openapi_description_is_json(client: TestClient) -> None:
    assert json.loads(client.get("/openapi.json").text)["info"]["title"] == "Cinegate"
