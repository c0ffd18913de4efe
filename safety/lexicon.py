"""The lexicon: how often words occur in descriptions of scenes.

Used to part letters that were written without gaps, and to tell language from token salad.
The list is data (``data/words.txt``: word, tab, count), counted from licensed texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

WORDS_PATH = Path(__file__).parent / "data" / "words.txt"
MAX_WORD = 24
MAX_LETTERS = 2_000


@lru_cache(maxsize=1)
def counts() -> Mapping[str, int]:
    """Occurrences per word, lower case, without accents."""
    table: dict[str, int] = {}
    for line in WORDS_PATH.read_text(encoding="utf-8").splitlines():
        word, _, count = line.partition("\t")
        if count:
            table[word] = int(count)
    return table


@lru_cache(maxsize=1)
def _costs() -> tuple[dict[str, float], float]:
    table = counts()
    total = float(sum(table.values()))
    costs = {word: math.log(total / count) for word, count in table.items()}
    # Single letters occur often in lists and would win over every word.
    for letter in [w for w in costs if len(w) == 1 and w not in {"a", "i", "y", "o"}]:
        costs[letter] = math.log(total) + 4.0
    return costs, math.log(total) + 6.0


def parted(letters: str) -> tuple[str, ...]:
    """Parts a run of letters into the likeliest words; letters that fit no word stay together.

    The parts joined give ``letters`` again. Dynamic programming over unigram counts.
    """
    if not letters or len(letters) > MAX_LETTERS:
        return (letters,) if letters else ()
    costs, unknown = _costs()
    best: list[float] = [0.0] + [math.inf] * len(letters)
    start: list[int] = [0] * (len(letters) + 1)
    for end in range(1, len(letters) + 1):
        for begin in range(max(0, end - MAX_WORD), end):
            piece = letters[begin:end]
            cost = costs.get(piece)
            if cost is None:
                cost = unknown + 2.5 * len(piece)
            if best[begin] + cost < best[end]:
                best[end], start[end] = best[begin] + cost, begin
    pieces: list[str] = []
    end = len(letters)
    while end > 0:
        pieces.append(letters[start[end] : end])
        end = start[end]
    return tuple(reversed(pieces))


def known_share(words: Sequence[str]) -> float:
    """The share of ``words`` that the lexicon knows, in 0..1; 1.0 for no words."""
    if not words:
        return 1.0
    table = counts()
    return sum(word in table for word in words) / len(words)
