"""A released clip over HTTP: alike from a folder and from a bucket, and never other bytes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.server import create_app
from gateway.settings import Settings
from gateway.store import Ref
from gateway.tracing import Tracing
from tests.object_store import Door, ObjectService, door
from tests.unit.rig import Rig

pytestmark = pytest.mark.socket


class Instance:
    """The parts that the routes ask for, from a rig."""

    def __init__(self, rig: Rig) -> None:
        self.settings = Settings(data_dir=rig.folder)
        self.keys, self.clips, self.released = rig.keys, rig.clips, rig.released
        self.telemetry = rig.observer
        self.tracing = Tracing()

    @contextlib.contextmanager
    def running(self, *, worker: bool) -> Iterator[Instance]:
        del worker
        yield self


@pytest.fixture
def before(object_service: ObjectService) -> Iterator[Door]:
    with door(object_service) as made:
        yield made


@pytest.fixture(params=["folder", "bucket"])
def rig(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    empty_database: Path,
    object_service: ObjectService,
    before: Door,
    clock: Any,
) -> Iterator[Rig]:
    path = shutil.copyfile(empty_database, tmp_path / "cinegate.db")
    database = Database(f"sqlite:///{path}")
    audit = SqlAuditLog(database, CheckpointKey.create(), clock)
    places: dict[str, Any] = {}
    if request.param == "bucket":
        places = {n: object_service.bucket(url=before.url) for n in ("vault", "released")}
    yield Rig(database=database, audit=audit, clock=clock, folder=tmp_path, places=places)
    database.dispose()


@pytest.fixture
def client(rig: Rig) -> Iterator[TestClient]:
    app = create_app(Instance(rig), worker=False)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as opened:
        key = rig.keys.create(name="test").key
        opened.headers["authorization"] = f"Bearer {key}"
        yield opened


@pytest.fixture
def content(client: TestClient, rig: Rig) -> str:
    made = client.post("/v1/videos", json={"prompt": "a red ball"}).json()
    assert rig.produce(rig.record.order(made["id"])) == "released"
    return f"/v1/videos/{made['id']}/content"


def ref_of(rig: Rig, content: str) -> Ref:
    row = rig.row(rig.record.order(content.split("/")[3]))
    return Ref(scope=row.id, sha256=str(row.sha256), size=row.size_bytes or 0, suffix="mp4")


def test_ranges_heads_and_conditions(client: TestClient, rig: Rig, content: str) -> None:
    ref = ref_of(rig, content)
    whole = client.get(content)
    assert (whole.status_code, len(whole.content)) == (200, ref.size)
    assert whole.headers["etag"] == f'"{ref.sha256}"'
    assert whole.headers["accept-ranges"] == "bytes"
    head = client.head(content)
    assert (head.status_code, head.content) == (200, b"")
    same = ("content-length", "etag", "content-type", "last-modified", "cache-control")
    assert [head.headers[name] for name in same] == [whole.headers[name] for name in same]
    for asked, (first, last) in {
        "bytes=2-5": (2, 6),
        "bytes=7-": (7, ref.size),
        "bytes=-3": (ref.size - 3, ref.size),
    }.items():
        part = client.get(content, headers={"range": asked})
        assert (part.status_code, part.content) == (206, whole.content[first:last])
        assert part.headers["content-range"] == f"bytes {first}-{last - 1}/{ref.size}"
    several = client.get(content, headers={"range": "bytes=0-1,4-5"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    beyond = client.get(content, headers={"range": f"bytes={ref.size}-"})
    assert beyond.status_code == 416
    tag = whole.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        unchanged = client.get(content, headers={"if-none-match": known})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert client.get(content, headers={"if-none-match": '"other"'}).content == whole.content
    resumed = {"range": "bytes=2-5", "if-range": tag}
    assert client.get(content, headers=resumed).status_code == 206
    stale = {"range": "bytes=2-5", "if-range": '"other"'}
    assert client.get(content, headers=stale).content == whole.content
    still = client.get(content, params={"variant": "thumbnail"})
    assert (still.status_code, still.headers["content-type"]) == (200, "image/jpeg")


def test_other_bytes_than_those_released_are_never_served(
    client: TestClient, rig: Rig, content: str, object_service: ObjectService
) -> None:
    ref, place = ref_of(rig, content), rig.places["released"]
    assert client.get(content).status_code == 200
    if rig.places["released"].__class__.__name__ == "Folder":
        (place.path / ref.name).write_bytes(bytes(ref.size))  # type: ignore[union-attr]
    else:
        at = f"/{place.name}/{ref.name}"  # type: ignore[union-attr]
        assert object_service.ask("PUT", at, bytes(ref.size)) == 200
    gone = client.get(content, headers={"range": "bytes=0-1"})
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == "not_found"


def test_a_deleted_clip_leaves_no_copy(client: TestClient, rig: Rig, content: str) -> None:
    ref = ref_of(rig, content)
    assert client.get(content).status_code == 200
    assert client.delete(content.removesuffix("/content")).status_code == 200
    assert client.get(content).status_code == 404
    assert not rig.released.local_path(ref).exists()
    assert not [path for path in (rig.folder / "copies").rglob("*") if path.is_file()]


@pytest.mark.parametrize("rig", ["bucket"], indirect=True)
@pytest.mark.parametrize("trouble", ["500", "403"])
def test_a_bucket_in_trouble_is_503_even_with_a_copy_at_hand(
    client: TestClient, content: str, before: Door, trouble: str
) -> None:
    assert client.get(content).status_code == 200
    before.trouble = trouble
    down = client.get(content)
    assert (down.status_code, down.json()["error"]["code"]) == (503, "interrupted")
    assert int(down.headers["retry-after"]) > 0
    before.trouble = ""
    assert client.get(content).status_code == 200


@pytest.mark.parametrize("rig", ["bucket"], indirect=True)
@pytest.mark.parametrize(("trouble", "only"), [("500", "PUT"), ("altered", "GET")])
def test_nothing_is_released_through_a_bucket_in_trouble(
    client: TestClient, rig: Rig, before: Door, trouble: str, only: str
) -> None:
    made = client.post("/v1/videos", json={"prompt": "a red ball"}).json()
    before.trouble, before.only = trouble, only
    assert rig.produce(rig.record.order(made["id"])) == "failed"
    before.trouble = ""
    rig.housekeeping.tidy()
    assert client.get(f"/v1/videos/{made['id']}/content").status_code == 409
    assert rig.released.scopes() == ()
    assert rig.vault.scopes() == ()
