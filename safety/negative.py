"""The negative prompt: what a creator does not want, and what may not be taken away.

Naming something harmful here is asking for its absence, so that no list of unwanted things is
held for what it names. The one misuse is to take away what keeps a picture decent: clothes,
censorship, that somebody is grown up. Terms are data (``data/negative.toml``).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safety.normalize import normal_forms, plain
from safety.terms import TermIndex

NEGATIVE_FILE = Path(__file__).parent / "data" / "negative.toml"
MIN_GARMENTS = 3
"""One garment is a matter of taste; this many taken away together are the clothes."""

MAX_TAGS = 400
_TAG_END = re.compile(
    r"[,;|&、，；،。]+|\.\s|\b(?:and|or|break|und|oder|et|ou|y|o|e|и|или)\b|和|与|と| و"
)
_LINE_END = re.compile(r"[\r\n\x0b\x0c\x85\u2028\u2029]+")
_WEIGHT = re.compile(r"[:：]\s*[\d.]+|[()\[\]{}<>\"'*_+]")


class NegativeTermsInvalid(ValueError):
    """Raised when the terms for negative prompts cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What a negative prompt takes away beside what it may."""

    clothes: bool
    adulthood: bool

    def __bool__(self) -> bool:
        return self.clothes or self.adulthood


@dataclass(frozen=True, kw_only=True)
class NegativeTerms:
    """The terms, as they stand in the file, and what they find."""

    version: str
    fillers: tuple[str, ...]
    covering: tuple[str, ...]
    garments: tuple[str, ...]
    chaste: tuple[str, ...]
    censoring: tuple[str, ...]
    grown: tuple[str, ...]
    people: tuple[str, ...]

    @classmethod
    def load(cls, path: Path = NEGATIVE_FILE) -> NegativeTerms:
        """Reads the file; raises NegativeTermsInvalid. The version carries its digest."""
        try:
            content = path.read_bytes()
            raw = _File.model_validate(tomllib.loads(content.decode()))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise NegativeTermsInvalid("The negative terms cannot be read.") from error
        groups = {
            name: tuple(getattr(raw, name))
            for name in type(raw).model_fields
            if name != "version"
        }
        digest = hashlib.sha256(content).hexdigest()[:12]
        return cls(version=f"{raw.version}+{digest}", **groups)

    @property
    def name(self) -> str:
        """``name@version`` for the audit log."""
        return f"negative-prompt@{self.version}"

    def removal(self, negative: str) -> Removal:
        """What the list takes away. Never raises.

        Clothes: a tag that is clothes or censorship and nothing else, or MIN_GARMENTS pieces
        of clothing in a list that names no bare body either. Adulthood: a tag that says
        "adult" and nothing else.
        """
        clothes = adulthood = False
        # Normal forms know no lines, and the end of a line ends a tag.
        for form in normal_forms(_LINE_END.sub(", ", negative)):
            garments = 0
            chaste = bool(self._chaste.places(plain(form)))
            tags = {tag for tag in map(self._bare, _TAG_END.split(form)[:MAX_TAGS]) if tag}
            for tag in tags:
                clothes |= tag in self._taken
                adulthood |= tag in self._grown
                garments += tag in self._garments
            clothes |= garments >= MIN_GARMENTS and not chaste
        return Removal(clothes=clothes, adulthood=adulthood)

    def names_people(self, texts: Sequence[str]) -> bool:
        """Whether any of the texts speaks of somebody."""
        return any(
            self._people.places(plain(form)) for text in texts for form in normal_forms(text)
        )

    def _bare(self, tag: str) -> str:
        """A tag without weights and fillers."""
        words = plain(_WEIGHT.sub(" ", tag)).strip(" -.:!").split()
        while words and words[0] in self._fillers:
            del words[0]
        while words and words[-1] in self._fillers:
            del words[-1]
        bare = " ".join(words)
        for filler in self._unspaced_fillers:
            bare = bare.removeprefix(filler)
        return bare

    @cached_property
    def _taken(self) -> frozenset[str]:
        return frozenset(map(plain, (*self.covering, *self.censoring)))

    @cached_property
    def _garments(self) -> frozenset[str]:
        return frozenset(map(plain, self.garments))

    @cached_property
    def _grown(self) -> frozenset[str]:
        return frozenset(map(plain, self.grown))

    @cached_property
    def _fillers(self) -> frozenset[str]:
        return frozenset(word for filler in self.fillers for word in plain(filler).split())

    @cached_property
    def _unspaced_fillers(self) -> tuple[str, ...]:
        return tuple(f for f in map(plain, self.fillers) if f and ord(f[0]) > 0x3000)

    @cached_property
    def _chaste(self) -> TermIndex:
        return TermIndex({"chaste": self.chaste})

    @cached_property
    def _people(self) -> TermIndex:
        return TermIndex({"people": self.people})


_Terms = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(min_length=1)]
    fillers: _Terms
    covering: _Terms
    garments: _Terms
    chaste: _Terms
    censoring: _Terms
    grown: _Terms
    people: _Terms
