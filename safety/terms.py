"""An index of terms: where which group of words and phrases occurs in a text.

Terms are matched whole, in plain form (no accents, lower case). A term that ends in ``*``
matches any ending. Chinese, Japanese, Korean and Thai terms match anywhere, for those scripts
write no spaces; in Arabic the article and one-letter prefixes are ignored.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from safety.normalize import plain

MIN_PREFIX = 2
MAX_PHRASE = 8
TOKEN = re.compile(r"[^\W_]+")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "KATAKANA-HIRAGANA")
_ARABIC_PREFIXES = ("وال", "بال", "كال", "فال", "لل", "ال", "و", "ب", "ل")

ANY_ENDING = 99

_Phrase = tuple[tuple[str, ...], int, str]
"""The words of a term, how many letters may follow the last one, and its group."""


class TermIndex:
    """Finds the terms of several groups in one pass over the words of a text."""

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        self._by_word: dict[str, list[_Phrase]] = {}
        self._by_prefix: dict[str, list[_Phrase]] = {}
        self._unspaced: dict[str, set[str]] = {}
        for group, terms in groups.items():
            for term in terms:
                self._add(group, term)
        sizes: dict[str, set[int]] = {}
        for start in self._by_prefix:
            sizes.setdefault(start[:MIN_PREFIX], set()).add(len(start))
        self._sizes = {head: tuple(sorted(found)) for head, found in sizes.items()}
        longest = sorted(self._unspaced, key=len, reverse=True)
        self._pattern = (
            re.compile(f"(?=({'|'.join(map(re.escape, longest))}))") if longest else None
        )

    def places(self, text: str) -> dict[str, list[int]]:
        """Group → positions (in characters of ``text``) where one of its terms begins."""
        return {
            group: [start for start, _ in spans] for group, spans in self._spans(text).items()
        }

    def spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """Start and end (in characters of ``text``) of every occurrence of any term."""
        return tuple(span for found in self._spans(text).values() for span in found)

    def _spans(self, text: str) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        tokens = [(m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)]
        for i, (token, start, _) in enumerate(tokens):
            for variant in arabic_stems(token):
                candidates = list(self._by_word.get(variant, ()))
                for size in self._sizes.get(variant[:MIN_PREFIX], ()):
                    candidates += self._by_prefix.get(variant[:size], ())
                for words, extra, group in candidates:
                    last = i + len(words) - 1
                    if last >= len(tokens):
                        continue
                    present = [variant, *(word for word, _, _ in tokens[i + 1 : last + 1])]
                    if _fits(words, extra, present):
                        found.setdefault(group, []).append((start, tokens[last][2]))
        if self._pattern is not None and not text.isascii():
            for match in self._pattern.finditer(text):
                term = match.group(1)
                for group in self._unspaced[term]:
                    found.setdefault(group, []).append(
                        (match.start(), match.start() + len(term))
                    )
        return found

    def _add(self, group: str, term: str) -> None:
        clean = plain(term.rstrip("*"))
        if any(is_unspaced(c) for c in clean):
            self._unspaced.setdefault(clean, set()).add(group)
            return
        words = tuple(TOKEN.findall(clean))[:MAX_PHRASE]
        if not words:
            return
        extra = ANY_ENDING if term.endswith("*") else 0
        table = self._by_prefix if extra and len(words) == 1 else self._by_word
        table.setdefault(words[0], []).append((words, extra, group))


def blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text, as long as before, with these parts overwritten by spaces."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def _fits(words: tuple[str, ...], extra: int, present: Sequence[str]) -> bool:
    """True when ``present`` are the words of the term, the last with at most ``extra`` more."""
    *start, last = present
    return (
        tuple(start) == words[:-1]
        and last.startswith(words[-1])
        and len(last) - len(words[-1]) <= extra
    )


def arabic_stems(token: str) -> tuple[str, ...]:
    """The word, and an Arabic one also without its article and one-letter prefixes."""
    if token.isascii() or script_of(token[0]) != "ARABIC":
        return (token,)
    stems = [token.removeprefix(p) for p in _ARABIC_PREFIXES if token.startswith(p)]
    return (token, *(stem for stem in dict.fromkeys(stems) if len(stem) > 2))


def is_unspaced(char: str) -> bool:
    """True for a letter of a script that writes no spaces between words."""
    return script_of(char) in _UNSPACED


@lru_cache(maxsize=4096)
def script_of(char: str) -> str:
    """The first word of a character's Unicode name: LATIN, CYRILLIC …; "" without one."""
    return unicodedata.name(char, "").partition(" ")[0]
