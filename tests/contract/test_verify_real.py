"""Verification with every part real: keys, mark, manifest, log, confined readers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import sqlalchemy as sa

from gateway import fingerprints
from gateway.confined import ConfinedCredentials
from gateway.errors import StageUnavailable
from gateway.media.sandbox import Unreadable
from gateway.provenance.manifest import build_manifest
from gateway.tables import Video
from gateway.verify import Finding, Report
from gateway.withdrawal import Reason, Withdrawals
from tests.contract.provenance_kit import facts, now, workshop
from tests.contract.studio_kit import (
    BUSY,
    CLIP,
    CODEC,
    CROSSED,
    FEW,
    FPS,
    FRAMES,
    LEAKED,
    NAMED,
    Studio,
    open_studio,
    picture,
    scene,
)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with open_studio(tmp_path_factory.mktemp("studio")) as opened:
        yield opened


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
    CODEC.encode(scene(5, FEW), bare, fps=FPS)
    path, _ = studio.signed(NAMED, bare, "unmarked.mp4")
    report = studio.verify(path)
    assert report.finding is Finding.EVIDENCE_DISAGREES
    assert "does not carry the watermark" in report.sentence


def test_an_unmarked_unsigned_clip_is_unknown(studio: Studio, tmp_path: Path) -> None:
    CODEC.encode(scene(6, FEW), tmp_path / "strange.mp4", fps=FPS)
    report = studio.verify(tmp_path / "strange.mp4")
    assert report.finding is Finding.UNKNOWN
    assert report.sentence.endswith("That does not mean it is real.")


def test_another_studios_credentials_are_made_elsewhere_and_unrecognised(
    studio: Studio, tmp_path: Path
) -> None:
    CODEC.encode(scene(7, FEW), tmp_path / "plain.mp4", fps=FPS)
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
    crop = next(picture(BUSY))[:FEW, 20:340, 40:600]
    CODEC.encode([crop], copy, fps=FPS)
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


def test_a_copy_of_a_withdrawn_clip_says_so(studio: Studio, tmp_path: Path) -> None:
    number = 0x19E3C57A80B2D46F
    clip = studio.released(number)
    CODEC.transcode_without_metadata(clip, tmp_path / "copy.mp4", crf=26)
    taking_back = Withdrawals(
        database=studio.room.database, audit=studio.room.log, released=studio.shelf, clock=now
    )
    taking_back.withdraw(f"video_{number}", Reason.SAFETY, note="", by="kim")
    studio.room.log.sequence()
    for path, finding in (
        (clip, Finding.MADE_HERE),
        (tmp_path / "copy.mp4", Finding.MADE_HERE_CREDENTIALS_REMOVED),
    ):
        report = studio.verify(path)
        assert report.finding is finding
        assert report.sentence.endswith("It could do harm.")
