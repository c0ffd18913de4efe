"""The languages that the text classifier can read.

A text in any other language must not pass on a score that means nothing. But short texts are
easily mistaken for a rare language, so a text only counts as foreign when its script is, or
when the identifier is all but certain (measured on captions, see docs/safety.md).
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

KNOWN = frozenset(
    {
        "ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr",
        "zh",
    }
)  # fmt: skip
"""ISO 639-1 codes of the encoder's languages."""

# Close enough to a known language that calling them foreign would mostly be a mistake; "zxx" is
# the identifier's word for no language at all.
_KIN = frozenset(
    {
        "an", "ast", "ca", "ext", "fy", "gcf", "gcr", "gl", "la", "lb", "lij", "oc", "vec",
        "vo", "wa", "arz", "ary", "wuu", "yue", "pcm", "zxx",
    }
)  # fmt: skip
_SCRIPTS = frozenset(
    {
        "LATIN", "CYRILLIC", "ARABIC", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA",
        "HANGUL", "THAI", "FULLWIDTH",
    }
)  # fmt: skip
CERTAINTY = 0.95
MIN_LETTERS = 12
MAX_FOREIGN_SHARE = 0.3


class Languages:
    """Tells whether the classifier can read a text. The identifier is loaded on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: Any = None

    def knows(self, pieces: Sequence[str]) -> bool:
        """False when any piece of one text is in a foreign script or, for certain, language."""
        return all(not self._is_foreign(piece) for piece in pieces)

    def _is_foreign(self, text: str) -> bool:
        letters = [c for c in text if c.isalpha()]
        if not letters:
            return False
        foreign = sum(_script(c) not in _SCRIPTS for c in letters)
        if foreign > 2 and foreign > MAX_FOREIGN_SHARE * len(letters):
            return True
        if len(letters) < MIN_LETTERS:
            return False
        return self._certainly_foreign(text)

    def _certainly_foreign(self, text: str) -> bool:
        with self._lock:
            if self._model is None:
                from py3langid.langid import MODEL_FILE, LanguageIdentifier

                self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
            ranked = self._model.rank(text)
        known = sum(float(p) for code, p in ranked if code in KNOWN or code in _KIN)
        return not known > 1.0 - CERTAINTY


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
