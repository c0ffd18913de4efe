"""The prompt gate: several moderators score a text, the policy judges, the strictest wins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from types import MappingProxyType
from typing import Any, Protocol

from safety.circumstances import STRICTEST, Circumstances, Grant
from safety.normalize import is_too_long
from safety.policy import Policy
from safety.verdict import Category, Reason, Stage, Verdict

MINOR_NOTE = "speaks-of-a-minor"
"""Note of a moderator that found a word for a minor, without judging anything by it."""

BROKEN_PROMISE_NOTE = "a-promised-category-is-missing"
"""Note that the gate adds when a moderator left out a category that it promises."""

NAME_TRIES = 2
"""How often a moderator is asked whose data changed while it was scoring."""

RESPECT_LIMIT = 0.4
"""The score in 0..1 from which a sexual or humiliating context outweighs a person's consent."""

_SEXUAL = (Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Named:
    """A subject named in a prompt: its id in the list of ``category``, and a score in 0..1."""

    category: Category
    subject: str
    score: float

    @property
    def grant(self) -> Grant:
        """The record that would lift this."""
        return Grant(category=self.category, subject=self.subject)


@dataclass(frozen=True, kw_only=True)
class PromptScores:
    """What one moderator says about one prompt.

    ``scores`` holds numbers in 0..1; a category that the moderator could not judge is left
    out, never 0. ``notes`` are short fixed words for the audit log, never parts of the prompt.
    ``named`` are the subjects found by name; their scores are not in ``scores``.
    """

    scores: Mapping[Category, float]
    notes: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()

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


class Mask(Protocol):
    """Takes names out of prompts; ``safety.masking.NameMask`` is the real one."""

    def masked(self, prompt: str, granted: Collection[Grant]) -> str | None:
        """The prompt with a neutral word for each granted subject, and none of them left.

        None when that cannot be done for certain.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PromptGate:
    """Judges prompts with every moderator under one policy.

    The highest score per category counts. A prompt is held, never passed, when a moderator
    raises, answers for another number of prompts, leaves out a category that it promises, or
    when the text is too long to be read whole.

    A subject that a prompt names counts like a score of its category, unless the circumstances
    hold a grant for exactly this subject, the policy lifts the category's rule for the
    audience, and no real person is shown in a sexual or humiliating context. Where a name was
    lifted, the other moderators' scores of that category, and only of that, are those of the
    prompt with the name masked, if ``mask`` can do so; else they stay.
    """

    moderators: tuple[PromptModerator, ...]
    policy: Policy
    mask: Mask | None = None

    def judge(
        self, prompts: Sequence[str], *, circumstances: Circumstances = STRICTEST
    ) -> tuple[Verdict, ...]:
        """One verdict per prompt, in order. Never raises for the sake of a moderator."""
        answers = [_ask(moderator, prompts) for moderator in self.moderators]
        names = tuple(answer.name for answer in answers)
        read = [
            _Reading(prompt, tuple(answer.scores[i] for answer in answers))
            for i, prompt in enumerate(prompts)
        ]
        if circumstances.grants:
            read = self._lifted(read, names, circumstances)
        return tuple(self._combine(reading, names, circumstances) for reading in read)

    def _combine(
        self, reading: _Reading, names: tuple[str, ...], circumstances: Circumstances
    ) -> Verdict:
        merged = reading.merged()
        for named in reading.named:
            merged[named.category] = _stricter(merged.get(named.category), named.score)
        if MINOR_NOTE in reading.notes and not self._is_chaste(merged):
            merged[Category.SEXUAL_MINORS] = _stricter(merged.get(Category.SEXUAL_MINORS), 1.0)
        verdict = self.policy.judge(
            merged, stage=Stage.PROMPT, judges=names, circumstances=circumstances
        )
        verdict = replace(verdict, notes=reading.notes)
        if reading.whole:
            return verdict
        return _with_reason(verdict, self.policy.fault(None, Stage.PROMPT))

    # --- records ----------------------------------------------------------------------

    def _lifted(
        self, read: list[_Reading], names: tuple[str, ...], circumstances: Circumstances
    ) -> list[_Reading]:
        """The readings without what is granted, their scores taken from masked prompts."""
        granted = [self._granted(reading, circumstances) for reading in read]
        masked = [
            None if self.mask is None or not grants else _masked(self.mask, r.prompt, grants)
            for r, grants in zip(read, granted, strict=True)
        ]
        texts = [text for text in masked if text is not None]
        again = [_ask(moderator, texts) for moderator in self.moderators] if texts else []
        # Names that changed meanwhile were not the ones that named the subjects.
        trusted = tuple(answer.name for answer in again) == names
        place = 0
        lifted: list[_Reading] = []
        for reading, grants, text in zip(read, granted, masked, strict=True):
            heard: tuple[PromptScores | None, ...] | None = None
            if text is not None:
                heard = tuple(answer.scores[place] for answer in again) if trusted else None
                place += 1
            lifted.append(reading.without(grants, heard))
        return lifted

    def _granted(self, reading: _Reading, circumstances: Circumstances) -> frozenset[Grant]:
        """The grants that lift a subject named in this prompt."""
        named = {named.grant for named in reading.named} & circumstances.grants
        lifting = frozenset(
            grant
            for grant in named
            if self.policy.rules[grant.category].may_lift(circumstances.audience)
        )
        if self._is_respectful(reading.merged()):
            return lifting
        return frozenset(g for g in lifting if g.category is not Category.PUBLIC_FIGURE)

    def _is_respectful(self, scores: Mapping[Category, float]) -> bool:
        """True when every score of what no consent covers is known and low."""
        return all(
            category in scores and 0.0 <= scores[category] < RESPECT_LIMIT
            for category in (*_SEXUAL, Category.HARASSMENT)
        )

    def _is_chaste(self, scores: Mapping[Category, float]) -> bool:
        """True when every sexual score is known and below the limit beside a minor."""
        return all(
            category in scores and scores[category] < self.policy.minor_sexual_limit
            for category in _SEXUAL
        )


@dataclass(frozen=True)
class _Reading:
    """What every moderator said about one prompt; None for one that said nothing usable."""

    prompt: str
    answers: tuple[PromptScores | None, ...]

    @property
    def whole(self) -> bool:
        """True when every moderator answered in full, about the whole text."""
        return (
            bool(self.answers)
            and not is_too_long(self.prompt)
            and all(a is not None and BROKEN_PROMISE_NOTE not in a.notes for a in self.answers)
        )

    @property
    def notes(self) -> frozenset[str]:
        return frozenset(n for answer in self.answers if answer for n in answer.notes)

    @property
    def named(self) -> tuple[Named, ...]:
        return tuple(n for answer in self.answers if answer for n in answer.named)

    def merged(self) -> dict[Category, float]:
        """The strictest score per category, names aside."""
        merged: dict[Category, float] = {}
        for answer in self.answers:
            for category, score in answer.scores.items() if answer else ():
                merged[category] = _stricter(merged.get(category), score)
        return merged

    def without(
        self, grants: frozenset[Grant], masked: tuple[PromptScores | None, ...] | None
    ) -> _Reading:
        """This reading without the granted subjects.

        Of the categories of ``grants`` the scores are those of the masked prompt, where a
        moderator gave some; of all others nothing changes.
        """
        if not grants:
            return self
        categories = {grant.category for grant in grants}
        others = masked or (None,) * len(self.answers)
        return _Reading(
            self.prompt,
            tuple(
                None if answer is None else _without(answer, other, grants, categories)
                for answer, other in zip(self.answers, others, strict=True)
            ),
        )


def _without(
    answer: PromptScores,
    masked: PromptScores | None,
    grants: frozenset[Grant],
    categories: Collection[Category],
) -> PromptScores:
    scores = dict(answer.scores)
    if masked is not None:
        heard = masked.scores
        scores.update((c, heard[c]) for c in categories if c in scores and c in heard)
    named = tuple(n for n in answer.named if n.grant not in grants)
    return PromptScores(scores=scores, notes=answer.notes, named=named)


def _masked(mask: Mask, prompt: str, grants: frozenset[Grant]) -> str | None:
    """The masked prompt; whatever goes wrong in the mask leaves the prompt unmasked."""
    try:
        return mask.masked(prompt, grants)
    except Exception as error:  # noqa: BLE001  # the scores then stay what they were
        _log.error("mask.failed %s", type(error).__name__)
        return None


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What one moderator said about all prompts; None where it said nothing usable."""

    name: str
    scores: tuple[PromptScores | None, ...]


def _ask(moderator: PromptModerator, prompts: Sequence[str]) -> _Answers:
    """Asks one moderator; whatever goes wrong in it leaves None for every prompt.

    The name must be the same before and after: else it is not known which data judged.
    """
    name = f"{type(moderator).__name__}@unavailable"
    try:
        for _ in range(NAME_TRIES):
            name, promises = moderator.name, moderator.promises
            found = tuple(_checked(s, promises) for s in moderator.score(prompts))
            if moderator.name == name and len(found) == len(prompts):
                return _Answers(name=name, scores=found)
    except Exception as error:  # noqa: BLE001  # the prompts are held, whatever it was
        _log.error("moderator.failed %s %s", name, type(error).__name__)
        return _Answers(name=name, scores=(None,) * len(prompts))
    _log.error("moderator.miscounted %s", name)
    return _Answers(name=name, scores=(None,) * len(prompts))


def _checked(answer: PromptScores, promises: frozenset[Category]) -> PromptScores:
    """The answer with plain floats; raises TypeError for what is no number, note or name.

    NaN and numbers outside 0..1 stay: the policy blocks for them.
    """
    notes: Any = answer.notes
    named: Any = answer.named
    if not isinstance(notes, tuple) or not all(isinstance(note, str) for note in notes):
        raise TypeError("The notes of a moderator must be texts in a tuple.")
    if not isinstance(named, tuple) or not all(isinstance(one, Named) for one in named):
        raise TypeError("The names of a moderator must be Named in a tuple.")
    if not promises <= answer.scores.keys():
        notes = (*notes, BROKEN_PROMISE_NOTE)
    return PromptScores(
        scores={category: _number(score) for category, score in answer.scores.items()},
        notes=notes,
        named=tuple(replace(one, score=_number(one.score)) for one in named),
    )


def _number(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, Real):
        raise TypeError("A score must be a number.")
    return float(score)


def _stricter(one: float | None, other: float) -> float:
    """The score that the policy treats more strictly; one outside 0..1 (NaN too) wins."""
    if one is None or not 0.0 <= other <= 1.0:
        return other
    if not 0.0 <= one <= 1.0:
        return one
    return max(one, other)


def _with_reason(verdict: Verdict, reason: Reason) -> Verdict:
    strictest = max(verdict.action, reason.action, key=lambda action: action.severity)
    return replace(verdict, action=strictest, reasons=(*verdict.reasons, reason))
