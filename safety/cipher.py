"""Texts in a simple cipher: backwards, rotated letters, Russian in Latin letters, emoji.

Each reading undoes one of them. All but emoji change every word, so a reading counts only
when it turns unknown words into known ones (`safety.lexicon`).
"""

from __future__ import annotations

import codecs
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from safety.lexicon import known_share

EMOJI_FILE: Final = Path(__file__).parent / "data" / "emoji.toml"
MIN_WORDS: Final = 3
MIN_KNOWN: Final = 0.6
MIN_GAIN: Final = 0.35
"""How many more of the words must be known after a reading than before, as a share."""

MIN_CODE_SIGNS: Final = 2
"""One aubergine is a vegetable; two different signs of one code are a message."""

_WORD = re.compile(r"[^\W\d_]{2,}")
# GOST 7.79-2000 system B and what people type; longer groups first.
_ROMANISED = (
    ("shch", "щ"), ("sch", "щ"), ("zh", "ж"), ("kh", "х"), ("ts", "ц"), ("ch", "ч"),
    ("sh", "ш"), ("yo", "ё"), ("yu", "ю"), ("ya", "я"), ("ye", "е"), ("iy", "ий"),
    ("yj", "ый"), ("a", "а"), ("b", "б"), ("v", "в"), ("w", "в"), ("g", "г"), ("d", "д"),
    ("e", "е"), ("z", "з"), ("i", "и"), ("j", "й"), ("k", "к"), ("l", "л"), ("m", "м"),
    ("n", "н"), ("o", "о"), ("p", "п"), ("r", "р"), ("s", "с"), ("t", "т"), ("u", "у"),
    ("f", "ф"), ("h", "х"), ("c", "ц"), ("y", "ы"), ("x", "кс"), ("q", "к"), ("'", "ь"),
)  # fmt: skip
_CYRILLIC: Final = dict(_ROMANISED)
_GROUP = re.compile("|".join(re.escape(latin) for latin, _ in _ROMANISED))


def deciphered(text: str) -> Iterator[str]:
    """Readings of a folded text that make words of what were none; usually nothing."""
    before = _known(text)
    if before > 1.0 - MIN_GAIN or len(_WORD.findall(text)) < MIN_WORDS:
        return
    for reading in _READINGS:
        changed = reading(text)
        after = _known(changed)
        if after >= MIN_KNOWN and after - before >= MIN_GAIN:
            yield changed


def spelled_emoji(text: str) -> Iterator[str]:
    """The text with the names of its emoji, and what they say if they are a code."""
    if text.isascii():
        return
    signs = {c for c in text if _is_emoji(c)}
    if not signs:
        return
    names, codes = _emoji()
    yield _replaced(text, {c: names.get(c) or _name(c) for c in signs})
    for code in codes:
        if len(signs & code.keys()) >= MIN_CODE_SIGNS:
            yield _replaced(text, {c: code.get(c) or names.get(c) or _name(c) for c in signs})


def _known(text: str) -> float:
    return known_share(_WORD.findall(text))


def _backwards(text: str) -> str:
    return text[::-1]


def _words_backwards(text: str) -> str:
    return _WORD.sub(lambda match: match.group()[::-1], text)


def _rotated(text: str) -> str:
    return codecs.encode(text, "rot13")


def _in_cyrillic(text: str) -> str:
    if not text.isascii():
        return text
    return _GROUP.sub(lambda match: _CYRILLIC[match.group()], text)


_READINGS: tuple[Callable[[str], str], ...] = (
    _backwards,
    _words_backwards,
    _rotated,
    _in_cyrillic,
)


def _replaced(text: str, words: Mapping[str, str]) -> str:
    return "".join(f" {words[c]} " if c in words else c for c in text)


@lru_cache(maxsize=4096)
def _is_emoji(char: str) -> bool:
    picture = ord(char) >= 0x2190 and unicodedata.category(char) in {"So", "Sk"}
    return picture and " LETTER " not in unicodedata.name(char, "")


def _name(char: str) -> str:
    return unicodedata.name(char, "").lower().removesuffix(" symbol").removesuffix(" sign")


@lru_cache(maxsize=1)
def _emoji() -> tuple[dict[str, str], tuple[dict[str, str], ...]]:
    """Names better than Unicode's, and the codes: sign → what it stands for."""
    content = tomllib.loads(EMOJI_FILE.read_text(encoding="utf-8"))
    return content["names"], tuple(content["codes"].values())
