"""An operator's chain and key, checked at start-up instead of at the first clip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.errors import ConfigurationFault
from gateway.provenance.certificates import (
    CLAIM_SIGNING,
    DOCUMENT_SIGNING,
    EMAIL_PROTECTION,
    TIME_STAMPING,
    Authority,
    key_pem,
    make_issuing,
    make_leaf,
    make_root,
    pem,
)
from gateway.provenance.identity import SigningIdentity

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAME = "Example Studio"


@pytest.fixture(scope="module")
def root() -> Authority:
    return make_root(organisation=NAME, role="root", now=NOW)


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    return make_issuing(organisation=NAME, root=root, now=NOW)


@pytest.fixture(scope="module")
def leaf(issuing: Authority) -> Authority:
    return make_leaf(organisation=NAME, issuing=issuing, now=NOW)


def check(
    *chain: Authority, key: bytes | None = None, root: Authority, now: datetime = NOW
) -> SigningIdentity:
    return SigningIdentity.from_pem(
        chain="".join(pem(link.certificate) for link in chain).encode(),
        key=key or key_pem(chain[0].key).encode(),
        anchors=pem(root.certificate).encode(),
        now=now,
    )


def leaf_with(
    issuing: Authority,
    *usages: ObjectIdentifier,
    signs: bool = True,
    ca: bool = False,
    organisation: str | None = NAME,
    key: object = None,
) -> tuple[x509.Certificate, bytes]:
    private = key or ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]
    if organisation:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuing.certificate.subject)
        .public_key(private.public_key())  # type: ignore[attr-defined]
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(signs, True, False, False, False, False, False, False, False),
            critical=True,
        )
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    encoded = private.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return builder.sign(issuing.key, hashes.SHA384()), encoded


def check_leaf(
    made: tuple[x509.Certificate, bytes], issuing: Authority, root: Authority
) -> SigningIdentity:
    return SigningIdentity.from_pem(
        chain=(pem(made[0]) + pem(issuing.certificate)).encode(),
        key=made[1],
        anchors=pem(root.certificate).encode(),
        now=NOW,
    )


def test_a_good_chain_is_accepted_and_its_root_left_out(
    root: Authority, issuing: Authority, leaf: Authority
) -> None:
    plain = check(leaf, issuing, root=root)
    with_root = check(leaf, issuing, root, root=root)
    assert plain.chain_pem == with_root.chain_pem
    assert plain.chain_pem.count("BEGIN CERTIFICATE") == 2
    assert (plain.algorithm, plain.organisation) == ("ES256", NAME)
    assert 364 < plain.days_left(NOW) <= 365


def test_a_signature_has_the_raw_form_and_holds(
    root: Authority, issuing: Authority, leaf: Authority
) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    signature = check(leaf, issuing, root=root).sign(b"message")
    assert len(signature) == 64
    der = encode_dss_signature(
        int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    )
    leaf.key.public_key().verify(der, b"message", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("usage", [CLAIM_SIGNING, EMAIL_PROTECTION, DOCUMENT_SIGNING])
def test_each_signing_usage_is_enough(
    root: Authority, issuing: Authority, usage: ObjectIdentifier
) -> None:
    assert check_leaf(leaf_with(issuing, usage), issuing, root).organisation == NAME


@pytest.mark.parametrize(
    "usages",
    [
        (),
        (ExtendedKeyUsageOID.SERVER_AUTH,),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,),
        (CLAIM_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        (CLAIM_SIGNING, TIME_STAMPING),
        (EMAIL_PROTECTION, ExtendedKeyUsageOID.OCSP_SIGNING),
    ],
)
def test_a_certificate_for_something_else_is_refused(
    root: Authority, issuing: Authority, usages: tuple[ObjectIdentifier, ...]
) -> None:
    with pytest.raises(ConfigurationFault, match="extended key usage"):
        check_leaf(leaf_with(issuing, *usages), issuing, root)


def test_a_leaf_that_may_not_sign_or_is_an_authority_is_refused(
    root: Authority, issuing: Authority
) -> None:
    with pytest.raises(ConfigurationFault, match="may not make signatures"):
        check_leaf(leaf_with(issuing, CLAIM_SIGNING, signs=False), issuing, root)
    with pytest.raises(ConfigurationFault, match="an authority"):
        check_leaf(leaf_with(issuing, CLAIM_SIGNING, ca=True), issuing, root)


def test_a_leaf_of_nobody_is_refused(root: Authority, issuing: Authority) -> None:
    with pytest.raises(ConfigurationFault, match="organisation"):
        check_leaf(leaf_with(issuing, CLAIM_SIGNING, organisation=None), issuing, root)


def test_a_leaf_issued_by_another_leaf_is_refused(
    root: Authority, issuing: Authority, leaf: Authority
) -> None:
    forged = make_leaf(organisation="Somebody Else", issuing=leaf, now=NOW)
    with pytest.raises(ConfigurationFault, match="may not issue"):
        check(forged, leaf, issuing, root=root)


def test_a_missing_intermediate_is_found_before_the_first_clip(
    root: Authority, leaf: Authority
) -> None:
    with pytest.raises(ConfigurationFault, match="intermediate is missing"):
        check(leaf, root=root)


def test_a_chain_in_the_wrong_order_is_refused(
    root: Authority, issuing: Authority, leaf: Authority
) -> None:
    with pytest.raises(ConfigurationFault, match="out of order"):
        check(issuing, leaf, key=key_pem(leaf.key).encode(), root=root)


def test_anchors_of_somebody_else_are_refused(issuing: Authority, leaf: Authority) -> None:
    other = make_root(organisation=NAME, role="root", now=NOW)  # same name, another key
    with pytest.raises(ConfigurationFault, match="trust anchor"):
        check(leaf, issuing, root=other)


def test_a_certificate_before_or_after_its_time_is_refused(
    root: Authority, issuing: Authority, leaf: Authority
) -> None:
    with pytest.raises(ConfigurationFault, match="has expired"):
        check(leaf, issuing, root=root, now=NOW + timedelta(days=366))
    with pytest.raises(ConfigurationFault, match="not valid yet"):
        check(leaf, issuing, root=root, now=NOW - timedelta(days=1))


def test_the_days_left_are_those_of_the_shortest_link(root: Authority) -> None:
    issuing = make_issuing(organisation=NAME, root=root, now=NOW - timedelta(days=1_820))
    leaf = make_leaf(organisation=NAME, issuing=issuing, now=NOW)
    assert check(leaf, issuing, root=root).days_left(NOW) < 8


def test_a_key_of_another_certificate_is_refused(
    root: Authority, issuing: Authority, leaf: Authority
) -> None:
    stranger = key_pem(ec.generate_private_key(ec.SECP256R1())).encode()
    with pytest.raises(ConfigurationFault, match="does not belong"):
        check(leaf, issuing, key=stranger, root=root)


def test_keys_of_a_kind_we_do_not_use_are_refused(
    root: Authority, issuing: Authority, leaf: Authority
) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    locked = leaf.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    for content, reason in ((weak, "must be EC"), (locked, "encrypted"), (b"x", "as PEM")):
        with pytest.raises(ConfigurationFault, match=reason):
            check(leaf, issuing, key=content, root=root)


@pytest.mark.parametrize(
    ("key", "algorithm", "size"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "ES384", 96),
        (ec.generate_private_key(ec.SECP521R1()), "ES512", 132),
        (ed25519.Ed25519PrivateKey.generate(), "ED25519", 64),
    ],
    ids=["P-384", "P-521", "Ed25519"],
)
def test_other_kinds_of_key_sign_too(
    root: Authority, issuing: Authority, key: object, algorithm: str, size: int
) -> None:
    identity = check_leaf(leaf_with(issuing, CLAIM_SIGNING, key=key), issuing, root)
    assert identity.algorithm == algorithm
    assert len(identity.sign(b"message")) == size


def test_files_are_read_and_an_open_key_file_is_refused(
    root: Authority, issuing: Authority, leaf: Authority, tmp_path: Path
) -> None:
    chain, key, anchors = (tmp_path / name for name in ("chain.pem", "key.pem", "roots.pem"))
    chain.write_text(pem(leaf.certificate) + pem(issuing.certificate))
    anchors.write_text(pem(root.certificate))
    key.write_text(key_pem(leaf.key))
    key.chmod(0o600)
    loaded = SigningIdentity.from_files(chain=chain, key=key, anchors=anchors, now=NOW)
    assert loaded.chain_pem == chain.read_text()
    key.chmod(0o644)
    with pytest.raises(ConfigurationFault, match="mode 0644"):
        SigningIdentity.from_files(chain=chain, key=key, anchors=anchors, now=NOW)
    with pytest.raises(ConfigurationFault) as caught:
        SigningIdentity.from_files(
            chain=tmp_path / "nowhere.pem", key=key, anchors=anchors, now=NOW
        )
    assert str(tmp_path) not in caught.value.message
