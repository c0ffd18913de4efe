"""Answers of generative guards: what their words say. Pure; strict, as a wrong reading passes.

Formats: the model cards of Llama Guard 3/4 (Meta) and Qwen3Guard-Gen (Alibaba).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LLAMA = re.compile(
    r"\s*(?:(?P<safe>safe)|(?P<unsafe>unsafe)[ \t]*\n"
    r"(?P<codes>[ \t]*S\d{1,2}(?:[ \t]*,[ \t]*S\d{1,2})*))\s*"
)
_QWEN = re.compile(
    r"\s*Safety:[ \t]*(?P<word>Safe|Unsafe|Controversial)[ \t]*\n"
    r"[ \t]*Categories:[ \t]*(?P<names>[^\n]+?)\s*"
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A guard's decision: the word that says it, and the labels it names for it."""

    word: str
    labels: tuple[str, ...]


def llama_guard_answer(text: str) -> Answer | None:
    """ "safe", or "unsafe" and a line of codes; None for anything else."""
    found = _LLAMA.fullmatch(text)
    if found is None:
        return None
    if found["safe"]:
        return Answer(word="safe", labels=())
    return Answer(word="unsafe", labels=_parts(found["codes"]))


def qwen3guard_answer(text: str) -> Answer | None:
    """A line "Safety: …" and a line "Categories: …"; None for anything else.

    Safe with a category, or anything worse without one, contradicts itself: None as well.
    """
    found = _QWEN.fullmatch(text)
    if found is None:
        return None
    word, labels = found["word"], _parts(found["names"])
    if (word == "Safe") != (labels == ("None",)) or ("None" in labels and len(labels) > 1):
        return None
    return Answer(word=word, labels=() if word == "Safe" else labels)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
