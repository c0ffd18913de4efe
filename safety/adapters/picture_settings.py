"""Settings of picture models: ``[[picture_models]]``, as docs/picture_models.md has it."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from safety.adapters.label_map import LabelMap
from safety.adapters.offline import Device, Precision
from safety.verdict import Category

MAX_PROMPT_CHARS: Final = 20_000
MAX_TEXTS: Final = 200
MAX_NEW_TOKENS: Final = 512

Format = Literal["llama_guard", "llava_guard", "shield_gemma_2", "yes_no"]
ASKED_PER_LABEL: Final = frozenset({"shield_gemma_2", "yes_no"})
"""The formats that put one question for each label."""

_Label = Annotated[str, Field(min_length=1, max_length=200)]
_Sentence = Annotated[str, Field(min_length=1, max_length=1000)]
_Part = Annotated[float, Field(gt=0.0, lt=1.0)]
_Table = dict[_Label, dict[str, Any]]


class PictureFolder(BaseModel):
    """What every kind has: where the model lies and how it runs.

    ``calibration`` gives per category points (number of the model, score it counts), both
    between 0 and 1 and rising; between points, (0, 0) and (1, 1) the score is interpolated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    device: Device = "cpu"
    batch: int = Field(default=4, ge=1, le=64)
    precision: Precision = "auto"
    calibration: dict[Category, tuple[tuple[_Part, _Part], ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for points in self.calibration.values():
            if not points:
                raise PydanticCustomError("no_points", "calibration needs points")
            if any(not (a < c and b <= d) for (a, b), (c, d) in pairwise(points)):
                raise PydanticCustomError("not_rising", "the points of calibration must rise")
        return self

    @property
    def digest(self) -> str:
        """Twelve hex digits over all that changes scores: not place, device or batch."""
        told = self.model_dump_json(exclude={"path", "device", "batch"})
        return hashlib.sha256(told.encode("utf-8")).hexdigest()[:12]


class ImageClassifierFolder(PictureFolder):
    """An image classifier. ``labels`` maps labels of the model as a card of a guard does;
    those that are not mapped are ignored."""

    kind: Literal["image_classifier"]
    labels: _Table = Field(min_length=1)
    activation: Literal["softmax", "sigmoid"] | None = None


class ZeroShotFolder(PictureFolder):
    """A model of pictures and texts (CLIP, SigLIP): per category texts that describe it, and
    ``neutral`` ones that describe pictures of nothing of the kind."""

    kind: Literal["zero_shot"]
    texts: dict[Category, Annotated[tuple[_Sentence, ...], Field(min_length=1)]] = Field(
        min_length=1
    )
    neutral: tuple[_Sentence, ...] = ()

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        every = [*self.neutral, *(text for texts in self.texts.values() for text in texts)]
        if len(every) > MAX_TEXTS:
            raise PydanticCustomError("too_many_texts", "texts and neutral are too many")
        if set(self.neutral) & {text for texts in self.texts.values() for text in texts}:
            raise PydanticCustomError("not_neutral", "a neutral text stands for a category")
        return self


class VisionGuardFolder(PictureFolder):
    """A model that writes what it thinks of a picture, in one of the known formats.

    ``prompt`` is put beside the picture; ``questions`` are asked one by one for each label,
    ``labels`` and ``benign`` change the built-in map of the format, ``max_tokens`` is the
    context that may be used. None: what the format has.
    """

    kind: Literal["vision_guard"]
    format: Format
    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)] | None = None
    questions: dict[_Label, _Sentence] = Field(default_factory=dict)
    labels: _Table = Field(default_factory=dict)
    benign: tuple[_Label, ...] = ()
    generation_prompt: bool | None = None
    max_new_tokens: int | None = Field(default=None, ge=1, le=MAX_NEW_TOKENS)
    max_tokens: int | None = Field(default=None, ge=16, le=1_000_000)

    @model_validator(mode="after")
    def _fits_the_format(self) -> Self:
        asked = self.format in ASKED_PER_LABEL
        if asked and self.prompt is not None:
            raise PydanticCustomError("no_prompt", "this format has questions, no prompt")
        if not asked and self.questions:
            raise PydanticCustomError("no_questions", "this format has a prompt, no questions")
        if self.format == "llava_guard" and self.prompt is None:
            raise PydanticCustomError(
                "prompt_missing", "llava_guard needs its policy as prompt: see the model's card"
            )
        return self


PictureModelSettings = Annotated[
    ImageClassifierFolder | ZeroShotFolder | VisionGuardFolder, Field(discriminator="kind")
]


def label_map_of(settings: ImageClassifierFolder | VisionGuardFolder) -> LabelMap:
    """The label map in force; raises GuardRefused."""
    if isinstance(settings, ImageClassifierFolder):
        return LabelMap.parse(None, {"labels": settings.labels})
    family = None if settings.format == "yes_no" else settings.format
    table = {"labels": settings.labels, "benign": settings.benign}
    return LabelMap.parse(family, table)
