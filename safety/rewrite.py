"""Rewrites: another wording for a prompt that asks for a living artist's style or a brand.

An offer only: nothing is ever rewritten without the creator, who sends the offered words as a
prompt of their own. What stands in for a name is data (the column ``neutral`` of the lists).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from safety.circumstances import Grant
from safety.gazetteer import Gazetteer, ProtectedName
from safety.masking import Span, apart, spans
from safety.normalize import normal_forms, plain
from safety.verdict import Category

DEFAULT_STYLE = "a painterly illustrated style"
UNNAMED = "a contemporary artist"
MAX_OFFER_CHARS = 20_000

# One character of the private use area stands for each name while patterns are matched.
_FIRST, _LAST = 0xE000, 0xF8FF
_NAME = f"[{chr(_FIRST)}-{chr(_LAST)}]"
_GROUP = rf"({_NAME}(?:\s*(?:,\s*and|,|and|&|\+|und|et|y|e|и|和|と|、)\s*{_NAME})*)(?:['’]s)?"
_STYLE = r"(?:style|styles|manner|aesthetic|look|technique|spirit|vein)"
_MADE = (
    r"(?:painted|drawn|illustrated|designed|directed|filmed|photographed|created|made|rendered"
    r"|artwork|art|painting|illustration|film|movie|photo|photograph|animation)"
)

# "{style}" is the whole phrase ("a stencilled street-art style"), "{bare}" its core.
_ENGLISH: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        ((rf"\b(?:in|with|using|after)\s+(?:the|a)\s+(?:\w+\s+){{0,2}}{_STYLE}\s+of\s+{_GROUP}"
         r"(?:\s+(?:films?|movies?|paintings?|works?|art))?"), "in {style}"),
        (rf"\b(?:in|with)\s+(?:the\s+)?{_GROUP}[\s-]+{_STYLE}\b", "in {style}"),
        (rf"\b(?:inspired|influenced)\s+by\s+(?:the\s+(?:\w+\s+)?of\s+)?{_GROUP}",
         "in {style}"),
        (rf"\b({_MADE})\s+by\s+{_GROUP}", r"\1 in {style}"),
        (rf"\b(?:{_STYLE}|art|artwork|works?|paintings?|films?)\s+(?:of|by)\s+{_GROUP}",
         "{style}"),
        ((rf"{_GROUP}[\s-]*(?:-?esque\b|[\s-]inspired\b|[\s-]styled?\b|[\s-]like\b"
         r"|[\s-]aesthetic\b)"), "{bare}"),
        (rf"\b(?:by|à la|a la)\s+{_GROUP}", "in {style}"),
    )
)  # fmt: skip
_OTHERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (rf"(?:dans|à)\s+(?:le|la)\s+(?:style|manière)\s+(?:de\s+|d['’]\s*){_GROUP}",
         "dans un style pictural illustré"),
        (rf"\b(?:al|en\s+el|con\s+el)\s+estilo\s+de\s+{_GROUP}",
         "en un estilo pictórico ilustrado"),
        (rf"\bim\s+Stile?\s+(?:von\s+)?{_GROUP}", "in einem malerischen Illustrationsstil"),
        (rf"\bnello\s+stile\s+di\s+{_GROUP}", "in uno stile pittorico illustrato"),
        (rf"\bn?o\s+estilo\s+d[eo]\s+{_GROUP}", "num estilo pictórico ilustrado"),
        (rf"\bв\s+стиле\s+{_GROUP}", "в живописном иллюстративном стиле"),
        (rf"(?:以|用)?{_GROUP}的?(?:绘画|动画|电影)?(?:风格|風格|风)", "绘画插画风格"),
        (rf"{_GROUP}の?(?:スタイル|画風|作風|風)", "絵画的なイラスト風"),
        (rf"بأسلوب\s+{_GROUP}", "بأسلوب رسم توضيحي"),
    )
)  # fmt: skip
_ANY_NAME = re.compile(_NAME)


@dataclass(frozen=True, kw_only=True)
class Rewriter:
    """Offers rewrites. ``names`` gives the names in force."""

    names: Callable[[], Gazetteer]

    def offer(self, prompt: str, *, granted: Collection[Grant] = ()) -> str | None:
        """Another wording without the living artists and brands that ``granted`` leaves out.

        None when there is nothing to rewrite, when somebody else is named (a person, a
        character: no wording helps), when an artist is not named as a style, or when a name
        could still be read in the result. Whether the offer passes is for the gate to say.
        """
        names = self.names()
        found = [s for s in spans(prompt, names) if s.grant not in granted]
        subjects = {s.grant: names.subject(s.grant.category, s.grant.subject) for s in found}
        if not found or not all(map(_is_replaceable, subjects.values())):
            return None
        marked = _marked(prompt, apart(found))
        if marked is None:
            return None
        text = _without_brands(marked, subjects)
        if _ANY_NAME.search(text.words) is None:
            offered: str | None = text.words
        else:
            offered = _without_artists(text, subjects)
        if offered is None or len(offered) > MAX_OFFER_CHARS:
            return None
        left = (m for form in normal_forms(offered) for m in names.mentions(plain(form)))
        known = {Grant(category=m.name.category, subject=m.name.subject) for m in left}
        return None if known - set(granted) else offered


@dataclass(frozen=True)
class _Marked:
    """A text with one private character for each name, and whose each is."""

    words: str
    owners: dict[str, Grant]


def _is_replaceable(name: ProtectedName | None) -> bool:
    if name is None:
        return False
    if name.category is Category.LIVING_ARTIST_STYLE:
        return True
    return name.category is Category.IP_CHARACTER_BRAND and bool(name.neutral)


def _marked(prompt: str, found: tuple[Span, ...]) -> _Marked | None:
    if _ANY_NAME.search(prompt) or len(found) > _LAST - _FIRST:
        return None
    text, owners = prompt, {}
    for number, span in reversed(list(enumerate(found))):
        mark = chr(_FIRST + number)
        owners[mark] = span.grant
        text = text[: span.start] + mark + text[span.end :]
    return _Marked(text, owners)


def _without_brands(marked: _Marked, subjects: dict[Grant, ProtectedName | None]) -> _Marked:
    """Puts a thing in the place of each brand, with the article that fits it."""
    text = marked.words
    for mark, grant in marked.owners.items():
        name = subjects[grant]
        if name is None or name.category is not Category.IP_CHARACTER_BRAND:
            continue
        thing = name.neutral
        after = re.compile(
            rf"(?:\b([Aa])n?(\s+))?{mark}(?:['’]s)?(\s+{thing.split()[-1]}\b)?", re.I
        )

        def put(match: re.Match[str], thing: str = thing) -> str:
            if match.group(1) is None:
                return thing
            article = match.group(1) + ("n" if thing[0] in "aeiou" else "")
            return f"{article}{match.group(2)}{thing}"

        text = after.sub(put, text)
    return _Marked(text, marked.owners)


def _without_artists(
    marked: _Marked, subjects: dict[Grant, ProtectedName | None]
) -> str | None:
    """Describes the style in the place of its artist; None where no style is asked for."""

    def style(group: str) -> str:
        names = (subjects[marked.owners[mark]] for mark in _ANY_NAME.findall(group))
        said = dict.fromkeys((n.neutral if n else "") or DEFAULT_STYLE for n in names)
        return " and ".join(said)

    text, changed = marked.words, False
    for pattern, words in (*_ENGLISH, *_OTHERS):

        def put(match: re.Match[str], words: str = words) -> str:
            whole = style(match.groups()[-1])
            bare = re.split(r" (?:with|in|of|by) ", whole.split(" ", 1)[1])[0]
            first = match.group(1) if r"\1" in words else ""
            return words.replace(r"\1", first).format(style=whole, bare=bare)

        text, count = pattern.subn(put, text)
        changed = changed or count > 0
    if not changed:
        return None
    if _ANY_NAME.search(text):
        if not _reads_as_english(text):
            return None
        text = _ANY_NAME.sub(UNNAMED, text)
    return re.sub(r"[ \t]{2,}", " ", text).strip()


def _reads_as_english(text: str) -> bool:
    return sum(c.isascii() for c in text) > 0.9 * len(text)
