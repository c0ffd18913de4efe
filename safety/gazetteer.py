"""The gazetteer: protected names with their ids, from the lists and from operators."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from safety.name_index import Candidate, NameIndex
from safety.normalize import plain
from safety.verdict import Category

DATA_DIR = Path(__file__).parent / "data"
FIGURES_FILE = "public_figures.csv"
PROPERTY_FILE = "characters_brands.csv"
ARTISTS_FILE = "artists.csv"

CERTAIN_NAME = 0.95
UNCERTAIN_NAME = 0.7

MAX_SUBJECT_CHARS = 80
MAX_NAME_CHARS = 120
MAX_ALIASES = 64
MIN_NAME_CHARS = 2
_SUBJECT = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_YES_NO: Final[Mapping[str, bool]] = {"yes": True, "no": False}

NAMED_CATEGORIES: Final = (
    Category.PUBLIC_FIGURE,
    Category.IP_CHARACTER_BRAND,
    Category.LIVING_ARTIST_STYLE,
)
"""The categories whose subjects have names. Each has a list; an id is unique in its list."""


class GazetteerInvalid(ValueError):
    """Raised when a name or a list of names is not of the documented form."""


@dataclass(frozen=True, kw_only=True)
class ProtectedName:
    """One subject under all the names that people write.

    ``subject`` is its id: small letters, digits and hyphens, for ever. ``certain`` is False
    for names that also mean something else. ``living`` False marks a dead artist, whose name
    is known here only so that nothing inside it is taken for another. ``neutral`` says in
    English what a rewrite may put instead: a style for an artist, a thing for a brand; ""
    where there is nothing. Raises GazetteerInvalid.
    """

    category: Category
    subject: str
    name: str
    aliases: tuple[str, ...] = ()
    certain: bool = True
    living: bool = True
    neutral: str = ""

    def __post_init__(self) -> None:
        require_subject(self.category, self.subject)
        if len(self.aliases) > MAX_ALIASES:
            raise GazetteerInvalid(f"{self.subject} has more than {MAX_ALIASES} aliases.")
        for written, letters in zip(self.spellings, self.plain_spellings, strict=True):
            if not MIN_NAME_CHARS <= len(letters) <= MAX_NAME_CHARS:
                raise GazetteerInvalid(
                    f"A name of {self.subject} is not {MIN_NAME_CHARS} to "
                    f"{MAX_NAME_CHARS} characters long."
                )
            if not any(c.isalpha() for c in letters) or {"|", "\n", "\r"} & set(written):
                raise GazetteerInvalid(f"A name of {self.subject} cannot be matched.")

    @property
    def spellings(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)

    @cached_property
    def plain_spellings(self) -> tuple[str, ...]:
        """The spellings in plain form, in which they are matched."""
        return tuple(map(plain, self.spellings))

    @property
    def score(self) -> float:
        """How sure a mention is that the subject is meant, in 0..1."""
        return CERTAIN_NAME if self.certain else UNCERTAIN_NAME


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A subject named in a text, at characters ``start`` to ``end`` of the text as given.

    ``loose`` is True where the spelling is only near to one in the list.
    """

    name: ProtectedName
    start: int
    end: int
    loose: bool

    @property
    def score(self) -> float:
        """The score of the name, that of an uncertain one where the spelling is loose."""
        return min(self.name.score, UNCERTAIN_NAME) if self.loose else self.name.score


@dataclass(frozen=True, kw_only=True)
class Gazetteer:
    """All names in force. ``digest`` (12 hex digits) changes with any of them."""

    names: tuple[ProtectedName, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        said = hashlib.sha256()
        for name in self.names:
            said.update(repr(name).encode())
        object.__setattr__(self, "digest", said.hexdigest()[:12])

    @classmethod
    def load(cls, directory: Path = DATA_DIR) -> Gazetteer:
        """Reads the three lists of a folder; raises GazetteerInvalid."""
        lists = zip(NAMED_CATEGORIES, (FIGURES_FILE, PROPERTY_FILE, ARTISTS_FILE), strict=True)
        names: list[ProtectedName] = []
        try:
            for category, file in lists:
                names += _read(category, (directory / file).read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise GazetteerInvalid("A list of names cannot be read.") from error
        return cls(names=tuple(names))

    def extended(self, more: Iterable[ProtectedName]) -> Gazetteer:
        """These names and more. A subject that is in both is known under all its names, and
        is certain, and living, when either says so.
        """
        merged = {(n.category, n.subject): n for n in self.names}
        for name in more:
            key = (name.category, name.subject)
            known = merged.get(key)
            merged[key] = name if known is None else _merged(known, name)
        return Gazetteer(names=tuple(merged.values()))

    def subject(self, category: Category, subject: str) -> ProtectedName | None:
        """The name behind an id, or None."""
        return self._by_id.get((category, subject))

    def subjects(self, category: Category, written: str) -> tuple[ProtectedName, ...]:
        """Whoever is listed under exactly this name, accents and case aside."""
        wanted = plain(written)
        return tuple(
            name
            for name in self.names
            if name.category is category and wanted in name.plain_spellings
        )

    def mentions(self, text: str) -> tuple[Mention, ...]:
        """Who is named in a text in plain form (``safety.normalize.plain``), in order.

        A name inside a longer one of the same list is not told apart from it ("Yoda" in
        "Baby Yoda"), and no name inside that of a dead artist is told.
        """
        found = [
            Mention(name=self.names[f.owner], start=f.start, end=f.end, loose=f.loose)
            for f in self._index.find(text)
        ]
        return tuple(m for m in found if m.name.living and not _is_inside_another(m, found))

    @cached_property
    def _by_id(self) -> dict[tuple[Category, str], ProtectedName]:
        return {(n.category, n.subject): n for n in self.names}

    @cached_property
    def _index(self) -> NameIndex:
        return NameIndex(
            Candidate(
                spellings=name.plain_spellings,
                is_person=name.category is not Category.IP_CHARACTER_BRAND,
            )
            for name in self.names
        )


def require_subject(category: Category, subject: str) -> None:
    """Returns for the id of a name in a list; raises GazetteerInvalid otherwise."""
    if category not in NAMED_CATEGORIES:
        raise GazetteerInvalid(f"{category.value} has no list of names.")
    require_id(subject)


def require_id(subject: str) -> None:
    """Returns for an id of the documented form; raises GazetteerInvalid otherwise."""
    if not (len(subject) <= MAX_SUBJECT_CHARS and _SUBJECT.fullmatch(subject)):
        raise GazetteerInvalid(
            "The id of a subject is small letters, digits and single hyphens, "
            f"at most {MAX_SUBJECT_CHARS}."
        )


def subject_of(name: str) -> str:
    """An id made from a name: "Beyoncé Knowles" gives beyonce-knowles.

    Raises GazetteerInvalid when nothing of the name can be written in Latin letters.
    """
    from anyascii import anyascii

    latin = anyascii(name).lower().replace("'", "")
    made = re.sub(r"[^a-z0-9]+", "-", latin).strip("-")[:MAX_SUBJECT_CHARS].rstrip("-")
    if made:
        return made
    raise GazetteerInvalid("No id can be made from this name; give one.")


def _is_inside_another(mention: Mention, found: Sequence[Mention]) -> bool:
    return any(
        other.start <= mention.start
        and mention.end <= other.end
        and other.end - other.start > mention.end - mention.start
        and (mention.loose or not other.loose)
        and (other.name.category is mention.name.category or not other.name.living)
        for other in found
    )


def _merged(known: ProtectedName, other: ProtectedName) -> ProtectedName:
    aliases = dict.fromkeys((*known.aliases, *other.spellings))
    aliases.pop(known.name, None)
    return ProtectedName(
        category=known.category,
        subject=known.subject,
        name=known.name,
        aliases=tuple(aliases),
        certain=known.certain or other.certain,
        living=known.living or other.living,
        neutral=other.neutral or known.neutral,
    )


def _read(category: Category, content: str) -> Iterator[ProtectedName]:
    """The names of one list. Raises GazetteerInvalid for a row that is not as documented."""
    seen: set[str] = set()
    for line, row in enumerate(csv.DictReader(io.StringIO(content, newline="")), start=2):
        try:
            name = ProtectedName(
                category=category,
                subject=row["id"],
                name=row["name"],
                aliases=tuple(alias for alias in row["aliases"].split("|") if alias),
                certain=_YES_NO[row.get("certain", "yes")],
                living=_YES_NO[row.get("living", "yes")],
                neutral=row.get("neutral") or "",
            )
        except (KeyError, AttributeError, TypeError, GazetteerInvalid) as error:
            raise GazetteerInvalid(f"Line {line} of a list of names: {error}") from error
        if name.subject in seen:
            raise GazetteerInvalid(f"The id {name.subject} stands twice in one list.")
        seen.add(name.subject)
        yield name
