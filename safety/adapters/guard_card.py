"""The card of a guard's folder: which files it has, what its labels mean, how it is asked.

As with our own weights (safety.cards), the card names every file with its SHA-256 and nothing
is opened before its digest was compared.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safety.adapters.faults import GuardRefused
from safety.adapters.folder import verify_files
from safety.adapters.label_map import LabelMap, LabelTable
from safety.adapters.offline import Precision
from safety.cards import CARD_NAME, MAX_CARD_BYTES

Family = Literal["classifier", "llama_guard", "shield_gemma", "qwen3guard"]
Activation = Literal["softmax", "sigmoid"]

_Text = Annotated[str, Field(min_length=1, max_length=4000)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


@dataclass(frozen=True, kw_only=True)
class GuardCard:
    """The parsed card.

    ``max_tokens`` is the context that may be used, ``activation`` what a classifier's numbers
    are when its configuration does not say, ``guidelines`` label → the sentence that is put to
    a ShieldGemma, ``generation_prompt`` whether the chat template is asked to open the answer.
    """

    name: str
    version: str
    licence: str
    files: Mapping[str, str]
    family: Family
    labels: LabelMap
    max_tokens: int | None
    activation: Activation | None
    precision: Precision
    guidelines: Mapping[str, str]
    generation_prompt: bool
    digest: str

    @property
    def label(self) -> str:
        """``name@version``, then the digest of the card and the label map in force."""
        return f"{self.name}@{self.version}+{self.digest}"

    @classmethod
    def load(cls, folder: Path) -> GuardCard:
        """Reads ``card.toml`` in ``folder``; raises GuardRefused when that fails."""
        try:
            content = (folder / CARD_NAME).read_bytes()
        except OSError as error:
            raise GuardRefused(
                "The folder of the guard holds no readable card.toml."
            ) from error
        return cls.parse(content)

    @classmethod
    def parse(cls, content: bytes) -> GuardCard:
        """Reads a card from TOML bytes; raises GuardRefused when it is not a valid card."""
        if len(content) > MAX_CARD_BYTES:
            raise GuardRefused("The card of the guard is too large.")
        try:
            raw = _CardFile.model_validate(tomllib.loads(content.decode("utf-8")))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise GuardRefused("The card of the guard is not valid TOML.") from error
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise GuardRefused(
                f"The card of the guard is not acceptable at {place}."
            ) from error
        guard = raw.guard
        labels = LabelMap.read(None if guard.family == "classifier" else guard.family, guard)
        if (
            guard.family == "shield_gemma"
            and not labels.targets.keys() <= guard.guidelines.keys()
        ):
            raise GuardRefused("The card gives no guideline for one of the mapped policies.")
        return cls(
            name=raw.name,
            version=raw.version,
            licence=raw.licence,
            files=MappingProxyType(dict(raw.files)),
            family=guard.family,
            labels=labels,
            max_tokens=guard.max_tokens,
            activation=guard.activation,
            precision=guard.precision,
            guidelines=MappingProxyType(dict(guard.guidelines)),
            generation_prompt=guard.generation_prompt,
            digest=hashlib.sha256(content + labels.digest.encode()).hexdigest()[:12],
        )

    def verify(self, folder: Path) -> None:
        """Compares every file of the folder with the card; raises GuardRefused."""
        verify_files(folder, self.files)


class _GuardTable(LabelTable):
    family: Family
    max_tokens: int | None = Field(default=None, ge=16, le=1_000_000)
    activation: Activation | None = None
    precision: Precision = "auto"
    guidelines: dict[_Text, _Text] = Field(default_factory=dict)
    # The makers of all three families ask without it; their templates open the answer anyway.
    generation_prompt: bool = False


class _CardFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    licence: _Text
    summary: _Text | None = None
    source: _Text | None = None
    limits: tuple[_Text, ...] = ()
    files: dict[_FileName, _Sha256] = Field(min_length=1)
    guard: _GuardTable
