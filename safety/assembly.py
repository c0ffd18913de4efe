"""Assembly: things that are harmless one by one, and whose order in a story is not.

A chain names groups of terms; it is found when the parts of a sequence hold all of them and no
part does. Terms are data (``data/assembly.toml``), matched as those of the rules.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safety.normalize import normal_forms, plain
from safety.terms import TermIndex
from safety.verdict import Category

ASSEMBLY_FILE = Path(__file__).parent / "data" / "assembly.toml"
MIN_STEPS = 2


class AssemblyInvalid(ValueError):
    """Raised when the chains cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Steps that add up to ``category``.

    Of every step one group must occur, and of ``unless`` none.
    """

    id: str
    category: Category
    steps: tuple[tuple[str, ...], ...]
    unless: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AssemblyRules:
    """All chains. ``reach`` is how many earlier prompts they look back on."""

    version: str
    reach: int
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    chains: tuple[Chain, ...]

    @classmethod
    def load(cls, path: Path = ASSEMBLY_FILE) -> AssemblyRules:
        """Reads the file; raises AssemblyInvalid. The version carries its digest."""
        try:
            content = path.read_bytes()
            raw = _File.model_validate(tomllib.loads(content.decode()))
            return cls(
                version=f"{raw.version}+{hashlib.sha256(content).hexdigest()[:12]}",
                reach=raw.reach,
                groups=tuple((name, tuple(terms)) for name, terms in raw.groups.items()),
                chains=tuple(chain.checked(set(raw.groups)) for chain in raw.chains),
            )
        except (OSError, ValueError, ValidationError) as error:
            raise AssemblyInvalid("The chains cannot be read.") from error

    @property
    def name(self) -> str:
        """``name@version`` for the audit log."""
        return f"assembly-rules@{self.version}"

    def found(self, earlier: Sequence[str], new: Sequence[str]) -> tuple[Category, ...]:
        """What the new texts complete: the earlier ones alone do not, and no text does.

        Never raises. At most ``reach`` earlier texts are looked at, the last ones.
        """
        if not new:
            return ()
        before = [self._groups_in(text) for text in earlier[-self.reach :]]
        added = [self._groups_in(text) for text in new]
        found = dict.fromkeys(
            chain.category
            for chain in self.chains
            if _spans(chain, [*before, *added])
            and not _covers(chain, frozenset().union(*before))
        )
        return tuple(found)

    def _groups_in(self, text: str) -> frozenset[str]:
        return frozenset(
            group for form in normal_forms(text) for group in self._index.places(plain(form))
        )

    @cached_property
    def _index(self) -> TermIndex:
        return TermIndex(dict(self.groups))


def _spans(chain: Chain, parts: Sequence[frozenset[str]]) -> bool:
    """Whether the parts cover the chain together, and none of them by itself.

    Only parts with a step of the chain count: a word that lifts it does so beside a step.
    """
    steps = frozenset(group for step in chain.steps for group in step)
    links = [part for part in parts if part & steps]
    together = frozenset().union(*links)
    return (
        _covers(chain, together)
        and not together.intersection(chain.unless)
        and not any(_covers(chain, part) for part in links)
    )


def _covers(chain: Chain, groups: frozenset[str]) -> bool:
    return all(groups.intersection(step) for step in chain.steps)


class _ChainFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    category: Category
    steps: Annotated[list[str | list[str]], Field(min_length=MIN_STEPS)]
    unless: list[str] = Field(default_factory=list)

    def checked(self, groups: set[str]) -> Chain:
        steps = tuple((s,) if isinstance(s, str) else tuple(s) for s in self.steps)
        for group in (*self.unless, *(g for step in steps for g in step)):
            if group not in groups:
                raise ValueError(f"The chain {self.id} names an unknown group of terms.")
        return Chain(id=self.id, category=self.category, steps=steps, unless=tuple(self.unless))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(min_length=1)]
    reach: Annotated[int, Field(ge=1, le=20)]
    groups: dict[str, Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]]
    chains: list[_ChainFile]
