"""Label maps: what the labels of a foreign moderator mean in our taxonomy."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safety.adapters.faults import GuardRefused
from safety.verdict import Category

MAPS_PATH = Path(__file__).parent / "label_maps.toml"

SAID_SCORE = 0.9
"""What a label counts that a guard names without a probability, if its map says nothing."""

STOP_FLOOR = 0.6
"""What a label counts at least once the guard itself decided against the text."""

_Label = Annotated[str, Field(min_length=1, max_length=100)]


class _TargetTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    categories: tuple[Category, ...] = Field(min_length=1)
    score: float | None = Field(default=None, ge=STOP_FLOOR, le=1.0)


class LabelTable(BaseModel):
    """A label map as TOML writes it; part of cards and of the built-in file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: dict[_Label, _TargetTable] = Field(default_factory=dict)
    benign: tuple[_Label, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Target:
    """The categories that a label means, and what it counts when it is only said."""

    categories: tuple[Category, ...]
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """Label → target for every label that matters; ``benign`` are those that do not.

    Promises that no label is both, and that at least one is mapped.
    """

    targets: Mapping[str, Target]
    benign: frozenset[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", MappingProxyType(dict(self.targets)))
        if not self.targets:
            raise GuardRefused("A label map maps no label to a category.")
        if self.benign & self.targets.keys():
            raise GuardRefused("A label map calls a label benign and maps it as well.")

    @classmethod
    def builtin(cls, family: str) -> LabelMap:
        """The map of a known family; raises GuardRefused when there is none."""
        tables = tomllib.loads(MAPS_PATH.read_text(encoding="utf-8"))
        if family not in tables:
            raise GuardRefused("There is no built-in label map of this name.")
        return cls._of(LabelTable.model_validate(tables[family]))

    @classmethod
    def parse(cls, family: str | None, table: Mapping[str, Any]) -> LabelMap:
        """``read`` from plain tables, as a settings file holds them. Raises GuardRefused."""
        try:
            return cls.read(family, LabelTable.model_validate(table))
        except ValidationError as error:
            raise GuardRefused("A label map cannot be read.") from error

    @classmethod
    def read(cls, family: str | None, table: LabelTable) -> LabelMap:
        """The built-in map of ``family``, if any, as ``table`` changes it."""
        own = frozenset(table.labels)
        if family is None:
            return cls._of(table)
        base = cls.builtin(family)
        kept = {k: v for k, v in base.targets.items() if k not in table.benign}
        return cls(
            targets={**kept, **_targets(table)},
            benign=(base.benign - own) | frozenset(table.benign),
        )

    @classmethod
    def _of(cls, table: LabelTable) -> LabelMap:
        return cls(targets=_targets(table), benign=frozenset(table.benign))

    @property
    def categories(self) -> frozenset[Category]:
        """Every category that some label means."""
        return frozenset(c for target in self.targets.values() for c in target.categories)

    @property
    def digest(self) -> str:
        """Twelve hex digits of the SHA-256 of the whole map."""
        content = {
            "labels": {k: [list(t.categories), t.score] for k, t in self.targets.items()},
            "benign": sorted(self.benign),
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]

    def check(self, labels: Iterable[str]) -> None:
        """Raises GuardRefused unless each of the labels is mapped or benign."""
        unknown = sorted({label for label in labels if not self.knows(label)})
        if unknown:
            shown = ", ".join(repr(label[:40]) for label in unknown[:5])
            raise GuardRefused(
                f"The guard has labels that are neither mapped nor benign: {shown}."
            )

    def check_all(self, labels: Iterable[str]) -> None:
        """``check``, and the other way round: each mapped label is one of ``labels``."""
        given = frozenset(labels)
        self.check(given)
        if absent := sorted(self.targets.keys() - given):
            shown = ", ".join(repr(label[:40]) for label in absent[:5])
            raise GuardRefused(f"The label map names labels that the guard has not: {shown}.")

    def knows(self, label: str) -> bool:
        """True when the label is mapped or benign."""
        return label in self.targets or label in self.benign


def _targets(table: LabelTable) -> dict[str, Target]:
    return {
        label: Target(categories=tuple(dict.fromkeys(t.categories)), score=t.score)
        for label, t in table.labels.items()
    }
