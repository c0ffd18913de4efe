"""The C2PA Soft Binding Resolution API, with every part behind it real."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import c2pa
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.soft_binding import PREFIX, WELL_KNOWN
from gateway.provenance.trust import context_settings
from gateway.references import PublicBackend, References
from gateway.tables import Video
from tests.contract.provenance_kit import ALGORITHM, boxes
from tests.contract.soft_binding_kit import Door, opened
from tests.contract.studio_kit import (
    BUSY,
    CLIP,
    CODEC,
    FEW,
    FPS,
    LEAKED,
    Studio,
    open_studio,
    picture,
    scene,
)
from tests.unit.test_references import Network
from watermark.fingerprint.record import Fingerprint

pytestmark = pytest.mark.socket
LOOKS = "org.example.cinegate.fp.1"
BINDING, CONTENT = f"{PREFIX}/matches/byBinding", f"{PREFIX}/matches/byContent"
VIDEO = {"content-type": "video/mp4"}
GONE = 0x6D15B80F93CE2A47
FUZZ = int(os.environ.get("SBR_CASES", "30"))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with open_studio(tmp_path_factory.mktemp("studio")) as made:
        yield made


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[TestClient]:
    with opened(Door(studio)) as made:
        yield made


@pytest.fixture(scope="module")
def clip(studio: Studio) -> Path:
    return studio.released(CLIP)


@pytest.fixture(scope="module")
def manifest_id(studio: Studio, clip: Path) -> str:
    return str(studio.shop.reader.read(clip).manifest_id)


def coded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


MARK = coded(f"1*{CLIP:016x}")


def matches(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"matches"}
    found: list[dict[str, Any]] = answer.json()["matches"]
    return found


def assert_error(answer: Any, status: int) -> None:
    """The error of the specification, and nothing beside it."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].endswith(".")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_stripped_file_leads_to_its_manifest(
    studio: Studio, client: TestClient, clip: Path, manifest_id: str, tmp_path: Path
) -> None:
    CODEC.transcode_without_metadata(clip, tmp_path / "copy.mp4", crf=26)
    copy = (tmp_path / "copy.mp4").read_bytes()
    assert b"jumb" not in copy
    first, *_ = matches(client.post(CONTENT, content=copy, headers=VIDEO))
    assert first == {"manifestId": manifest_id}
    fetched = client.get(f"{PREFIX}/manifests/{manifest_id}")
    assert fetched.headers["content-type"] == "application/c2pa"
    start, end = boxes(clip.read_bytes())["c2pa"]
    assert fetched.content in clip.read_bytes()[start:end]
    trust = context_settings(
        claim_anchors=studio.shop.pki.anchors_pem, stamp_anchors=studio.shop.pki.tsa_anchors_pem
    )
    with (
        c2pa.Context.from_json(trust) as context,
        c2pa.Reader("application/c2pa", io.BytesIO(fetched.content), context=context) as reader,
    ):
        active = json.loads(reader.json())["manifests"][manifest_id]
    assert f"1*{CLIP:016x}" in json.dumps(active)
    assert "a paper boat" not in json.dumps(active), "a prompt is nobody's business"


def test_a_copy_without_any_mark_leads_there_by_its_look(
    studio: Studio, client: TestClient, tmp_path: Path
) -> None:
    name = studio.shop.reader.read(studio.released(BUSY)).manifest_id
    crop = next(picture(BUSY))[:FEW, 20:340, 40:600]
    CODEC.encode([crop], tmp_path / "copy.mp4", fps=FPS)
    copy = (tmp_path / "copy.mp4").read_bytes()
    (like,) = matches(client.post(CONTENT, content=copy, headers=VIDEO))
    assert like["manifestId"] == name
    assert 0 < like["similarityScore"] <= 100
    by_mark = client.post(CONTENT, params={"alg": ALGORITHM}, content=copy, headers=VIDEO)
    assert matches(by_mark) == []


def test_a_foreign_file_leads_nowhere_and_the_hint_is_for_that(
    client: TestClient, manifest_id: str, tmp_path: Path
) -> None:
    CODEC.encode(scene(99, FEW), tmp_path / "foreign.mp4", fps=FPS)
    foreign = (tmp_path / "foreign.mp4").read_bytes()
    assert matches(client.post(CONTENT, content=foreign, headers=VIDEO)) == []
    hint = {"hintAlg": ALGORITHM, "hintValue": MARK}
    hinted = client.post(CONTENT, params=hint, content=foreign, headers=VIDEO)
    assert matches(hinted) == [{"manifestId": manifest_id}]


def test_bindings_are_found_by_both_methods(
    client: TestClient, clip: Path, manifest_id: str
) -> None:
    asked = {"alg": ALGORITHM, "value": MARK}
    found = [{"manifestId": manifest_id}]
    assert matches(client.get(BINDING, params=asked)) == found
    assert matches(client.post(BINDING, json=asked)) == found
    record = Fingerprint.from_bytes(
        base64.b64decode(binding_of(clip, LOOKS), validate=True)
    ).to_bytes()
    asked = {"alg": LOOKS, "value": coded(record)}
    (like,) = matches(client.post(BINDING, json=asked))
    assert like["manifestId"] == manifest_id
    assert 40 < like["similarityScore"] <= 100
    assert matches(client.post(BINDING, json=asked, params={"maxResults": 1})) == [like]


def binding_of(clip: Path, algorithm: str) -> str:
    """A soft binding as the file's manifest has it; the reader of ours cuts long texts."""
    plain = context_settings(claim_anchors="", stamp_anchors="")
    with (
        c2pa.Context.from_json(plain) as context,
        clip.open("rb") as stream,
        c2pa.Reader("video/mp4", stream, context=context) as reader,
    ):
        report = json.loads(reader.json())
    active = report["manifests"][report["active_manifest"]]
    (value,) = (
        block["value"]
        for one in active["assertions"]
        if one["label"].startswith("c2pa.soft-binding") and one["data"]["alg"] == algorithm
        for block in one["data"]["blocks"]
    )
    return str(value)


def test_only_what_is_released_now_is_found(studio: Studio, client: TestClient) -> None:
    studio.marked(LEAKED)
    for value in (f"1*{LEAKED:016x}", f"2*{CLIP:016x}", "1*" + "0" * 16):
        asked = {"alg": ALGORITHM, "value": coded(value)}
        assert matches(client.get(BINDING, params=asked)) == []
    path = studio.released(GONE)
    name = studio.shop.reader.read(path).manifest_id
    asked = {"alg": ALGORITHM, "value": coded(f"1*{GONE:016x}")}
    assert matches(client.get(BINDING, params=asked)) == [{"manifestId": name}]
    assert client.get(f"{PREFIX}/manifests/{name}").status_code == 200
    with studio.room.database.write() as session:
        which = sa.select(Video).where(Video.clip_id == f"{GONE:016x}")
        session.scalars(which).one().state = "deleted"
    assert matches(client.get(BINDING, params=asked)) == []
    assert matches(client.post(CONTENT, content=path.read_bytes(), headers=VIDEO)) == []
    assert_error(client.get(f"{PREFIX}/manifests/{name}"), 404)


def test_a_file_that_is_not_as_it_was_released_gives_no_manifest(
    studio: Studio, client: TestClient
) -> None:
    number = GONE + 1
    name = studio.shop.reader.read(studio.released(number)).manifest_id
    assert client.get(f"{PREFIX}/manifests/{name}").status_code == 200
    (stored,) = (studio.shop.folder / "released" / f"video_{number}").iterdir()
    stored.write_bytes(stored.read_bytes() + b"\0")
    assert_error(client.get(f"{PREFIX}/manifests/{name}"), 404)


@pytest.mark.parametrize("name", ["urn:c2pa:unknown", "x" * 5000, "%00", "..%2F..", "ü"])
def test_an_unknown_manifest_is_not_found(client: TestClient, name: str) -> None:
    assert_error(client.get(f"{PREFIX}/manifests/{name}"), 404)


def test_malformed_requests_have_the_error_of_the_specification(
    client: TestClient, clip: Path
) -> None:
    whole = clip.read_bytes()
    for status, answer in {
        "no value": (400, client.get(BINDING, params={"alg": ALGORITHM})),
        "no base64": (400, client.get(BINDING, params={"alg": ALGORITHM, "value": "*"})),
        "another alg": (400, client.get(BINDING, params={"alg": "a.b", "value": MARK})),
        "no look": (400, client.get(BINDING, params={"alg": LOOKS, "value": MARK})),
        "long": (414, client.get(BINDING, params={"alg": LOOKS, "value": "A" * 9000})),
        "none": (400, client.get(BINDING, params={"alg": LOOKS, "value": "", "maxResults": 0})),
        "long body": (413, client.post(BINDING, json={"alg": LOOKS, "value": "A" * 9000})),
        "a list": (400, client.post(BINDING, json=[])),
        "a number": (400, client.post(BINDING, json={"alg": ALGORITHM, "value": 5})),
        "no JSON": (400, client.post(BINDING, content=b"{", headers=VIDEO)),
        "text": (415, client.post(CONTENT, content=b"a text" * 99, headers=VIDEO)),
        "a picture": (
            415,
            client.post(CONTENT, content=b"x", headers={"content-type": "image/png"}),
        ),
        "nothing": (400, client.post(CONTENT, content=b"", headers=VIDEO)),
        "half": (400, client.post(CONTENT, content=whole[: len(whole) // 2], headers=VIDEO)),
        "large": (413, client.post(CONTENT, content=b"x" * 400_000, headers=VIDEO)),
        "half a hint": (
            400,
            client.post(CONTENT, params={"hintAlg": ALGORITHM}, content=whole, headers=VIDEO),
        ),
        "foreign alg": (
            400,
            client.post(CONTENT, params={"alg": "a.b"}, content=whole, headers=VIDEO),
        ),
        "no route": (404, client.get(f"{PREFIX}/nothing")),
        "no method": (405, client.delete(f"{PREFIX}/manifests/x")),
    }.values():
        assert_error(answer, status)


def test_what_cannot_be_asked_is_an_error_and_never_no_match(
    studio: Studio, client: TestClient, clip: Path
) -> None:
    with studio.room.database.write() as session:
        session.execute(sa.text("ALTER TABLE videos RENAME TO away"))
    try:
        for answer in (
            client.get(BINDING, params={"alg": ALGORITHM, "value": MARK}),
            client.post(CONTENT, content=clip.read_bytes(), headers=VIDEO),
            client.get(f"{PREFIX}/manifests/urn:c2pa:x"),
        ):
            assert_error(answer, 500)
            assert "videos" not in answer.text
    finally:
        with studio.room.database.write() as session:
            session.execute(sa.text("ALTER TABLE away RENAME TO videos"))


def test_files_are_fetched_only_where_the_operator_says_so(
    studio: Studio, client: TestClient, clip: Path, manifest_id: str
) -> None:
    address = f"{PREFIX}/matches/byReference"
    content = clip.read_bytes()
    asked = {"referenceUrl": "https://clips.example/a.mp4", "assetLength": len(content)}
    assert_error(client.post(address, json=asked), 403)
    told = client.get(f"{PREFIX}/services/capabilities").json()
    assert "queryByReference" not in told["supportedCapabilities"]
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(content)}\r\n\r\n".encode()
    network = Network(head, content)
    with opened(Door(studio, by_reference=True)) as fetching:
        state = fetching.app.state  # type: ignore[attr-defined]
        public = PublicBackend(lambda _name: ["93.184.216.34"], network)
        state.references = References(max_bytes=300_000, backend=public)
        assert matches(fetching.post(address, json=asked)) == [{"manifestId": manifest_id}]
        told = fetching.get(f"{PREFIX}/services/capabilities").json()
        assert "queryByReference" in told["supportedCapabilities"]
        for status, change in (
            (400, {"referenceUrl": "http://clips.example/a.mp4"}),
            (400, {"assetLength": 0}),
            (400, {"assetType": "image/png"}),
            (400, {"region": [{"type": "temporal"}]}),
            (413, {"assetLength": 400_000}),
            (502, {"assetLength": 5}),
        ):
            network.parts = [head, content]
            assert_error(fetching.post(address, json={**asked, **change}), status)
        public = PublicBackend(lambda _name: ["10.0.0.1"], network)
        state.references = References(max_bytes=300_000, backend=public)
        went = len(network.went)
        assert_error(fetching.post(address, json=asked), 502)
        assert len(network.went) == went


def test_pages_of_any_origin_may_read_it_and_only_it(client: TestClient) -> None:
    ask = {"origin": "https://example.org", "access-control-request-method": "POST"}
    before = client.options(CONTENT, headers=ask)
    assert before.status_code == 204
    assert before.headers["access-control-allow-headers"] == "content-type"
    assert "access-control-allow-credentials" not in before.headers
    for path in (WELL_KNOWN, f"{PREFIX}/services/capabilities"):
        answer = client.get(path)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    for path in ("/healthz", "/v1/verify", "/v1/videos"):
        answer = client.options(path, headers=ask)
        assert "access-control-allow-origin" not in answer.headers
        assert client.get(path).headers["cross-origin-resource-policy"] == "same-origin"


def test_the_service_says_where_it_is_and_what_it_can(client: TestClient) -> None:
    told = client.get(WELL_KNOWN).json()
    assert told["apiEndpoint"] == "http://127.0.0.1:8400/c2pa/v1"
    for name in ("capabilitiesEndpoint", "statusEndpoint"):
        assert client.get(told[name]).status_code == 200
    assert client.get(told["statusEndpoint"]).json()["status"] in ("ok", "degraded", "down")
    assert client.get(f"{PREFIX}/services/supportedAlgorithms").json() == {
        "watermarks": [{"alg": ALGORITHM}],
        "fingerprints": [{"alg": LOOKS}],
    }


def test_an_address_that_asks_too_often_waits(studio: Studio) -> None:
    with opened(Door(studio, public_burst=3, public_per_minute=60)) as client:
        answers = [client.get(f"{PREFIX}/services/capabilities") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert_error(answers[-1], 429)
        assert answers[-1].headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200


@settings(max_examples=FUZZ, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    alg=st.sampled_from([ALGORITHM, LOOKS, "", "a.b"]) | st.text(max_size=20),
    value=st.text(max_size=60)
    | st.binary(max_size=60).map(coded)
    | st.binary(max_size=200).map(lambda raw: coded(b"CGFP\1\0" + raw))
    | st.just(MARK),
    most=st.integers(-1, 10**30),
)
def test_whatever_is_asked_is_answered_in_the_form_of_the_specification(
    client: TestClient, manifest_id: str, alg: str, value: str, most: int
) -> None:
    asked = {"alg": alg, "value": value}
    for answer in (
        client.get(BINDING, params={**asked, "maxResults": most}),
        client.post(BINDING, json=asked, params={"maxResults": most}),
    ):
        if answer.status_code == 200:
            ours = {"manifestId": manifest_id}
            assert matches(answer) in ([], [ours])
            assert (matches(answer) == [ours]) == ((alg, value) == (ALGORITHM, MARK))
        else:
            assert_error(answer, 400)
