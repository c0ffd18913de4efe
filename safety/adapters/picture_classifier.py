"""Image classifiers of others: one number per label and picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safety.adapters.faults import GuardRefused
from safety.adapters.label_map import LabelMap
from safety.adapters.offline import device_of, offline_library, opened, opened_model
from safety.adapters.picture_fit import Picture, fit_for
from safety.adapters.picture_settings import ImageClassifierFolder
from safety.adapters.picture_tensors import dtype_of, numbers, pixels_of, ready
from safety.verdict import Category

_BY_PROBLEM = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}


class PictureClassifier:
    """Scores pictures with a loaded AutoModelForImageClassification.

    Under softmax the labels of one category are added up; under sigmoid the highest counts.
    Labels of the model that the map does not name are ignored.
    """

    def __init__(
        self, model: Any, processor: Any, settings: ImageClassifierFolder, labels: LabelMap
    ) -> None:
        self._model = model
        self._processor = processor
        self._map = labels
        names: Mapping[int, str] = model.config.id2label
        self._labels = tuple(str(names[i]) for i in range(len(names)))
        if len(set(self._labels)) != len(self._labels):
            raise GuardRefused("Two labels of the model have the same name.")
        if absent := sorted(labels.targets.keys() - set(self._labels)):
            shown = ", ".join(repr(label[:40]) for label in absent[:5])
            raise GuardRefused(f"The label map names labels that the model has not: {shown}.")
        chosen = settings.activation or _BY_PROBLEM.get(str(model.config.problem_type))
        if chosen is None:
            raise GuardRefused("Neither settings nor configuration say softmax or sigmoid.")
        self._soft = chosen == "softmax"
        if self._soft and labels.targets.keys() >= set(self._labels):
            raise GuardRefused(
                "A softmax over harmful labels alone calls every picture harmful."
            )
        self._fit = fit_for(lambda picture: pixels_of(processor, picture))

    @classmethod
    def open(
        cls, folder: Path, settings: ImageClassifierFolder, labels: LabelMap
    ) -> PictureClassifier:
        """Loads model and processor from the folder; raises AdapterFault."""
        library = offline_library()
        device = device_of(settings.device)
        processor = opened(library, "AutoImageProcessor", folder, backend="pil")
        model = opened_model(
            library,
            "AutoModelForImageClassification",
            folder,
            device=device,
            dtype=dtype_of(settings.precision, device, half="float16"),
        )
        return cls(model, processor, settings, labels)

    def scores(self, pictures: Sequence[Picture]) -> list[dict[Category, float]]:
        """Per picture the score of every mapped category. Raises RuntimeError."""
        import torch

        inputs = self._processor(
            images=[self._fit(picture) for picture in pictures], return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self._model(**ready(inputs, self._model)).logits.float()
            table = logits.softmax(-1) if self._soft else logits.sigmoid()
        return [self._row(row) for row in numbers(table, (len(pictures), len(self._labels)))]

    def _row(self, shares: NDArray[np.float64]) -> dict[Category, float]:
        row = dict.fromkeys(self._map.categories, 0.0)
        for label, share in zip(self._labels, shares.tolist(), strict=True):
            target = self._map.targets.get(label)
            for category in target.categories if target else ():
                together = row[category] + share if self._soft else max(row[category], share)
                row[category] = min(together, 1.0)
        return row
