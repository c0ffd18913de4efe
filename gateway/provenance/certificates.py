"""Certificates of a development authority, after the C2PA profiles (conformance 0.2).

Left out on purpose: the C2PA certificate policy, assurance level, conforming-products record
and OCSP address. They state facts about an accredited authority, and this one is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.errors import ConfigurationFault

CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
EMAIL_PROTECTION = ExtendedKeyUsageOID.EMAIL_PROTECTION
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING

ROOT_DAYS = 7_300
ISSUING_DAYS = 1_827  # profile: at most 1,827 days
LEAF_DAYS = 365  # profile, assurance level 1: at most 366 days
TSA_DAYS = 4_110  # profile: at most 4,110 days
MAX_NAME_CHARS = 64  # RFC 5280 appendix A.1: ub-organization-name, ub-common-name
# A freshly made certificate must hold on a machine whose clock runs a little behind.
CLOCK_SKEW = timedelta(minutes=5)
COUNTRY = "ZZ"  # ISO 3166-1, user-assigned: no country is claimed


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate and the key that signs with it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"Authority({self.certificate.subject.rfc4514_string()!r})"


def new_key(*, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """Make a private key from the system's randomness."""
    return ec.generate_private_key(curve)


def name(organisation: str, role: str) -> x509.Name:
    """Give ``C, O, CN``; the common name says what the certificate is for."""
    if not 1 <= len(organisation.strip()) <= len(organisation) <= MAX_NAME_CHARS:
        raise ConfigurationFault(
            "provenance.organisation must have 1 to 64 characters to stand in a certificate."
        )
    common = f"{organisation[: MAX_NAME_CHARS - len(role) - 1]} {role}"
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, COUNTRY),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _certificate(
    *,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: Authority | None,
    own: ec.EllipticCurvePrivateKey | None,
    now: datetime,
    days: float,
    authority: bool,
    path_length: int | None,
    usages: tuple[ObjectIdentifier, ...],
    usages_critical: bool = False,
) -> x509.Certificate:
    signing_key = issuer.key if issuer is not None else own
    if signing_key is None:
        raise ConfigurationFault("A certificate needs an issuer or its own key.")
    start = now - CLOCK_SKEW
    end = start + timedelta(days=days)
    if issuer is not None:
        end = min(end, issuer.certificate.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer is not None else subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=path_length), critical=True
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=not authority,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
    )
    if usages:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage(list(usages)), critical=usages_critical
        )
    digest = hashes.SHA384() if isinstance(signing_key.curve, ec.SECP384R1) else hashes.SHA256()
    return builder.sign(signing_key, digest)


def make_root(*, organisation: str, role: str, now: datetime) -> Authority:
    """Make a self-signed P-384 root that may issue one further level of authorities."""
    key = new_key(curve=ec.SECP384R1())
    certificate = _certificate(
        subject=name(organisation, role),
        public=key.public_key(),
        issuer=None,
        own=key,
        now=now,
        days=ROOT_DAYS,
        authority=True,
        path_length=1,
        usages=(),
    )
    return Authority(certificate=certificate, key=key)


def make_issuing(*, organisation: str, root: Authority, now: datetime) -> Authority:
    """Make the P-384 authority that issues claim-signing certificates (path length 0)."""
    key = new_key(curve=ec.SECP384R1())
    certificate = _certificate(
        subject=name(organisation, "issuing (development)"),
        public=key.public_key(),
        issuer=root,
        own=None,
        now=now,
        days=ISSUING_DAYS,
        authority=True,
        path_length=0,
        usages=(CLAIM_SIGNING, EMAIL_PROTECTION),
    )
    return Authority(certificate=certificate, key=key)


def make_leaf(
    *, organisation: str, issuing: Authority, now: datetime, days: float = LEAF_DAYS
) -> Authority:
    """Make a P-256 claim-signing certificate; it never outlives its issuer."""
    key = new_key(curve=ec.SECP256R1())
    certificate = _certificate(
        subject=name(organisation, "claim signing (development)"),
        public=key.public_key(),
        issuer=issuing,
        own=None,
        now=now,
        days=days,
        authority=False,
        path_length=None,
        usages=(CLAIM_SIGNING, EMAIL_PROTECTION),
    )
    return Authority(certificate=certificate, key=key)


def make_stamping(*, organisation: str, root: Authority, now: datetime) -> Authority:
    """Make a P-256 time-stamp certificate: that usage alone, and critical (RFC 3161 §2.3)."""
    key = new_key(curve=ec.SECP256R1())
    certificate = _certificate(
        subject=name(organisation, "time stamping (development)"),
        public=key.public_key(),
        issuer=root,
        own=None,
        now=now,
        days=TSA_DAYS,
        authority=False,
        path_length=None,
        usages=(TIME_STAMPING,),
        usages_critical=True,
    )
    return Authority(certificate=certificate, key=key)


def pem(certificate: x509.Certificate) -> str:
    """Give one certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Give a private key as unencrypted PKCS #8 PEM text; only for ``write_secret``."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")
