"""Other prompt filters beside the gate, on the same prompts in the same run.

Word statistics (TF-IDF with logistic regression, trained on the licensed visual rows) at two
thresholds, and two word filters from packages (``tests/bench/requirements.txt``).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

VISUAL = frozenset({"video_prompt", "t2i_prompt", "caption"})
FLOOR_SHARES = (0.01, 0.05)
Stops = Callable[[Sequence[str]], list[bool]]


def peers(data: Path, creative: Sequence[str]) -> dict[str, Stops]:
    """Name → which prompts it stops. The floor's thresholds come from ``creative``."""
    return {**_floor(data, creative), **_packages()}


def _floor(data: Path, creative: Sequence[str]) -> dict[str, Stops]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    texts, labels = _visual(data)
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    letters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), min_df=5, max_features=80_000
    )
    model = make_pipeline(make_union(words, letters), LogisticRegression(C=4.0, max_iter=300))
    model.fit(texts, labels)
    usual = model.predict_proba(list(creative))[:, 1]

    def at(limit: float) -> Stops:
        return lambda asked: [bool(p >= limit) for p in model.predict_proba(list(asked))[:, 1]]

    return {
        f"word statistics at {share:.0%}": at(float(np.quantile(usual, 1.0 - share)))
        for share in FLOOR_SHARES
    }


def _packages() -> dict[str, Stops]:
    from better_profanity import profanity
    from profanity_check import predict

    profanity.load_censor_words()
    return {
        "alt-profanity-check": lambda asked: [bool(p) for p in predict(list(asked))],
        "better-profanity": lambda asked: [profanity.contains_profanity(t) for t in asked],
    }


def _visual(data: Path) -> tuple[list[str], list[int]]:
    texts, labels = [], []
    for path in sorted((data / "train").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for row in map(json.loads, stream):
                if row["genre"] in VISUAL and row["label"] in (0, 1):
                    texts.append(row["text"])
                    labels.append(row["label"])
    return texts, labels


def table(found: dict[str, dict[str, Any]]) -> str:
    """A Markdown table: filters across, sets of prompts down, shares stopped."""
    names = list(next(iter(found.values())))
    lines = ["| prompts | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for prompts, shares in found.items():
        lines.append(f"| {prompts} | " + " | ".join(f"{shares[n]:.1%}" for n in names) + " |")
    return "\n".join(lines)
