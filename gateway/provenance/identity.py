"""The signing identity: a private key, its certificate chain, and the anchors it leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import ConfigurationFault
from gateway.provenance.certificates import (
    CLAIM_SIGNING,
    DOCUMENT_SIGNING,
    EMAIL_PROTECTION,
    TIME_STAMPING,
    pem,
)
from gateway.provenance.keyfiles import MAX_SECRET_BYTES, read_secret

SigningKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
MAX_CHAIN = 6
MAX_ANCHORS = 500
_SIGNING = frozenset({CLAIM_SIGNING, EMAIL_PROTECTION, DOCUMENT_SIGNING})
# C2PA 2.4 §14.5.1.1: these must not stand beside (or in place of) a signing usage.
_FORBIDDEN = frozenset(
    {
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        TIME_STAMPING,
        ExtendedKeyUsageOID.OCSP_SIGNING,
    }
)
_CURVES: dict[str, tuple[str, hashes.HashAlgorithm, int]] = {
    "secp256r1": ("ES256", hashes.SHA256(), 32),
    "secp384r1": ("ES384", hashes.SHA384(), 48),
    "secp521r1": ("ES512", hashes.SHA512(), 66),
}


@dataclass(frozen=True, kw_only=True)
class SigningIdentity:
    """Who signs. Built by ``from_pem`` or ``from_files``, which check it; see there.

    ``chain_pem`` holds the leaf and the intermediates, leaf first, without the root.
    """

    chain_pem: str = field(repr=False)
    anchors_pem: str = field(repr=False)
    algorithm: str
    organisation: str
    not_after: datetime
    key: SigningKey = field(repr=False)

    @classmethod
    def from_pem(
        cls, *, chain: bytes, key: bytes, anchors: bytes, now: datetime
    ) -> SigningIdentity:
        """Check a chain and its key at the time ``now``. All of this must hold:

        1. the certificates parse, at most six of them, and a root at the end is dropped;
        2. each is issued by the next one, the leaf being first;
        3. the last one is issued by one of the anchors (or is one);
        4. all are valid at ``now``;
        5. the leaf is no authority, may make signatures, and its extended key usage has
           claim signing, e-mail protection or document signing, and no forbidden one;
        6. the key is EC P-256, P-384, P-521 or Ed25519 and belongs to the leaf.

        The signing library finds most of these only when the first clip is signed, and a
        missing intermediate never. It does not ask whether a certificate was revoked.
        Raises ConfigurationFault with the first fault.
        """
        certificates = _certificates(chain, what="certificate chain")
        roots = _certificates(anchors, what="trust anchors", most=MAX_ANCHORS)
        if len(certificates) > 1 and certificates[-1].issuer == certificates[-1].subject:
            certificates = certificates[:-1]  # 1
        if len(certificates) > MAX_CHAIN:
            raise ConfigurationFault("The certificate chain is too long.")
        for lower, upper in pairwise(certificates):  # 2
            if not _issued(lower, upper):
                raise ConfigurationFault(
                    "The certificate chain is out of order: the leaf comes first, and each "
                    "certificate is issued by the next."
                )
        top = certificates[-1]
        if not any(top == root or _issued(top, root) for root in roots):  # 3
            raise ConfigurationFault(
                "The certificate chain does not lead to a trust anchor: an intermediate is "
                "missing, or provenance.trust_anchors names another authority."
            )
        for certificate in certificates:  # 4
            _check_validity(certificate, now=now)
        for certificate in certificates[1:]:
            if not _is_authority(certificate):
                raise ConfigurationFault("An intermediate certificate may not issue others.")
        leaf = certificates[0]
        _check_leaf(leaf)  # 5
        private = _private_key(key)
        if _spki(private.public_key()) != _spki(leaf.public_key()):  # 6
            raise ConfigurationFault("The private key does not belong to the certificate.")
        return cls(
            chain_pem="".join(pem(certificate) for certificate in certificates),
            anchors_pem="".join(pem(root) for root in roots),
            algorithm=_algorithm(private),
            organisation=_organisation(leaf),
            not_after=min(c.not_valid_after_utc for c in certificates),
            key=private,
        )

    @classmethod
    def from_files(
        cls, *, chain: Path, key: Path, anchors: Path, now: datetime
    ) -> SigningIdentity:
        """Load an operator's files. The key file must be readable by its owner only."""
        return cls.from_pem(
            chain=_public_file(chain, what="certificate chain"),
            key=read_secret(key),
            anchors=_public_file(anchors, what="trust anchors"),
            now=now,
        )

    def days_left(self, now: datetime) -> float:
        """Give the days until the first certificate of the chain ends; negative after it."""
        return (self.not_after - now).total_seconds() / 86_400

    def sign(self, message: bytes) -> bytes:
        """Sign; ECDSA gives the raw ``r || s`` that COSE wants (RFC 9053 §2.1)."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(message)
        _, digest, size = _CURVES[self.key.curve.name]
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _public_file(path: Path, *, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_SECRET_BYTES + 1)
    except OSError as fault:
        raise ConfigurationFault(f"The file of the {what} cannot be read.") from fault
    if len(content) > 4 * MAX_SECRET_BYTES:
        raise ConfigurationFault(f"The file of the {what} is too large.")
    return content


def _certificates(
    content: bytes, *, what: str, most: int = MAX_CHAIN + 1
) -> Sequence[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError as fault:
        raise ConfigurationFault(f"The {what} cannot be read as PEM certificates.") from fault
    if 1 <= len(found) <= most:
        return found
    raise ConfigurationFault(f"The {what} holds no certificate, or too many.")


def _issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_validity(certificate: x509.Certificate, *, now: datetime) -> None:
    if certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        return
    ended = certificate.not_valid_after_utc <= now
    raise ConfigurationFault(
        f"A certificate of the signing chain {'has expired' if ended else 'is not valid yet'} "
        f"({certificate.not_valid_before_utc:%Y-%m-%d} to "
        f"{certificate.not_valid_after_utc:%Y-%m-%d})."
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _check_leaf(leaf: x509.Certificate) -> None:
    try:
        usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as fault:
        raise ConfigurationFault(
            "The signing certificate states no extended key usage or no key usage."
        ) from fault
    if _is_authority(leaf) or usage.key_cert_sign:
        raise ConfigurationFault("The signing certificate is an authority, not a leaf.")
    if not usage.digital_signature:
        raise ConfigurationFault("The signing certificate may not make signatures.")
    if usages & _FORBIDDEN or not usages & _SIGNING:
        raise ConfigurationFault(
            "The signing certificate is not meant for claims: its extended key usage needs "
            "C2PA claim signing, e-mail protection or document signing, and not any usage, "
            "time stamping or OCSP signing."
        )


def _private_key(content: bytes) -> SigningKey:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as fault:
        raise ConfigurationFault(
            "The private key is encrypted; that is not supported."
        ) from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise ConfigurationFault("The private key cannot be read as PEM.") from fault
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return key
    raise ConfigurationFault("The private key must be EC P-256, P-384, P-521 or Ed25519.")


def _algorithm(key: SigningKey) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ED25519"
    return _CURVES[key.curve.name][0]


def _spki(public: object) -> bytes:
    encoded: bytes = public.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _organisation(leaf: x509.Certificate) -> str:
    found = leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if found and isinstance(found[0].value, str) and found[0].value.strip():
        return found[0].value
    raise ConfigurationFault("The signing certificate names no organisation (O).")
