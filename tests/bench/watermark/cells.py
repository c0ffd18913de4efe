"""One cell of the benchmark: a clip that was marked and published, attacked, and read."""

from __future__ import annotations

import hashlib
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


def published(trial: Trial, marker: SpreadWatermarker, cache: Path) -> bytes:
    """The marked clip as the gateway releases it; kept in the cache once it is made."""
    path = cache / "published" / f"{trial.name}.mp4"
    if not path.exists():
        video = codec.published(mark(trial, trial.draw(), marker).clip, trial.fps)
        path.parent.mkdir(parents=True, exist_ok=True)
        spare = path.with_suffix(".part")
        spare.write_bytes(video)
        spare.replace(path)
    return path.read_bytes()


def following_crf(trial: Trial) -> int:
    """The quality of the encoding after a single attack, as the goals name it."""
    return HARD_CRF if trial.rank == "hard" else NORMAL_CRF


def damage(trial: Trial, attack: Attack, video: bytes, crf: int) -> tuple[Clip, float]:
    """Attacks a published clip, the same way in every run."""
    rng = rng_for(trial.name, attack.name)
    return attack(codec.decoded(video), trial.fps, rng, crf=crf)


def measure(
    trial: Trial,
    attack: Attack,
    video: bytes,
    marker: SpreadWatermarker,
    *,
    crf: int | None = None,
    always_registry: bool = False,
) -> Row:
    """Attacks a published clip and reads it, alone and with the registry.

    A reading that is right without the registry is read again with it for one cell in eight
    only (or always, if asked), to see that the registry makes nothing worse.
    """
    crf = following_crf(trial) if crf is None else crf
    damaged, fps = damage(trial, attack, video, crf)
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
