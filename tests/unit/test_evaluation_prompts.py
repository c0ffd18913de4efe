"""Tests of the hand-written evaluation prompts: whole, distinct, each in its own language."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from safety.normalize import fold
from safety.verdict import Category

FOLDER = Path(__file__).parents[1] / "data"
LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "zh", "ja", "ar", "ru")
EDGY_AT_LEAST = {
    "en": 110, "fr": 40, "es": 40, "de": 40, "it": 30, "pt": 30,
    "zh": 20, "ja": 20, "ar": 20, "ru": 20,
}  # fmt: skip
POLICIES = (
    Category.VIOLENCE,
    Category.GORE_GRAPHIC,
    Category.SELF_HARM,
    Category.HATE,
    Category.EXTREMISM_TERROR,
    Category.ILLICIT,
    Category.SEXUAL_EXPLICIT,
    Category.SEXUAL_SUGGESTIVE,
    Category.POLITICAL_ELECTION,
    Category.DECEPTION_MISINFO,
    Category.DISTURBING,
    Category.PRIVATE_LIKENESS,
)
REGISTERS = {"short": 2, "long": 2, "oblique": 1}
FAMILY_ROWS = 100

LATIN = re.compile("[a-zà-ÿœß]", re.IGNORECASE)
SCRIPTS = {
    "zh": re.compile("[\u4e00-\u9fff]"),
    "ja": re.compile("[\u3040-\u30ff]"),
    "ar": re.compile("[\u0621-\u064a]"),
    "ru": re.compile("[а-яё]", re.IGNORECASE),
}
FOREIGN = {
    "zh": re.compile("[\u3040-\u30ff\u0400-\u04ff\u0600-\u06ff]"),
    "ja": re.compile("[\u0400-\u04ff\u0600-\u06ff]"),
    "ar": re.compile("[\u3040-\u30ff\u4e00-\u9fff\u0400-\u04ff]"),
    "ru": re.compile("[\u3040-\u30ff\u4e00-\u9fff\u0600-\u06ff]"),
}
NOT_LATIN = re.compile("[\u0400-\u04ff\u0600-\u06ff\u3040-\u30ff\u4e00-\u9fff]")


def loaded(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))


def repeated(texts: Iterable[str]) -> list[str]:
    return [text for text, count in Counter(map(fold, texts)).items() if count > 1]


def in_script(lang: str, text: str) -> bool:
    own, foreign = SCRIPTS.get(lang, LATIN), FOREIGN.get(lang, NOT_LATIN)
    return own.search(text) is not None and foreign.search(text) is None


def by_language(name: str) -> dict[str, list[str]]:
    """Every text of a file under its language; a twin counts as a text of its own."""
    found = loaded(name)
    if "prompt" not in found:
        return found
    rows = [table for row in found["prompt"] for table in (row, row["benign"])]
    return {lang: [row[lang] for row in rows] for lang in LANGUAGES}


FILES = ("edgy_film_prompts", "unsafe_parallel", "family_captions")


@pytest.mark.parametrize("name", FILES)
def test_each_file_speaks_exactly_the_ten_languages(name: str) -> None:
    assert tuple(by_language(name)) == LANGUAGES


@pytest.mark.parametrize("name", FILES)
def test_every_text_is_written_in_the_script_of_its_language(name: str) -> None:
    stray = [
        (lang, text)
        for lang, texts in by_language(name).items()
        for text in texts
        if not in_script(lang, text)
    ]
    assert stray == []


def test_no_text_stands_twice_in_or_across_the_files() -> None:
    texts = [t for name in FILES for part in by_language(name).values() for t in part]
    assert repeated(texts) == []


def test_no_text_is_empty_or_padded() -> None:
    texts = [t for name in FILES for part in by_language(name).values() for t in part]
    assert [t for t in texts if not t or t != t.strip()] == []


def test_the_edgy_prompts_are_as_many_as_promised() -> None:
    counts = {lang: len(texts) for lang, texts in loaded("edgy_film_prompts").items()}
    assert {lang: min(counts[lang], least) for lang, least in EDGY_AT_LEAST.items()} == (
        EDGY_AT_LEAST
    )
    assert sum(counts.values()) >= 320


def test_the_family_captions_are_a_hundred_in_each_language() -> None:
    counts = {lang: len(texts) for lang, texts in loaded("family_captions").items()}
    assert counts == dict.fromkeys(LANGUAGES, FAMILY_ROWS)


def test_each_unsafe_policy_has_five_prompts_in_three_registers() -> None:
    rows = loaded("unsafe_parallel")["prompt"]
    counts = Counter((Category(row["policy"]), row["register"]) for row in rows)
    assert counts == {(p, r): n for p in POLICIES for r, n in REGISTERS.items()}


def test_each_unsafe_prompt_has_its_own_id_that_names_its_policy() -> None:
    rows = loaded("unsafe_parallel")["prompt"]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["id"].startswith(f"{row['policy']}-") for row in rows)


def test_each_unsafe_prompt_and_its_twin_have_nothing_but_the_promised_keys() -> None:
    for row in loaded("unsafe_parallel")["prompt"]:
        assert set(row) == {"id", "policy", "register", "benign", *LANGUAGES}
        assert set(row["benign"]) == set(LANGUAGES)
