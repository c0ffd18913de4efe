"""The mask: takes the names of granted subjects out of a prompt, so that the rest is judged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from safety.circumstances import Grant
from safety.gazetteer import Gazetteer
from safety.normalize import normal_forms, plain
from safety.verdict import Category

NEUTRAL_WORDS = {
    Category.PUBLIC_FIGURE: "a person",
    Category.IP_CHARACTER_BRAND: "a character",
    Category.LIVING_ARTIST_STYLE: "an artist",
}


@dataclass(frozen=True, kw_only=True)
class Span:
    """Characters ``start`` to ``end`` of a text as it was written, where somebody is named."""

    grant: Grant
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class NameMask:
    """Puts a neutral word in the place of names. ``names`` gives those in force."""

    names: Callable[[], Gazetteer]

    def masked(self, prompt: str, granted: Collection[Grant]) -> str | None:
        """The prompt with a neutral word for each granted subject.

        None when one of them can still be read in some normal form of the result, as in a
        disguised text, or when none was there.
        """
        names = self.names()
        wanted = [s for s in spans(prompt, names) if s.grant in granted]
        if not wanted:
            return None
        text = prompt
        for span in reversed(apart(wanted)):
            word = NEUTRAL_WORDS[span.grant.category]
            text = text[: span.start] + word + text[span.end :]
        left = (m for form in normal_forms(text) for m in names.mentions(plain(form)))
        if any(_grant(m.name.category, m.name.subject) in granted for m in left):
            return None
        return text


def spans(text: str, names: Gazetteer) -> tuple[Span, ...]:
    """Who is named where in a text as it was written, disguises aside; in order."""
    letters, places = _aligned(text)
    return tuple(
        Span(
            grant=_grant(m.name.category, m.name.subject),
            start=places[m.start],
            end=places[m.end - 1] + 1,
        )
        for m in names.mentions(letters)
    )


def apart(found: Collection[Span]) -> tuple[Span, ...]:
    """Spans that do not touch each other, the longest of those that do; in order."""
    kept: list[Span] = []
    for span in sorted(found, key=lambda s: (s.start - s.end, s.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return tuple(sorted(kept, key=lambda s: s.start))


def _grant(category: Category, subject: str) -> Grant:
    return Grant(category=category, subject=subject)


def _aligned(text: str) -> tuple[str, list[int]]:
    """A plain form of ``text``, and where each of its characters comes from."""
    letters: list[str] = []
    places: list[int] = []
    for place, form in _plain_characters(text):
        letters.append(form)
        places += [place] * len(form)
    return "".join(letters), places


def _plain_characters(text: str) -> Iterator[tuple[int, str]]:
    folded = plain(text)
    if len(folded) == len(text):
        yield from enumerate(folded)
        return
    for place, char in enumerate(text):
        yield place, " " if char.isspace() else plain(char)
