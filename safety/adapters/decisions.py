"""Decisions of models that write: the tokens that begin a word, those that end an answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from safety.adapters.faults import GuardRefused

MIN_MASS = 0.5
"""The share of probability that the words of a decision must have between them."""

LEADS = ("", " ", "\n", "\n\n", ": ")
_BLANK = frozenset({"", ":"})


def first_tokens(
    tokenizer: Any,
    words: Sequence[str],
    *,
    leads: Sequence[str] = LEADS,
    skipped: Collection[str] = _BLANK,
) -> dict[str, frozenset[int]]:
    """Word → tokens that begin it behind one of ``leads`` and begin no other of the words.

    Tokens of a lead alone, which read as one of ``skipped``, begin nothing.
    """
    begun: dict[str, set[int]] = {word: set() for word in words}
    for word in words:
        for lead in leads:
            ids = tokenizer(lead + word, add_special_tokens=False)["input_ids"]
            texts = [tokenizer.decode([i]).strip() for i in ids]
            first = next((i for i, t in zip(ids, texts, strict=True) if t not in skipped), None)
            if first is not None and first != tokenizer.unk_token_id:
                begun[word].add(first)
    return {
        word: frozenset(ids.difference(*(o for w, o in begun.items() if w != word)))
        for word, ids in begun.items()
    }


def ends_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer; raises GuardRefused when there are none."""
    found: set[int] = set()
    for value in (
        getattr(model.generation_config, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        found |= {value} if isinstance(value, int) else set(value or ())
    if not found:
        raise GuardRefused("The guard has no token that ends an answer.")
    return frozenset(found)
