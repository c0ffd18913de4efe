"""The signature of this instance: identity, anchors and time stamps, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gateway.errors import ConfigurationFault
from gateway.provenance.certificates import Authority
from gateway.provenance.identity import SigningIdentity
from gateway.provenance.pki import DevelopmentPki
from gateway.provenance.timestamp import LocalTimestampAuthority
from gateway.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Who signs and whom we believe. ``local_tsa`` exists in development only."""

    identity: SigningIdentity
    anchors_pem: str = field(repr=False)
    tsa_anchors_pem: str = field(repr=False)
    tsa_url: str | None
    local_tsa: Authority | None = field(repr=False)

    @contextmanager
    def time_stamps(self, clock: Callable[[], datetime]) -> Iterator[str]:
        """The address of the time-stamp authority; a local one lives as long as the block."""
        if self.tsa_url is not None:
            yield self.tsa_url
        elif self.local_tsa is not None:
            with LocalTimestampAuthority(self.local_tsa, clock=clock) as url:
                yield url
        else:
            raise ConfigurationFault("provenance.tsa_url is not set.")


def own_organisation(settings: Settings) -> str | None:
    """The organisation that a certificate must name to be ours; None where the root suffices.

    A root of our own signs for us alone; a public one signs for others too.
    """
    provenance = settings.provenance
    return None if provenance.pki == "development" else provenance.organisation


def load_signature(settings: Settings, clock: Callable[[], datetime]) -> Signature:
    """The development authority, made on first use, or the operator's files.

    Raises ConfigurationFault when a file is missing, damaged, expired or open to others.
    """
    provenance = settings.provenance
    if provenance.pki == "development":
        pki = DevelopmentPki.load_or_create(settings.keys_dir, provenance.organisation, clock)
        outside = provenance.tsa_url is not None
        if outside and provenance.tsa_anchors is None:
            raise ConfigurationFault("A tsa_url needs tsa_anchors: its root certificates.")
        return Signature(
            identity=pki.identity,
            anchors_pem=pki.anchors_pem,
            tsa_anchors_pem=_text(provenance.tsa_anchors) or pki.tsa_anchors_pem,
            tsa_url=provenance.tsa_url,
            local_tsa=None if outside else pki.tsa,
        )
    chain, key = provenance.certificate_chain, provenance.private_key
    anchors, stamps = provenance.trust_anchors, provenance.tsa_anchors
    if chain is None or key is None or anchors is None or stamps is None:
        raise ConfigurationFault(
            "provenance.pki = 'files' needs certificate_chain, private_key, trust_anchors "
            "and tsa_anchors."
        )
    if provenance.tsa_url is None:
        raise ConfigurationFault("provenance.pki = 'files' needs a tsa_url.")
    identity = SigningIdentity.from_files(chain=chain, key=key, anchors=anchors, now=clock())
    if identity.organisation != provenance.organisation:
        raise ConfigurationFault(
            "provenance.organisation is not the organisation in the signing certificate."
        )
    return Signature(
        identity=identity,
        anchors_pem=identity.anchors_pem,
        tsa_anchors_pem=_text(stamps),
        tsa_url=provenance.tsa_url,
        local_tsa=None,
    )


def _text(path: Path | None) -> str:
    """The certificates in a file, or nothing when there is no file to read."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigurationFault("provenance.tsa_anchors cannot be read.") from fault
