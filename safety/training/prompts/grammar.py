"""The grammar that builds our own prompts out of the files in ``own/``.

A row is a sentence of a category (positive or near miss) or an everyday scene, framed with
camera talk and scenery that are the same for all of them, so that neither language nor length
nor register tells harmful from harmless. Deterministic for a given seed.
"""

from __future__ import annotations

import csv
import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety.verdict import Category

OWN = Path(__file__).parent / "own"
DATA = Path(__file__).parents[2] / "data"
NO_SPACES = frozenset({"zh", "ja"})
_SLOT = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One prompt. ``positive`` and ``unknown`` name categories; all the others are negative."""

    text: str
    lang: str
    positive: frozenset[Category]
    unknown: frozenset[Category]
    kind: str


class Grammar:
    """Expands the sentences of ``own/``; every draw comes from one seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._common: dict[str, Any] = tomllib.loads((OWN / "common.toml").read_text("utf-8"))
        self._files = [
            tomllib.loads(path.read_text("utf-8"))
            for path in sorted(OWN.glob("*.toml"))
            if path.stem != "common"
        ]
        self._names = {
            "figure": _names("public_figures.csv", {"certain": "yes"}),
            "character": _names("characters_brands.csv", {}, other_than={"kind": "brand"}),
            "brand": _names("characters_brands.csv", {"kind": "brand"}),
        }

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._common)

    def everyday(self, lang: str) -> Row:
        """A benign scene."""
        part = self._common[lang]
        pick = self._random.choice
        order = ("who", "where", "does") if lang in NO_SPACES else ("who", "does", "where")
        scene = ("" if lang in NO_SPACES else " ").join(pick(part[k]) for k in order)
        return self._row(scene, lang, frozenset(), frozenset(), "everyday")

    def rows(self, per_sentence: Mapping[str, int]) -> list[Row]:
        """Positive and near-miss rows; ``per_sentence`` says how many tries per language."""
        found: list[Row] = []
        for file in self._files:
            category = Category(file["category"])
            unknown = frozenset(Category(c) for c in file["mask"])
            slots = file.get("slots", {})
            for lang in self.languages:
                part = file.get(lang, {})
                tries = per_sentence.get(lang, per_sentence["*"])
                for sentence in part.get("positive", ()):
                    for _ in range(tries):
                        text = self._expand(sentence, slots)
                        found.append(
                            self._row(text, lang, frozenset({category}), unknown, "positive")
                        )
                for sentence in part.get("near", ()):
                    for _ in range(tries):
                        text = self._expand(sentence, slots)
                        found.append(self._row(text, lang, frozenset(), frozenset(), "near"))
        return list({row.text: row for row in found}.values())

    def _row(
        self,
        scene: str,
        lang: str,
        positive: frozenset[Category],
        unknown: frozenset[Category],
        kind: str,
    ) -> Row:
        text = self._framed(scene, lang)
        return Row(text=text, lang=lang, positive=positive, unknown=unknown, kind=kind)

    def _expand(self, sentence: str, slots: Mapping[str, Sequence[str]]) -> str:
        for _ in range(40):
            match = _SLOT.search(sentence)
            if match is None:
                break
            inner = match.group(1)
            if inner in slots:
                choice = self._random.choice(slots[inner])
            elif inner in self._names:
                choice = self._random.choice(self._names[inner])
            else:
                choice = self._random.choice(inner.split("|"))
            sentence = sentence[: match.start()] + choice + sentence[match.end() :]
        return sentence

    def _framed(self, scene: str, lang: str) -> str:
        part, draw, pick = self._common[lang], self._random.random, self._random.choice
        glue = "" if lang in NO_SPACES else " "
        if draw() < 0.4:
            scene = f"{pick(part['before'])}{glue}{scene}"
        if draw() < 0.4:
            scene = f"{scene}{pick(part['after'])}"
        if draw() < 0.35:
            ending = "。" if lang in NO_SPACES else "."
            sentences = self._random.sample(part["scenery"], k=self._random.randint(1, 3))
            place = self._random.randint(0, len(sentences))
            sentences.insert(place, scene.rstrip(".。") + ending)
            scene = glue.join(sentences)
        if draw() < 0.3:
            scene = scene[:1].upper() + scene[1:]
        return scene


def _names(
    filename: str, where: Mapping[str, str], other_than: Mapping[str, str] | None = None
) -> list[str]:
    with (DATA / filename).open(encoding="utf-8", newline="") as stream:
        return [
            row["name"]
            for row in csv.DictReader(stream)
            if all(row[k] == v for k, v in where.items())
            and all(row[k] != v for k, v in (other_than or {}).items())
        ]
