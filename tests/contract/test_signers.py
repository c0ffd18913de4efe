"""What a signer promises, on the real one: a signed, stamped, readable file or none at all."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.provenance.identity import SigningIdentity
from gateway.provenance.manifest import build_manifest
from gateway.provenance.pki import DevelopmentPki
from gateway.provenance.signing import STAMP_ATTEMPTS, C2paSigner, Signer
from gateway.provenance.timestamp import LocalTimestampAuthority
from tests.contract.provenance_kit import (
    ORGANISATION,
    Workshop,
    draw_clip,
    facts,
    now,
    workshop,
)

pytestmark = pytest.mark.socket
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with workshop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return draw_clip(tmp_path / "clip.mp4")


def _signer(shop: Workshop, **changes: object) -> C2paSigner:
    values: dict[str, object] = {
        "identity": shop.pki.identity,
        "tsa_url": shop.tsa_url,
        "tsa_anchors_pem": shop.pki.tsa_anchors_pem,
        "clock": now,
        "pause": lambda _seconds: None,
    }
    values |= changes
    identity, url = values.pop("identity"), values.pop("tsa_url")
    return C2paSigner(identity, url, **values)  # type: ignore[arg-type]


def test_a_signed_clip_is_ours_stamped_and_leaves_its_source_alone(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    signer: Signer = shop.signer
    before = clip.read_bytes()
    signed = signer.sign(build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None)
    found = shop.reader.read(signed.path)
    assert (found.state, found.ours, found.failures) == ("trusted", True, ())
    assert found.manifest_id == signed.manifest_id
    assert found.signed_at is not None
    assert abs(found.signed_at - now()) < timedelta(minutes=1)
    assert signed.sha256 == hashlib.sha256(signed.path.read_bytes()).hexdigest()
    assert signed.manifest_store in signed.path.read_bytes()
    assert clip.read_bytes() == before
    assert signer.name == "c2pa-es256"


def test_an_independent_verifier_trusts_signature_hash_and_time_stamp(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    signed = shop.signer.sign(
        build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None
    )
    report = shop.second_opinion(signed.path)
    verdict = (report["integrity"], report["signature"], report["hard_binding"])
    assert verdict == ("valid", "valid", "match")
    assert report["validation_state"] == "Trusted"
    assert report["validation_results"]["failure"] == []
    assert "timeStamp.trusted" in {s["code"] for s in report["validation_results"]["success"]}


def test_strict_conformance_misses_nothing_but_revocation_information(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    signed = shop.signer.sign(
        build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None
    )
    report = shop.second_opinion(signed.path, strict_conformance=True)
    # The signing library cannot staple an OCSP answer; a development authority has none.
    assert [fault["code"] for fault in report["validation_results"]["failure"]] == [
        "com.encypher.conformance.revocationInformationMissing"
    ]


def test_signing_again_replaces_the_result_and_leaves_no_scraps(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "clip.mp4"
    target.parent.mkdir()
    first, second = (
        shop.signer.sign(build_manifest(facts()), clip, target, thumbnail=None) for _ in "ab"
    )
    assert first.manifest_id != second.manifest_id
    assert shop.reader.read(target).manifest_id == second.manifest_id
    assert list(target.parent.iterdir()) == [target]


def test_our_thumbnail_is_embedded_and_a_thing_that_is_no_jpeg_is_refused(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    manifest, target = build_manifest(facts(thumbnail=JPEG)), tmp_path / "out.mp4"
    assert JPEG in shop.signer.sign(manifest, clip, target, thumbnail=JPEG).manifest_store
    assert JPEG not in shop.signer.sign(manifest, clip, target, thumbnail=None).manifest_store
    with pytest.raises(StageUnavailable, match="JPEG"):
        shop.signer.sign(manifest, clip, target, thumbnail=b"GIF89a")


def test_several_threads_sign_at_once_without_mixing_clips(
    shop: Workshop, tmp_path: Path
) -> None:
    ids = [f"{number:016x}" for number in range(1, 7)]

    def make(clip_id: str) -> tuple[tuple[str, str], ...]:
        return shop.reader.read(shop.signed(f"thread-{clip_id}", clip_id=clip_id)).soft_bindings

    with ThreadPoolExecutor(max_workers=3) as pool:
        found = list(pool.map(make, ids))
    assert [bindings[0][1] for bindings in found] == [f"1*{clip_id}" for clip_id in ids]


def test_no_time_stamp_no_clip(shop: Workshop, clip: Path, tmp_path: Path) -> None:
    pauses: list[float] = []
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: every connection is refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        signer = _signer(shop, tsa_url=url, pause=pauses.append)
        with pytest.raises(StageUnavailable, match="time-stamp authority does not answer"):
            signer.sign(build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None)
    assert len(pauses) == STAMP_ATTEMPTS - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


def test_a_time_stamp_of_an_unknown_authority_is_not_enough(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    other = DevelopmentPki.load_or_create(tmp_path / "other", ORGANISATION, now)
    with (
        LocalTimestampAuthority(other.tsa, clock=now) as url,
        pytest.raises(ConfigurationFault, match="not among the trusted"),
    ):
        _signer(shop, tsa_url=url).sign(
            build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None
        )
    assert not (tmp_path / "out.mp4").exists()


class _KeyServiceDown(Exception):
    pass


class _BrokenKey:
    """A key service that has gone away."""

    def __getattr__(self, name: str) -> object:
        raise _KeyServiceDown(name)


def test_the_real_cause_of_a_failing_key_is_kept(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    identity = replace(shop.pki.identity, key=_BrokenKey())  # type: ignore[arg-type]
    with pytest.raises(StageUnavailable, match="signing key could not be used") as caught:
        _signer(shop, identity=identity).sign(
            build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None
        )
    assert isinstance(caught.value.__cause__, _KeyServiceDown)
    assert not (tmp_path / "out.mp4").exists()


def test_an_expired_certificate_signs_nothing(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    signer = _signer(shop, clock=lambda: now() + timedelta(days=400))
    with pytest.raises(ConfigurationFault, match="has expired"):
        signer.sign(build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None)
    assert not (tmp_path / "out.mp4").exists()


def test_a_key_that_does_not_fit_its_certificate_never_yields_a_clip(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    other = DevelopmentPki.load_or_create(tmp_path / "other", ORGANISATION, now)
    mixed = replace(shop.pki.identity, key=other.identity.key)
    with pytest.raises(StageUnavailable):
        _signer(shop, identity=mixed).sign(
            build_manifest(facts()), clip, tmp_path / "out.mp4", thumbnail=None
        )
    assert not (tmp_path / "out.mp4").exists()


def test_something_that_is_no_video_is_refused(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_bytes(b"this is not a video" * 100)
    with pytest.raises(StageUnavailable):
        shop.signer.sign(
            build_manifest(facts()), tmp_path / "text.mp4", tmp_path / "out.mp4", thumbnail=None
        )
    assert not (tmp_path / "out.mp4").exists()


def test_a_manifest_without_a_source_type_is_refused(
    shop: Workshop, clip: Path, tmp_path: Path
) -> None:
    manifest = json.loads(json.dumps(build_manifest(facts())))
    del manifest["assertions"][0]["data"]["actions"][0]["digitalSourceType"]
    with pytest.raises(StageUnavailable):
        shop.signer.sign(manifest, clip, tmp_path / "out.mp4", thumbnail=None)
    assert not (tmp_path / "out.mp4").exists()


def test_the_signer_shows_no_key_when_printed(shop: Workshop) -> None:
    identity: SigningIdentity = shop.pki.identity
    assert "key" not in repr(identity).lower().replace("cinegate", "")
    assert "BEGIN" not in repr(shop.pki)
