"""The trained heads of the text classifier: a small network from sentence vector to scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from safety.cards import WeightsCard, WeightsMissing, verified_bytes
from safety.verdict import Category

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADS_FILE = "heads.safetensors"
WEIGHTS_DIR = Path(__file__).parent / "weights" / "prompt"


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
