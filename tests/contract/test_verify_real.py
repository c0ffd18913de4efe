"""Verification with every part real: keys, mark, manifest, log, confined readers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import sqlalchemy as sa

from gateway import fingerprints
from gateway.audit.entry import EventKind
from gateway.confined import ConfinedCredentials
from gateway.errors import StageUnavailable
from gateway.lookalikes import ClipLooks, Lookalikes
from gateway.media.codec import Mp4Codec
from gateway.media.sandbox import Unreadable, decode_untrusted
from gateway.provenance.manifest import build_manifest
from gateway.registry import SqlRegistry
from gateway.tables import Video
from gateway.verify import Finding, Report, Verifier
from tests.contract.audit_kit import Room, event, open_room, video_row
from tests.contract.provenance_kit import ALGORITHM, Workshop, facts, now, workshop
from tests.unit.fingerprint_clips import cut, drawn
from watermark.fingerprint.inverted import InvertedIndex
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker

WIDTH, HEIGHT, FPS, FRAMES = 640, 360, 24, 48
CLIP, LEAKED, CROSSED, NAMED = (
    0x8F3B5C0E91D2A647,
    0x8F3B5C0E91D2A646,  # one bit away from a clip that was released
    0xB7052FD48C6E193A,
    0x52D9A8164FE37BC0,
)
BUSY = 0x3C90A7D25E184FB6
CODEC = Mp4Codec(preset="veryfast", threads=1)


def scene(seed: int) -> Iterator[np.ndarray]:
    """Three chunks of a soft landscape through which a disc moves."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 200, (9, 16, 3), dtype=np.uint8)
    ground = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for start in range(0, FRAMES, 16):
        chunk = np.stack([ground] * 16)
        for index in range(16):
            centre = (80 + 8 * (start + index), 180)
            cv2.circle(chunk[index], centre, 40, (200, 40, 40), -1, cv2.LINE_AA)
        yield chunk


def picture(number: int) -> Iterator[np.ndarray]:
    """What the clip of that number shows: the busy one has enough detail for a fingerprint."""
    if number != BUSY:
        return scene(number)
    return cut(drawn(7, FRAMES, HEIGHT, WIDTH), 16)


@dataclass(frozen=True, kw_only=True)
class Studio:
    """A place that marks, signs, logs and verifies for real."""

    shop: Workshop
    room: Room
    marker: SpreadWatermarker
    verifier: Verifier

    def marked(self, number: int) -> Path:
        """A marked clip, not signed and not in the log."""
        path = self.shop.folder / f"marked-{number}.mp4"
        payload = Payload(clip_id=number)
        CODEC.encode(self.marker.embed(picture(number), payload, fps=FPS), path, fps=FPS)
        return path

    def signed(self, number: int, source: Path, name: str) -> tuple[Path, str]:
        """The clip with our credentials for that number, and their id."""
        manifest = build_manifest(facts(clip_id=f"{number:016x}"))
        path = self.shop.folder / name
        done = self.shop.signer.sign(manifest, source, path, thumbnail=None)
        return path, done.manifest_id

    def released(self, number: int) -> Path:
        """A clip that went all the way."""
        path, manifest_id = self.signed(number, self.marked(number), f"clip-{number}.mp4")
        self.register(number, path, manifest_id)
        return path

    def register(self, number: int, path: Path, manifest_id: str) -> None:
        """Publish and release it in register and log, as the pipeline does."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        story = {"clip_id": f"{number:016x}", "sha256": sha256}
        published = event(
            number,
            id=f"video_{number}:publish:{EventKind.VIDEO_PUBLISHED}",
            kind=EventKind.VIDEO_PUBLISHED,
            facts=story,
        )
        with self.room.database.write() as session:
            video_row(session, number)
            self.room.log.record(session, published)
        self.room.log.sequence()
        with self.room.database.write() as session:
            row = session.get(Video, f"video_{number}")
            assert row is not None
            row.sha256, row.size_bytes = sha256, path.stat().st_size
            row.watermark_ok = row.credentials_ok = True
            row.manifest_id, row.completed_at = manifest_id, now()
            row.audit_index = self.room.log.covered(published.id)
            row.state = "released"
            look = ClipLooks().record(CODEC.decode(path), fps=FPS)
            fingerprints.keep(session, row.clip_id, look)

    def verify(self, path: Path) -> Report:
        return self.verifier.verify(path)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    room = open_room(folder, now)
    marker = SpreadWatermarker((WatermarkKey(id="k1", secret=b"s" * 32),), ALGORITHM)
    with workshop(folder) as shop:
        verifier = Verifier(
            credentials=ConfinedCredentials(
                anchors_pem=shop.pki.anchors_pem,
                tsa_anchors_pem=shop.pki.tsa_anchors_pem,
                scratch=folder / "work",
            ),
            watermark=marker,
            looks=Lookalikes(room.database, make_index=InvertedIndex),
            registry=SqlRegistry(room.database),
            log=room.log,
            decode=decode_untrusted,
            clock=now,
        )
        yield Studio(shop=shop, room=room, marker=marker, verifier=verifier)
    room.database.dispose()


@pytest.fixture(scope="module")
def clip(studio: Studio) -> Path:
    return studio.released(CLIP)


def results(report: Report) -> dict[str, Any]:
    return {str(name): item.result for name, item in report.evidence.items()}


def test_a_released_clip_is_made_here(studio: Studio, clip: Path) -> None:
    report = studio.verify(clip)
    assert (report.finding, report.clip_id) == (Finding.MADE_HERE, f"{CLIP:016x}")
    assert results(report) == {
        "content_credentials": "ours",
        "watermark": "found",
        "fingerprint": "looks_like",
        "log": "recorded",
    }
    assert report.to_dict()["evidence"]["log"]["details"]["same_bytes"] is True
    assert report.looked_at == ((0.0, pytest.approx(FRAMES / FPS)),)


def test_a_recompressed_copy_without_metadata_is_still_made_here(
    studio: Studio, clip: Path, tmp_path: Path
) -> None:
    CODEC.transcode_without_metadata(clip, tmp_path / "shared.mp4", crf=26)
    report = studio.verify(tmp_path / "shared.mp4")
    assert report.finding is Finding.MADE_HERE_CREDENTIALS_REMOVED
    assert report.clip_id == f"{CLIP:016x}"


def test_a_copy_whose_container_was_changed_is_still_made_here(
    studio: Studio, clip: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.mkv"
    with av.open(str(clip)) as source, av.open(str(copy), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert studio.verify(copy).finding is Finding.MADE_HERE_CREDENTIALS_REMOVED


def test_a_changed_byte_of_picture_is_a_contradiction(
    studio: Studio, clip: Path, tmp_path: Path
) -> None:
    data = bytearray(clip.read_bytes())
    data[data.index(b"mdat") + 20_000] ^= 1
    (tmp_path / "changed.mp4").write_bytes(data)
    report = studio.verify(tmp_path / "changed.mp4")
    assert report.finding is Finding.EVIDENCE_DISAGREES
    assert results(report)["content_credentials"] == "invalid"


def test_a_marked_clip_that_was_never_released_is_a_contradiction(studio: Studio) -> None:
    report = studio.verify(studio.marked(LEAKED))
    assert report.finding is Finding.EVIDENCE_DISAGREES
    assert results(report)["log"] == "not_recorded"


def test_our_credentials_of_another_clip_are_a_contradiction(studio: Studio) -> None:
    source = studio.marked(CROSSED)
    path, manifest_id = studio.signed(NAMED, source, "crossed.mp4")
    studio.register(CROSSED, path, manifest_id)
    assert studio.verify(path).finding is Finding.EVIDENCE_DISAGREES


def test_our_credentials_on_an_unmarked_picture_are_a_contradiction(studio: Studio) -> None:
    bare = studio.shop.folder / "bare.mp4"
    CODEC.encode(scene(5), bare, fps=FPS)
    path, _ = studio.signed(NAMED, bare, "unmarked.mp4")
    report = studio.verify(path)
    assert report.finding is Finding.EVIDENCE_DISAGREES
    assert "does not carry the watermark" in report.sentence


def test_an_unmarked_unsigned_clip_is_unknown(studio: Studio, tmp_path: Path) -> None:
    CODEC.encode(scene(6), tmp_path / "strange.mp4", fps=FPS)
    report = studio.verify(tmp_path / "strange.mp4")
    assert report.finding is Finding.UNKNOWN
    assert report.sentence.endswith("That does not mean it is real.")


def test_another_studios_credentials_are_made_elsewhere_and_unrecognised(
    studio: Studio, tmp_path: Path
) -> None:
    CODEC.encode(scene(7), tmp_path / "plain.mp4", fps=FPS)
    with workshop(tmp_path) as other:
        manifest = build_manifest(facts(clip_id="00000000000000ff"))
        signed = other.signer.sign(
            manifest, tmp_path / "plain.mp4", tmp_path / "theirs.mp4", thumbnail=None
        )
    report = studio.verify(signed.path)
    assert report.finding is Finding.MADE_ELSEWHERE
    assert "whom we do not recognise" in report.sentence
    assert report.clip_id is None


def test_a_copy_without_any_mark_is_told_by_its_look_until_the_clip_is_deleted(
    studio: Studio, tmp_path: Path
) -> None:
    studio.released(BUSY)
    copy = tmp_path / "copy.mp4"
    crop = (chunk[:, 20:340, 40:600] for chunk in picture(BUSY))
    CODEC.encode(crop, copy, fps=FPS)
    report = studio.verify(copy)
    assert (report.finding, report.clip_id) == (Finding.UNKNOWN, None)
    assert results(report) == {
        "content_credentials": "absent",
        "watermark": "not_found",
        "fingerprint": "looks_like",
        "log": "not_asked",
    }
    assert "a likeness is no proof" in report.sentence
    (like,) = report.to_dict()["evidence"]["fingerprint"]["details"]["clips"]
    assert like["clip_id"] == f"{BUSY:016x}"
    with studio.room.database.write() as session:
        row = sa.select(Video).where(Video.clip_id == like["clip_id"])
        session.scalars(row).one().state = "deleted"
        fingerprints.withdraw(session, like["clip_id"])
    assert results(studio.verify(copy))["fingerprint"] == "nothing_like_it"


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_a_truncated_clip_is_never_unknown(studio: Studio, tmp_path: Path, kept: float) -> None:
    whole = tmp_path / "whole.mp4"
    CODEC.encode(scene(8), whole, fps=FPS)
    data = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * kept)])
    report = studio.verify(tmp_path / "cut.mp4")
    assert report.finding is Finding.COULD_NOT_CHECK
    assert report.unreadable == "broken"


def test_a_confined_reading_equals_a_plain_one_and_fails_as_unchecked(
    studio: Studio, clip: Path, tmp_path: Path
) -> None:
    confined = ConfinedCredentials(
        anchors_pem=studio.shop.pki.anchors_pem,
        tsa_anchors_pem=studio.shop.pki.tsa_anchors_pem,
        scratch=tmp_path / "work",
    )
    assert confined.read(clip) == studio.shop.reader.read(clip)
    assert list((tmp_path / "work").iterdir()) == []
    broken = ConfinedCredentials(anchors_pem="", tsa_anchors_pem="", scratch=tmp_path)
    with pytest.raises((StageUnavailable, Unreadable)):
        broken.read(clip)
