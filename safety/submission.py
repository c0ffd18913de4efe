"""Submissions: everything a request says, judged part by part and as one.

Every part is judged alone; what adds up (the prompts that a remix goes back to, title, names,
the prompt) is judged together as well; the strictest verdict wins. The negative prompt is
judged apart, by what it takes away. Sequences: see safety.sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from safety.assembly import AssemblyRules
from safety.circumstances import STRICTEST, Circumstances
from safety.negative import NegativeTerms, Removal
from safety.policy import FAULT_RULE, Policy
from safety.sequence import (
    MAX_RECENT,
    Combination,
    Emergence,
    across,
    emergent,
    joined,
    retold,
    shots,
    suspected,
    within,
)
from safety.verdict import Action, Category, Reason, Stage, Verdict

COMPOSITE_SCORE = 0.8
"""What ``temporal_composite`` scores when a whole shows what no part does: a person looks."""

REMOVAL_SCORE = 0.8
"""What ``sexual_suggestive`` scores when a negative prompt takes the clothes from people."""

UNDRESSED = "naked"
_SEXUAL = (Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE)


class PartKind(StrEnum):
    """What a text of a request is. Stored with requests: append, never rename."""

    PROMPT = "prompt"
    NEGATIVE_PROMPT = "negative_prompt"
    TITLE = "title"
    CHARACTER_NAME = "character_name"
    EDIT = "edit"
    REMIX = "remix"
    EXTENSION = "extension"
    IMAGE_TEXT = "image_text"


TELLING = frozenset({PartKind.PROMPT, PartKind.EDIT, PartKind.REMIX, PartKind.EXTENSION})
"""Parts that tell what happens: they may hold a list of shots."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One text of a request."""

    kind: PartKind
    text: str


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Everything that one request says.

    ``lineage`` are the prompts of the clips that it changes or continues, ``recent`` the
    prompts that the same creator had accepted lately; both oldest first.
    """

    parts: tuple[Part, ...]
    lineage: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()

    @property
    def positive(self) -> tuple[Part, ...]:
        """The parts that say what is wanted."""
        return tuple(p for p in self.parts if p.kind is not PartKind.NEGATIVE_PROMPT)

    @property
    def negative(self) -> tuple[str, ...]:
        """The texts that say what is not wanted."""
        return tuple(p.text for p in self.parts if p.kind is PartKind.NEGATIVE_PROMPT)

    @property
    def wholes(self) -> tuple[str, ...]:
        """What is wanted as one text, growing by a part: the lineage first, all of it last."""
        return self._growing(self.positive)

    @property
    def stories(self) -> tuple[str, ...]:
        """What the clip will tell, growing by a part: the lineage and the parts that tell."""
        return self._growing([part for part in self.positive if part.kind in TELLING])

    @property
    def whole(self) -> str:
        """What is wanted, as one text: what went before, then the parts in their order."""
        return self.wholes[-1]

    @property
    def story(self) -> str:
        """What the clip will tell: the lineage and the parts that tell, for the window."""
        return self.stories[-1]

    def _growing(self, parts: Sequence[Part]) -> tuple[str, ...]:
        said = [*self.lineage, *(part.text for part in parts)]
        return tuple(_one(said[:end]) for end in range(len(self.lineage), len(said) + 1))


class TextGate(Protocol):
    """Judges texts; ``safety.moderation.PromptGate`` is the real one."""

    @property
    def policy(self) -> Policy:
        """The rules in force."""
        ...

    def judge(
        self, prompts: Sequence[str], *, circumstances: Circumstances = STRICTEST
    ) -> tuple[Verdict, ...]:
        """One verdict per text, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class SubmissionGate:
    """Judges texts and whole submissions with one gate.

    A part added at the end never makes the verdict milder: whatever was judged without it is
    judged with it too, for a part that dilutes a whole, or cannot be read, must not hide what
    the rest says. Beside the parts and these wholes at most ``safety.sequence.MAX_TEXTS`` texts
    are judged, in one batch with them; only when a whole is stopped are the texts behind it
    judged as well.
    """

    gate: TextGate
    terms: NegativeTerms = field(default_factory=NegativeTerms.load)
    assembly: AssemblyRules = field(default_factory=AssemblyRules.load)

    @property
    def policy(self) -> Policy:
        """The rules in force."""
        return self.gate.policy

    def judge(
        self, prompts: Sequence[str], *, circumstances: Circumstances = STRICTEST
    ) -> tuple[Verdict, ...]:
        """One verdict per text, each on its own."""
        return self.gate.judge(prompts, circumstances=circumstances)

    def weigh(
        self, submission: Submission, *, circumstances: Circumstances = STRICTEST
    ) -> Verdict:
        """The verdict on all of a request. One that says nothing is held."""
        return _Weighing(
            gate=self, submission=submission, circumstances=circumstances
        ).verdict()


@dataclass(frozen=True, kw_only=True)
class _Weighing:
    """One submission on the scales."""

    gate: SubmissionGate
    submission: Submission
    circumstances: Circumstances

    def verdict(self) -> Verdict:
        asked = self.submission
        if not asked.positive:
            return self._ruled({}, ())
        judged = self._judged
        found = [judged[text] for text in self._wanted]
        own = strictest(found)
        if asked.negative:
            found.append(self._negative(own))
        if grown := self._composites(own):
            found.append(self._composite(own, grown))
        found += [_unreadable(judged[combination.text]) for combination in self._combinations]
        return strictest(found)

    # --- what is judged ---------------------------------------------------------------

    @cached_property
    def _judged(self) -> dict[str, Verdict]:
        texts = [*self._wanted, *self.submission.negative]
        if self._removal.clothes:
            texts += self._inverted
        texts += [combination.text for combination in self._combinations]
        return self._ask(texts)

    @property
    def _wanted(self) -> tuple[str, ...]:
        """What is asked for: each part, what they tell together, and all of it."""
        asked = self.submission
        together = (text for text in (*asked.stories, *asked.wholes[:-1]) if text)
        return (*(part.text for part in asked.positive), *together, asked.whole)

    @cached_property
    def _removal(self) -> Removal:
        found = [self.gate.terms.removal(text) for text in self.submission.negative]
        return Removal(
            clothes=any(removal.clothes for removal in found),
            adulthood=any(removal.adulthood for removal in found),
        )

    def _ask(self, texts: Iterable[str]) -> dict[str, Verdict]:
        distinct = tuple(dict.fromkeys(texts))
        verdicts = self.gate.judge(distinct, circumstances=self.circumstances)
        return dict(zip(distinct, verdicts, strict=True))

    @property
    def _combinations(self) -> tuple[Combination, ...]:
        return (*(c for _, plans in self._shots for c in plans), *self._across)

    @cached_property
    def _shots(self) -> tuple[tuple[tuple[str, ...], tuple[Combination, ...]], ...]:
        """The shots of the first part that has some, and what they may add up to."""
        for part in self.submission.positive:
            if part.kind in TELLING and (found := shots(part.text)):
                return ((found, within(found)),)
        return ()

    @cached_property
    def _recent(self) -> tuple[str, ...]:
        """Earlier prompts, each once where it came last; what this one changes is in it."""
        known = {*self.submission.lineage, self.submission.story}
        latest = dict.fromkeys(text for text in reversed(self.submission.recent))
        return tuple(t for t in reversed(latest) if t not in known)[-MAX_RECENT:]

    @cached_property
    def _across(self) -> tuple[Combination, ...]:
        return across(self._recent, self.submission.story)

    @property
    def _inverted(self) -> tuple[str, ...]:
        return tuple(f"{text} {UNDRESSED}" for text in self.submission.wholes)

    # --- what follows -----------------------------------------------------------------

    def _composites(self, own: Verdict) -> tuple[Emergence, ...]:
        """What shots or requests show together and none of them alone."""
        found: dict[Category, Emergence] = {}
        story = (self.submission.story,)
        candidates: list[tuple[Combination, tuple[str, ...], tuple[str, ...]]]
        candidates = [(c, texts, ()) for texts, plans in self._shots for c in plans]
        candidates += [(c, self._recent, story) for c in self._across]
        for combination, texts, last in candidates:
            whole = self._judged[combination.text]
            if not suspected(whole, [own]):
                continue
            told = [texts[i] for i in combination.parts]
            again = retold([*told, *last])
            closer = self._ask([*told, *again])
            for grown in emergent(
                [whole, *(closer[text] for text in again)],
                [own, *(closer[text] for text in told)],
                minor_limit=self.gate.policy.minor_sexual_limit,
            ):
                found.setdefault(grown.category, grown)
        new = [s for texts, _ in self._shots for s in texts] or [self.submission.story]
        for category in self.gate.assembly.found(self._recent, new):
            if not any(reason.category is category for reason in own.reasons):
                grown = Emergence(category=category, score=COMPOSITE_SCORE)
                found.setdefault(category, grown)
        return tuple(found.values())

    def _composite(self, own: Verdict, grown: Sequence[Emergence]) -> Verdict:
        """Held, with the category behind it for the reviewer."""
        ruled = self._ruled(
            {**own.scores, Category.TEMPORAL_COMPOSITE: COMPOSITE_SCORE},
            (*own.judges, self.gate.assembly.name),
        )
        minors = any(g.category is Category.SEXUAL_MINORS for g in grown)
        told = any(r.category is Category.TEMPORAL_COMPOSITE for r in ruled.reasons)
        if not (told or minors):
            return ruled  # the policy lets this audience do so
        behind = (self._behind(g.category) for g in grown)
        return _with_reasons(ruled, (*ruled.reasons, *behind))

    def _negative(self, own: Verdict) -> Verdict:
        """What the negative prompt adds: what it takes away, and whether it could be read."""
        found = [_unreadable(self._judged[text]) for text in self.submission.negative]
        removal = self._removal
        if not removal:
            return strictest(found)
        texts = [*self.submission.lineage, *(part.text for part in self.submission.positive)]
        people = self.gate.terms.names_people(texts)
        judges = (*own.judges, self.gate.terms.name)
        limit = self.gate.policy.minor_sexual_limit
        if removal.clothes:
            bare = strictest([self._judged[text] for text in self._inverted])
            minors = tuple(r for r in bare.reasons if r.category is Category.SEXUAL_MINORS)
            found.append(_with_reasons(bare, minors, scores={}))
            if people or minors:
                raised = {Category.SEXUAL_SUGGESTIVE: REMOVAL_SCORE}
                found.append(self._ruled({**own.scores, **raised}, judges))
        if removal.adulthood and people:
            if not all(own.scores.get(category, 1.0) < limit for category in _SEXUAL):
                raised = {Category.SEXUAL_MINORS: 1.0}
                found.append(self._ruled({**own.scores, **raised}, judges))
            elif removal.clothes:
                behind = self._behind(Category.SEXUAL_MINORS)
                found.append(_with_reasons(own, (*own.reasons, behind)))
        return strictest(found)

    def _behind(self, category: Category) -> Reason:
        """A ground to hold that names this category's rule."""
        rule = self.gate.policy.rules[category]
        return Reason(
            category=category,
            stage=Stage.PROMPT,
            rule=rule.rule,
            text=rule.text,
            action=Action.REVIEW,
        )

    def _ruled(self, scores: dict[Category, float], judges: tuple[str, ...]) -> Verdict:
        return self.gate.policy.judge(
            scores, stage=Stage.PROMPT, judges=judges, circumstances=self.circumstances
        )


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    """Verdicts of one policy as one: the strictest action, all reasons, the highest scores.

    The reasons of the strictest verdict come first. A score that is no number in 0..1 wins.
    Of what a policy on trial said, the strictest stays.
    Raises ValueError for none.
    """
    if not verdicts:
        raise ValueError("There is no verdict to choose from.")
    ordered = sorted(verdicts, key=lambda verdict: -verdict.action.severity)
    scores: dict[Category, float] = {}
    for verdict in verdicts:
        for category, score in verdict.scores.items():
            scores[category] = _worse(scores.get(category), score)
    trials = [verdict.shadow for verdict in verdicts if verdict.shadow is not None]
    return replace(
        ordered[0],
        scores=scores,
        reasons=tuple(dict.fromkeys(r for verdict in ordered for r in verdict.reasons)),
        judges=tuple(dict.fromkeys(j for verdict in verdicts for j in verdict.judges)),
        notes=frozenset(note for verdict in verdicts for note in verdict.notes),
        shadow=max(trials, key=lambda s: Action(s["action"]).severity, default=None),
    )


def _unreadable(verdict: Verdict) -> Verdict:
    """The verdict for what could not be judged, and for nothing else."""
    faults = tuple(r for r in verdict.reasons if r.category is None or r.rule == FAULT_RULE)
    return _with_reasons(verdict, faults, scores={})


def _worse(one: float | None, other: float) -> float:
    """The higher score; one that is not in 0..1 (NaN too) is worse than any."""
    if one is None or not 0.0 <= other <= 1.0:
        return other
    return max(one, other) if 0.0 <= one <= 1.0 else one


def _one(texts: Sequence[str]) -> str:
    """Texts as one; a single one stays as it was written."""
    return texts[0] if len(texts) == 1 else joined(texts)


def _with_reasons(
    verdict: Verdict,
    reasons: tuple[Reason, ...],
    *,
    scores: dict[Category, float] | None = None,
) -> Verdict:
    """The verdict for these reasons only; its action is the strictest of theirs, its notes
    are left behind with the text that they were taken of.
    """
    severest = max((r.action for r in reasons), key=lambda a: a.severity, default=Action.ALLOW)
    return replace(
        verdict,
        action=severest,
        scores=verdict.scores if scores is None else scores,
        reasons=tuple(dict.fromkeys(reasons)),
        notes=frozenset(),
        shadow=None,
    )
