"""Writes the heads of the text classifier with their card."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from safety.cards import CARD_NAME, WeightsCard
from safety.verdict import Category

VERSION = "2026.11.3"
SOURCES = {
    "advbench": ("MIT", "llm-attacks/llm-attacks"),
    "artist_style_prompts": ("MIT; Apache-2.0", "rohitgandikota/erasing @25613d27"),
    "chronomagic": ("Apache-2.0", "PKU-YuanGroup/ChronoMagic-Bench @e6b75ffc"),
    "coco_captions": ("CC-BY-4.0", "COCO captions, OPTML-Group/Diffusion-MU-Attack @5a3e5d37"),
    "copro_id": ("BSD-3-Clause", "CoPro v1.0, cmu-anlp-spring25/LatentGuard @fa041b55"),
    "davidson": ("MIT", "t-davidson/hate-speech-and-offensive-language @cb50f7e9"),
    "fetv": ("CC-BY-4.0", "llyx97/FETV @127282c1"),
    "gptfuzz_templates": ("MIT", "sherdencooper/GPTFuzz @1eddeb56"),
    "mlma_en_fr_ar": ("MIT", "HKUST-KnowComp/MLMA_hate_speech @47983698"),
    "partiprompts": ("Apache-2.0", "google-research/parti @5a657978"),
    "sneakyprompt_benign_animals": ("MIT", "Yuchen413/text2image_safety @cf0ad29a"),
    "t2i_compbench": ("MIT", "Karine-Huang/T2I-CompBench @1b709499"),
    "vbench": ("Apache-2.0", "Vchitect/VBench @45e79ec1"),
    "vbench_long": ("Apache-2.0", "Vchitect/VBench @45e79ec1"),
}
OWN = ("Apache-2.0", "written for Cinegate, safety/training/prompts")
SUMMARY = (
    "One head per policy id on the USE-multilingual v3 sentence vector; says how far a prompt "
    "resembles what each policy stops."
)
LIMITS = (
    "The scores are calibrated to false alarms on benign prompts, not to chances of harm.",
    "Our own sentences in nine languages repeat many scenes; no native speaker has read them.",
    "Languages outside the encoder's list are not judged; the gate holds them.",
    "Long prompts that hide one harmful clause and harm by implication are often missed.",
    "Characters described without a name and harmful sequences are often missed.",
    "Near misses that share most words with a harmful prompt are stopped in one case of six.",
    "There is no head for sexual_minors, living_artist_style and temporal_composite.",
)


def write(
    path: Path,
    layers: Mapping[str, Any],
    heads: Sequence[Category],
    rows: Mapping[str, int],
    measured: Mapping[str, float | str] | None = None,
) -> None:
    """Writes ``path`` (safetensors) and ``card.toml`` beside it."""
    from safetensors.numpy import save

    names = np.frombuffer(",".join(heads).encode("ascii"), dtype=np.uint8)
    content = save(
        {**{k: np.ascontiguousarray(v) for k, v in layers.items()}, "categories": names}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    lines = [
        'name = "prompt-heads"',
        f'version = "{VERSION}"',
        f'summary = "{SUMMARY}"',
        'licence = "Apache-2.0"',
        "limits = [",
        *(f"  {json.dumps(limit)}," for limit in LIMITS),
        "]",
        "",
        "[files]",
        f'"{path.name}" = "{hashlib.sha256(content).hexdigest()}"',
        "",
        "[measured]",
        *(f"{key} = {json.dumps(value)}" for key, value in (measured or {}).items()),
    ]
    for source, count in sorted(rows.items()):
        licence, where = SOURCES.get(source, OWN)
        lines += [
            "",
            "[[training]]",
            f'name = "{source}"',
            f'licence = "{licence}"',
            f'source = "{where}"',
            f"rows = {count}",
        ]
    text = "\n".join(lines) + "\n"
    WeightsCard.parse(text.encode())
    assert tomllib.loads(text)
    (path.parent / CARD_NAME).write_text(text, encoding="utf-8")
