"""The judge of text in pictures: what a picture says is judged as if it were a prompt."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from safety.moderation import Named, PromptModerator, PromptScores
from safety.ocr_page import Page
from safety.pictures import TELLING_SCORE, PictureScores
from safety.sampling import Frame, Frames, check_frames
from safety.verdict import Category, PictureNote

WORDS_HARM = frozenset(
    {
        Category.HATE,
        Category.HARASSMENT,
        Category.EXTREMISM_TERROR,
        Category.SELF_HARM,
        Category.SEXUAL_EXPLICIT,
        Category.ILLICIT,
        Category.POLITICAL_ELECTION,
        Category.DECEPTION_MISINFO,
        Category.IP_CHARACTER_BRAND,
    }
)
"""The categories in which words that are shown do harm themselves.

Left out on purpose: ``prompt_attack`` (a bad reading is no attack), violence, gore and
disturbing (the word is not the sight), people and artists (a name is no likeness), and what
only a whole request can show.
"""

MIN_LETTERS = 2
"""Fewer letters are no text: a round thing often reads as an "o"."""

MAX_TEXTS = 9
"""How many texts of one picture are judged by themselves; all of them are judged as one."""

MAX_REMEMBERED = 256

_log = logging.getLogger(__name__)


class PictureReader(Protocol):
    """Reads pictures; ``safety.ocr.TextReader`` is the real one."""

    @property
    def name(self) -> str: ...

    def load(self) -> None:
        """Opens what it needs now; raises safety.cards.WeightsMissing when that fails."""
        ...

    def read(self, frame: Frame) -> Page:
        """What one picture (uint8[H,W,3], RGB) says."""
        ...


@dataclass(frozen=True, kw_only=True)
class PictureTextJudge:
    """Scores pictures by what the prompt moderators say about the text in them.

    A picture without text scores 0 in every category. Where letters were seen and not read,
    or a moderator that promises a category says nothing about it, only scores that tell of an
    offence are given, and the others are left out, so that the gate holds the clip.
    The name has a digest of the moderators' names: what they know is part of the judgement.
    """

    reader: PictureReader
    moderators: tuple[PromptModerator, ...]
    categories: frozenset[Category] = field(default=WORDS_HARM)
    _remembered: dict[tuple[str, str], _Heard] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        known = "\n".join(_name(moderator) for moderator in self.moderators)
        digest = hashlib.sha256(known.encode()).hexdigest()[:12]
        return f"picture-text@{self.reader.name.replace('@', '.')}+{digest}"

    def load(self) -> None:
        """Opens the reader's weights now; raises WeightsMissing when that fails."""
        self.reader.load()

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB), scores in 0..1.

        Raises WeightsMissing, ValueError for a wrong array, RuntimeError for a failed model.
        """
        check_frames(frames)
        read = [self.reader.read(frame) for frame in frames]
        texts = [_texts(page) for page in read]
        heard = self._heard(tuple(dict.fromkeys(t for each in texts for t in each)))
        return tuple(
            self._row(page, [heard[text] for text in each])
            for page, each in zip(read, texts, strict=True)
        )

    def _row(self, page: Page, heard: Sequence[_Heard]) -> PictureScores:
        scores: dict[Category, float] = {}
        for category in self.categories:
            found = [score for one in heard for score in one.scores.get(category, ())]
            highest = _highest(found)
            complete = page.whole and all(category in one.complete for one in heard)
            if complete or not highest < TELLING_SCORE:
                scores[category] = highest
        return PictureScores(
            scores=scores,
            notes=frozenset({PictureNote.TEXT} if heard or not page.whole else ()),
            named=tuple(dict.fromkeys(named for one in heard for named in one.named)),
        )

    def _heard(self, texts: tuple[str, ...]) -> Mapping[str, _Heard]:
        """What all moderators say about each text; a caption stays for many frames."""
        if not texts:
            return {}
        judges = self.name
        known = {text: self._remembered.get((judges, text)) for text in texts}
        new = tuple(text for text, heard in known.items() if heard is None)
        answers = [_ask(moderator, new, self.categories) for moderator in self.moderators]
        fresh = {
            text: _together([answer[place] for answer in answers], self.categories)
            for place, text in enumerate(new)
        }
        if len(self._remembered) + len(fresh) > MAX_REMEMBERED:
            self._remembered.clear()
        if self.name == judges:
            for text, heard in fresh.items():
                if heard.complete >= self.categories:
                    self._remembered[judges, text] = heard
        return {text: heard or fresh[text] for text, heard in known.items()}


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What was said about one text: all scores, and the categories with none missing."""

    scores: Mapping[Category, tuple[float, ...]]
    named: tuple[Named, ...]
    complete: frozenset[Category]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What one moderator said about one text; ``missing`` is what it should have said too."""

    scores: Mapping[Category, float]
    named: tuple[Named, ...]
    promised: frozenset[Category]
    missing: frozenset[Category]


def _texts(page: Page) -> tuple[str, ...]:
    """The texts to judge: each by itself while they are few, and all of them as one."""
    texts = page.texts
    chosen = texts if len(texts) <= MAX_TEXTS else texts[-1:]
    return tuple(text for text in chosen if _letters(text) >= MIN_LETTERS)


def _letters(text: str) -> int:
    return sum(char.isalpha() for char in text)


def _ask(
    moderator: PromptModerator, texts: tuple[str, ...], categories: frozenset[Category]
) -> Sequence[_Answer]:
    """One answer per text; whatever goes wrong leaves every category missing."""
    if not texts:
        return ()
    try:
        promised = moderator.promises & categories
        rows = tuple(moderator.score(texts))
        if len(rows) == len(texts):
            return tuple(_answer(row, promised, categories) for row in rows)
        _log.error("moderator.miscounted %s", _name(moderator))
    except Exception as error:  # noqa: BLE001  # the picture is not judged, whatever it was
        _log.error("moderator.failed %s %s", _name(moderator), type(error).__name__)
    nothing = _Answer(scores={}, named=(), promised=frozenset(), missing=categories)
    return (nothing,) * len(texts)


def _answer(
    row: PromptScores, promised: frozenset[Category], categories: frozenset[Category]
) -> _Answer:
    scores = {c: float(score) for c, score in row.scores.items() if c in categories}
    return _Answer(
        scores=scores,
        named=tuple(named for named in row.named if named.category in categories),
        promised=promised,
        missing=promised - scores.keys(),
    )


def _together(answers: Sequence[_Answer], categories: frozenset[Category]) -> _Heard:
    promised = frozenset().union(*(answer.promised for answer in answers))
    missing = frozenset().union(*(answer.missing for answer in answers))
    return _Heard(
        scores={
            category: tuple(a.scores[category] for a in answers if category in a.scores)
            for category in categories
        },
        named=tuple(named for answer in answers for named in answer.named),
        complete=frozenset(categories & promised) - missing,
    )


def _highest(scores: Sequence[float]) -> float:
    """The highest score, 0 for none; one outside 0..1 (NaN too) wins."""
    broken = [score for score in scores if not 0.0 <= score <= 1.0]
    return broken[0] if broken else max(scores, default=0.0)


def _name(moderator: PromptModerator) -> str:
    try:
        return moderator.name
    except Exception:  # noqa: BLE001  # weights or names that cannot be opened
        return f"{type(moderator).__name__}@unavailable"
