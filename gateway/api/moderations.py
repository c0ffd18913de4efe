"""Moderations: judge texts without making a clip, in OpenAI's shape."""

from __future__ import annotations

import secrets
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import Creator
from gateway.api.envelope import SUBMIT_FAILURES, failures
from gateway.errors import InvalidRequest
from safety.verdict import Action, Category, Verdict

router = APIRouter(prefix="/v1/moderations", tags=["moderations"])

MAX_INPUTS = 32
# OpenAI's names, each with those of our categories that mean the same. A name without one is
# always present and false: it is not judged apart here.
OPENAI_CATEGORIES: dict[str, tuple[Category, ...]] = {
    "harassment": (Category.HARASSMENT,),
    "harassment/threatening": (),
    "hate": (Category.HATE,),
    "hate/threatening": (),
    "illicit": (Category.ILLICIT,),
    "illicit/violent": (Category.EXTREMISM_TERROR,),
    "self-harm": (Category.SELF_HARM,),
    "self-harm/intent": (),
    "self-harm/instructions": (),
    "sexual": (Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE),
    "sexual/minors": (Category.SEXUAL_MINORS,),
    "violence": (Category.VIOLENCE,),
    "violence/graphic": (Category.GORE_GRAPHIC,),
}


class TextPart(BaseModel):
    """One text among several parts."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class ModerationCreate(BaseModel):
    """The body of a moderation request."""

    model_config = ConfigDict(extra="forbid")
    input: str | list[str] | list[TextPart] = Field(description="Text, texts, or text parts")
    model: str | None = Field(
        default=None, description="Ignored: the gateway's own gate judges"
    )


class ModerationAnswer(BaseModel):
    """The verdicts, one for each input."""

    id: str
    model: str
    results: list[dict[str, Any]]


@router.post("", response_model=ModerationAnswer, responses=failures(*SUBMIT_FAILURES))
def moderate(caller: Creator, request: Request, body: ModerationCreate) -> ModerationAnswer:
    """Judge texts as prompts. Nothing is generated and nothing is kept."""
    del caller
    gateway = request.app.state.gateway
    texts = [body.input] if isinstance(body.input, str) else [_text(p) for p in body.input]
    longest = gateway.settings.limits.max_prompt_chars
    if not 1 <= len(texts) <= MAX_INPUTS:
        raise InvalidRequest(f"Send 1 to {MAX_INPUTS} texts.", param="input")
    if any(len(text) > longest for text in texts):
        raise InvalidRequest(f"A text is longer than {longest} characters.", param="input")
    return ModerationAnswer(
        id=f"modr_{secrets.token_hex(12)}",
        model=gateway.settings.model,
        results=[as_result(verdict) for verdict in gateway.prompts.judge(texts)],
    )


def as_result(verdict: Verdict) -> dict[str, Any]:
    """A verdict in OpenAI's shape, with our categories and the action beside it."""
    scores = {str(category): _score(verdict, (category,)) for category in Category}
    scores |= {name: _score(verdict, ours) for name, ours in OPENAI_CATEGORIES.items()}
    stopping = {reason.category for reason in verdict.reasons}
    flags = {str(category): category in stopping for category in Category}
    flags |= {
        name: any(category in stopping for category in ours)
        for name, ours in OPENAI_CATEGORIES.items()
    }
    return {
        "flagged": verdict.action is not Action.ALLOW,
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in flags},
        "action": str(verdict.action),
        "policy": verdict.policy,
        "reasons": [
            {"rule": r.rule, "category": r.category and str(r.category), "text": r.text}
            for r in verdict.reasons
        ],
    }


def _score(verdict: Verdict, categories: tuple[Category, ...]) -> float:
    """The highest score, to two places; one that is missing or not a number counts as 1."""
    if not categories:
        return 0.0
    found = [verdict.scores.get(category, 1.0) for category in categories]
    return 1.0 if any(s != s for s in found) else round(max(found), 2)


def _text(part: str | TextPart) -> str:
    return part if isinstance(part, str) else part.text
