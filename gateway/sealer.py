"""The sealer: writes a clip's manifest, has it signed, and reads it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from gateway.errors import StageUnavailable
from gateway.orders import Order
from gateway.provenance.binding import bound_clips
from gateway.provenance.credentials import Credentials
from gateway.provenance.manifest import ManifestFacts, build_manifest
from gateway.provenance.signer import Signer
from gateway.settings import Settings
from generator.cards import ModelCard


class CredentialSource(Protocol):
    """Reads the credentials in a file of ours."""

    def read(self, source: Path) -> Credentials:
        """What the file carries; never raises for what it holds."""


class ClipSealer:
    """Seals clips with what the settings and the model's card say about them."""

    def __init__(
        self,
        *,
        settings: Settings,
        signer: Signer,
        reader: CredentialSource,
        cards: Mapping[str, ModelCard],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._reader = reader
        self._cards = cards
        self._clock = clock

    def seal(
        self, order: Order, source: Path, target: Path, *, thumbnail: bytes, fingerprint: bytes
    ) -> str:
        """Write the signed copy of a marked clip and return its manifest id.

        Raises StageUnavailable when no trusted signature and time stamp can be had now.
        """
        card = self._cards.get(order.model)
        if card is None:
            raise StageUnavailable("The model of this job has no card.")
        provenance = self._settings.provenance
        facts = ManifestFacts(
            clip_id=order.clip_id,
            title=f"Clip {order.clip_id}",
            algorithm=self._settings.watermark.algorithm,
            created_at=self._clock(),
            organisation=provenance.organisation,
            product=provenance.product,
            product_version=version("cinegate"),
            model_name=card.title,
            model_version=card.version,
            model_licence=card.licence,
            training_data=card.training_data,
            commercial_use=card.commercial_use,
            weights_sha256={entry.file: entry.sha256 for entry in card.weights},
            detector_url=provenance.detector_url,
            thumbnail=thumbnail,
            fingerprint=fingerprint,
            audit_subject=order.video_id,
        )
        signed = self._signer.sign(build_manifest(facts), source, target, thumbnail=thumbnail)
        return signed.manifest_id

    def named_clip(self, path: Path) -> str:
        """The clip id that the file's credentials name.

        Raises StageUnavailable unless the credentials are trusted, ours, and name exactly one
        clip of our algorithm.
        """
        found = self._reader.read(path)
        bound = bound_clips(found.soft_bindings, algorithm=self._settings.watermark.algorithm)
        if found.state == "trusted" and found.ours and len(bound) == 1:
            return bound[0].clip_id
        raise StageUnavailable("The credentials could not be read back as ours.")
