"""Readings: the texts in which a prompt is put to a moderator that knows no disguises."""

from __future__ import annotations

import re

from safety.normalize import is_too_long, normal_forms

TOO_LONG_NOTE = "too-long-to-be-read"
NOT_UNDERSTOOD_NOTE = "the-answer-was-not-understood"

_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"\s+")


def readings(prompt: str) -> tuple[str, ...]:
    """The prompt as it was written, then each normal form that reads differently.

    A plain prompt has one reading: letter case and spacing make no other. Lone surrogates,
    which no tokenizer and no JSON takes, are replaced. A text that is too long to be read
    whole has none.
    """
    if is_too_long(prompt):
        return ()
    written = _SURROGATES.sub("\ufffd", prompt)
    found = {_bare(written): written}
    for form in normal_forms(prompt):
        clean = _SURROGATES.sub("\ufffd", form)
        found.setdefault(_bare(clean), clean)
    return tuple(found.values())


def pieces(text: str, width: int, overlap: int) -> tuple[str, ...]:
    """The text in windows of at most ``width`` characters, each sharing ``overlap`` with the
    one before, so that together they cover it. A short text is its only window."""
    if len(text) <= width:
        return (text,)
    step = width - overlap
    return tuple(text[start : start + width] for start in range(0, len(text) - overlap, step))


def _bare(text: str) -> str:
    return _SPACES.sub(" ", text).strip().lower()
