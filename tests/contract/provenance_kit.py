"""A workshop for provenance tests: real clips, real keys, a real signer, and tools to break."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import encypher_c2pa
import numpy as np

from gateway.provenance.manifest import ManifestFacts, build_manifest
from gateway.provenance.pki import DevelopmentPki
from gateway.provenance.reading import CredentialReader
from gateway.provenance.signing import C2paSigner
from gateway.provenance.timestamp import LocalTimestampAuthority

ALGORITHM = "org.example.cinegate.wm.1"
ORGANISATION = "Example Studio"
CLIP_ID = "00c0ffee00c0ffee"
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def now() -> datetime:
    """The real time: the native library asks the system's clock, so tests must agree."""
    return datetime.now(UTC)


def facts(**changes: Any) -> ManifestFacts:
    """Facts of a plausible clip."""
    values: dict[str, Any] = {
        "clip_id": CLIP_ID,
        "title": "Clip 00c0ffee",
        "algorithm": ALGORITHM,
        "created_at": now(),
        "organisation": ORGANISATION,
        "product": "Cinegate",
        "product_version": "0.1.0",
        "model_name": "Cinegate Embedded",
        "model_version": "1.0.0",
        "model_licence": "Apache-2.0",
        "training_data": "Procedurally rendered scenes; no third-party footage.",
        "commercial_use": "allowed",
        "weights_sha256": {"unet.safetensors": "ab" * 32},
        "detector_url": "http://127.0.0.1:8400/verify",
        "audit_subject": f"clip:{CLIP_ID}",
        "fingerprint": bytes(range(256)) * 6,
    }
    return ManifestFacts(**(values | changes))


def draw_clip(path: Path, *, frames: int = 12, shade: int = 40) -> Path:
    """Encode a small moving bar with x264: 96 × 64 pixels, 12 frames a second, faststart."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(frames):
            picture = np.full((64, 96, 3), shade, np.uint8)
            picture[10:30, index * 4 : index * 4 + 12] = 230
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


def boxes(content: bytes) -> dict[str, tuple[int, int]]:
    """Top-level boxes of an MP4 as ``{type: (start, end)}``; the C2PA box is ``c2pa``."""
    found: dict[str, tuple[int, int]] = {}
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if size == 1:
            size = struct.unpack(">Q", content[at + 8 : at + 16])[0]
        size = size or len(content) - at
        name = kind.decode("latin-1")
        if name == "uuid" and content[at + 8 : at + 24] == C2PA_UUID:
            name = "c2pa"
        found[name] = (at, at + size)
        at += size
    return found


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Everything that a provenance test needs, for as long as the stamps are served."""

    folder: Path
    pki: DevelopmentPki
    signer: C2paSigner
    reader: CredentialReader
    tsa_url: str

    def signed(self, name: str, *, shade: int = 40, clip_id: str = CLIP_ID) -> Path:
        """Draw and sign a clip."""
        source = draw_clip(self.folder / f"{name}.source.mp4", shade=shade)
        manifest = build_manifest(facts(clip_id=clip_id))
        destination = self.folder / f"{name}.mp4"
        return self.signer.sign(manifest, source, destination, thumbnail=None).path

    def second_opinion(self, path: Path, **options: Any) -> dict[str, Any]:
        """What encypher-c2pa says, a verifier that shares no code with the signing library."""
        report: dict[str, Any] = encypher_c2pa.verify(
            path.read_bytes(),
            "video/mp4",
            trust_pem=self.pki.anchors_pem,
            tsa_trust_pem=self.pki.tsa_anchors_pem,
            no_default_trust=True,
            telemetry=False,
            **options,
        )
        return report

    def second_verdict(self, path: Path) -> str:
        """The same in our words: trusted, valid, invalid, absent or unreadable."""
        try:
            report = self.second_opinion(path)
        except ValueError:
            return "unreadable"
        return str(report["validation_state"]).lower() if report["present"] else "absent"


@contextmanager
def workshop(folder: Path) -> Iterator[Workshop]:
    """Open one: development keys, a local time-stamp authority, a signer and a reader."""
    pki = DevelopmentPki.load_or_create(folder / "keys", ORGANISATION, now)
    with LocalTimestampAuthority(pki.tsa, clock=now) as url:
        yield Workshop(
            folder=folder,
            pki=pki,
            signer=C2paSigner(
                pki.identity, url, tsa_anchors_pem=pki.tsa_anchors_pem, clock=now
            ),
            reader=CredentialReader(
                anchors_pem=pki.anchors_pem, tsa_anchors_pem=pki.tsa_anchors_pem
            ),
            tsa_url=url,
        )
