"""Calibrates the heads on benign prompts, so that a score means the same for every policy.

A score of 0.6 is reached by REVIEW_SHARE of benign prompts, 0.9 by BLOCK_SHARE of them. Run
``python -m safety.training.prompts.calibrate DATA [--cache DIR]`` after training; DATA holds
the folder ``dev``. Only the sources in TUNE are read: the others are for reporting.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from safety.cards import WeightsCard
from safety.normalize import fold
from safety.text_model import HEADS_FILE, WEIGHTS_DIR, Heads, windows
from safety.training.prompts.card import write
from safety.training.prompts.train import SEED, embed
from safety.verdict import Category

TUNE_BENIGN = ("devil", "phygenbench", "multi30k_train")
TUNE_UNSAFE = ("t2i_riskyprompt", "unsafe_diffusion")
TUNE = frozenset(TUNE_BENIGN + TUNE_UNSAFE)
PER_LANGUAGE = 600
REVIEW_SHARE = {
    "*": 0.0015, "public_figure": 0.0008, "ip_character_brand": 0.0008, "violence": 0.004,
    "gore_graphic": 0.003, "disturbing": 0.004, "sexual_explicit": 0.003,
    "sexual_suggestive": 0.003,
}  # fmt: skip
BLOCK_SHARE = {
    "*": 0.0004, "public_figure": 0.0002, "ip_character_brand": 0.0002, "violence": 0.002,
    "gore_graphic": 0.001, "disturbing": 0.002, "sexual_explicit": 0.001,
    "sexual_suggestive": 0.001,
}  # fmt: skip
MIN_GAP = 0.7
REVIEW_SCORE, BLOCK_SCORE = 0.6, 0.9


def logit(p: float) -> float:
    return math.log(p / (1.0 - p))


def benign(data: Path) -> list[str]:
    """The benign tuning prompts, captions in equal number per language the encoder knows."""
    texts: list[str] = []
    for source in TUNE_BENIGN:
        by_language: dict[str, list[str]] = {}
        for path in sorted((data / "dev").glob(f"{source}.*")):
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                for row in map(json.loads, stream):
                    if row["label"] == 0 and row["lang"] != "cs":
                        by_language.setdefault(row["lang"], []).append(row["text"])
        for _, found in sorted(by_language.items()):
            draw = random.Random(SEED)
            size = PER_LANGUAGE if source == "multi30k_train" else len(found)
            texts += draw.sample(found, min(size, len(found)))
    return texts


def logits(heads: Heads, texts: list[str], cache: Path | None) -> Any:
    """float[N, heads]: the highest raw logit over the windows of each text."""
    parts = [windows(fold(text)) for text in texts]
    flat = [part for group in parts for part in group]
    x = embed(flat, cache)
    z = np.maximum(x @ heads.w1 + heads.b1, 0.0) @ heads.w2 + heads.b2
    ends = np.cumsum([len(group) for group in parts])
    return np.stack([z[e - len(g) : e].max(axis=0) for e, g in zip(ends, parts, strict=True)])


def calibrated(heads: Heads, z: Any) -> Heads:
    scale, shift = np.ones(z.shape[1], np.float32), np.zeros(z.shape[1], np.float32)
    for j, category in enumerate(heads.categories):
        low = float(np.quantile(z[:, j], 1.0 - _share(REVIEW_SHARE, category)))
        high = float(np.quantile(z[:, j], 1.0 - _share(BLOCK_SHARE, category)))
        high = max(high, low + MIN_GAP)
        scale[j] = (logit(BLOCK_SCORE) - logit(REVIEW_SCORE)) / (high - low)
        shift[j] = logit(REVIEW_SCORE) - scale[j] * low
    return replace(heads, scale=scale, shift=shift)


def _share(table: dict[str, float], category: Category) -> float:
    return table.get(category.value, table["*"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=WEIGHTS_DIR)
    options = parser.parse_args()
    heads, card = Heads.load(options.out)
    texts = benign(options.data)
    result = calibrated(heads, logits(heads, texts, options.cache))
    layers = {k: getattr(result, k) for k in ("w1", "b1", "w2", "b2", "scale", "shift")}
    rows = {t.name: t.rows for t in WeightsCard.load(options.out).training}
    write(
        options.out / HEADS_FILE,
        layers,
        result.categories,
        rows,
        measured={
            "benign_prompts_used_for_calibration": len(texts),
            "usual_benign_share_at_score_06": REVIEW_SHARE["*"],
            "usual_benign_share_at_score_09": BLOCK_SHARE["*"],
        },
    )
    print(f"{card.label}: calibrated on {len(texts)} benign prompts")


if __name__ == "__main__":
    main()
