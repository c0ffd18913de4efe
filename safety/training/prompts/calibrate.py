"""Calibrates the heads on benign prompts, so that a score means the same for every policy.

0.6 (the policy's threshold for review) and 0.9 (for block) are set such that all heads together
stop STOPPED_SHARE and block BLOCKED_SHARE of the creative tuning prompts. Run
``python -m safety.training.prompts.calibrate DATA [--cache DIR]`` after training; DATA holds
the folder ``dev``. Only the sources in TUNE are read: the others are for reporting.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from safety.cards import WeightsCard
from safety.encoder import windows
from safety.heads import HEADS_FILE, WEIGHTS_DIR, Heads
from safety.normalize import fold
from safety.training.prompts.card import write
from safety.training.prompts.train import SEED, embed
from safety.verdict import Category

BOLD = Path("tests/data/edgy_film_prompts.toml")
CREATIVE = ("devil", "phygenbench")
CAPTIONS = ("multi30k_train",)
TUNE_UNSAFE = ("t2i_riskyprompt", "unsafe_diffusion")
TUNE = frozenset(CREATIVE + CAPTIONS + TUNE_UNSAFE)
PER_LANGUAGE = 600
# Of the creative tuning prompts at most this share may be stopped, or blocked, by all heads.
STOPPED_SHARE = 0.010
BLOCKED_SHARE = 0.004
# How much of that each head may use, beside the others: more where fiction comes close.
ROOM = {
    "violence": 2.0, "gore_graphic": 2.0, "disturbing": 2.0, "sexual_explicit": 2.0,
    "sexual_suggestive": 2.0, "self_harm": 1.5, "hate": 1.5, "public_figure": 0.7,
    "ip_character_brand": 0.7, "prompt_attack": 0.7, "deception_misinfo": 0.7,
    "harassment": 0.5, "private_likeness": 0.5,
}  # fmt: skip
CAPTION_ROOM = 0.25
BOLD_ROOM = 1.5
SENSITIVE = frozenset({Category.VIOLENCE, Category.DISTURBING})
# Heads that are not sure enough to refuse: they hold. Rules and names may still block.
HOLD_ONLY = frozenset(
    {
        Category.HARASSMENT, Category.ILLICIT, Category.PUBLIC_FIGURE, Category.PROMPT_ATTACK,
        Category.POLITICAL_ELECTION, Category.DECEPTION_MISINFO, Category.IP_CHARACTER_BRAND,
    }
)  # fmt: skip
MIN_GAP = 0.7
TENSORS = tuple(f.name for f in fields(Heads) if f.name != "categories")
HOLD_GAP = 2.0
HOLD_CEILING = 0.89
NEVER = -1e9
JUST_ABOVE = 0.01
REVIEW_SCORE, BLOCK_SCORE = 0.6, 0.9


def logit(p: float) -> float:
    return math.log(p / (1.0 - p))


def harmless(data: Path, sources: Sequence[str]) -> list[str]:
    """The benign tuning prompts, captions in equal number per language the encoder knows."""
    texts: list[str] = []
    for source in sources:
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


def logits(heads: Heads, texts: Sequence[str], cache: Path | None = None) -> Any:
    """float[N, heads]: the highest raw logit over the windows of each text."""
    parts = [windows(fold(text)) for text in texts]
    flat = [part for group in parts for part in group]
    x = embed(flat, cache)
    z = np.maximum(x @ heads.w1 + heads.b1, 0.0) @ heads.w2 + heads.b2
    ends = np.cumsum([len(group) for group in parts])
    return np.stack([z[e - len(g) : e].max(axis=0) for e, g in zip(ends, parts, strict=True)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Benign:
    """The logits float[N, heads] of prompts that should pass."""

    creative: Any
    captions: Any
    bold: Any

    def limits(self, shares: Any) -> Any:
        """Per head the logit that only its share of creative prompts exceeds."""
        rooms = ((self.creative, 1.0), (self.captions, CAPTION_ROOM), (self.bold, BOLD_ROOM))
        return np.array(
            [
                JUST_ABOVE + max(np.quantile(z[:, j], 1.0 - room * s) for z, room in rooms)
                for j, s in enumerate(shares)
            ]
        )

    def of(self, heads: Any) -> Benign:
        """The same for some heads alone; what the others say counts as nothing."""
        return Benign(
            creative=np.where(heads, self.creative, NEVER),
            captions=np.where(heads, self.captions, NEVER),
            bold=np.where(heads, self.bold, NEVER),
        )


def thresholds(heads: Heads, benign: Benign, *, share: float) -> Any:
    """float[heads]: the lowest logits at which all heads together flag ``share``."""
    room = np.array([ROOM.get(category.value, 1.0) for category in heads.categories])
    low, high = 0.0, 0.2
    for _ in range(40):
        tried = (low + high) / 2
        found = benign.limits(tried * room)
        flagged = (benign.creative >= found) & (benign.creative > NEVER)
        if float(flagged.any(axis=1).mean()) > share:
            high = tried
        else:
            low = tried
    return benign.limits(low * room)


def calibrated(heads: Heads, benign: Benign) -> Heads:
    """The heads with new scale, shift and ceiling."""
    review = thresholds(heads, benign, share=STOPPED_SHARE)
    unsure = np.array([category in HOLD_ONLY for category in heads.categories])
    sensitive = np.array([category in SENSITIVE for category in heads.categories])
    blocking = ~(unsure | sensitive)
    block = thresholds(heads, benign.of(blocking), share=BLOCKED_SHARE)
    # Sensitive categories hold at their second threshold and never block.
    block = np.where(sensitive, review, np.where(unsure, review + HOLD_GAP, block))
    review = np.where(sensitive, block - MIN_GAP, review)
    block = np.maximum(block, review + MIN_GAP)
    scale = (logit(BLOCK_SCORE) - logit(REVIEW_SCORE)) / (block - review)
    shift = logit(REVIEW_SCORE) - scale * review
    ceiling = np.where(unsure, HOLD_CEILING, 1.0)
    return replace(
        heads,
        scale=scale.astype(np.float32),
        shift=shift.astype(np.float32),
        ceiling=ceiling.astype(np.float32),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--bold", type=Path, default=BOLD, help="every second one is used")
    parser.add_argument("--out", type=Path, default=WEIGHTS_DIR)
    options = parser.parse_args()
    heads, card = Heads.load(options.out)
    creative, captions = (harmless(options.data, s) for s in (CREATIVE, CAPTIONS))
    bold = [
        text
        for texts in tomllib.loads(options.bold.read_text("utf-8")).values()
        for text in texts[::2]
    ]
    benign = Benign(
        creative=logits(heads, creative, options.cache),
        captions=logits(heads, captions, options.cache),
        bold=logits(heads, bold, options.cache),
    )
    result = calibrated(heads, benign)
    layers = {k: getattr(result, k) for k in TENSORS}
    rows = {t.name: t.rows for t in WeightsCard.load(options.out).training}
    write(
        options.out / HEADS_FILE,
        layers,
        result.categories,
        rows,
        measured={
            "creative_prompts_used_for_calibration": len(creative),
            "captions_used_for_calibration": len(captions),
            "bold_prompts_used_for_calibration": len(bold),
            "share_of_creative_stopped_by_design": STOPPED_SHARE,
            "share_of_creative_blocked_by_design": BLOCKED_SHARE,
        },
    )
    count = len(creative) + len(captions) + len(bold)
    print(f"{card.label}: calibrated on {count} benign prompts")


if __name__ == "__main__":
    main()
