"""Disguises: ways in which people write a text so that a filter does not read it."""

from __future__ import annotations

import random
from collections.abc import Callable

_LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"})
_LEET_SIGNS = str.maketrans({"a": "@", "e": "3", "i": "!", "o": "0", "s": "$"})
_LOOKALIKES = str.maketrans("aceiopsxyBHKMT", "асеіорѕхуВНКМТ")


def leet(text: str, draw: random.Random) -> str:
    table = _LEET if draw.random() < 0.6 else _LEET_SIGNS
    return " ".join(w.translate(table) if draw.random() < 0.7 else w for w in text.split(" "))


def homoglyph(text: str, draw: random.Random) -> str:
    return "".join(c.translate(_LOOKALIKES) if draw.random() < 0.7 else c for c in text)


def zero_width(text: str, draw: random.Random) -> str:
    signs = ["\u200b", "\u200c", "\u200d", "\u2060"]
    return "".join(c + (draw.choice(signs) if draw.random() < 0.4 else "") for c in text)


def spaced(text: str, draw: random.Random) -> str:
    gap = draw.choice([" ", "  ", "   "])
    return gap.join(" ".join(word) for word in text.split(" "))


def dotted(text: str, draw: random.Random) -> str:
    sign = draw.choice([".", "-", "_", "*"])
    return " ".join(
        sign.join(w) if len(w) > 3 and draw.random() < 0.6 else w for w in text.split(" ")
    )


def shouting(text: str, draw: random.Random) -> str:
    return "".join(c.upper() if draw.random() < 0.5 else c for c in text)


def marked(text: str, draw: random.Random) -> str:
    marks = ["\u0335", "\u0336", "\u0337", "\u0330", "\u0332"]
    return "".join(
        c + (draw.choice(marks) if c.isalpha() and draw.random() < 0.6 else "") for c in text
    )


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "dotted": dotted,
    "homoglyph": homoglyph,
    "leet": leet,
    "marked": marked,
    "shouting": shouting,
    "spaced": spaced,
    "zero_width": zero_width,
}
