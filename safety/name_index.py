"""An index of names: whose name occurs where in a text, however it is written.

Names match word by word, joined ("mickeymouse"), parted ("god zilla"), inside a run of joined
words ("ilovemickeymouse"), with the endings of a genitive or another case, with an initial in
place of the first name, and surname first. Loosely, and marked so: with one letter wrong, and
written by sound in another script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from safety.lexicon import counts
from safety.sounds import skeleton, stem
from safety.terms import TOKEN, arabic_stems, is_unspaced, script_of

MAX_WORDS = 8
MIN_JOINED = 6
MIN_PARTED = 7
MIN_RUN_ON = 9
MIN_RUN = 12
MIN_MISSPELT = 8
MIN_MISSPELT_WORD = 4
MIN_MISSPELT_ALONE = 9
MAX_MISSPELT = 32
MIN_INITIAL_SURNAME = 6
MIN_REVERSED = 9
MIN_SOUNDS = 6
MIN_INFLECTED = 4
MAX_ENDING = 3
_LATIN_ENDINGS = frozenset({"s", "es"})
_OWN_WORDS = frozenset({"CJK", "HIRAGANA"})
# One letter off at the start mostly makes another word, unless it sounds the same.
_SAME_START = frozenset({"vw", "ck", "jy", "iy", "sz"})
_VERB_ENDINGS = ("s", "d", "r", "n")
# Katakana stands beside other Japanese letters without a space.
_SPOKEN = re.compile(r"[ァ-ヺー]+|[^\W_ァ-ヺー]+")
_CYRILLIC_VOWELS = "аеиоуыэюяьй"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Somebody or something under all its spellings, which are in plain form.

    Only persons have initials and cases.
    """

    spellings: tuple[str, ...]
    is_person: bool


class Found(NamedTuple):
    """Candidate number ``owner`` named at ``start`` to ``end``, counted in characters."""

    owner: int
    start: int
    end: int
    loose: bool


class _Spelling(NamedTuple):
    owner: int
    words: tuple[str, ...]
    initial: bool = False


class _Token(NamedTuple):
    word: str
    start: int
    end: int


class NameIndex:
    """Finds who is named in a text. Built once from the candidates, in their order."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._exact: dict[str, list[_Spelling]] = {}
        self._prefixes: set[str] = set()
        self._cases: dict[tuple[str, ...], list[int]] = {}
        self._sounds: dict[tuple[str, ...], list[int]] = {}
        self._misspelt: dict[str, list[tuple[_Spelling, int]]] = {}
        self._unspaced: dict[str, list[int]] = {}
        known = tuple(candidates)
        for owner, candidate in enumerate(known):
            for spelling in candidate.spellings:
                self._add(owner, spelling, is_person=candidate.is_person)
        self._add_initials(known)
        self._prefixes = {key[:n] for key in self._exact for n in range(1, len(key) + 1)}
        longest = sorted(self._unspaced, key=len, reverse=True)
        self._pattern = (
            re.compile(f"(?=({'|'.join(map(re.escape, longest))}))") if longest else None
        )

    def find(self, text: str) -> tuple[Found, ...]:
        """Who is named in ``text``, which must be in plain form; in the order of the text."""
        tokens = [_Token(m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)]
        common = counts()
        found = set(self._in_words(tokens, text))
        strange = [i for i, t in enumerate(tokens) if t.word.isascii() and t.word not in common]
        found.update(self._in_runs(tokens, strange))
        found.update(self._misspelt_in(tokens, strange))
        found.update(self._in_other_cases(tokens))
        if not text.isascii():
            found.update(self._by_sound(text))
            found.update(self._in_unspaced(text))
        return tuple(sorted(found - {f._replace(loose=True) for f in found if not f.loose}))

    # --- building ---------------------------------------------------------------------

    def _add(self, owner: int, clean: str, *, is_person: bool) -> None:
        if any(is_unspaced(c) for c in clean):
            self._unspaced.setdefault(clean, []).append(owner)
            return
        words = tuple(TOKEN.findall(clean))[:MAX_WORDS]
        if not words:
            return
        self._spell(_Spelling(owner, words))
        joined = "".join(words)
        if script_of(joined[0]) == "CYRILLIC" and len(words[-1]) > MIN_INFLECTED:
            bare = words[-1].rstrip(_CYRILLIC_VOWELS)
            if bare and bare != words[-1]:
                self._spell(_Spelling(owner, (*words[:-1], bare)))
        if joined.isascii() and MIN_MISSPELT <= len(joined) <= MAX_MISSPELT:
            self._add_misspellings(owner, words)
        if len(words) < 2:
            return
        if is_person or script_of(joined[0]) == "CYRILLIC":
            self._cases.setdefault(tuple(map(stem, words)), []).append(owner)
        sounds = tuple(skeleton(word) for word in words)
        if sum(map(len, sounds)) >= MIN_SOUNDS and all(sounds) and joined.isascii():
            self._sounds.setdefault(sounds, []).append(owner)
        if is_person:
            self._add_other_orders(owner, words, joined)

    def _add_misspellings(self, owner: int, words: tuple[str, ...]) -> None:
        """One wrong word of the name, or the whole name written as one word."""
        if len(words) == 1 and len(words[0]) < MIN_MISSPELT_ALONE:
            return
        for spelling in {_Spelling(owner, words), _Spelling(owner, ("".join(words),))}:
            for place, word in enumerate(spelling.words):
                if len(word) >= MIN_MISSPELT_WORD:
                    for key in _deletions(word):
                        self._misspelt.setdefault(key, []).append((spelling, place))

    def _add_other_orders(self, owner: int, words: tuple[str, ...], joined: str) -> None:
        full = tuple(word for word in words if len(word) > 1)
        if 2 <= len(full) < len(words) and len(words[0]) > 1:
            self._spell(_Spelling(owner, full))  # without a middle initial
        first, last = full[0] if full else "", full[-1] if full else ""
        rare = first not in counts() or last not in counts()
        if len(full) == 2 and rare and len(joined) >= MIN_REVERSED:
            self._spell(_Spelling(owner, (last, first)))

    def _add_initials(self, known: Sequence[Candidate]) -> None:
        """ "J. Depp" for Johnny Depp, where nobody else in the list could be meant."""
        owners: dict[tuple[str, str], set[int]] = {}
        for owner, candidate in enumerate(known):
            words = tuple(TOKEN.findall(candidate.spellings[0]))
            if candidate.is_person and len(words) == 2 and len(words[0]) > 1:
                owners.setdefault((words[0][0], words[1]), set()).add(owner)
        for (initial, surname), who in owners.items():
            long = len(surname) >= MIN_INITIAL_SURNAME and surname not in counts()
            if len(who) == 1 and long and surname.isascii():
                self._spell(_Spelling(next(iter(who)), (initial, surname), initial=True))

    def _spell(self, spelling: _Spelling) -> None:
        self._exact.setdefault("".join(spelling.words), []).append(spelling)

    # --- exact spellings --------------------------------------------------------------

    def _in_words(self, tokens: Sequence[_Token], text: str) -> Iterator[Found]:
        for i, token in enumerate(tokens):
            for variant in arabic_stems(token.word):
                written = variant
                for j in range(i, min(i + MAX_WORDS, len(tokens))):
                    if j > i:
                        written += tokens[j].word
                    for spelling, ending in self._spelt(written):
                        window = (variant, *(t.word for t in tokens[i + 1 : j + 1]))
                        if _fits(spelling, window, ending) and _is_dotted(
                            spelling, token, text
                        ):
                            yield Found(spelling.owner, token.start, tokens[j].end, loose=False)
                    if written not in self._prefixes:
                        break

    def _spelt(self, written: str) -> list[tuple[_Spelling, str]]:
        exact = self._exact
        found = [(spelling, "") for spelling in exact.get(written, ())]
        for size in range(1, min(MAX_ENDING, len(written) - 2) + 1):
            if (stemmed := written[:-size]) in exact:
                found += [(spelling, written[-size:]) for spelling in exact[stemmed]]
        return found

    def _in_runs(self, tokens: Sequence[_Token], strange: Sequence[int]) -> Iterator[Found]:
        for i in strange:
            word, start, end = tokens[i]
            if len(word) < MIN_RUN:
                continue
            for begin in range(len(word) - MIN_RUN_ON + 1):
                size = 1
                while (
                    begin + size <= len(word) and word[begin : begin + size] in self._prefixes
                ):
                    for spelling in self._exact.get(word[begin : begin + size], ()):
                        if size >= MIN_RUN_ON and len(spelling.words) > 1:
                            yield Found(spelling.owner, start, end, loose=False)
                    size += 1

    def _in_unspaced(self, text: str) -> Iterator[Found]:
        if self._pattern is None:
            return
        for match in self._pattern.finditer(text):
            for owner in self._unspaced[match.group(1)]:
                yield Found(owner, match.start(), match.end(1), loose=False)

    # --- loose spellings --------------------------------------------------------------

    def _in_other_cases(self, tokens: Sequence[_Token]) -> Iterator[Found]:
        """Names of several words whose words all carry the ending of a case."""
        stems = [stem(t.word) for t in tokens]
        for i in range(len(tokens) - 1):
            for size in (2, 3):
                window = tuple(stems[i : i + size])
                if len(window) == size:
                    for owner in self._cases.get(window, ()):
                        end = tokens[i + size - 1].end
                        yield Found(owner, tokens[i].start, end, loose=True)

    def _misspelt_in(self, tokens: Sequence[_Token], strange: Sequence[int]) -> Iterator[Found]:
        """Names in which one letter of one word is wrong, missing, too many or moved."""
        for i in strange:
            wrong = tokens[i].word
            if not MIN_MISSPELT_WORD - 1 <= len(wrong) <= MAX_MISSPELT:
                continue
            for key in _deletions(wrong):
                for (owner, words, _), place in self._misspelt.get(key, ()):
                    first, last = i - place, i - place + len(words) - 1
                    if first < 0 or last >= len(tokens):
                        continue
                    around = tuple(t.word for t in tokens[first : last + 1])
                    right = words[place]
                    if (
                        around[:place] == words[:place]
                        and around[place + 1 :] == words[place + 1 :]
                        and not (wrong[:-1] == right and wrong.endswith(_VERB_ENDINGS))
                        and _start_alike(right, wrong)
                        and _is_one_edit(right, wrong)
                    ):
                        yield Found(owner, tokens[first].start, tokens[last].end, loose=True)

    def _by_sound(self, text: str) -> Iterator[Found]:
        tokens = [_Token(m.group(), m.start(), m.end()) for m in _SPOKEN.finditer(text)]
        sounds = [skeleton(stem(t.word)) if _is_spelt_by_sound(t.word) else "" for t in tokens]
        for i in range(len(tokens) - 1):
            for size in (2, 3):
                heard = tuple(sounds[i : i + size])
                if len(heard) == size and all(heard):
                    for owner in self._sounds.get(heard, ()):
                        end = tokens[i + size - 1].end
                        yield Found(owner, tokens[i].start, end, loose=True)


def _fits(spelling: _Spelling, window: tuple[str, ...], ending: str) -> bool:
    """True when these words of a text may stand for the spelling.

    Word for word they may. Joined or parted otherwise, only where no ordinary word arises.
    """
    words = spelling.words
    if ending and not _is_ending(ending, words, window):
        return False
    stripped = (*window[:-1], window[-1][: len(window[-1]) - len(ending)])
    if stripped == words:
        return True
    letters = sum(map(len, words))
    if spelling.initial or not all(stripped):
        return False
    common = counts()
    if _bounds(stripped) <= _bounds(words):
        merged = (word for word in window if word not in words)
        return letters >= MIN_JOINED and not any(word in common for word in merged)
    return (
        letters >= MIN_PARTED
        and all(len(word) > 1 for word in window)
        and any(word not in common for word in window)
    )


def _is_ending(ending: str, words: tuple[str, ...], window: tuple[str, ...]) -> bool:
    """True for the ending of a case or plural, unless the whole is an ordinary word."""
    last = words[-1]
    if script_of(last[0]) == "CYRILLIC":
        return len(last) >= MIN_INFLECTED
    long = len(last) >= MIN_INFLECTED or len(words) > 1
    return ending in _LATIN_ENDINGS and long and len(window[-1]) > len(ending)


def _is_dotted(spelling: _Spelling, token: _Token, text: str) -> bool:
    return not spelling.initial or text[token.end : token.end + 1] == "."


def _bounds(words: Sequence[str]) -> set[int]:
    ends = [0]
    for word in words[:-1]:
        ends.append(ends[-1] + len(word))
    return set(ends[1:])


def _deletions(word: str) -> set[str]:
    """The word, and the word without each of its letters."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def _start_alike(one: str, other: str) -> bool:
    return one[0] == other[0] or "".join(sorted(one[0] + other[0])) in _SAME_START


def _is_one_edit(one: str, other: str) -> bool:
    """True for one substitution, insertion, deletion or swap of neighbours."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    head = 0
    while head < min(len(one), len(other)) and one[head] == other[head]:
        head += 1
    a, b = one[head:], other[head:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[1::-1] + a[2:] == b)


def _is_spelt_by_sound(word: str) -> bool:
    """True for a word in another script that could be a foreign name.

    Japanese writes foreign names in katakana alone; kanji say a meaning.
    """
    return not word.isascii() and not any(script_of(c) in _OWN_WORDS for c in word)
