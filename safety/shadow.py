"""Shadows: what another policy would have said of the same scores."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Self

from safety.circumstances import STRICTEST, Audience, Circumstances
from safety.policy import FAULT_RULE, Policy
from safety.verdict import Action, Category, FrameScores, Reason, Stage, Verdict

_log = logging.getLogger(__name__)
Ground = Category | None
"""What stopped an item: a category, or None for a fault that belongs to none."""


@dataclass(frozen=True, kw_only=True)
class Shadowed(Policy):
    """A policy in force, with another one on trial beside it.

    Every verdict is that of the policy in force, and says in ``shadow`` what the trial would
    have answered. A trial that fails is logged and leaves ``shadow`` None.
    """

    trial: Policy

    @classmethod
    def beside(cls, policy: Policy, trial: Policy) -> Self:
        """``policy`` in force, ``trial`` in its shadow."""
        return cls(**{f.name: getattr(policy, f.name) for f in fields(Policy)}, trial=trial)

    def judge(
        self,
        scores: Mapping[Category, float],
        *,
        stage: Stage,
        judges: tuple[str, ...],
        circumstances: Circumstances = STRICTEST,
    ) -> Verdict:
        """The verdict of the policy in force; see ``Policy.judge``."""
        verdict = self._judge(scores, stage, judges, circumstances)
        return _with_shadow(
            verdict,
            lambda: self.trial.judge(
                scores, stage=stage, judges=judges, circumstances=circumstances
            ),
        )

    def judge_frames(
        self,
        frames: Sequence[FrameScores],
        *,
        judges: tuple[str, ...],
        circumstances: Circumstances = STRICTEST,
    ) -> Verdict:
        """The verdict of the policy in force; see ``Policy.judge_frames``."""
        verdict = super().judge_frames(frames, judges=judges, circumstances=circumstances)
        return _with_shadow(
            verdict,
            lambda: self.trial.judge_frames(frames, judges=judges, circumstances=circumstances),
        )


def _with_shadow(verdict: Verdict, trial: Callable[[], Verdict]) -> Verdict:
    try:
        other = trial()
        shadow = {"policy": str(other.policy), "action": str(Action(other.action))}
    except Exception as error:  # noqa: BLE001  # a trial must never touch what is in force
        _log.error("shadow.failed %s", type(error).__name__)
        return verdict
    return replace(verdict, shadow=shadow)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """An item that was judged before: its scores and what was then said of it.

    For frames, ``scores`` are the highest of each category; as every limit is a threshold,
    they lead to the action of the whole clip. ``said`` has the strictest action for each
    ground. ``faults`` are those of ``said`` that are no matter of policy: a judge that failed
    or a score that was missing stops the item under every policy.
    """

    subject: str
    stage: Stage
    scores: Mapping[Category, float]
    circumstances: Circumstances = STRICTEST
    said: Mapping[Ground, Action] = field(default_factory=dict)
    faults: Mapping[Ground, Action] = field(default_factory=dict)
    policy: str = ""

    @classmethod
    def of(cls, subject: str, verdict: Verdict, circumstances: Circumstances) -> Self:
        """A verdict, to be compared with what another policy says of its scores."""
        return cls(
            subject=subject,
            stage=verdict.stage,
            scores=verdict.scores,
            circumstances=circumstances,
            said=grounds(verdict.reasons),
            faults=grounds(r for r in verdict.reasons if r.rule == FAULT_RULE),
            policy=verdict.policy,
        )

    def read_with(self, policy: Policy) -> Self:
        """The same item, for the policy that it was judged by: whatever its scores do not
        explain was the gate's own doing, and stops it under every policy.
        """
        explained = self.under(policy)
        own = {
            ground: action
            for ground, action in self.said.items()
            if explained.get(ground, Action.ALLOW).severity < action.severity
        }
        return replace(self, faults=strictest_of((self.faults, own)))

    def under(self, policy: Policy) -> Mapping[Ground, Action]:
        """What a policy says of it, for each ground; empty when it would pass."""
        verdict = policy.judge(
            self.scores, stage=self.stage, judges=(), circumstances=self.circumstances
        )
        return strictest_of((grounds(verdict.reasons), self.faults))

    def unknown_to(self, policy: Policy) -> tuple[Category, ...]:
        """The categories that the policy would judge and that nobody scored at the time."""
        return tuple(
            category
            for category, rule in policy.rules.items()
            if rule.at(self.stage) is not None
            and category not in self.scores
            and not (self.scores and category in self.faults)
        )


def grounds(reasons: Iterable[Reason]) -> dict[Ground, Action]:
    """The strictest action for each ground."""
    return strictest_of({reason.category: reason.action} for reason in reasons)


def strictest_of(told: Iterable[Mapping[Ground, Action]]) -> dict[Ground, Action]:
    """Several answers as one, the strictest for each ground."""
    found: dict[Ground, Action] = {}
    for each in told:
        for ground, action in each.items():
            found[ground] = max(found.get(ground, action), action, key=_severity)
    return found


def overall(said: Mapping[Ground, Action]) -> Action:
    """The action that follows from all grounds together."""
    return max(said.values(), key=_severity, default=Action.ALLOW)


def _severity(action: Action) -> int:
    return action.severity


@dataclass(frozen=True, kw_only=True)
class Change:
    """An item that would fare otherwise. ``grounds`` are those whose own action changes."""

    subject: str
    stage: Stage
    audience: Audience
    was: Action
    now: Action
    grounds: tuple[Ground, ...]


@dataclass(frozen=True, kw_only=True)
class Incomparable:
    """An item that another policy cannot be asked about, for want of these scores."""

    subject: str
    stage: Stage
    missing: tuple[Category, ...]


@dataclass(frozen=True, kw_only=True)
class ShadowReport:
    """What would change under another policy.

    ``compared`` counts the items that could be compared, changed or not; ``moves`` counts all
    of them by what was and what would be said.
    """

    policy: str
    compared: int
    moves: Mapping[tuple[Action, Action], int]
    changes: tuple[Change, ...]
    incomparable: tuple[Incomparable, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "moves", MappingProxyType(dict(self.moves)))

    def by_ground(self) -> Mapping[Ground, Counter[tuple[Action, Action]]]:
        """The changed items by the grounds whose own action changes."""
        found: dict[Ground, Counter[tuple[Action, Action]]] = {}
        for change in self.changes:
            for ground in change.grounds:
                found.setdefault(ground, Counter())[change.was, change.now] += 1
        return found

    def by_audience(self) -> Mapping[Audience, Counter[tuple[Action, Action]]]:
        """The changed items by who asked."""
        found: dict[Audience, Counter[tuple[Action, Action]]] = {}
        for change in self.changes:
            found.setdefault(change.audience, Counter())[change.was, change.now] += 1
        return found


def compare(items: Iterable[Scored], new: Policy, *, old: Policy | None = None) -> ShadowReport:
    """What would change for these items under ``new``.

    The other side is what ``old`` says of the same scores or, without it, what was said at
    the time. An item that lacks a score for a category that one of them judges is not
    compared, and said to be so.
    """
    moves: Counter[tuple[Action, Action]] = Counter()
    changes: list[Change] = []
    incomparable: list[Incomparable] = []
    for item in items:
        missing = {*item.unknown_to(new), *(() if old is None else item.unknown_to(old))}
        if missing or not item.scores:
            incomparable.append(
                Incomparable(
                    subject=item.subject, stage=item.stage, missing=tuple(sorted(missing))
                )
            )
            continue
        before = item.said if old is None else item.under(old)
        after = item.under(new)
        was, now = overall(before), overall(after)
        moves[was, now] += 1
        if was is not now:
            changed = {g for g in {**before, **after} if before.get(g) is not after.get(g)}
            changes.append(
                Change(
                    subject=item.subject,
                    stage=item.stage,
                    audience=item.circumstances.audience,
                    was=was,
                    now=now,
                    grounds=tuple(sorted(changed, key=str)),
                )
            )
    return ShadowReport(
        policy=new.hash,
        compared=moves.total(),
        moves=moves,
        changes=tuple(changes),
        incomparable=tuple(incomparable),
    )
