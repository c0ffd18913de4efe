"""The card of a picture model's folder: whose it is, and the digest of every file in it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safety.adapters.faults import GuardRefused
from safety.adapters.folder import verify_files
from safety.cards import CARD_NAME, MAX_CARD_BYTES

# One of these says how a picture is prepared; without it the library would guess.
PREPARED_BY = frozenset({"preprocessor_config.json", "processor_config.json"})

_Text = Annotated[str, Field(min_length=1, max_length=4000)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


@dataclass(frozen=True, kw_only=True)
class PictureCard:
    """The parsed card. ``content`` are its bytes, which any change of a file changes too."""

    name: str
    version: str
    licence: str
    files: Mapping[str, str]
    content: bytes

    @classmethod
    def load(cls, folder: Path) -> PictureCard:
        """Reads ``card.toml`` in ``folder``; raises GuardRefused when that fails."""
        try:
            content = (folder / CARD_NAME).read_bytes()
        except OSError as error:
            raise GuardRefused(
                "The folder of the picture model holds no readable card.toml."
            ) from error
        return cls.parse(content)

    @classmethod
    def parse(cls, content: bytes) -> PictureCard:
        """Reads a card from TOML bytes; raises GuardRefused when it is not a valid card."""
        if len(content) > MAX_CARD_BYTES:
            raise GuardRefused("The card of the picture model is too large.")
        try:
            raw = _CardFile.model_validate(tomllib.loads(content.decode("utf-8")))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise GuardRefused("The card of the picture model is not valid TOML.") from error
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise GuardRefused(
                f"The card of the picture model is not acceptable at {place}."
            ) from error
        return cls(
            name=raw.name,
            version=raw.version,
            licence=raw.licence,
            files=MappingProxyType(dict(raw.files)),
            content=content,
        )

    def verify(self, folder: Path) -> None:
        """Compares every file of the folder with the card; raises GuardRefused."""
        verify_files(folder, self.files)
        if PREPARED_BY.isdisjoint(self.files):
            raise GuardRefused("The folder does not say how a picture is prepared.")


class _CardFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Name
    version: _Name
    licence: _Text
    summary: _Text | None = None
    source: _Text | None = None
    limits: tuple[_Text, ...] = ()
    files: dict[_FileName, _Sha256] = Field(min_length=1)
