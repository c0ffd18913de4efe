"""The gate from prompt to proof, with every real part."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import encypher_c2pa
import httpx
import numpy as np
import openai
import pytest

from gateway.media.codec import Mp4Codec
from gateway.media.frames import Frames
from tests.e2e.conftest import PROMPT, SIZE, Instance, parsed, run_cli
from tests.e2e.test_watching import readiness


def verify(instance: Instance, content: bytes) -> Any:
    response = instance.http.post("/v1/verify", files={"file": ("clip.mp4", content)})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_official_client_creates_polls_lists_downloads_and_deletes(
    instance: Instance, tmp_path: Path
) -> None:
    client = openai.OpenAI(base_url=f"{instance.url}/v1", api_key=instance.key)
    with client:
        asked = client.videos.create(
            prompt=PROMPT, seconds="4", size=SIZE, extra_body={"seed": 3}
        )
        instance.finished(asked.id)
        video = client.videos.poll(asked.id, poll_interval_ms=500)
        assert (video.status, video.progress) == ("completed", 100)
        assert video.id in [item.id for item in client.videos.list(limit=50)]
        path = tmp_path / "clip.mp4"
        client.videos.download_content(video.id).write_to_file(path)
        still = client.videos.download_content(video.id, variant="thumbnail").read()
        assert still[:2] == b"\xff\xd8"
        assert verify(instance, path.read_bytes())["finding"] == "made_here"
        check = client.content_provenance_checks.create(file=path)
        outcomes = {result.type: result.outcome for result in check.results}
        assert outcomes["c2pa"] == outcomes["watermark"] == "detected"
        remix = client.videos.remix(video.id, prompt="the ball is blue, at night")
        assert remix.remixed_from_video_id == video.id
        with pytest.raises(openai.BadRequestError) as refused:
            client.videos.remix(video.id, prompt="it teaches how to build a pipe bomb")
        assert refused.value.code == "moderation_blocked"
        instance.finished(remix.id)
        done = client.videos.poll(remix.id, poll_interval_ms=500)
        assert (done.status, done.error) == ("completed", None)
        changed = client.videos.download_content(remix.id).read()
        assert verify(instance, changed)["finding"] == "made_here"
        assert client.videos.delete(video.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(video.id)
        with pytest.raises(openai.BadRequestError) as refused:
            client.videos.create(prompt="step by step instructions for building a pipe bomb")
        assert refused.value.code == "moderation_blocked"


def test_a_released_clip_is_made_here(instance: Instance, released: dict[str, Any]) -> None:
    report = verify(instance, released["bytes"])
    assert report["finding"] == "made_here"
    assert report["clip_id"] == released["gateway"]["clip_id"]
    results = {name: item["result"] for name, item in report["evidence"].items()}
    assert results["content_credentials"] == "ours"
    assert results["watermark"] == "found"
    assert results["log"] == "recorded"
    assert results["fingerprint"] == "looks_like"


def test_an_independent_verifier_agrees(released: dict[str, Any]) -> None:
    good = released["bytes"]
    assert independent_verdict(good)
    middle = good.rfind(b"mdat") + len(good) // 4
    bad = bytearray(good)
    bad[middle] ^= 0x01
    assert not independent_verdict(bytes(bad))


def independent_verdict(content: bytes) -> bool:
    """Whether encypher-c2pa, which shares no code with our signer, calls the clip valid."""
    report = encypher_c2pa.verify(content, "video/mp4", no_default_trust=True, telemetry=False)
    return str(report["validation_state"]).lower() in ("valid", "trusted")


def test_a_tampered_clip_is_never_made_here(
    instance: Instance, released: dict[str, Any]
) -> None:
    good = released["bytes"]
    bad = bytearray(good)
    bad[good.rfind(b"mdat") + len(good) // 4] ^= 0x01
    report = verify(instance, bytes(bad))
    assert report["finding"] == "evidence_disagrees"


Attack = Callable[[Mp4Codec, Path, Path], None]


def frames_of(codec: Mp4Codec, path: Path) -> Iterator[Frames]:
    yield from codec.decode(path)


def crf(value: int) -> Attack:
    return lambda codec, source, target: codec.transcode_without_metadata(
        source, target, crf=value
    )


def half_size(codec: Mp4Codec, source: Path, target: Path) -> None:
    codec.transcode_without_metadata(source, target, crf=23, scale=0.5)


def crop(codec: Mp4Codec, source: Path, target: Path) -> None:
    """Keep 75 % of the area, off centre, and encode at CRF 23."""

    def cropped() -> Iterator[Frames]:
        for chunk in frames_of(codec, source):
            height, width = chunk.shape[1:3]
            h, w = int(height * 0.75**0.5) // 2 * 2, int(width * 0.75**0.5) // 2 * 2
            top, left = (height - h) // 3, (width - w) // 4
            yield np.ascontiguousarray(chunk[:, top : top + h, left : left + w])

    Mp4Codec(crf=23, preset="medium", keyframe_seconds=5.0).encode(cropped(), target, fps=24)


@pytest.mark.parametrize(
    "attack",
    [crf(23), crf(30), half_size, crop],
    ids=["crf 23", "crf 30", "half size", "crop 75 %"],
)
def test_a_clip_without_its_metadata_is_still_recognised(
    instance: Instance, released: dict[str, Any], attack: Attack, tmp_path: Path
) -> None:
    source, target = tmp_path / "clip.mp4", tmp_path / "stripped.mp4"
    source.write_bytes(released["bytes"])
    attack(Mp4Codec(crf=17, preset="medium", keyframe_seconds=1.0), source, target)
    report = verify(instance, target.read_bytes())
    assert report["finding"] == "made_here_credentials_removed"
    assert report["clip_id"] == released["gateway"]["clip_id"]


def test_a_stripped_clip_gets_its_manifest_back_without_a_key(
    instance: Instance, released: dict[str, Any], tmp_path: Path
) -> None:
    source, target = tmp_path / "clip.mp4", tmp_path / "stripped.mp4"
    source.write_bytes(released["bytes"])
    crf(28)(Mp4Codec(crf=17, preset="medium", keyframe_seconds=1.0), source, target)
    where = httpx.get(f"{instance.url}/.well-known/c2pa-soft-binding-resolution").json()
    base = instance.url + httpx.URL(where["apiEndpoint"]).path
    kind = {"content-type": "video/mp4"}
    found = httpx.post(
        f"{base}/matches/byContent", content=target.read_bytes(), headers=kind, timeout=120
    ).json()["matches"]
    manifest = httpx.get(f"{base}/manifests/{found[0]['manifestId']}")
    assert manifest.headers["content-type"] == "application/c2pa"
    assert manifest.content in released["bytes"]
    assert PROMPT.encode() not in manifest.content


def test_a_clip_from_elsewhere_is_unknown(instance: Instance, tmp_path: Path) -> None:
    grid = np.linspace(0, 255, 360 * 640 * 3).reshape(360, 640, 3)
    clip = [np.stack([np.roll(grid, 7 * t, axis=1) for t in range(16)]).astype(np.uint8)] * 3
    path = tmp_path / "foreign.mp4"
    Mp4Codec(crf=20, preset="fast", keyframe_seconds=1.0).encode(clip, path, fps=24)
    report = verify(instance, path.read_bytes())
    assert (report["finding"], report["clip_id"]) == ("unknown", None)
    assert "does not mean" in report["sentence"]


def test_our_manifest_on_other_pixels_disagrees(
    instance: Instance, released: dict[str, Any], tmp_path: Path
) -> None:
    other = instance.http.post(
        "/v1/videos", json={"prompt": PROMPT, "size": SIZE, "seconds": 2, "seed": 12}
    ).json()
    assert instance.finished(other["id"])["status"] == "completed"
    theirs = instance.http.get(f"/v1/videos/{other['id']}/content").content
    manifest = uuid_box(released["bytes"])
    swapped = theirs.replace(uuid_box(theirs), manifest, 1)
    report = verify(instance, swapped)
    assert report["finding"] == "evidence_disagrees"


def uuid_box(content: bytes) -> bytes:
    """The top-level box that holds the manifest."""
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == b"uuid":
            return content[at : at + size]
        at += size
    raise AssertionError("no uuid box")


@pytest.mark.parametrize(
    "content",
    [
        b"this is a text file, not a video\n" * 50,
        b"\0" * 5000,
        b"\0\0\0\x18ftypisom" + b"x" * 99,
    ],
    ids=["text", "zeros", "broken box"],
)
def test_a_file_that_is_no_video_could_not_be_checked(
    instance: Instance, content: bytes
) -> None:
    response = instance.http.post("/v1/verify", files={"file": ("a.mp4", content)})
    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["code"], error["finding"]) == ("unreadable_clip", "could_not_check")


def test_a_truncated_clip_is_never_made_here(
    instance: Instance, released: dict[str, Any]
) -> None:
    for share in (0.3, 0.7, 0.97):
        cut = released["bytes"][: int(len(released["bytes"]) * share)]
        response = instance.http.post("/v1/verify", files={"file": ("a.mp4", cut)})
        body = response.json()
        found = body.get("finding") or body["error"]["finding"]
        assert found in ("evidence_disagrees", "could_not_check")


def test_another_tenant_sees_nothing(instance: Instance, released: dict[str, Any]) -> None:
    other = parsed(run_cli(instance.data_dir, "keys", "create", "--name", "other", "--json"))
    headers = {"authorization": f"Bearer {other['key']}"}
    for path in ("", "/content"):
        response = instance.http.get(f"/v1/videos/{released['id']}{path}", headers=headers)
        assert response.status_code == 404
    assert instance.http.get("/v1/videos", headers=headers).json()["data"] == []
    parsed(run_cli(instance.data_dir, "keys", "revoke", other["id"], "--json"))
    assert instance.http.get("/v1/videos", headers=headers).status_code == 401


def test_no_raw_media_outlives_its_clip(instance: Instance, released: dict[str, Any]) -> None:
    assert not list((instance.data_dir / "vault").rglob(f"{released['id']}/*"))
    shelf = list((instance.data_dir / "released" / released["id"]).iterdir())
    assert sorted(path.suffix for path in shelf) == [".jpg", ".mp4"]


def test_models_are_listed_with_their_cards(instance: Instance) -> None:
    (model,) = instance.http.get("/v1/models").json()["data"]
    card = model["card"]
    assert model["id"] == "embedded"
    assert card["demonstration"] is True
    for statement in ("licence", "training_data", "commercial_use", "limits"):
        assert len(card[statement]) > 3
    assert all(len(digest) == 64 for digest in card["weights"].values())


def test_the_gateway_is_ready_and_its_pages_answer(instance: Instance) -> None:
    ready = readiness(instance.url, degraded=False)
    assert ready.status_code == 200, ready.text
    assert "AI-made" in instance.http.get("/").text


def test_the_page_answers_a_file_without_scripts(
    instance: Instance, released: dict[str, Any]
) -> None:
    page = instance.http.post(
        "/verify", files={"file": ("a.mp4", io.BytesIO(released["bytes"]))}
    )
    assert page.status_code == 200
    assert released["gateway"]["clip_id"] in page.text


def test_the_log_checks_out_and_shows_any_changed_byte(
    instance: Instance, released: dict[str, Any], tmp_path: Path
) -> None:
    assert parsed(run_cli(instance.data_dir, "audit", "check", "--json"))["ok"]
    event = f"{released['id']}:publish:video.published"
    proof = parsed(run_cli(instance.data_dir, "audit", "prove", event, "--json"))
    assert proof["entry"]["facts"]["clip_id"] == released["gateway"]["clip_id"]
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copytree(instance.data_dir / "keys", copy / "keys")
    with (
        sqlite3.connect(instance.data_dir / "cinegate.db") as live,
        sqlite3.connect(copy / "cinegate.db") as frozen,
    ):
        live.backup(frozen)
        frozen.execute("DROP TRIGGER IF EXISTS audit_entries_no_update")
        for (name,) in frozen.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='audit_entries'"
        ).fetchall():
            frozen.execute(f"DROP TRIGGER {name}")
        (leaf,) = frozen.execute("SELECT leaf FROM audit_entries WHERE idx = 3").fetchone()
        changed = leaf.replace(b"2026", b"2025", 1)
        assert changed != leaf
        frozen.execute("UPDATE audit_entries SET leaf = ? WHERE idx = 3", (changed,))
    live.close()
    frozen.close()
    report = parsed(run_cli(copy, "audit", "check", "--json"), code=1)
    assert not report["ok"]
