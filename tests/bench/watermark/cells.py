"""One cell of the benchmark: a clip that was marked and published, attacked, and read."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.bench.watermark import attacks_codec as codec
from tests.bench.watermark.attacks import HARD_CRF, NORMAL_CRF, Attack
from tests.bench.watermark.clips import Trial
from tests.bench.watermark.footage import Clip
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.reading import Reading
from watermark.spread import SpreadWatermarker

NAME: Final = "org.example.bench.wm.1"
REGISTRY: Final = 1000
"""How many ids the registry holds, the true one among them."""

Row = dict[str, Any]


def key() -> WatermarkKey:
    """The key of the benchmark."""
    return WatermarkKey(id="bench", secret=b"a secret that is used for measurement only")


def rng_for(*names: str) -> np.random.Generator:
    """Chance that depends on the names only, so that every run does the same."""
    digest = hashlib.sha256("|".join(names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def payload_of(trial: Trial) -> Payload:
    """The clip id that a clip of the benchmark carries."""
    return Payload(clip_id=int(rng_for("id", trial.name).integers(2**63)))


def others() -> list[Payload]:
    """Ids of a registry that no clip of the benchmark carries."""
    rng = rng_for("registry")
    return [Payload(clip_id=int(v)) for v in rng.integers(2**63, size=REGISTRY - 1)]


def chunks(clip: Clip, size: int = 8) -> list[Clip]:
    """Cuts a clip as a stream would bring it."""
    return [clip[first : first + size] for first in range(0, len(clip), size)]


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A marked clip as the encoder gets it, and what marking cost in CPU seconds."""

    clip: Clip
    seconds: float


def mark(trial: Trial, clip: Clip, marker: SpreadWatermarker) -> Embedding:
    """Marks a drawn clip in chunks of eight frames."""
    began = time.process_time()
    marked = list(marker.embed(iter(chunks(clip)), payload_of(trial), fps=trial.fps))
    return Embedding(clip=np.concatenate(marked), seconds=time.process_time() - began)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where marked and attacked clips are kept.

    Attacked clips are kept only on request, for work on the reader alone.
    """

    folder: Path
    keeps_attacked: bool = False

    def published(self, trial: Trial, marker: SpreadWatermarker) -> bytes:
        """The marked clip as the gateway releases it, made when it is first asked for."""
        path = self.folder / "published" / f"{trial.name}.mp4"
        if not path.exists():
            made = mark(trial, trial.draw(), marker).clip
            store(path, codec.published(made, trial.fps))
        return path.read_bytes()

    def attacked(
        self, trial: Trial, attack: Attack, marker: SpreadWatermarker, crf: int
    ) -> tuple[Clip, float]:
        """The published clip after an attack, the same in every run, and its frame rate."""
        path = self.folder / "attacked" / trial.name / f"{attack.name}@{crf}.video"
        if self.keeps_attacked and path.exists():
            return codec.decoded(path.read_bytes()), attack.fps or trial.fps
        clip = codec.decoded(self.published(trial, marker))
        rng = rng_for(trial.name, attack.name)
        video, fps = attack.video(clip, trial.fps, rng, crf=crf)
        if not isinstance(video, bytes):
            return video, fps
        if self.keeps_attacked:
            store(path, video)
        return codec.decoded(video), fps


def store(path: Path, content: bytes) -> None:
    """Writes a file at once, so that another process never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spare = path.with_suffix(f".{os.getpid()}")
    spare.write_bytes(content)
    spare.replace(path)


def following_crf(trial: Trial) -> int:
    """The quality of the encoding after a single attack, as the goals name it."""
    return HARD_CRF if trial.rank == "hard" else NORMAL_CRF


def measure(
    trial: Trial,
    attack: Attack,
    marker: SpreadWatermarker,
    shelf: Shelf,
    *,
    crf: int | None = None,
    always_registry: bool = False,
) -> Row:
    """Attacks a published clip and reads it, alone and with the registry.

    A reading that is right without the registry is read again with it for one cell in eight
    only (or always, if asked), to see that the registry makes nothing worse.
    """
    crf = following_crf(trial) if crf is None else crf
    damaged, fps = shelf.attacked(trial, attack, marker, crf)
    truth = payload_of(trial)
    began = time.process_time()
    read = marker.extract(iter(chunks(damaged)), fps=fps)
    seconds = time.process_time() - began
    exact = read.certain and read.payload == truth
    named: Reading | None = None
    sampled = rng_for("again", trial.name, attack.name).random() < 1 / 8
    if not exact or sampled or always_registry:
        listed = [*others(), truth]
        named = marker.extract(iter(chunks(damaged)), fps=fps, candidates=listed)
    registry = exact if named is None else named.certain and named.payload == truth
    wrong = any(r is not None and r.certain and r.payload != truth for r in (read, named))
    return {
        "clip": trial.name,
        "kind": trial.kind,
        "use": trial.use,
        "rank": trial.rank,
        "height": trial.height,
        "attack": attack.name,
        "family": attack.family,
        "goal": attack.goal_for(trial.rank),
        "crf": crf if attack.single else None,
        "exact": bool(exact),
        "registry": bool(registry),
        "wrong": bool(wrong),
        "bits": bit_accuracy(read.payload, truth),
        "log10_p": round(read.log10_p, 1),
        "registry_log10_p": None if named is None else round(named.log10_p, 1),
        "pilot": round(read.pilot_score, 2),
        "frames": len(damaged),
        "seconds": round(seconds, 2),
    }


def bit_accuracy(found: Payload | None, truth: Payload) -> float:
    """The share of the 64 id bits that are right; a half where nothing was read."""
    if found is None:
        return 0.5
    return 1 - (found.clip_id ^ truth.clip_id).bit_count() / 64
