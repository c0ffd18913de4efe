"""The development authority: keys and certificates made on first run, never for production.

In the key folder, below ``development/``, all with mode 0600::

    anchors.pem      the claim-signing root; its key is thrown away once the issuer is made
    issuing.pem      the issuing authority, with its key, to renew the leaf
    signing.pem      the leaf with its key and the issuing certificate
    stamping.pem     the time-stamp leaf with its key, and its root
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import ConfigurationFault
from gateway.provenance import certificates
from gateway.provenance.certificates import Authority
from gateway.provenance.identity import SigningIdentity
from gateway.provenance.keyfiles import exclusive, read_secret, secret_folder, write_secret

RENEW_DAYS = 30
FOLDER = "development"
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, kw_only=True)
class DevelopmentPki:
    """A signing identity and a time-stamp identity that nobody else trusts.

    A clip signed with it is ``trusted`` only where ``anchors_pem`` is installed. Settings
    refuse it in production.
    """

    identity: SigningIdentity
    tsa: Authority = field(repr=False)
    tsa_anchors_pem: str = field(repr=False)

    @property
    def chain_pem(self) -> str:
        """The leaf and the issuing certificate."""
        return self.identity.chain_pem

    @property
    def anchors_pem(self) -> str:
        """The claim-signing root."""
        return self.identity.anchors_pem

    @property
    def key(self) -> object:
        """The leaf's private key."""
        return self.identity.key

    def days_left(self, now: datetime) -> float:
        """Give the days until the signing chain ends."""
        return self.identity.days_left(now)

    @classmethod
    def load_or_create(
        cls, keys_dir: Path, organisation: str, clock: Callable[[], datetime]
    ) -> DevelopmentPki:
        """Read the authority, making it when absent and renewing a leaf that ends soon.

        Safe to call from several processes at once: one makes it, the others read it. The
        leaf is renewed when fewer than 30 days are left or the organisation's name changed;
        the root stays, so clips signed before stay ours. Raises ConfigurationFault when a
        file is damaged, open to others, or the issuing authority itself has ended.
        """
        secret_folder(keys_dir)
        folder = keys_dir / FOLDER
        with exclusive(keys_dir):
            now = clock()
            if not folder.exists():
                _create(folder, organisation=organisation, now=now)
            secret_folder(folder)
            _renew(folder, organisation=organisation, now=now)
            return cls._load(folder, now=now)

    @classmethod
    def _load(cls, folder: Path, *, now: datetime) -> DevelopmentPki:
        key, chain = _split(read_secret(folder / "signing.pem"))
        identity = SigningIdentity.from_pem(
            chain=chain, key=key, anchors=read_secret(folder / "anchors.pem"), now=now
        )
        stamping = read_secret(folder / "stamping.pem")
        tsa, tsa_root = _authority(stamping, needed=2)
        return cls(identity=identity, tsa=tsa, tsa_anchors_pem=certificates.pem(tsa_root[-1]))


def _create(folder: Path, *, organisation: str, now: datetime) -> None:
    root = certificates.make_root(
        organisation=organisation, role="claim signing root (development)", now=now
    )
    issuing = certificates.make_issuing(organisation=organisation, root=root, now=now)
    tsa_root = certificates.make_root(
        organisation=organisation, role="time stamping root (development)", now=now
    )
    tsa = certificates.make_stamping(organisation=organisation, root=tsa_root, now=now)
    # The folder appears complete or not at all; a crash leaves only a scratch folder behind.
    scratch = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.part")
    secret_folder(scratch)
    try:
        write_secret(scratch / "anchors.pem", certificates.pem(root.certificate).encode())
        write_secret(scratch / "issuing.pem", _bundle(issuing, issuing.certificate))
        _write_leaf(scratch, organisation=organisation, issuing=issuing, now=now)
        write_secret(
            scratch / "stamping.pem", _bundle(tsa, tsa.certificate, tsa_root.certificate)
        )
        scratch.replace(folder)
    except OSError as fault:
        raise ConfigurationFault("The development keys cannot be written.") from fault
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _renew(folder: Path, *, organisation: str, now: datetime) -> None:
    _, (leaf, *_rest) = _authority(read_secret(folder / "signing.pem"), needed=2)
    left = (leaf.not_valid_after_utc - now).total_seconds() / 86_400
    wanted = certificates.name(organisation, "claim signing (development)")
    if left >= RENEW_DAYS and leaf.subject == wanted:
        return
    issuing, _ = _authority(read_secret(folder / "issuing.pem"), needed=1)
    if (issuing.certificate.not_valid_after_utc - now).days < RENEW_DAYS:
        raise ConfigurationFault(
            "The development issuing authority has ended. Keep its anchors.pem to read old "
            "clips, move the development key folder away, and start again."
        )
    _write_leaf(folder, organisation=organisation, issuing=issuing, now=now)


def _write_leaf(folder: Path, *, organisation: str, issuing: Authority, now: datetime) -> None:
    leaf = certificates.make_leaf(organisation=organisation, issuing=issuing, now=now)
    write_secret(folder / "signing.pem", _bundle(leaf, leaf.certificate, issuing.certificate))


def _bundle(owner: Authority, *chain: x509.Certificate) -> bytes:
    text = certificates.key_pem(owner.key) + "".join(certificates.pem(c) for c in chain)
    return text.encode("ascii")


def _split(content: bytes) -> tuple[bytes, bytes]:
    at = content.find(_CERTIFICATE)
    if at <= 0:
        raise ConfigurationFault("A development key file is damaged.")
    return content[:at], content[at:]


def _authority(
    content: bytes, *, needed: int
) -> tuple[Authority, tuple[x509.Certificate, ...]]:
    key_part, chain_part = _split(content)
    try:
        key = serialization.load_pem_private_key(key_part, password=None)
        chain = tuple(x509.load_pem_x509_certificates(chain_part))
    except (ValueError, TypeError) as fault:
        raise ConfigurationFault("A development key file is damaged.") from fault
    if isinstance(key, ec.EllipticCurvePrivateKey) and len(chain) == needed:
        return Authority(certificate=chain[0], key=key), chain
    raise ConfigurationFault("A development key file is damaged.")
