"""How a word sounds, roughly: what stays of it in another script or with another ending."""

from __future__ import annotations

import re
from functools import lru_cache

from safety.terms import script_of

MIN_STEM = 4

_LATIN_ENDINGS = (
    "owi", "ovi", "ego", "emu", "em", "om", "ou", "ie", "ov", "a", "u", "y", "e", "i", "o",
)  # fmt: skip
_CYRILLIC_ENDINGS = (
    "ого", "его", "ому", "ему", "ыми", "ими", "ами", "ями", "ой", "ей", "ою", "ею", "ом", "ем",
    "ым", "им", "ых", "их", "ую", "юю", "ая", "яя", "ое", "ее", "ів", "ов", "ві",
    "а", "у", "е", "ы", "и", "я", "ю", "ь", "й", "о", "і",
)  # fmt: skip

# In this order: what two letters write as one sound, then letters that scripts confuse.
_DIGRAPHS = (
    ("sch", "s"), ("tsch", "s"), ("tch", "s"), ("ch", "s"), ("sh", "s"), ("zh", "s"),
    ("dzh", "s"), ("ph", "f"), ("th", "t"), ("kh", "h"), ("gh", "g"), ("ck", "k"),
    ("qu", "kv"), ("x", "ks"), ("ce", "se"), ("ci", "si"), ("cy", "si"), ("wh", "v"),
)  # fmt: skip
_LETTERS = str.maketrans({"c": "k", "q": "k", "w": "v", "z": "s", "b": "v", "l": "r"})
_VOWELS = re.compile("[aeiouyj'`-]+")
_DOUBLE = re.compile(r"(.)\1+")


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """The word without the ending of a Slavic case, if four letters or more stay.

    Works on Latin and Cyrillic letters in plain form; other words stay as they are.
    """
    endings = _LATIN_ENDINGS if word.isascii() else _CYRILLIC_ENDINGS
    for ending in endings:
        if word.endswith(ending) and len(word) - len(ending) >= MIN_STEM - 1:
            return word[: -len(ending)]
    return word


@lru_cache(maxsize=16_384)
def skeleton(word: str) -> str:
    """The consonants of a word in any script, those that scripts confuse written alike.

    "Йоханссон", "ヨハンソン" and "Johansson" all give "hnsn". Very many words share one: only
    a sequence of two or more says anything. Transliteration: anyascii.
    """
    from anyascii import anyascii

    latin = anyascii(word).lower()
    if word and script_of(word[0]) == "ARABIC":
        latin = latin.replace("w", "")  # a long vowel, rarely a consonant
    for letters, sound in _DIGRAPHS:
        latin = latin.replace(letters, sound)
    return _DOUBLE.sub(r"\1", _VOWELS.sub("", _DOUBLE.sub(r"\1", latin.translate(_LETTERS))))
