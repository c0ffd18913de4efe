"""The moderator that runs a guard of others from a local folder, with transformers."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safety.adapters.guard_card import GuardCard
from safety.adapters.offline import (
    Device,
    check_extra,
    device_of,
    offline_library,
    opened,
    opened_model,
)
from safety.adapters.readings import NOT_UNDERSTOOD_NOTE, TOO_LONG_NOTE, readings
from safety.moderation import PromptScores
from safety.verdict import Category

DEFAULT_BATCH = 4


class Guard(Protocol):
    """A loaded model that scores windows of text."""

    def windows(self, text: str) -> tuple[str, ...]:
        """The text in windows that the model can read whole; ValueError when it cannot."""

    def scores(self, texts: Sequence[str]) -> list[dict[Category, float] | None]:
        """Per window every promised category in 0..1, or None."""


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    card: GuardCard
    guard: Guard


class TransformersGuard:
    """Scores prompts with the guard in ``folder``, whose ``card.toml`` says what it is.

    Nothing is fetched, no code of the folder is run, and every file is compared with its card
    before the model is loaded, on first use; raises AdapterFault then. Prompts longer than the
    model's context are judged in windows. A prompt that the guard did not answer clearly gets
    no scores at all, so that the gate holds it.
    """

    def __init__(
        self, folder: Path, *, device: Device = "cpu", batch: int = DEFAULT_BATCH
    ) -> None:
        self._folder = folder
        self._device = device
        self._batch = batch
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._loaded: _Loaded | None = None

    @property
    def name(self) -> str:
        return self._load().card.label

    @property
    def promises(self) -> frozenset[Category]:
        return self._load().card.labels.categories

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        loaded = self._load()
        plans = [_windows(loaded.guard, prompt) for prompt in prompts]
        texts = list(dict.fromkeys(text for plan in plans for text in plan or ()))
        with self._turn:
            table = dict(zip(texts, loaded.guard.scores(texts), strict=True))
        return [_answer(plan, table, loaded.card.labels.categories) for plan in plans]

    def check(self) -> GuardCard:
        """Reads the card and looks for the packages, without loading anything."""
        check_extra()
        return GuardCard.load(self._folder)

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                card = self.check()
                card.verify(self._folder)
                self._loaded = _Loaded(card=card, guard=self._built(card))
        return self._loaded

    def _built(self, card: GuardCard) -> Guard:
        transformers = offline_library()
        kind = "SequenceClassification" if card.family == "classifier" else "CausalLM"
        tokenizer = opened(transformers, "AutoTokenizer", self._folder)
        model = opened_model(
            transformers,
            f"AutoModelFor{kind}",
            self._folder,
            device=device_of(self._device),
            dtype=card.precision,
        )
        if card.family == "classifier":
            from safety.adapters.guard_classifier import GuardClassifier

            return GuardClassifier(model, tokenizer, card, self._batch)
        from safety.adapters.guard_generative import GuardWriter

        return GuardWriter(model, tokenizer, card, self._batch)


def _windows(guard: Guard, prompt: str) -> tuple[str, ...] | None:
    """Every window of every reading; () when too long to be read, None when unreadable."""
    try:
        return tuple(w for reading in readings(prompt) for w in guard.windows(reading))
    except ValueError:
        return None


def _answer(
    plan: tuple[str, ...] | None,
    table: Mapping[str, dict[Category, float] | None],
    promised: frozenset[Category],
) -> PromptScores:
    if not plan:
        note = NOT_UNDERSTOOD_NOTE if plan is None else TOO_LONG_NOTE
        return PromptScores(scores={}, notes=(note,))
    rows = [row for row in (table[window] for window in plan) if row is not None]
    if len(rows) < len(plan):
        return PromptScores(scores={}, notes=(NOT_UNDERSTOOD_NOTE,))
    return PromptScores(scores={c: max(row[c] for row in rows) for c in promised})
