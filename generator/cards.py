"""Model cards: what a model is, may be used for and can make, read from a TOML beside it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from generator.errors import UnsupportedRequest, WeightsMissing

CARD_NAME = "card.toml"
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One file of a model: its path inside the model's folder and its SHA-256 in hex."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """A frame size in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the pipeline itself is called.

    `frames` is the number it draws for a clip of any length; 0 asks for `fps` × seconds,
    rounded up to a multiple of `frame_step` plus one. `fps` is the pipeline's own rate.
    """

    width: int
    height: int
    frames: int
    fps: int
    frame_step: int
    steps: int
    guidance: float
    dtype: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything that is said about a model; the file must give every field and no other."""

    name: str
    title: str
    version: str
    revision: str
    demonstration: bool
    licence: str
    licence_url: str
    training_data: str
    commercial_use: str
    intended_use: str
    limits: str
    interpolation: str
    languages: tuple[str, ...]
    sizes: tuple[Size, ...]
    seconds: tuple[int, ...]
    fps: int
    sampling: Sampling
    weights: tuple[Weights, ...]

    def check(self, *, width: int, height: int, seconds: int) -> None:
        """Refuses a size or length the model does not make (`UnsupportedRequest`)."""
        if Size(width=width, height=height) not in self.sizes:
            allowed = ", ".join(str(size) for size in self.sizes)
            raise UnsupportedRequest(
                "size", f"{self.title} makes clips of these sizes: {allowed}."
            )
        if isinstance(seconds, bool) or seconds not in self.seconds:
            allowed = ", ".join(str(number) for number in self.seconds)
            raise UnsupportedRequest(
                "seconds", f"{self.title} makes clips of these lengths in seconds: {allowed}."
            )

    def verify(self, folder: Path) -> None:
        """Hashes every file the card names; any other safetensors file is refused too."""
        for weights in self.weights:
            path = folder / weights.file
            if not path.is_file():
                raise WeightsMissing(f"The weights of {self.title} are missing a file.")
            if _sha256(path) != weights.sha256:
                raise WeightsMissing(
                    f"A weights file of {self.title} is not the one its card describes."
                )
        named = {weights.file for weights in self.weights}
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}
        if not self.weights or found - named:
            raise WeightsMissing(f"{self.title} has weights its card does not describe.")


def read_card(folder: Path) -> ModelCard:
    """Reads the card in a model's folder; `WeightsMissing` if absent or malformed."""
    try:
        table = tomllib.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
        sampling = Sampling(**table.pop("sampling"))
        weights = tuple(
            Weights(file=file, sha256=digest) for file, digest in table.pop("weights").items()
        )
        sizes = tuple(_size(text) for text in table.pop("sizes"))
        card = ModelCard(
            sampling=sampling,
            weights=weights,
            sizes=sizes,
            seconds=tuple(table.pop("seconds")),
            languages=tuple(table.pop("languages")),
            **_only_known(table),
        )
    except OSError as error:
        raise WeightsMissing("The model's folder has no card.") from error
    except (
        tomllib.TOMLDecodeError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise WeightsMissing("The model's card cannot be read.") from error
    return card


def _only_known(table: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(ModelCard)}
    unknown = set(table) - known
    if unknown:
        raise ValueError(f"unknown fields: {sorted(unknown)}")
    return table


def _size(text: str) -> Size:
    width, height = text.split("x")
    return Size(width=int(width), height=int(height))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


__all__ = ["CARD_NAME", "ModelCard", "Sampling", "Size", "Weights", "read_card"]
