"""Whom the reader believes: our anchors alone make a clip ours, and nothing is fetched."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import c2pa
import pytest

from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.provenance import read_child
from gateway.provenance.certificates import (
    CLOCK_SKEW,
    Authority,
    key_pem,
    make_issuing,
    make_leaf,
    make_root,
    pem,
)
from gateway.provenance.credentials import Credentials
from gateway.provenance.identity import SigningIdentity
from gateway.provenance.manifest import build_manifest
from gateway.provenance.pki import DevelopmentPki
from gateway.provenance.reading import CredentialReader
from gateway.provenance.signing import C2paSigner
from gateway.provenance.timestamp import LocalTimestampAuthority
from gateway.provenance.trust import context_settings
from tests.contract.provenance_kit import (
    ORGANISATION,
    Workshop,
    draw_clip,
    facts,
    now,
    workshop,
)

pytestmark = pytest.mark.socket


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with workshop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Somebody with the same software, the same name, and another authority."""
    with workshop(tmp_path_factory.mktemp("stranger")) as opened:
        yield opened


def _reader(shop: Workshop, **changes: str) -> CredentialReader:
    values = {
        "anchors_pem": shop.pki.anchors_pem,
        "tsa_anchors_pem": shop.pki.tsa_anchors_pem,
    }
    return CredentialReader(**(values | changes))  # type: ignore[arg-type]


def test_a_forger_with_our_name_and_an_own_authority_is_valid_and_never_ours(
    shop: Workshop, stranger: Workshop
) -> None:
    found = shop.reader.read(stranger.signed("forged"))
    assert found.issuer == ORGANISATION
    assert (found.state, found.ours) == ("valid", False)
    assert "signingCredential.untrusted" in found.failures


def test_a_time_nobody_vouches_for_is_not_reported(shop: Workshop, stranger: Workshop) -> None:
    path = stranger.signed("unstamped")
    assert stranger.reader.read(path).signed_at is not None
    assert shop.reader.read(path).signed_at is None


def test_a_signer_of_the_foreign_list_is_trusted_and_not_ours(
    shop: Workshop, stranger: Workshop
) -> None:
    reader = _reader(
        shop,
        foreign_anchors_pem=stranger.pki.anchors_pem,
        foreign_tsa_anchors_pem=stranger.pki.tsa_anchors_pem,
    )
    theirs, mine = reader.read(stranger.signed("theirs")), reader.read(shop.signed("mine"))
    assert (theirs.state, theirs.ours, theirs.failures) == ("trusted", False, ())
    assert theirs.signed_at is not None
    assert (mine.state, mine.ours) == ("trusted", True)


def test_below_a_shared_root_only_our_organisation_is_ours(shop: Workshop) -> None:
    path = shop.signed("shared-root")
    assert _reader(shop, organisation=ORGANISATION).read(path).ours is True
    found = _reader(shop, organisation="Another Customer").read(path)
    assert (found.state, found.ours) == ("trusted", False)


def _native_sign(
    shop: Workshop, signing: SigningIdentity | Authority, path: Path, *, stamped: bool = True
) -> Path:
    """Sign without our checks, as somebody else's software would."""
    if isinstance(signing, Authority):
        twin = SigningIdentity(
            chain_pem=pem(signing.certificate),
            anchors_pem="",
            algorithm="ES256",
            organisation=ORGANISATION,
            not_after=signing.certificate.not_valid_after_utc,
            key=signing.key,
        )
    else:
        twin = signing
    source = draw_clip(path.with_suffix(".source.mp4"))
    settings = context_settings(claim_anchors="", stamp_anchors="")
    with (
        c2pa.Context.from_json(settings) as context,
        c2pa.Signer.from_callback(
            twin.sign,
            c2pa.C2paSigningAlg.ES256,
            twin.chain_pem,
            shop.tsa_url if stamped else None,
        ) as signer,
        c2pa.Builder(json.dumps(build_manifest(facts())), context=context) as builder,
        source.open("rb") as clip,
        path.open("w+b") as out,
    ):
        builder.sign(signer, "video/mp4", clip, out)
    return path


def test_a_claim_signed_below_a_time_stamp_root_is_not_trusted(
    shop: Workshop, tmp_path: Path
) -> None:
    """The library calls it Trusted: both kinds of root share its list of anchors."""
    path = _native_sign(shop, shop.pki.tsa, tmp_path / "stamp-signed.mp4")
    found = shop.reader.read(path)
    assert (found.state, found.ours) == ("valid", False)
    assert "signingCredential.untrusted" in found.failures
    settings = context_settings(
        claim_anchors=shop.pki.anchors_pem, stamp_anchors=shop.pki.tsa_anchors_pem
    )
    with (
        c2pa.Context.from_json(settings) as context,
        path.open("rb") as file,
        c2pa.Reader("video/mp4", file, context=context) as reader,
    ):
        assert reader.get_validation_state() == "Trusted"


def test_a_leaf_without_its_intermediate_is_not_ours(shop: Workshop, tmp_path: Path) -> None:
    leaf_only = shop.pki.chain_pem.split("-----END CERTIFICATE-----\n")[0]
    identity = SigningIdentity(
        chain_pem=leaf_only + "-----END CERTIFICATE-----\n",
        anchors_pem="",
        algorithm="ES256",
        organisation=ORGANISATION,
        not_after=shop.pki.identity.not_after,
        key=shop.pki.identity.key,
    )
    found = shop.reader.read(_native_sign(shop, identity, tmp_path / "short.mp4"))
    assert (found.state, found.ours) == ("valid", False)


def _remote_clip(shop: Workshop, url: str, path: Path) -> Path:
    """A clip that only says where its manifest is."""
    settings = context_settings(claim_anchors="", stamp_anchors="")
    source = draw_clip(path.with_suffix(".source.mp4"))
    with (
        c2pa.Context.from_json(settings) as context,
        c2pa.Signer.from_callback(
            shop.pki.identity.sign, c2pa.C2paSigningAlg.ES256, shop.pki.chain_pem, None
        ) as signer,
        c2pa.Builder(json.dumps(build_manifest(facts())), context=context) as builder,
        source.open("rb") as clip,
        path.open("w+b") as out,
    ):
        builder.set_no_embed()
        builder.set_remote_url(url)
        builder.sign(signer, "video/mp4", clip, out)
    return path


def _was_called(listener: socket.socket) -> bool:
    listener.settimeout(0.3)
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return False
    connection.close()
    return True


def test_a_clip_with_a_remote_manifest_opens_no_connection(
    shop: Workshop, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/manifest.c2pa"
        path = _remote_clip(shop, url, tmp_path / "remote.mp4")
        assert url.encode() in path.read_bytes()
        found = shop.reader.read(path)
        assert not _was_called(listener)
        foreign = _reader(shop, foreign_anchors_pem=shop.pki.tsa_anchors_pem)
        assert foreign.read(path) == found
        assert not _was_called(listener)
    assert (found.state, found.ours, found.failures) == (
        "unreadable",
        False,
        ("manifest.remote",),
    )


def test_the_connection_that_we_forbid_is_one_the_library_makes_by_default(
    shop: Workshop, tmp_path: Path
) -> None:
    """If this fails, the test above has become empty."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/manifest.c2pa"
        path = _remote_clip(shop, url, tmp_path / "remote.mp4")
        code = (
            "import c2pa, sys\n"
            "try:\n    c2pa.Reader('video/mp4', open(sys.argv[1], 'rb'))\n"
            "except c2pa.C2paError:\n    pass\n"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as child:
            listener.settimeout(20)
            connection, _ = listener.accept()
            connection.close()
            child.wait(timeout=20)


def test_a_trusted_stamp_lets_a_clip_outlive_its_certificate(
    shop: Workshop, tmp_path: Path
) -> None:
    root = make_root(organisation=ORGANISATION, role="root", now=now())
    issuing = make_issuing(organisation=ORGANISATION, root=root, now=now())
    leaf = make_leaf(
        organisation=ORGANISATION,
        issuing=issuing,
        now=now(),
        days=(CLOCK_SKEW + timedelta(seconds=3)).total_seconds() / 86_400,
    )
    identity = SigningIdentity.from_pem(
        chain=(pem(leaf.certificate) + pem(issuing.certificate)).encode(),
        key=key_pem(leaf.key).encode(),
        anchors=pem(root.certificate).encode(),
        now=now(),
    )
    stamped = _native_sign(shop, identity, tmp_path / "stamped.mp4")
    bare = _native_sign(shop, identity, tmp_path / "bare.mp4", stamped=False)
    reader = _reader(shop, anchors_pem=identity.anchors_pem)
    assert (reader.read(stamped).ours, reader.read(bare).ours) == (True, True)
    time.sleep(max(0.0, (leaf.certificate.not_valid_after_utc - now()).total_seconds()) + 1.1)
    assert reader.read(stamped).ours
    ended = reader.read(bare)
    assert (ended.state, ended.ours) == ("invalid", False)
    assert "signingCredential.expired" in ended.failures


def test_the_reader_refuses_to_work_without_anchors_or_with_broken_ones() -> None:
    with pytest.raises(ConfigurationFault, match="Without trust anchors"):
        CredentialReader(anchors_pem=" \n", tsa_anchors_pem="")
    with pytest.raises(ConfigurationFault, match="cannot be read as PEM"):
        CredentialReader(anchors_pem="-----BEGIN CERTIFICATE-----\nx\n", tsa_anchors_pem="")


def test_a_stream_reads_like_a_file_wherever_its_position_is(shop: Workshop) -> None:
    path = shop.signed("stream")
    stream = io.BytesIO(path.read_bytes())
    stream.seek(77)
    assert shop.reader.read(stream) == shop.reader.read(path)


@pytest.fixture
def anchor_files(shop: Workshop, tmp_path: Path) -> tuple[Path, Path]:
    claims, stamps = tmp_path / "anchors.pem", tmp_path / "tsa.pem"
    claims.write_text(shop.pki.anchors_pem)
    stamps.write_text(shop.pki.tsa_anchors_pem)
    return claims, stamps


def test_the_reading_process_says_what_the_reader_says(
    shop: Workshop, anchor_files: tuple[Path, Path]
) -> None:
    path = shop.signed("child")
    claims, stamps = anchor_files
    line = read_child.arguments(
        path, anchors=claims, tsa_anchors=stamps, organisation=ORGANISATION
    )
    done = subprocess.run([sys.executable, *line], capture_output=True, check=True, timeout=60)
    found = read_child.parse_answer(done.stdout)
    assert found == shop.reader.read(path)
    assert found.ours


@pytest.mark.parametrize(
    "output", [b"", b"null", b"[]", b'{"state": "trusted"}', b"\xff", b"{" * 9]
)
def test_a_reading_process_that_went_wrong_is_never_an_answer(output: bytes) -> None:
    with pytest.raises(StageUnavailable):
        read_child.parse_answer(output)


def test_credentials_survive_their_json(shop: Workshop) -> None:
    found = shop.reader.read(shop.signed("json"))
    assert Credentials.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(
    "change",
    [
        {"state": "fine"},
        {"state": "valid"},
        {"ours": "yes"},
        {"version": 2},
        {"failures": None},
        {"soft_bindings": [["a"]]},
        {"signed_at": "2026-01-01T00:00:00"},
        {"extra": 1},
    ],
)
def test_changed_json_is_refused(shop: Workshop, change: dict[str, object]) -> None:
    honest = Credentials(state="trusted", ours=True).to_dict()
    assert Credentials.from_dict(honest).ours
    with pytest.raises(StageUnavailable):
        Credentials.from_dict(honest | change)


def test_two_installations_do_not_take_each_others_clips(
    shop: Workshop, tmp_path: Path
) -> None:
    other = DevelopmentPki.load_or_create(tmp_path / "keys", ORGANISATION, now)
    with LocalTimestampAuthority(other.tsa, clock=now) as url:
        signer = C2paSigner(
            other.identity, url, tsa_anchors_pem=other.tsa_anchors_pem, clock=now
        )
        signed = signer.sign(
            build_manifest(facts()),
            draw_clip(tmp_path / "a.mp4"),
            tmp_path / "b.mp4",
            thumbnail=None,
        )
    assert not shop.reader.read(signed.path).ours
