"""The manifest: what we state about a clip, as plain data (C2PA 2.4, conformance 0.2).

It names the clip, the system and the model. It never holds the prompt, a user, an address or a
key, nor a hash of one: a manifest travels with the clip for ever.
"""

from __future__ import annotations

import math
import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.provenance.binding import (
    LAYOUT_VERSION,
    fingerprint_algorithm,
    format_binding,
    owner_prefix,
)

SPEC_VERSION = "2.4.0"
FORMAT = "video/mp4"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
THUMBNAIL_NAME = "thumbnail.jpg"
LATENT_DISCLOSURE = "latent-disclosure"
MODEL_CARD = "model-card"
MAX_TEXT_CHARS = 2_000
MAX_WEIGHTS = 64
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DC = "http://purl.org/dc/elements/1.1/"

# Labels of the C2PA standard that belong to the created (not gathered) assertions. Our own two
# are added by ``created_labels``, since their prefix is a setting.
CREATED_LABELS: tuple[str, ...] = (
    "c2pa.actions",
    "c2pa.actions.v2",
    "c2pa.soft-binding",
    "c2pa.ai-disclosure",
    "c2pa.metadata",
    "c2pa.ingredient",
    "c2pa.ingredient.v3",
    "c2pa.thumbnail",
    "c2pa.thumbnail.claim",
    "c2pa.thumbnail.ingredient",
)
# What others may do with the clip: nothing is granted unless an operator changes it.
TRAINING_USES: Mapping[str, str] = {
    "cawg.ai_generative_training": "notAllowed",
    "cawg.ai_training": "notAllowed",
    "cawg.ai_inference": "notAllowed",
    "cawg.data_mining": "notAllowed",
}


@dataclass(frozen=True, kw_only=True)
class ManifestFacts:
    """Everything a manifest says. All texts are shown to the public.

    ``clip_id`` is the watermark's payload, sixteen lower-case hexadecimal digits, and
    ``layout`` the payload layout it was embedded with. ``title`` must not come from the
    prompt. ``created_at`` is aware. ``weights_sha256`` maps the name of a weights file to its
    digest. ``thumbnail`` is a JPEG of our own, at most 512 pixels wide. ``audit_subject`` is
    the name under which the public log lists the clip. ``fingerprint`` is the record of
    docs/fingerprint.md, made of the same pictures.
    Raises ConfigurationFault for a value that comes from the settings or a model card, and
    StageUnavailable for one that comes from the pipeline.
    """

    clip_id: str
    title: str
    algorithm: str
    created_at: datetime
    organisation: str
    product: str
    product_version: str
    model_name: str
    model_version: str
    model_licence: str
    training_data: str
    commercial_use: str
    weights_sha256: Mapping[str, str]
    detector_url: str
    thumbnail: bytes | None = field(default=None, repr=False)
    audit_subject: str | None = None
    fingerprint: bytes | None = field(default=None, repr=False)
    layout: int = LAYOUT_VERSION
    model_format: str = "c2pa.types.model"
    human_oversight: str = "prompt_guided"
    training_uses: Mapping[str, str] = field(default_factory=lambda: dict(TRAINING_USES))

    def __post_init__(self) -> None:
        for name in _SETTINGS_TEXTS:
            if not _usable(getattr(self, name)):
                raise ConfigurationFault(
                    f"The manifest needs a {name.replace('_', ' ')} of 1 to "
                    f"{MAX_TEXT_CHARS} printable characters."
                )
        if not self.detector_url.startswith(("https://", "http://")):
            raise ConfigurationFault("provenance.detector_url is not a web address.")
        if self.human_oversight not in _OVERSIGHT:
            raise ConfigurationFault("The level of human oversight is not one C2PA knows.")
        if not set(self.training_uses.values()) <= {"allowed", "notAllowed", "constrained"}:
            raise ConfigurationFault("A training use is allowed, notAllowed or constrained.")
        if not 1 <= len(self.weights_sha256) <= MAX_WEIGHTS or not all(
            _usable(name) and _is_sha256(digest) for name, digest in self.weights_sha256.items()
        ):
            raise ConfigurationFault("The manifest needs the SHA-256 of the model's weights.")
        if not _usable(self.title):
            raise StageUnavailable("The clip has no usable title for its manifest.")
        if self.created_at.tzinfo is None or not math.isfinite(self.created_at.timestamp()):
            raise StageUnavailable("The clip's creation time has no time zone.")


_SETTINGS_TEXTS = (
    "organisation",
    "product",
    "product_version",
    "model_name",
    "model_version",
    "model_licence",
    "training_data",
    "commercial_use",
    "detector_url",
    "model_format",
)
_OVERSIGHT = frozenset({"fully_autonomous", "prompt_guided", "human_validated"})


def build_manifest(facts: ManifestFacts) -> dict[str, Any]:
    """Give the manifest definition in the form the signing library reads, made of plain JSON.

    The same facts give the same definition. The hard binding (hash of the picture data), the
    time stamp and the signature are added when it is signed.
    """
    prefix = owner_prefix(facts.algorithm)
    value = format_binding(facts.clip_id, layout=facts.layout)
    when = facts.created_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    manifest: dict[str, Any] = {
        "claim_version": 2,
        "claim_generator_info": [
            {
                "name": facts.product,
                "version": facts.product_version,
                "specVersion": SPEC_VERSION,
            }
        ],
        "title": facts.title,
        "format": FORMAT,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": _actions(facts, when=when)},
            _soft_binding(facts.algorithm, value),
            {"label": "c2pa.ai-disclosure", "data": _ai_disclosure(facts)},
            {
                # Anything but this field is refused by stricter readers.
                "label": "c2pa.metadata",
                "kind": "Json",
                "data": {
                    "@context": {"Iptc4xmpExt": _IPTC},
                    "Iptc4xmpExt:DigitalSourceType": SOURCE_TYPE,
                },
            },
            {
                "label": f"{prefix}.{LATENT_DISCLOSURE}",
                "data": _latent_disclosure(facts, when=when),
            },
            {"label": f"{prefix}.{MODEL_CARD}", "data": _model_card(facts)},
            {
                "label": "cawg.training-mining",
                "data": {
                    "entries": {
                        name: {"use": use} for name, use in sorted(facts.training_uses.items())
                    }
                },
            },
            {
                "label": "cawg.metadata",
                "kind": "Json",
                "data": {
                    "@context": {"dc": _DC, "Iptc4xmpExt": _IPTC},
                    "dc:title": facts.title,
                    "Iptc4xmpExt:AISystemUsed": facts.model_name,
                    "Iptc4xmpExt:AISystemVersionUsed": facts.model_version,
                },
            },
        ],
    }
    if facts.fingerprint is not None:
        name = fingerprint_algorithm(facts.algorithm)
        value = b64encode(facts.fingerprint).decode("ascii")
        manifest["assertions"].insert(2, _soft_binding(name, value))
    if facts.thumbnail is not None:
        manifest["thumbnail"] = {"format": "image/jpeg", "identifier": THUMBNAIL_NAME}
    return manifest


def created_labels(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Give every label whose assertion we created ourselves: all but the ``cawg.`` ones."""
    own = (str(assertion["label"]) for assertion in manifest.get("assertions", ()))
    return tuple(
        dict.fromkeys(
            (*CREATED_LABELS, *(label for label in own if not label.startswith("cawg.")))
        )
    )


def content_urn(algorithm: str, clip_id: str) -> str:
    """Give the ``urn:uuid:`` of a clip: the same for the same clip, found from its mark alone.

    A name-based UUID (RFC 9562 §5.5) over algorithm and clip id; it hides nothing.
    """
    return uuid.uuid5(uuid.NAMESPACE_URL, f"c2pa-soft-binding:{algorithm}:{clip_id}").urn


def _soft_binding(algorithm: str, value: str) -> dict[str, Any]:
    return {
        "label": "c2pa.soft-binding",
        "data": {"alg": algorithm, "blocks": [{"scope": {}, "value": value}]},
    }


def _actions(facts: ManifestFacts, *, when: str) -> dict[str, Any]:
    return {
        "actions": [
            {
                "action": "c2pa.created",
                "when": when,
                "softwareAgent": {"name": facts.model_name, "version": facts.model_version},
                "digitalSourceType": SOURCE_TYPE,
                "description": "Made by a generative video model from a text prompt.",
            },
            {
                "action": "c2pa.watermarked.bound",
                "when": when,
                "softwareAgent": {"name": facts.product, "version": facts.product_version},
                "description": "An invisible watermark that names this clip was added.",
            },
        ],
        "allActionsIncluded": True,
    }


def _ai_disclosure(facts: ManifestFacts) -> dict[str, Any]:
    # C2PA 2.4 §18.28: modelType is a model format; the other fields are optional.
    return {
        "modelType": facts.model_format,
        "modelName": facts.model_name,
        "modelIdentifier": f"{facts.model_name} {facts.model_version}",
        "contentProfile": {"humanOversightLevel": facts.human_oversight},
    }


def _latent_disclosure(facts: ManifestFacts, *, when: str) -> dict[str, Any]:
    # The four facts of California SB 942 §22757.3(b)(1), and where to check them.
    disclosure = {
        "provider": facts.organisation,
        "system": facts.product,
        "systemVersion": facts.product_version,
        "created": when,
        "contentIdentifier": content_urn(facts.algorithm, facts.clip_id),
        "clipId": facts.clip_id,
        "detector": facts.detector_url,
    }
    if facts.audit_subject is not None:
        disclosure["logSubject"] = facts.audit_subject
    return disclosure


def _model_card(facts: ManifestFacts) -> dict[str, Any]:
    return {
        "name": facts.model_name,
        "version": facts.model_version,
        "licence": facts.model_licence,
        "trainingData": facts.training_data,
        "commercialUse": facts.commercial_use,
        "weights": [
            {"name": name, "sha256": digest}
            for name, digest in sorted(facts.weights_sha256.items())
        ],
    }


def _usable(text: object) -> bool:
    return (
        isinstance(text, str)
        and 1 <= len(text.strip()) <= len(text) <= MAX_TEXT_CHARS
        and all(character.isprintable() or character == "\n" for character in text)
    )


def _is_sha256(digest: object) -> bool:
    return (
        isinstance(digest, str)
        and len(digest) == 64
        and all(character in "0123456789abcdef" for character in digest)
    )
