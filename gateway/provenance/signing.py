"""Signing with c2pa: embeds the manifest, stamps it, and reads the result back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import c2pa

from gateway.errors import ConfigurationFault, Interrupted, StageUnavailable
from gateway.provenance.identity import SigningIdentity
from gateway.provenance.manifest import FORMAT, THUMBNAIL_NAME, created_labels
from gateway.provenance.reading import CredentialReader
from gateway.provenance.signer import SignedFile, Signer
from gateway.provenance.trust import context_settings

__all__ = ["C2paSigner", "SignedFile", "Signer"]

STAMP_ATTEMPTS = 3
STAMP_PAUSE_SECONDS = 0.2
MAX_THUMBNAIL_BYTES = 256 * 1024
_CHUNK = 1024 * 1024


class C2paSigner:
    """Signs with a ``SigningIdentity`` and an RFC 3161 time-stamp authority.

    Thread-safe: nothing is shared between two calls but the identity. A result is given only
    when it was read back as trusted, ours, and stamped by a trusted authority: a certificate
    ends, and a clip without a trusted time ends with it.
    """

    def __init__(
        self,
        identity: SigningIdentity,
        tsa_url: str,
        *,
        tsa_anchors_pem: str,
        clock: Callable[[], Any],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not tsa_url.startswith(("http://", "https://")):
            raise ConfigurationFault("provenance.tsa_url is not a web address.")
        self._identity = identity
        self._tsa_url = tsa_url
        self._tsa_anchors_pem = tsa_anchors_pem
        self._clock = clock
        self._pause = pause
        self._reader = CredentialReader(
            anchors_pem=identity.anchors_pem,
            tsa_anchors_pem=tsa_anchors_pem,
            organisation=identity.organisation,
        )

    @property
    def name(self) -> str:
        """``c2pa-`` and the signature algorithm, for example ``c2pa-es256``."""
        return f"c2pa-{self._identity.algorithm.lower()}"

    def sign(
        self,
        manifest: Mapping[str, Any],
        source: Path,
        destination: Path,
        *,
        thumbnail: bytes | None,
    ) -> SignedFile:
        """Sign ``source`` into ``destination``; see ``Signer.sign``.

        ``thumbnail`` is a JPEG and becomes the claim thumbnail. ``destination`` must lie in an
        existing folder and differ from ``source``. Raises ConfigurationFault when the
        certificate has ended or does not fit, StageUnavailable when the key or every attempt
        at a time stamp failed, or when the result does not read back as ours.
        """
        if self._identity.days_left(self._clock()) <= 0:
            raise ConfigurationFault("The signing certificate has expired.")
        definition = _with_thumbnail(manifest, thumbnail)
        part = destination.with_name(f".{destination.name}.{secrets.token_hex(8)}.part")
        try:
            store = self._attempt(definition, source, part, thumbnail=thumbnail)
            manifest_id = self._read_back(part)
            digest = _settle(part)
            part.replace(destination)
        except OSError as fault:
            raise Interrupted("The signed clip could not be written.") from fault
        finally:
            part.unlink(missing_ok=True)
        return SignedFile(
            path=destination, manifest_store=store, manifest_id=manifest_id, sha256=digest
        )

    def _attempt(
        self,
        definition: Mapping[str, Any],
        source: Path,
        part: Path,
        *,
        thumbnail: bytes | None,
    ) -> bytes:
        for attempt in range(1, STAMP_ATTEMPTS + 1):
            try:
                return self._embed(definition, source, part, thumbnail=thumbnail)
            except _StampFailed as fault:
                if attempt == STAMP_ATTEMPTS:
                    raise Interrupted(
                        "The time-stamp authority does not answer, so nothing was signed."
                    ) from fault
                self._pause(STAMP_PAUSE_SECONDS * 2 ** (attempt - 1))
        raise StageUnavailable("No time stamp was asked for, so nothing was signed.")

    def _embed(
        self,
        definition: Mapping[str, Any],
        source: Path,
        part: Path,
        *,
        thumbnail: bytes | None,
    ) -> bytes:
        causes: list[Exception] = []

        def sign_bytes(message: bytes) -> bytes:
            try:
                return self._identity.sign(message)
            except Exception as fault:  # the library would swallow it: keep the real cause
                causes.append(fault)
                raise

        settings = context_settings(
            claim_anchors=self._identity.anchors_pem,
            stamp_anchors=self._tsa_anchors_pem,
            created_labels=created_labels(definition),
        )
        try:
            with (
                c2pa.Context.from_json(settings) as context,
                c2pa.Signer.from_callback(
                    sign_bytes,
                    c2pa.C2paSigningAlg[self._identity.algorithm],
                    self._identity.chain_pem,
                    self._tsa_url,
                ) as signer,
                c2pa.Builder(json.dumps(definition), context=context) as builder,
                source.open("rb") as clip,
                part.open("w+b") as out,
            ):
                if thumbnail is not None:
                    builder.add_resource(THUMBNAIL_NAME, io.BytesIO(thumbnail))
                return bytes(builder.sign(signer, FORMAT, clip, out))
        except c2pa.C2paError as fault:
            if causes:
                raise StageUnavailable("The signing key could not be used.") from causes[0]
            raise _translated(fault) from fault

    def _read_back(self, part: Path) -> str:
        found = self._reader.read(part)
        if found.ours and found.signed_at is not None and found.manifest_id is not None:
            return found.manifest_id
        if found.ours:
            raise ConfigurationFault(
                "The time-stamp authority is not among the trusted ones, so nothing was signed."
            )
        raise StageUnavailable("The signed clip did not read back as ours, so it was dropped.")


class _StampFailed(Exception):
    """The time-stamp authority could not be reached or refused; worth another try."""


def _translated(fault: Exception) -> Exception:
    text = str(fault).lower()
    if "http resolver" in text or "time stamp" in text or "timestamp" in text:
        return _StampFailed(text)
    if "certificate" in text or "public key" in text:
        return ConfigurationFault("The signing certificate was refused by the signing library.")
    return StageUnavailable("The clip could not be signed.")


def _with_thumbnail(manifest: Mapping[str, Any], thumbnail: bytes | None) -> dict[str, Any]:
    definition = dict(manifest)
    definition.pop("thumbnail", None)
    if thumbnail is None:
        return definition
    if not thumbnail.startswith(b"\xff\xd8\xff") or len(thumbnail) > MAX_THUMBNAIL_BYTES:
        raise StageUnavailable("The thumbnail is not a JPEG of at most 256 KiB.")
    definition["thumbnail"] = {"format": "image/jpeg", "identifier": THUMBNAIL_NAME}
    return definition


def _settle(part: Path) -> str:
    """Bring the file to disk and give its SHA-256."""
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        os.fsync(file.fileno())
    return digest.hexdigest()
