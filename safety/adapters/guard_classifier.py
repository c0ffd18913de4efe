"""Guards that are sequence classifiers: one number per label and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safety.adapters.faults import GuardRefused
from safety.adapters.guard_card import Activation, GuardCard
from safety.adapters.guard_text import GuardText, context_of
from safety.adapters.label_map import LabelMap
from safety.verdict import Category

_BY_PROBLEM: Mapping[str, Activation] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}


class GuardClassifier:
    """Scores texts with a loaded AutoModelForSequenceClassification.

    Labels are those of the model's configuration. Under softmax the labels exclude each other,
    so those of one category are added up; under sigmoid the highest counts.
    """

    def __init__(self, model: Any, tokenizer: Any, card: GuardCard, batch: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._map: LabelMap = card.labels
        names: Mapping[int, str] = model.config.id2label
        self._labels = tuple(str(names[i]) for i in range(len(names)))
        self._map.check_all(self._labels)
        if len(set(self._labels)) != len(self._labels):
            raise GuardRefused("Two labels of the guard have the same name.")
        self._activation = _activation(model.config, card)
        if self._activation == "softmax" and not self._map.benign:
            raise GuardRefused("A softmax over harmful labels alone calls every text harmful.")
        self._batch = 1 if tokenizer.pad_token_id is None else batch
        self._context = context_of(model.config, tokenizer, card.max_tokens)
        self._text = GuardText(tokenizer)

    def windows(self, text: str) -> tuple[str, ...]:
        """The text in windows that this model can read whole."""
        added: int = self._tokenizer.num_special_tokens_to_add(pair=False)
        return self._text.windows(text, self._context - added)

    def scores(self, texts: Sequence[str]) -> list[dict[Category, float] | None]:
        """Per window the score of each promised category; None where the numbers are none."""
        found: list[dict[Category, float] | None] = []
        for start in range(0, len(texts), self._batch):
            found += self._scored(texts[start : start + self._batch])
        return found

    def _scored(self, texts: Sequence[str]) -> list[dict[Category, float] | None]:
        import torch

        inputs = self._tokenizer(
            list(texts), padding=len(texts) > 1, return_tensors="pt", verbose=False
        )
        length = inputs["input_ids"].shape[1]
        if not 0 < length <= self._context:
            return [None] * len(texts)
        with torch.inference_mode():
            logits = self._model(**inputs.to(self._model.device)).logits.float()
        if logits.shape != (len(texts), len(self._labels)):
            return [None] * len(texts)
        soft = self._activation == "softmax"
        table = logits.softmax(-1) if soft else logits.sigmoid()
        finite = logits.isfinite().all(dim=-1).tolist()
        return [
            self._row(row) if usable else None
            for row, usable in zip(table.tolist(), finite, strict=True)
        ]

    def _row(self, numbers: Sequence[float]) -> dict[Category, float]:
        row = dict.fromkeys(self._map.categories, 0.0)
        for label, number in zip(self._labels, numbers, strict=True):
            target = self._map.targets.get(label)
            for category in target.categories if target else ():
                if self._activation == "softmax":
                    row[category] = min(row[category] + number, 1.0)
                else:
                    row[category] = max(row[category], number)
        return row


def _activation(config: Any, card: GuardCard) -> Activation:
    chosen = card.activation or _BY_PROBLEM.get(str(config.problem_type))
    if chosen is None:
        raise GuardRefused("Neither card nor configuration says softmax or sigmoid.")
    if chosen == "softmax" and config.num_labels < 2:
        raise GuardRefused("A softmax over one label says nothing.")
    return chosen
