"""Explanations: every score of an item beside the thresholds in force. For operators only."""

from __future__ import annotations

from dataclasses import dataclass

from safety.policy import Policy
from safety.shadow import Scored, overall
from safety.verdict import Action, Category


@dataclass(frozen=True, kw_only=True)
class Line:
    """One category that the policy judges at the stage.

    ``score`` is None when nobody gave one. ``held_from`` and ``refused_from`` are the least
    scores with that consequence, open windows included; None when no score has it. ``windows``
    are the open windows that concern the category.
    """

    category: Category
    score: float | None
    held_from: float | None
    refused_from: float | None
    action: Action
    windows: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a policy says of an item, and why. It holds scores: never show it to a creator."""

    action: Action
    lines: tuple[Line, ...]


def explain(policy: Policy, item: Scored) -> Explanation:
    """Every category of the stage, those that stop the item first, then by score."""
    said = item.under(policy)
    lines = (
        line for rule in policy.rules if (line := _line(policy, item, rule, said.get(rule)))
    )
    ordered = sorted(lines, key=lambda line: (-line.action.severity, -(line.score or 0.0)))
    return Explanation(action=overall(said), lines=tuple(ordered))


def _line(
    policy: Policy, item: Scored, category: Category, action: Action | None
) -> Line | None:
    limits = policy.rules[category].limits(item.stage, item.circumstances.audience)
    if limits is None:
        return None
    open_now = [w for w in policy.open_windows(item.circumstances) if category in w.categories]
    every = (limits, *(window.tighten(limits) for window in open_now))
    held, refused = (
        min((t for each in every if (t := each.threshold(wanted)) is not None), default=None)
        for wanted in (Action.REVIEW, Action.BLOCK)
    )
    return Line(
        category=category,
        score=item.scores.get(category),
        held_from=held,
        refused_from=refused,
        action=action or Action.ALLOW,
        windows=tuple(window.rule for window in open_now),
    )
