"""Rules: terms in their context, beside the names that the gazetteer knows.

``data/rules.toml`` holds the terms and the rules that combine them; operators edit it, and
nothing here knows a word. Names: safety.gazetteer.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from safety.gazetteer import DATA_DIR, Gazetteer, Mention
from safety.moderation import MINOR_NOTE, Named, PromptScores
from safety.normalize import normal_forms, plain
from safety.terms import TermIndex, blanked
from safety.verdict import Category

RULES_FILE = "rules.toml"

ASKED_STYLE = 1.0
NAMED_STYLE = 0.95
UNCERTAIN_STYLE = 0.7
MENTIONED_ARTIST = 0.3

MINOR_TERMS = "minor"
STYLE_TERMS = "style_of"
STYLE_REACH = 28
BEHIND_REACH = 3
BY_REACH = 4
MIN_AGE = 0
ADULT_AGE = 18
_BY = re.compile(r"(?:by|par|por|von|di)\b")
_LIKE = re.compile(r"[\s-]?esque\b|[\s-](?:inspired|styled|like)\b")
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
    names: Gazetteer

    @classmethod
    def load(cls, directory: Path = DATA_DIR) -> RuleBook:
        """Reads the folder; raises RulesInvalid. The version has the digest of the rules."""
        try:
            content = (directory / RULES_FILE).read_bytes()
            raw = _RulesFile.model_validate(tomllib.loads(content.decode()))
            return cls(
                version=f"{raw.version}+{hashlib.sha256(content).hexdigest()[:12]}",
                groups={name: tuple(terms) for name, terms in raw.groups.items()},
                ignore=tuple(raw.ignore),
                rules=tuple(rule.checked(raw.groups) for rule in raw.rules),
                names=Gazetteer.load(directory),
            )
        except (OSError, ValueError, tomllib.TOMLDecodeError) as error:
            raise RulesInvalid("The rules cannot be read.") from error


@dataclass(frozen=True, kw_only=True)
class RuleModerator:
    """Scores every category of the taxonomy by rules: 0 where no rule speaks.

    Names are told apart from the scores, so that a record can lift each. ``names`` gives those
    in force whenever it is asked; without it they are the shipped ones. The name carries the
    digests of the rules and of the names.
    """

    book: RuleBook
    promises: frozenset[Category] = field(default=frozenset(Category))
    names: Callable[[], Gazetteer] | None = None

    @property
    def name(self) -> str:
        return f"prompt-rules@{self.book.version}+names.{self._in_force().digest}"

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        """Total: any text gets a score for each category. Raises what ``names`` raises."""
        names = self._in_force()
        return [self._score(prompt, names) for prompt in prompts]

    def _in_force(self) -> Gazetteer:
        return self.book.names if self.names is None else self.names()

    def _score(self, prompt: str, names: Gazetteer) -> PromptScores:
        scores = dict.fromkeys(Category, 0.0)
        named: dict[tuple[Category, str], float] = {}
        notes: set[str] = set()
        for form in normal_forms(prompt):
            text = plain(form)
            ignored = self._ignored.spans(text)
            places = self._places(blanked(text, ignored))
            if places[MINOR_TERMS]:
                notes.add(MINOR_NOTE)
            for rule in self.book.rules:
                if _holds(rule, places):
                    scores[rule.category] = max(scores[rule.category], rule.score)
            for mention in names.mentions(text):
                if any(s <= mention.start and mention.end <= e for s, e in ignored):
                    continue
                key = (mention.name.category, mention.name.subject)
                score = _score_of(mention, text, places.get(STYLE_TERMS, ()))
                named[key] = max(score, named.get(key, 0.0))
        return PromptScores(
            scores=scores,
            notes=tuple(sorted(notes)),
            named=tuple(
                Named(category=category, subject=subject, score=score)
                for (category, subject), score in sorted(named.items())
            ),
        )

    def _places(self, text: str) -> dict[str, list[int]]:
        places = self._groups.places(text)
        places.setdefault(MINOR_TERMS, []).extend(_ages_of_minors(text))
        return places

    @cached_property
    def _ignored(self) -> TermIndex:
        return TermIndex({"ignore": self.book.ignore})

    @cached_property
    def _groups(self) -> TermIndex:
        return TermIndex(self.book.groups)


def _score_of(mention: Mention, text: str, styles: Sequence[int]) -> float:
    """An artist's name is an offence only as a style; for certain, where the name follows."""
    if mention.name.category is not Category.LIVING_ARTIST_STYLE:
        return mention.score
    if _LIKE.match(text, mention.end):
        return UNCERTAIN_STYLE if mention.loose else ASKED_STYLE
    if not styles:
        return MENTIONED_ARTIST
    if mention.loose:
        return UNCERTAIN_STYLE
    return ASKED_STYLE if any(_asks(mention, text, p) for p in styles) else NAMED_STYLE


def _asks(mention: Mention, text: str, place: int) -> bool:
    """True when the words of style at ``place`` belong to the name, before or behind it."""
    gap = mention.start - place
    if _BY.match(text, place):
        return 0 < gap <= BY_REACH
    return 0 < gap <= STYLE_REACH or 0 <= place - mention.end <= BEHIND_REACH


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
