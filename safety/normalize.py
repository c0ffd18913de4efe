"""Normal forms of a prompt: the text as a reader would see it, with disguises undone.

The first form is the text itself, folded (NFKC, lower case, no invisible characters, no marks
piled on letters). Each further form undoes one kind of disguise, and exists only when the text
shows a trace of that disguise, so that plain text has exactly one form. Judges look at every
form; a disguise is no offence in itself.

Sources: Unicode UAX #15 (NFKC), UTS #39 (confusables), UAX #44 (Default_Ignorable).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache

from safety.cipher import deciphered, spelled_emoji
from safety.lexicon import known_share, parted
from safety.packed import unpacked, without_markup

MAX_TEXT_CHARS = 20_000
"""Longer texts are cut here; whoever lets them in must hold them (see is_too_long)."""

MAX_FORMS = 16
MIN_SPELLED_LETTERS = 3
MAX_WORD_LETTERS = 24

_LATIN_LIKE = ("LATIN", "GREEK", "CYRILLIC")
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]"  # blank, no character, private use
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ARABIC_MARKS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
_SPACES = re.compile(r"\s+")
_TOKEN = re.compile(r"\S+")
_WORD = re.compile(r"[^\W_]+")

# Letters that UTS #39 does not list, or lists another way than writers use them.
_EXTRA_CONFUSABLES = {
    "ı": "i", "ɩ": "i", "ɡ": "g", "ɑ": "a", "ⅼ": "l", "ᴀ": "a", "ʙ": "b", "ᴄ": "c", "ᴅ": "d",
    "ᴇ": "e", "ꜰ": "f", "ɢ": "g", "ʜ": "h", "ɪ": "i", "ᴊ": "j", "ᴋ": "k", "ʟ": "l", "ᴍ": "m",
    "ɴ": "n", "ᴏ": "o", "ᴘ": "p", "ʀ": "r", "ꜱ": "s", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v", "ᴡ": "w",
    "ʏ": "y", "ᴢ": "z", "ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "α": "a", "β": "b",
    "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u",
    "χ": "x", "ω": "w", "а": "a", "в": "b", "е": "e", "к": "k", "м": "m", "н": "h", "о": "o",
    "р": "p", "с": "c", "т": "t", "у": "y", "х": "x", "і": "i", "ј": "j", "ѕ": "s", "ԁ": "d",
    "ԛ": "q", "ԝ": "w", "һ": "h", "ӏ": "l", "ё": "e", "ь": "b", "п": "n", "и": "u", "г": "r",
}  # fmt: skip

_LEET = {
    "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a",
    "$": "s", "!": "i", "|": "i", "+": "t", "€": "e", "£": "l", "¡": "i", "2": "z", "6": "g",
}  # fmt: skip
_LEET_TABLE = str.maketrans(_LEET)
_LEET_AS_L = str.maketrans({**_LEET, "1": "l", "|": "l", "!": "l"})
_LEET_TOKEN = re.compile(r"[a-z0-9@$!|+€£¡'-]+")
# Numbers with a unit, ordinals, years, formats and model names are not disguises.
_NUMBER_TOKEN = re.compile(
    r"[+$€£@]?\d[\d.,:x×/+-]*(?:st|nd|rd|th|s|k|p|i|d|x|mm|cm|m|km|kg|g|px|fps|am|pm|ft|in|hr|"
    r"hrs|h|min|sec|ms|mp|mb|gb|hz|khz|mph|kmh|yo|ch|er|e|ème|eme|bit|b|a|c|f|w|v|t|am|pm)?[!']?"
    r"|[a-z]{1,4}-?\d{1,5}!?|\d{1,4}-[a-z-]+|[a-z-]+-\d{1,4}[a-z]{0,2}|[a-z']+!+"
    r"|(?:h2o|co2|mp[34]|3d|2d|4k|8k|c4d|ue5|r2d2|c3po|b2b|p2p|y2k|k-?9)"
)
_SEPARATOR = r"(?:\s{1,8}| ?[.\-_*·•|/\\,~^+] ?)"
_SPELLED = re.compile(rf"(?<![^\W_])(?:[^\W\d_]{_SEPARATOR}){{2,}}[^\W\d_](?![^\W_])")
_WIDE_GAP = re.compile(r"\s{2,}|\s*[|/]\s*")
_LOOSE_MARK = re.compile(r"(?<=\w)\s+([.,;:!?])(?=\s|$)")
_INNER_MARK = re.compile(r"(?<=[^\W\d_])[._*·•~^](?=[^\W\d_])")
_ODD_MARK = re.compile(r"(?<=[^\W\d_])[\"'’`´(){}\[\]<>=#/\\+&;:!?|-]+(?=[^\W\d_])")
# Letters in circles and squares, and those that flags are made of: a flag has two.
_DRAWN = re.compile(r"(?:[\U0001f110-\U0001f189\U0001f1e6-\U0001f1ff]\s?){3,}")
_SMALL_WORDS = frozenset({"a", "i", "an", "as", "at", "in", "is", "it", "my", "of", "on", "to"})


def is_too_long(text: str) -> bool:
    """True when the forms cover only the beginning of the text."""
    return len(text) > MAX_TEXT_CHARS


def fold(text: str) -> str:
    """The first normal form: NFKC, lower case, one space between words, nothing invisible.

    Marks that do not combine with a Latin, Greek or Cyrillic letter into one character are
    dropped, and so are Arabic vowel signs. Never raises; folding twice changes nothing.
    """
    return _SPACES.sub(" ", _fold_keeping_gaps(text)).strip()


def plain(text: str) -> str:
    """The text folded and without accents on Latin, Greek and Cyrillic letters (é → e).

    Lists of terms are matched in this form on both sides. Folding twice changes nothing.
    """
    return fold(_without_accents(fold(text)))


def words(text: str) -> tuple[str, ...]:
    """The words of a text in order: runs of letters and digits."""
    return tuple(_WORD.findall(text))


def normal_forms(text: str) -> tuple[str, ...]:
    """Every normal form of ``text``: distinct, never empty, at most MAX_FORMS, folded first.

    Never raises, whatever the text. Text without any trace of a disguise has one form.
    """
    whole = whole_forms(text)
    packed = [form for part in unpacked(text[:MAX_TEXT_CHARS]) for form in whole_forms(part)]
    return tuple(dict.fromkeys((*whole, *filter(None, packed))))[:MAX_FORMS]


def whole_forms(text: str) -> tuple[str, ...]:
    """The normal forms that say all that the text says: not those of a part of it."""
    gapped = _fold_keeping_gaps(text)
    first = _SPACES.sub(" ", gapped).strip()
    forms = [first]
    if _had_piled_marks(text):
        forms.append(plain(text))
    if _CONTROL.search(text):
        forms.append(fold(_CONTROL.sub("", text[:MAX_TEXT_CHARS])))
    steps: tuple[Callable[[str], str], ...] = (
        without_markup,
        _mapped_confusables,
        _joined_letters,
        _without_inner_marks,
    )
    undone = gapped
    for step in steps:
        changed = step(undone)
        if changed != undone:
            undone = changed
            forms.append(fold(undone))
    for table in (_LEET_TABLE, _LEET_AS_L):
        deleeted = _deleeted(undone, table)
        if deleeted != undone:
            joined = _joined_letters(deleeted)
            forms.append(fold(joined))
    forms.extend(fold(reading) for reading in deciphered(_without_accents(first)))
    forms.extend(fold(reading) for reading in spelled_emoji(first))
    return tuple(dict.fromkeys(forms))


def _fold_keeping_gaps(text: str) -> str:
    text = _CONTROL.sub(" ", text[:MAX_TEXT_CHARS])
    for _ in range(3):  # NFKC and lower case can undo each other once or twice
        before = text
        text = _IGNORABLE.sub("", text)
        text = unicodedata.normalize("NFKC", text).lower()
        text = unicodedata.normalize("NFKC", text)
        text = _ARABIC_MARKS.sub("", _without_piled_marks(text))
        if text == before:
            break
    return text


def _without_piled_marks(text: str) -> str:
    """Drops marks that stand on a Latin-like letter without having combined with it."""
    if not any(unicodedata.combining(c) for c in text):
        return text
    kept: list[str] = []
    base_is_latin_like = True
    for char in text:
        if unicodedata.category(char) in {"Mn", "Me"}:
            if base_is_latin_like:
                continue
        else:
            base_is_latin_like = not char.isalpha() or _script(char) in _LATIN_LIKE
        kept.append(char)
    return "".join(kept)


def _had_piled_marks(text: str) -> bool:
    composed = unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARS])
    return _without_piled_marks(composed) != composed


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    kept: list[str] = []
    for char in text:
        if char.isalpha() and _script(char) in _LATIN_LIKE and char not in "йё":
            parts = unicodedata.normalize("NFD", char)
            kept.append(parts[0] if len(parts) > 1 else {"ß": "ss"}.get(char, char))
        else:
            kept.append({"ё": "е"}.get(char, char))
    return "".join(kept)


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    """The first word of a character's Unicode name: LATIN, CYRILLIC, CJK …; "" without one."""
    return unicodedata.name(char, "").partition(" ")[0]


@lru_cache(maxsize=1)
def _confusable_letters() -> dict[str, str]:
    """Maps letters of other scripts to the ASCII letter that they look like (UTS #39)."""
    from confusable_homoglyphs import confusables

    table: dict[str, str] = {}
    for char, others in confusables.confusables_data.items():
        if len(char) != 1 or char.isascii() or not char.isalpha():
            continue
        for other in others:
            looks_like = other["c"].lower()
            if len(looks_like) == 1 and "a" <= looks_like <= "z":
                table.setdefault(char.lower() if len(char.lower()) == 1 else char, looks_like)
                break
    return table | _EXTRA_CONFUSABLES


def _mapped_confusables(text: str) -> str:
    """Writes words that mix scripts, or imitate Latin among Latin words, in ASCII letters.

    A word entirely in Cyrillic or Greek stays as it is while the text is in that script.
    """
    if text.isascii():
        return text
    text = _DRAWN.sub(_undrawn, text)
    table = _confusable_letters()
    ascii_letters = sum("a" <= c <= "z" for c in text)
    letters = sum(c.isalpha() for c in text)
    latin_text = letters > 0 and ascii_letters * 2 >= letters

    def rewrite(match: re.Match[str]) -> str:
        word = match.group()
        if word.isascii():
            return word
        scripts = {_script(c) for c in word if c.isalpha()}
        foreign = scripts - {"LATIN"}
        if not scripts or (not foreign and not any(map(_is_rare_latin, word))):
            return word
        mixed = "LATIN" in scripts and bool(foreign) and not foreign & _WRITTEN_BESIDE_LATIN
        mapped = "".join(table.get(c) or _letter(c) for c in word)
        if (mixed or latin_text or not foreign) and all(
            c.isascii() or _script(c) == "LATIN" for c in mapped
        ):
            return mapped
        return word

    return _TOKEN.sub(rewrite, text)


_SMALL_CAPS = frozenset("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡıɩ")
_FIRST_RARE = "\u0180"
_WRITTEN_BESIDE_LATIN = frozenset(
    {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "ARABIC", "THAI", "HEBREW",
     "DEVANAGARI"}
)  # fmt: skip
"""Scripts that stand beside Latin letters without a space, and imitate none."""


@lru_cache(maxsize=4096)
def _is_rare_latin(char: str) -> bool:
    """Latin letters that no language of the lists writes, such as ⱥ: those beyond Latin-A
    that are no base with an accent."""
    if char in _SMALL_CAPS:
        return True
    rare = char >= _FIRST_RARE and _script(char) == "LATIN"
    return rare and len(unicodedata.normalize("NFD", char)) == 1


@lru_cache(maxsize=4096)
def _letter(char: str) -> str:
    """The one ASCII letter that a letter is written as, else the letter itself."""
    from anyascii import anyascii

    if not char.isalpha() or char.isascii():
        return char
    if _script(char) == "LATIN" and not _is_rare_latin(char):
        return char
    written = anyascii(char).lower()
    return written if len(written) == 1 and written.isalpha() else char


def _undrawn(run: re.Match[str]) -> str:
    names = ((c, unicodedata.name(c, "")) for c in run.group())
    return "".join(name[-1].lower() if " LETTER " in name else c for c, name in names)


def _joined_letters(text: str) -> str:
    """Joins words spelled letter by letter: "c a t", "c.a.t", "c-a-t" → "cat".

    A wide gap ends a word. Without one, the letters are parted into known words.
    """

    def join(match: re.Match[str]) -> str:
        spelled = match.group()
        parts = [_WORD.findall(part) for part in _WIDE_GAP.split(spelled)]
        joined = ["".join(part) for part in parts if part]
        if len("".join(joined)) < MIN_SPELLED_LETTERS:
            return spelled
        gapped = len(joined) > 1
        return " ".join(_parted(word, gapped=gapped) for word in joined)

    joined = _SPELLED.sub(join, text)
    return joined if joined == text else _LOOSE_MARK.sub(r"\1", joined)


def _parted(letters: str, *, gapped: bool) -> str:
    """Letters as words. Where wide gaps show the words, an unknown one stays in one piece."""
    if len(letters) <= MIN_SPELLED_LETTERS:
        return letters
    pieces = parted(letters)
    short = (p for p in pieces if len(p) < MIN_SPELLED_LETTERS and p not in _SMALL_WORDS)
    if gapped and (known_share(pieces) < 1.0 or any(short)):
        return letters
    return " ".join(pieces)


def _without_inner_marks(text: str) -> str:
    """Drops marks inside words ("ca_t", "c*at") but leaves file names and addresses alone."""

    def clean(match: re.Match[str]) -> str:
        token = match.group()
        if "://" in token or "@" in token:
            return token
        token = _INNER_MARK.sub("", token)
        return _without_odd_marks(token) if _ODD_MARK.search(token) else token

    return _TOKEN.sub(clean, text)


def _without_odd_marks(token: str) -> str:
    """Drops quotes, dashes and brackets inside a word that is none with them: "na'ked"."""
    words = _WORD.findall(_ODD_MARK.sub("", token))
    pieces = _WORD.findall(token)
    if len(words) == 1 and known_share(words) == 1.0 and known_share(pieces) < 1.0:
        return _ODD_MARK.sub("", token)
    return token


def _deleeted(text: str, table: Mapping[int, str]) -> str:
    """Reads digits and signs inside words as the letters they stand for."""

    def read(match: re.Match[str]) -> str:
        token = match.group()
        core = token.strip(".,;:?\"'()[]{}…")
        if not core or _LEET_TOKEN.fullmatch(core) is None or _NUMBER_TOKEN.fullmatch(core):
            return token
        ending = "!" * (len(core) - len(core.rstrip("!")))
        core = core.rstrip("!")
        letters = sum(c.isalpha() for c in core)
        marks = sum(c in _LEET for c in core)
        if marks == 0 or letters == 0 or letters + 1 < marks or len(core) > MAX_WORD_LETTERS:
            return token
        return token.replace(core + ending, core.translate(table) + ending)

    return _TOKEN.sub(read, text)
