"""A studio: a place that marks, signs, logs, keeps and verifies clips with every part real."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gateway import fingerprints
from gateway.audit.entry import EventKind
from gateway.buckets import Folder
from gateway.confined import ConfinedCredentials
from gateway.lookalikes import ClipLooks, Lookalikes
from gateway.media.codec import Mp4Codec
from gateway.media.sandbox import decode_untrusted
from gateway.provenance.manifest import build_manifest
from gateway.registry import SqlRegistry
from gateway.store import Released
from gateway.tables import Video
from gateway.verify import Report, Verifier
from tests.contract.audit_kit import Room, event, open_room, video_row
from tests.contract.provenance_kit import ALGORITHM, Workshop, facts, now, workshop
from tests.unit.fingerprint_clips import cut, drawn
from watermark.fingerprint.inverted import InvertedIndex
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker

WIDTH, HEIGHT, FPS, FRAMES = 640, 360, 24, 48
# Of what is not marked: the search for a mark that is not there grows with every frame.
FEW = 4
CLIP, LEAKED, CROSSED, NAMED = (
    0x8F3B5C0E91D2A647,
    0x8F3B5C0E91D2A646,  # one bit away from a clip that was released
    0xB7052FD48C6E193A,
    0x52D9A8164FE37BC0,
)
BUSY = 0x3C90A7D25E184FB6
CODEC = Mp4Codec(preset="veryfast", threads=1)


def scene(seed: int, frames: int = FRAMES) -> Iterator[np.ndarray]:
    """A soft landscape through which a disc moves, in chunks of at most 16 frames."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 200, (9, 16, 3), dtype=np.uint8)
    ground = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for start in range(0, frames, 16):
        chunk = np.stack([ground] * min(16, frames - start))
        for index in range(len(chunk)):
            centre = (80 + 8 * (start + index), 180)
            cv2.circle(chunk[index], centre, 40, (200, 40, 40), -1, cv2.LINE_AA)
        yield chunk


def picture(number: int) -> Iterator[np.ndarray]:
    """What the clip of that number shows: the busy one has enough detail for a fingerprint."""
    if number != BUSY:
        return scene(number)
    return cut(drawn(7, FRAMES, HEIGHT, WIDTH), 16)


@dataclass(frozen=True, kw_only=True)
class Studio:
    """A place that marks, signs, logs and verifies for real."""

    shop: Workshop
    room: Room
    marker: SpreadWatermarker
    looks: Lookalikes
    shelf: Released
    verifier: Verifier

    def marked(self, number: int) -> Path:
        """A marked clip, not signed and not in the log."""
        path = self.shop.folder / f"marked-{number}.mp4"
        payload = Payload(clip_id=number)
        CODEC.encode(self.marker.embed(picture(number), payload, fps=FPS), path, fps=FPS)
        return path

    def signed(self, number: int, source: Path, name: str) -> tuple[Path, str]:
        """The clip with our credentials for that number, and their id."""
        look = ClipLooks().record(CODEC.decode(source), fps=FPS)
        manifest = build_manifest(facts(clip_id=f"{number:016x}", fingerprint=look))
        path = self.shop.folder / name
        done = self.shop.signer.sign(manifest, source, path, thumbnail=None)
        return path, done.manifest_id

    def released(self, number: int) -> Path:
        """A clip that went all the way."""
        path, manifest_id = self.signed(number, self.marked(number), f"clip-{number}.mp4")
        self.register(number, path, manifest_id)
        return path

    def register(self, number: int, path: Path, manifest_id: str) -> None:
        """Publish and release it in register and log, as the pipeline does."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.shelf.put(path, scope=f"video_{number}", suffix="mp4")
        story = {"clip_id": f"{number:016x}", "sha256": sha256}
        published = event(
            number,
            id=f"video_{number}:publish:{EventKind.VIDEO_PUBLISHED}",
            kind=EventKind.VIDEO_PUBLISHED,
            facts=story,
        )
        with self.room.database.write() as session:
            video_row(session, number)
            self.room.log.record(session, published)
        self.room.log.sequence()
        with self.room.database.write() as session:
            row = session.get(Video, f"video_{number}")
            assert row is not None
            row.sha256, row.size_bytes = sha256, path.stat().st_size
            row.watermark_ok = row.credentials_ok = True
            row.manifest_id, row.completed_at = manifest_id, now()
            row.audit_index = self.room.log.covered(published.id)
            row.state = "released"
            look = ClipLooks().record(CODEC.decode(path), fps=FPS)
            fingerprints.keep(session, row.clip_id, look)

    def verify(self, path: Path) -> Report:
        return self.verifier.verify(path)


@contextmanager
def open_studio(folder: Path) -> Iterator[Studio]:
    """Open one in an empty folder."""
    room = open_room(folder, now)
    marker = SpreadWatermarker((WatermarkKey(id="k1", secret=b"s" * 32),), ALGORITHM)
    looks = Lookalikes(room.database, make_index=InvertedIndex)
    with workshop(folder) as shop:
        verifier = Verifier(
            credentials=ConfinedCredentials(
                anchors_pem=shop.pki.anchors_pem,
                tsa_anchors_pem=shop.pki.tsa_anchors_pem,
                scratch=folder / "work",
            ),
            watermark=marker,
            looks=looks,
            registry=SqlRegistry(room.database),
            log=room.log,
            decode=decode_untrusted,
            clock=now,
        )
        yield Studio(
            shop=shop,
            room=room,
            marker=marker,
            looks=looks,
            shelf=Released(Folder(folder / "released")),
            verifier=verifier,
        )
    room.database.dispose()
