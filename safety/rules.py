"""Rules: terms in their context, and names that are protected, as data.

Three files in ``data/`` hold names (public figures, characters and brands, artists), one holds
terms and the rules that combine them. Operators edit them; nothing here knows a word.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from safety.moderation import MINOR_NOTE, PromptScores
from safety.normalize import normal_forms, plain
from safety.terms import TermIndex
from safety.verdict import Category

DATA_DIR = Path(__file__).parent / "data"
RULES_FILE = "rules.toml"
FIGURES_FILE = "public_figures.csv"
PROPERTY_FILE = "characters_brands.csv"
ARTISTS_FILE = "artists.csv"

CERTAIN_NAME = 0.95
UNCERTAIN_NAME = 0.7
NAMED_STYLE = 0.95
MENTIONED_ARTIST = 0.3

MINOR_TERMS = "minor"
STYLE_TERMS = "style_of"
MIN_AGE = 0
ADULT_AGE = 18
_AGE = re.compile(
    r"(?<![\d.,:/-])(\d{1,2})(?:\s*-?\s*(?:years?[\s-]*old|yrs?[\s-]*old|y\s?/?\s?o\b|year[\s-]*old"
    r"|ans\b|anos\b|anni\b|jahre?n?\b|jahrige[rsn]?\b|jarige\b|лет\b|год|года\b|سنة|سنوات|عام)"
    r"|\s*(?:岁|歲|歳|才|살|세))"
)


class RulesInvalid(ValueError):
    """Raised when a rules file or a list of names cannot be read."""


@dataclass(frozen=True, kw_only=True)
class TermRule:
    """Scores ``category`` when every group of ``needs`` occurs and none of ``unless``.

    ``needs`` is a tuple of alternatives: one group out of each must occur, all within
    ``within`` characters of each other (None: anywhere in the text).
    """

    id: str
    category: Category
    score: float
    needs: tuple[tuple[str, ...], ...]
    unless: tuple[str, ...]
    within: int | None


@dataclass(frozen=True, kw_only=True)
class RuleBook:
    """Everything the rules know, read from one folder."""

    version: str
    groups: Mapping[str, tuple[str, ...]]
    ignore: tuple[str, ...]
    rules: tuple[TermRule, ...]
    figures: tuple[tuple[str, float], ...]
    properties: tuple[tuple[str, float], ...]
    artists: tuple[str, ...]

    @classmethod
    def load(cls, directory: Path = DATA_DIR) -> RuleBook:
        """Reads the folder; raises RulesInvalid. The version carries a digest of its files."""
        try:
            content = {
                name: (directory / name).read_bytes()
                for name in (RULES_FILE, FIGURES_FILE, PROPERTY_FILE, ARTISTS_FILE)
            }
            raw = _RulesFile.model_validate(tomllib.loads(content[RULES_FILE].decode()))
            digest = hashlib.sha256(b"\0".join(content[n] for n in sorted(content)))
            return cls(
                version=f"{raw.version}+{digest.hexdigest()[:12]}",
                groups={name: tuple(terms) for name, terms in raw.groups.items()},
                ignore=tuple(raw.ignore),
                rules=tuple(rule.checked(raw.groups) for rule in raw.rules),
                figures=tuple(_named(content[FIGURES_FILE])),
                properties=tuple(_named(content[PROPERTY_FILE])),
                artists=tuple(_living(content[ARTISTS_FILE])),
            )
        except (OSError, KeyError, ValueError, tomllib.TOMLDecodeError) as error:
            raise RulesInvalid("The rules cannot be read.") from error


@dataclass(frozen=True, kw_only=True)
class RuleModerator:
    """Scores every category of the taxonomy by rules: 0 where no rule speaks."""

    book: RuleBook
    promises: frozenset[Category] = field(default=frozenset(Category))

    @property
    def name(self) -> str:
        return f"prompt-rules@{self.book.version}"

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        """Total: any text gets a score for each category."""
        return [self._score(prompt) for prompt in prompts]

    def _score(self, prompt: str) -> PromptScores:
        scores = dict.fromkeys(Category, 0.0)
        notes: set[str] = set()
        for form in normal_forms(prompt):
            text = plain(form)
            for category, score in self._found(text, notes):
                scores[category] = max(scores[category], score)
        return PromptScores(scores=scores, notes=tuple(sorted(notes)))

    def _found(self, text: str, notes: set[str]) -> Iterator[tuple[Category, float]]:
        text = self._ignored.blank(text)
        places = self._groups.places(text)
        places.setdefault(MINOR_TERMS, []).extend(_ages_of_minors(text))
        if places[MINOR_TERMS]:
            notes.add(MINOR_NOTE)
        for rule in self.book.rules:
            if _holds(rule, places):
                yield rule.category, rule.score
        for found in self._names.places(text):
            kind, score = found.split(":", 1)
            if kind == "artist":
                styled = bool(places.get(STYLE_TERMS))
                yield Category.LIVING_ARTIST_STYLE, NAMED_STYLE if styled else MENTIONED_ARTIST
            else:
                yield Category(kind), float(score)

    @cached_property
    def _ignored(self) -> TermIndex:
        return TermIndex({"ignore": self.book.ignore})

    @cached_property
    def _groups(self) -> TermIndex:
        return TermIndex(self.book.groups)

    @cached_property
    def _names(self) -> TermIndex:
        groups: dict[str, list[str]] = {}
        for category, names in (
            (Category.PUBLIC_FIGURE, self.book.figures),
            (Category.IP_CHARACTER_BRAND, self.book.properties),
        ):
            for name, score in names:
                groups.setdefault(f"{category.value}:{score}", []).append(name)
        groups["artist:"] = list(self.book.artists)
        return TermIndex({key: tuple(names) for key, names in groups.items()}, inflected=True)


def _holds(rule: TermRule, places: Mapping[str, Sequence[int]]) -> bool:
    if any(places.get(group) for group in rule.unless):
        return False
    found = [
        sorted(p for g in alternatives for p in places.get(g, ()))
        for alternatives in rule.needs
    ]
    if not all(found):
        return False
    if rule.within is None or len(found) == 1:
        return True
    return any(
        all(any(abs(place - anchor) <= rule.within for place in others) for others in found[1:])
        for anchor in found[0]
    )


def _ages_of_minors(text: str) -> list[int]:
    return [m.start() for m in _AGE.finditer(text) if MIN_AGE < int(m.group(1)) < ADULT_AGE]


def _named(content: bytes) -> Iterator[tuple[str, float]]:
    for row in csv.DictReader(content.decode("utf-8").splitlines()):
        score = {"yes": CERTAIN_NAME, "no": UNCERTAIN_NAME}[row["certain"]]
        for name in (row["name"], *row["aliases"].split("|")):
            if name:
                yield name, score


def _living(content: bytes) -> Iterator[str]:
    for row in csv.DictReader(content.decode("utf-8").splitlines()):
        if {"yes": True, "no": False}[row["living"]]:
            yield from (name for name in (row["name"], *row["aliases"].split("|")) if name)


class _RuleFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    category: Category
    score: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
    needs: Annotated[list[str | list[str]], Field(min_length=1)]
    unless: list[str] = Field(default_factory=list)
    within: Annotated[int, Field(gt=0)] | None = None

    def checked(self, groups: Mapping[str, object]) -> TermRule:
        needs = tuple((n,) if isinstance(n, str) else tuple(n) for n in self.needs)
        for group in (*self.unless, *(g for alternatives in needs for g in alternatives)):
            if group not in groups:
                raise ValueError(f"The rule {self.id} names an unknown group of terms.")
        return TermRule(
            id=self.id,
            category=self.category,
            score=self.score,
            needs=needs,
            unless=tuple(self.unless),
            within=self.within,
        )


class _RulesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(min_length=1)]
    ignore: list[str]
    groups: dict[str, list[Annotated[str, Field(min_length=1)]]]
    rules: Annotated[list[_RuleFile], Field(min_length=1)]
