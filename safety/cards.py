"""The card of a set of weights: what is in the folder, where it comes from, what it can do.

Each folder of weights holds one ``card.toml``. The card names every file with its SHA-256, the
licence, the training data with its licences, what was measured and what is known to fail. A
file is only ever opened after its digest was compared with the card.
"""

from __future__ import annotations

import hashlib
import hmac
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

CARD_NAME = "card.toml"
MAX_CARD_BYTES = 256 * 1024
MAX_WEIGHTS_BYTES = 4 * 1024**3

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
_Text = Annotated[str, Field(min_length=1)]


class WeightsMissing(Exception):
    """Raised when weights are absent, differ from their card, or the card cannot be read.

    Nothing may be judged with such weights; the caller holds the item.
    """


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """One set of data that went into the weights, with the terms it was used under."""

    name: str
    licence: str
    source: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class WeightsCard:
    """The parsed card. ``files`` maps a plain file name to its SHA-256 in lower-case hex.

    ``measured`` holds figures under short names (a share between 0 and 1 unless the name says
    otherwise), ``limits`` the known failures in sentences.
    """

    name: str
    version: str
    summary: str
    licence: str
    files: Mapping[str, str]
    training: tuple[TrainingSet, ...]
    measured: Mapping[str, float | str]
    limits: tuple[str, ...]

    @property
    def label(self) -> str:
        """``name@version``, as verdicts name their judges."""
        return f"{self.name}@{self.version}"

    @classmethod
    def parse(cls, content: bytes) -> WeightsCard:
        """Reads a card from TOML bytes; raises WeightsMissing when it is not a valid card."""
        if len(content) > MAX_CARD_BYTES:
            raise WeightsMissing("The weights card is too large.")
        try:
            raw = _CardFile.model_validate(tomllib.loads(content.decode("utf-8")))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise WeightsMissing("The weights card cannot be read.") from error
        return cls(
            name=raw.name,
            version=raw.version,
            summary=raw.summary,
            licence=raw.licence,
            files=MappingProxyType(dict(raw.files)),
            training=tuple(
                TrainingSet(name=t.name, licence=t.licence, source=t.source, rows=t.rows)
                for t in raw.training
            ),
            measured=MappingProxyType(dict(raw.measured)),
            limits=tuple(raw.limits),
        )

    @classmethod
    def load(cls, directory: Path) -> WeightsCard:
        """Reads ``card.toml`` in ``directory``; raises WeightsMissing when that fails."""
        try:
            content = (directory / CARD_NAME).read_bytes()
        except OSError as error:
            raise WeightsMissing("The folder of weights holds no readable card.") from error
        return cls.parse(content)


def verified_path(directory: Path, filename: str, *, card: WeightsCard | None = None) -> Path:
    """Returns the path of ``filename`` after comparing its SHA-256 with the card.

    Promises that the bytes on disk matched the card at the time of the call, not that nobody
    changes them afterwards: use verified_bytes when the file fits in memory. Raises
    WeightsMissing when the card does not list the file, the file is absent, or it differs.
    """
    expected = _expected(directory, filename, card)
    path = directory / filename
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise WeightsMissing("A file of weights is too large.")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsMissing("A file of weights named on the card is missing.") from error
    if hmac.compare_digest(found, expected):
        return path
    raise WeightsMissing("A file of weights differs from its card.")


def verified_bytes(directory: Path, filename: str, *, card: WeightsCard | None = None) -> bytes:
    """Returns exactly the bytes whose SHA-256 matched the card, or raises WeightsMissing."""
    expected = _expected(directory, filename, card)
    try:
        content = (directory / filename).read_bytes()
    except OSError as error:
        raise WeightsMissing("A file of weights named on the card is missing.") from error
    if hmac.compare_digest(hashlib.sha256(content).hexdigest(), expected):
        return content
    raise WeightsMissing("A file of weights differs from its card.")


def _expected(directory: Path, filename: str, card: WeightsCard | None) -> str:
    found = (card or WeightsCard.load(directory)).files.get(filename)
    if found is None:
        raise WeightsMissing("The card does not list this file of weights.")
    return found


class _TrainingFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: _Text
    licence: _Text
    source: _Text
    rows: int = Field(ge=0)


class _CardFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: _Text
    version: _Text
    summary: _Text
    licence: _Text
    files: dict[_FileName, _Sha256] = Field(min_length=1)
    training: list[_TrainingFile] = Field(default_factory=list)
    measured: dict[str, float | int | str] = Field(default_factory=dict)
    limits: list[_Text] = Field(min_length=1)
