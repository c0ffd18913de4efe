"""The development authority: made once, kept secret, renewed, refused when damaged."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import ConfigurationFault
from gateway.provenance.certificates import CLAIM_SIGNING, EMAIL_PROTECTION, TIME_STAMPING
from gateway.provenance.pki import DevelopmentPki

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAME = "Example Studio"


def load(folder: Path, *, now: datetime = START, organisation: str = NAME) -> DevelopmentPki:
    return DevelopmentPki.load_or_create(folder, organisation, lambda: now)


def leaf_of(pki: DevelopmentPki) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pki.chain_pem.encode())[0]


def test_the_first_run_makes_keys_that_only_the_owner_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    load(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "development").stat().st_mode) == 0o700


def test_the_next_run_finds_the_same_authority(tmp_path: Path) -> None:
    first, second = load(tmp_path / "keys"), load(tmp_path / "keys")
    assert first.chain_pem == second.chain_pem
    assert first.anchors_pem == second.anchors_pem
    assert first.tsa_anchors_pem == second.tsa_anchors_pem


def test_the_certificates_keep_the_profile(tmp_path: Path) -> None:
    pki = load(tmp_path / "keys")
    leaf, issuing = x509.load_pem_x509_certificates(pki.chain_pem.encode())
    root = x509.load_pem_x509_certificate(pki.anchors_pem.encode())
    for certificate, days in ((leaf, 366), (issuing, 1_827), (pki.tsa.certificate, 4_110)):
        length = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert length <= timedelta(days=days)
    assert isinstance(leaf.public_key().curve, ec.SECP256R1)  # type: ignore[union-attr]
    assert isinstance(issuing.public_key().curve, ec.SECP384R1)  # type: ignore[union-attr]
    for certificate in (leaf, issuing):
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert set(usage.value) == {CLAIM_SIGNING, EMAIL_PROTECTION}
        assert not usage.critical
    stamping = pki.tsa.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(stamping.value) == [TIME_STAMPING]
    assert stamping.critical
    limits = issuing.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (limits.value.ca, limits.value.path_length, limits.critical) == (True, 0, True)
    for certificate in (leaf, pki.tsa.certificate):
        bits = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (bits.critical, bits.value.digital_signature) == (True, True)
        assert bits.value.content_commitment
        assert not bits.value.key_cert_sign
    issuing.verify_directly_issued_by(root)


def test_the_root_key_is_nowhere_on_disk(tmp_path: Path) -> None:
    pki = load(tmp_path / "keys")
    root = x509.load_pem_x509_certificate(pki.anchors_pem.encode())
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    keys = []
    for path in (tmp_path / "keys").rglob("*.pem"):
        content = path.read_bytes()
        if b"PRIVATE KEY" in content:
            keys.append(load_pem_private_key(content, password=None).public_key())
    assert len(keys) == 3
    assert root.public_key() not in keys


@pytest.mark.parametrize("name", ["signing.pem", "issuing.pem", "stamping.pem"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_use_is_refused(
    tmp_path: Path, name: str, mode: int
) -> None:
    load(tmp_path / "keys", now=START)
    (tmp_path / "keys" / "development" / name).chmod(mode)
    with pytest.raises(ConfigurationFault, match=f"mode {mode:04o}.*0600"):
        load(tmp_path / "keys", now=START + timedelta(days=340))


def test_a_key_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    load(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o755)
    with pytest.raises(ConfigurationFault, match="mode 0755"):
        load(tmp_path / "keys")


def test_a_leaf_that_ends_soon_is_renewed_below_the_same_root(tmp_path: Path) -> None:
    first = load(tmp_path / "keys")
    later = START + timedelta(days=330)
    assert load(tmp_path / "keys", now=later).chain_pem == first.chain_pem
    later = START + timedelta(days=336)
    second = load(tmp_path / "keys", now=later)
    assert leaf_of(second).serial_number != leaf_of(first).serial_number
    assert second.anchors_pem == first.anchors_pem
    assert second.days_left(later) > 360
    assert load(tmp_path / "keys", now=later).chain_pem == second.chain_pem


def test_a_new_name_of_the_organisation_gets_a_new_leaf(tmp_path: Path) -> None:
    first = load(tmp_path / "keys")
    second = load(tmp_path / "keys", organisation="Other Studio")
    assert second.identity.organisation == "Other Studio"
    assert second.anchors_pem == first.anchors_pem


def test_an_authority_that_has_ended_says_what_to_do(tmp_path: Path) -> None:
    load(tmp_path / "keys")
    with pytest.raises(ConfigurationFault, match="issuing authority has ended"):
        load(tmp_path / "keys", now=START + timedelta(days=1_820))


def test_a_clock_that_fell_back_is_refused(tmp_path: Path) -> None:
    load(tmp_path / "keys")
    with pytest.raises(ConfigurationFault, match="not valid yet"):
        load(tmp_path / "keys", now=START - timedelta(days=2))


@pytest.mark.parametrize("name", ["anchors.pem", "signing.pem", "stamping.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nx"])
def test_a_missing_or_damaged_file_is_refused_and_not_replaced(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    load(tmp_path / "keys")
    path = tmp_path / "keys" / "development" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigurationFault):
        load(tmp_path / "keys")
    assert path.exists() is (content is not None)


@pytest.mark.parametrize("organisation", ["", "x" * 65])
def test_a_name_that_no_certificate_can_hold_is_refused(
    tmp_path: Path, organisation: str
) -> None:
    with pytest.raises(ConfigurationFault, match="organisation"):
        load(tmp_path / "keys", organisation=organisation)
    assert not (tmp_path / "keys" / "development").exists()


def test_processes_that_start_together_share_one_authority(tmp_path: Path) -> None:
    code = (
        "import sys, hashlib\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from gateway.provenance.pki import DevelopmentPki\n"
        "clock = lambda: datetime.now(UTC)\n"
        "pki = DevelopmentPki.load_or_create(Path(sys.argv[1]), 'X', clock)\n"
        "print(hashlib.sha256((pki.anchors_pem + pki.chain_pem).encode()).hexdigest())\n"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "keys")]
    running = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    answers = [child.communicate(timeout=60) for child in running]
    assert [fault for _, fault in answers] == [""] * 5
    assert len({found for found, _ in answers}) == 1
    left = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert left == [".lock", "development"]
