"""The wish: what a caller asks for, and whether it can be done."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import InvalidRequest
from gateway.settings import Limits
from safety.submission import Submission

MAX_SEED = 2**63 - 1
DEFAULT_SECONDS = 4
MAX_TITLE_CHARS = 200
MAX_LINEAGE = 8
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_REFERENCE = re.compile(r"req_[0-9a-f]{16}", re.ASCII)


class Card(Protocol):
    """What a model offers; ``generator.cards.ModelCard`` fits."""

    @property
    def sizes(self) -> tuple[object, ...]:
        """Sizes whose text is ``WxH``; the first one is the default."""

    @property
    def seconds(self) -> tuple[int, ...]:
        """Lengths; 4 is the default where it is one of them, else the first."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a caller asks for, not yet checked.

    ``project`` names the records of consent and licence that apply; ``rewrite_of`` is the
    reference of a refused request whose offered wording this is.
    """

    prompt: str
    negative_prompt: str = ""
    title: str = ""
    project: str | None = None
    rewrite_of: str | None = None
    model: str | None = None
    seconds: int | None = None
    size: str | None = None
    seed: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A wish that a model here can fulfil."""

    prompt: str
    negative_prompt: str
    title: str
    model: str
    seconds: int
    width: int
    height: int
    seed: int

    @property
    def said(self) -> dict[str, str]:
        """Every text of the request."""
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "title": self.title,
        }


def checked(
    wish: Wish, *, cards: Mapping[str, Card], default_model: str, limits: Limits
) -> Checked:
    """The wish with every default filled in. Raises InvalidRequest, naming the field."""
    prompt = _text(wish.prompt, "prompt", limits.max_prompt_chars)
    if not prompt:
        raise InvalidRequest("The prompt is empty.", param="prompt")
    negative = _text(wish.negative_prompt, "negative_prompt", limits.max_prompt_chars)
    title = _text(wish.title, "title", MAX_TITLE_CHARS)
    if wish.project is not None and not _PROJECT.fullmatch(wish.project):
        raise InvalidRequest("That is not the name of a project.", param="project")
    if wish.rewrite_of is not None and not _REFERENCE.fullmatch(wish.rewrite_of):
        raise InvalidRequest("That is not the reference of a refusal.", param="rewrite_of")
    model = wish.model or default_model
    card = cards.get(model)
    if card is None:
        raise InvalidRequest(
            f"Unknown model. Available: {', '.join(sorted(cards))}.", param="model"
        )
    sizes = [str(size) for size in card.sizes]
    size = wish.size or sizes[0]
    if size not in sizes:
        raise InvalidRequest(
            f"This model makes clips of {', '.join(sizes)} pixels.", param="size"
        )
    usual = DEFAULT_SECONDS if DEFAULT_SECONDS in card.seconds else card.seconds[0]
    seconds = wish.seconds if wish.seconds is not None else usual
    if seconds not in card.seconds:
        allowed = ", ".join(str(s) for s in card.seconds)
        raise InvalidRequest(f"This model makes clips of {allowed} seconds.", param="seconds")
    seed = wish.seed if wish.seed is not None else secrets.randbelow(2**31)
    if not 0 <= seed <= MAX_SEED:
        raise InvalidRequest("seed must be 0 to 2^63-1.", param="seed")
    width, height = (int(part) for part in size.split("x"))
    return Checked(
        prompt=prompt,
        negative_prompt=negative,
        title=title,
        model=model,
        seconds=seconds,
        width=width,
        height=height,
        seed=seed,
    )


def demand_drawable(asked: Submission, limits: Limits) -> None:
    """Refuse a chain of changes that no model can be told as one text: InvalidRequest."""
    if len(asked.lineage) > MAX_LINEAGE:
        raise InvalidRequest(
            f"A video can be remixed {MAX_LINEAGE} times; start a new one.", param="prompt"
        )
    if asked.lineage and len(asked.story) > limits.max_prompt_chars:
        raise InvalidRequest(
            "With what it changes, the prompt is longer than"
            f" {limits.max_prompt_chars} characters.",
            param="prompt",
        )


def fingerprint(tenant_id: str, wish: Wish, asked: Checked, *, parent: str | None) -> str:
    """SHA-256 over what was asked; a seed that was drawn here does not count."""
    told = {
        "tenant": tenant_id,
        **asked.said,
        "project": wish.project,
        "rewrite_of": wish.rewrite_of,
        "remix": parent,
        "model": asked.model,
        "seconds": asked.seconds,
        "size": f"{asked.width}x{asked.height}",
        "seed": wish.seed,
        "key": wish.idempotency_key,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _text(text: str, param: str, longest: int) -> str:
    """A field of text without the spaces around it."""
    text = text.strip()
    name = param.replace("_", " ")
    if len(text) > longest:
        raise InvalidRequest(f"The {name} is longer than {longest} characters.", param=param)
    if any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in text):
        raise InvalidRequest(f"The {name} is not valid Unicode text.", param=param)
    return text
