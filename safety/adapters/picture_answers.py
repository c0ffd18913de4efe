"""Answers of models that write about pictures, and the formats they come in. Pure; strict.

Formats: the model cards of Llama Guard 3 Vision and 4 (Meta), LlavaGuard 1.2 (AIML) and
ShieldGemma 2 (Google).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from safety.adapters.answers import Answer, llama_guard_answer
from safety.adapters.picture_settings import Format

FORMATS_PATH: Final = Path(__file__).parent / "picture_formats.toml"
NONE_APPLIES: Final = "NA"

# The line of reasoning after the category is not waited for.
_LLAVA = re.compile(
    r'\s*\{\s*"rating"\s*:\s*"(?P<word>Safe|Unsafe)"\s*,'
    r'\s*"category"\s*:\s*"(?P<code>O\d{1,2}|NA)(?::[^"\\\n]{0,100})?"\s*(?:,.*|\}\s*)?',
    re.DOTALL,
)


def llava_guard_answer(text: str) -> Answer | None:
    """A JSON object that begins with rating and category; None for anything else.

    What a safe picture was weighed against is named too. Unsafe without a category
    contradicts itself: None as well.
    """
    found = _LLAVA.fullmatch(text)
    if found is None:
        return None
    if found["word"] == "Unsafe" and found["code"] == NONE_APPLIES:
        return None
    labels = () if found["code"] == NONE_APPLIES else (found["code"],)
    return Answer(word=found["word"], labels=labels)


READERS: Final[Mapping[str, Callable[[str], Answer | None]]] = {
    "llama_guard": llama_guard_answer,
    "llava_guard": llava_guard_answer,
}
"""Format → what reads its answers; those that are asked Yes or No have none."""

ENDLESS: Final = frozenset({"llava_guard"})
"""Formats whose answer is understood before it ends."""


class FormatTable(BaseModel):
    """One format as ``picture_formats.toml`` tells it.

    ``opening`` is what an answer has before the word of its decision, without spaces;
    ``against`` is the word that speaks against the picture.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str | None = None
    words: tuple[str, str]
    against: str
    opening: str
    generation_prompt: bool
    max_new_tokens: Annotated[int, Field(ge=1)]


def format_of(name: Format) -> FormatTable:
    """The format of this name."""
    return FormatTable.model_validate(tomllib.loads(FORMATS_PATH.read_text("utf-8"))[name])
