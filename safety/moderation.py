"""The prompt gate: several moderators score a text, the policy judges, the strictest wins."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from safety.normalize import is_too_long
from safety.policy import Policy
from safety.verdict import Action, Category, Reason, Stage, Verdict

MINOR_NOTE = "speaks-of-a-minor"
"""Note of a moderator that found a word for a minor, without judging anything by it."""

BROKEN_PROMISE_NOTE = "a-promised-category-is-missing"
"""Note that the gate adds when a moderator left out a category that it promises."""

_SEXUAL = (Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PromptScores:
    """What one moderator says about one prompt.

    ``scores`` holds numbers in 0..1; a category that the moderator could not judge is left
    out, never 0. ``notes`` are short fixed words for the audit log, never parts of the prompt.
    """

    scores: Mapping[Category, float]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))


class PromptModerator(Protocol):
    """Scores prompts. ``name`` is ``name@version``; ``promises`` lists what it judges."""

    @property
    def name(self) -> str: ...

    @property
    def promises(self) -> frozenset[Category]: ...

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        """One PromptScores per prompt, in order. May raise; the gate then holds."""
        ...


@dataclass(frozen=True, kw_only=True)
class PromptGate:
    """Judges prompts with every moderator under one policy.

    The highest score per category counts. A prompt is held, never passed, when a moderator
    raises, answers for another number of prompts, leaves out a category that it promises, or
    when the text is too long to be read whole.
    """

    moderators: tuple[PromptModerator, ...]
    policy: Policy

    def judge(self, prompts: Sequence[str]) -> tuple[Verdict, ...]:
        """One verdict per prompt, in order. Never raises for the sake of a moderator."""
        answers = [_ask(moderator, prompts) for moderator in self.moderators]
        names = tuple(answer.name for answer in answers)
        return tuple(
            self._combine(prompt, [answer.scores[i] for answer in answers], names)
            for i, prompt in enumerate(prompts)
        )

    def _combine(
        self, prompt: str, answers: Sequence[PromptScores | None], names: tuple[str, ...]
    ) -> Verdict:
        merged: dict[Category, float] = {}
        notes: set[str] = set()
        whole = bool(answers) and not is_too_long(prompt)
        for answer in answers:
            if answer is None:
                whole = False
                continue
            whole = whole and BROKEN_PROMISE_NOTE not in answer.notes
            notes.update(answer.notes)
            for category, score in answer.scores.items():
                merged[category] = _stricter(merged.get(category), score)
        if MINOR_NOTE in notes and not self._is_chaste(merged):
            merged[Category.SEXUAL_MINORS] = _stricter(merged.get(Category.SEXUAL_MINORS), 1.0)
        verdict = self.policy.judge(merged, stage=Stage.PROMPT, judges=names)
        if whole:
            return verdict
        return _with_reason(verdict, self.policy.fault(None, Stage.PROMPT))

    def _is_chaste(self, scores: Mapping[Category, float]) -> bool:
        """True when every sexual score is known and below the limit beside a minor."""
        return all(
            category in scores and scores[category] < self.policy.minor_sexual_limit
            for category in _SEXUAL
        )


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What one moderator said about all prompts; None where it said nothing usable."""

    name: str
    scores: tuple[PromptScores | None, ...]


def _ask(moderator: PromptModerator, prompts: Sequence[str]) -> _Answers:
    """Asks one moderator; whatever goes wrong in it leaves None for every prompt."""
    name = f"{type(moderator).__name__}@unavailable"
    try:
        name = moderator.name
        promises = moderator.promises
        found = tuple(_checked(s, promises) for s in moderator.score(prompts))
    except Exception as error:  # noqa: BLE001  # the prompts are held, whatever it was
        _log.error("moderator.failed %s %s", name, type(error).__name__)
        return _Answers(name=name, scores=(None,) * len(prompts))
    if len(found) == len(prompts):
        return _Answers(name=name, scores=found)
    _log.error("moderator.miscounted %s", name)
    return _Answers(name=name, scores=(None,) * len(prompts))


def _checked(answer: PromptScores, promises: frozenset[Category]) -> PromptScores:
    if promises <= answer.scores.keys():
        return answer
    return PromptScores(scores=answer.scores, notes=(*answer.notes, BROKEN_PROMISE_NOTE))


def _stricter(one: float | None, other: float) -> float:
    """The score that the policy treats more strictly; one outside 0..1 (NaN too) wins."""
    if one is None or not 0.0 <= other <= 1.0:
        return other
    if not 0.0 <= one <= 1.0:
        return one
    return max(one, other)


def _with_reason(verdict: Verdict, reason: Reason) -> Verdict:
    strictest = max(verdict.action, reason.action, key=lambda action: action.severity)
    reasons = (*verdict.reasons, reason)
    return Verdict(
        action=Action(strictest),
        scores=verdict.scores,
        reasons=reasons,
        policy=verdict.policy,
        judges=verdict.judges,
        stage=verdict.stage,
    )
