"""The frame classifier that runs a picture model of others from a local folder."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol, assert_never

import numpy as np

from safety.adapters.faults import AdapterFault, GuardRefused
from safety.adapters.label_map import LabelMap
from safety.adapters.offline import check_extra
from safety.adapters.picture_card import PictureCard
from safety.adapters.picture_fit import Picture, picture_of
from safety.adapters.picture_settings import (
    ImageClassifierFolder,
    PictureModelSettings,
    VisionGuardFolder,
    ZeroShotFolder,
    label_map_of,
)
from safety.cards import WeightsMissing
from safety.frames import FrameClassifier
from safety.pictures import PictureScores
from safety.sampling import Frames, check_frames
from safety.verdict import Category


class PictureJudge(Protocol):
    """A loaded model that scores pictures."""

    def scores(self, pictures: Sequence[Picture]) -> list[dict[Category, float]]:
        """Per picture the score of each category that could be judged. Raises RuntimeError."""


def picture_model(settings: PictureModelSettings) -> FrameClassifier:
    """The classifier that ``settings`` describe, with its card read and nothing loaded.

    Raises AdapterFault when packages are missing or card and settings do not fit.
    """
    check_extra()
    return PictureModel(settings, PictureCard.load(settings.path))


class PictureModel:
    """Scores pictures with the model in a folder, whose ``card.toml`` lists every file.

    Nothing is fetched, no code of the folder is run, and every file is compared with its card
    before the model is loaded, on first use or by ``load``. A picture about which a writing
    guard was not understood lacks the categories concerned, so that the gate holds the clip.
    """

    def __init__(self, settings: PictureModelSettings, card: PictureCard) -> None:
        self._settings = settings
        self._card = card
        self._labels = None if isinstance(settings, ZeroShotFolder) else label_map_of(settings)
        self._categories = _categories(settings, self._labels)
        if stray := sorted(settings.calibration.keys() - self._categories):
            raise GuardRefused(f"calibration names {stray[0]}, which the model does not judge.")
        told = hashlib.sha256(card.content + settings.digest.encode())
        if self._labels is not None:
            told.update(self._labels.digest.encode())
        self._name = f"{card.name}@{card.version}+{told.hexdigest()[:12]}"
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._judge: PictureJudge | None = None
        self._fault: AdapterFault | None = None

    @property
    def name(self) -> str:
        """``name@version`` of the card, then a digest of it and of what is asked."""
        return self._name

    @property
    def categories(self) -> frozenset[Category]:
        """What the settings map to; a row lacks one only when there was no clear answer."""
        return self._categories

    def load(self) -> None:
        """Verifies and opens the folder now; raises WeightsMissing when that fails."""
        with self._lock:
            self._fault = None
        self._opened()

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB), scores in 0..1.

        Raises WeightsMissing, ValueError for a wrong array, RuntimeError for a failed model.
        """
        check_frames(frames)
        if not len(frames):
            return ()
        judge = self._opened()
        size = self._settings.batch
        rows: list[PictureScores] = []
        with self._turn:
            for start in range(0, len(frames), size):
                pictures = [picture_of(frame) for frame in frames[start : start + size]]
                found = judge.scores(pictures)
                if len(found) != len(pictures):
                    raise RuntimeError("The model did not answer with one row per picture.")
                rows += [PictureScores(scores=self._counted(row)) for row in found]
        return tuple(rows)

    def _counted(self, row: Mapping[Category, float]) -> dict[Category, float]:
        if not row.keys() <= self._categories:
            raise RuntimeError("The model judged what it does not promise.")
        if not all(math.isfinite(score) and 0.0 <= score <= 1.0 for score in row.values()):
            raise RuntimeError("The model gave a score that is none.")
        return {category: self._calibrated(category, score) for category, score in row.items()}

    def _calibrated(self, category: Category, score: float) -> float:
        points = self._settings.calibration.get(category)
        if points is None:
            return score
        xs, ys = zip((0.0, 0.0), *points, (1.0, 1.0), strict=True)
        return float(np.interp(score, xs, ys))

    def _opened(self) -> PictureJudge:
        """The loaded model. What failed once is not tried again until ``load`` is called:
        comparing the files of a large model for every picture would stop the worker."""
        with self._lock:
            if self._judge is None and self._fault is None:
                try:
                    check_extra()
                    self._card.verify(self._settings.path)
                    self._judge = self._built()
                except AdapterFault as fault:
                    self._fault = fault
                except Exception as error:  # noqa: BLE001 - whatever its parts raise
                    self._fault = GuardRefused("The model of the folder cannot be used.")
                    self._fault.__cause__ = error
            if self._judge is None:
                raise WeightsMissing(str(self._fault)) from self._fault
            return self._judge

    def _built(self) -> PictureJudge:
        settings, labels = self._settings, self._labels
        match settings:
            case ImageClassifierFolder():
                from safety.adapters.picture_classifier import PictureClassifier

                return PictureClassifier.open(settings.path, settings, _mapped(labels))
            case ZeroShotFolder():
                from safety.adapters.picture_zero_shot import PictureSentences

                return PictureSentences.open(settings.path, settings)
            case VisionGuardFolder():
                from safety.adapters.picture_guard import PictureGuard

                return PictureGuard.open(settings.path, settings, _mapped(labels))
            case _:
                assert_never(settings)


def _categories(settings: PictureModelSettings, labels: LabelMap | None) -> frozenset[Category]:
    if isinstance(settings, ZeroShotFolder):
        return frozenset(settings.texts)
    return _mapped(labels).categories


def _mapped(labels: LabelMap | None) -> LabelMap:
    if labels is None:
        raise TypeError("This kind of model has a label map.")
    return labels
