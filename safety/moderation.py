"""The prompt gate: several moderators score a text, the policy judges, the strictest wins."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from safety.normalize import is_too_long
from safety.policy import Policy
from safety.verdict import Action, Category, Reason, Stage, Verdict

MINOR_NOTE = "speaks-of-a-minor"
"""Note of a moderator that found a word for a minor, without judging anything by it."""

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
    _names: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "moderators", tuple(self.moderators))
        object.__setattr__(self, "_names", tuple(m.name for m in self.moderators))

    def judge(self, prompts: Sequence[str]) -> tuple[Verdict, ...]:
        """One verdict per prompt, in order. Never raises for the sake of a moderator."""
        answers = [self._ask(moderator, prompts) for moderator in self.moderators]
        return tuple(
            self._combine(prompt, [answer[i] for answer in answers])
            for i, prompt in enumerate(prompts)
        )

    def _ask(
        self, moderator: PromptModerator, prompts: Sequence[str]
    ) -> list[PromptScores | None]:
        """The answers of one moderator, None where it broke its promise."""
        try:
            found = list(moderator.score(prompts))
        except Exception as error:  # noqa: BLE001  # whatever went wrong, the prompts are held
            _log.error("moderator.failed %s %s", moderator.name, type(error).__name__)
            return [None] * len(prompts)
        if len(found) != len(prompts):
            _log.error("moderator.miscounted %s", moderator.name)
            return [None] * len(prompts)
        return list(found)

    def _combine(self, prompt: str, answers: Sequence[PromptScores | None]) -> Verdict:
        merged: dict[Category, float] = {}
        notes: set[str] = set()
        whole = bool(answers) and not is_too_long(prompt)
        for moderator, answer in zip(self.moderators, answers, strict=True):
            if answer is None:
                whole = False
                continue
            whole = whole and moderator.promises <= answer.scores.keys()
            notes.update(answer.notes)
            for category, score in answer.scores.items():
                merged[category] = _stricter(merged.get(category), score)
        if MINOR_NOTE in notes and not self._is_chaste(merged):
            merged[Category.SEXUAL_MINORS] = _stricter(merged.get(Category.SEXUAL_MINORS), 1.0)
        verdict = self.policy.judge(merged, stage=Stage.PROMPT, judges=self._names)
        if whole:
            return verdict
        return _with_reason(verdict, self.policy.fault(None, Stage.PROMPT))

    def _is_chaste(self, scores: Mapping[Category, float]) -> bool:
        """True when every sexual score is known and below the limit beside a minor."""
        return all(
            category in scores and scores[category] < self.policy.minor_sexual_limit
            for category in _SEXUAL
        )


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
