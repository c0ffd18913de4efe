"""Soundness: what must hold before a policy may judge anything.

    1. Every category of the taxonomy has a rule, and every rule its limits for every audience.
    2. 0 < review <= block <= 1, and what follows a higher score is never milder.
    3. Something is judged on frames; on prompts everything is that words can say.
    4. A more vetted audience is never treated more strictly than a less vetted one.
    5. The prohibited tier blocks, whoever asks.
    6. ``sexual_minors`` is prohibited, blocks from its first threshold, is the same for every
       audience and in every window, and neither a person nor a record lifts it.
    7. Only likeness, brand and style rules can be lifted by a record.
    8. No rule id has two meanings.
    9. A window ends after it begins, in a zone; it makes something stricter, nothing milder.

The numbers stand in the code below as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Final

from safety.circumstances import Audience
from safety.limits import VETTING, Limits, Rule, Tier
from safety.regions import REGIONS
from safety.verdict import Action, Category, Stage
from safety.windows import Window

LIFTABLE: Final = frozenset(
    {
        Category.PUBLIC_FIGURE,
        Category.PRIVATE_LIKENESS,
        Category.IP_CHARACTER_BRAND,
        Category.LIVING_ARTIST_STYLE,
    }
)
"""Where somebody's consent or licence is what was missing."""


SEEN_ONLY: Final = frozenset({Category.FLASHING_LIGHT})
"""What only pictures show."""


def faults(
    rules: Mapping[Category, Rule], windows: tuple[Window, ...], *, reserved: str
) -> Iterator[str]:
    """What is wrong with these rules, as sentences; nothing when they are sound.

    ``reserved`` is the rule id that no rule and no window may have.
    """
    if missing := [c.value for c in Category if c not in rules]:
        yield f"The policy does not cover: {', '.join(missing)}."  # 1
        return
    for category, rule in rules.items():
        yield from _faults_of_rule(category, rule)
    if all(rule.frames is None for rule in rules.values()):
        yield "The policy judges nothing on frames."  # 3
    yield from _faults_of_minors(rules[Category.SEXUAL_MINORS])
    names = Counter([r.rule for r in rules.values()] + [w.rule for w in windows] + [reserved])
    for name in sorted(name for name, times in names.items() if times > 1):
        yield f"The rule id {name} has two meanings."  # 8
    for window in windows:
        yield from _faults_of_window(window, rules)


def _faults_of_rule(category: Category, rule: Rule) -> Iterator[str]:
    name = category.value
    if rule.category is not category:
        yield f"The rule of {name} is that of another category."  # 1
    if rule.liftable and (category not in LIFTABLE or rule.lifted_from not in VETTING):
        yield f"{name} cannot be lifted by a record."  # 7
    if rule.prompt is None and category not in SEEN_ONLY:
        yield f"{name} must be judged on prompts."  # 3
    for at_stage in map(rule.at, Stage):
        if at_stage is None:
            continue
        if set(at_stage) != set(VETTING):
            yield f"{name} does not say what holds for every audience."  # 1
            return
        in_order = [at_stage[audience] for audience in VETTING]
        if not all(_is_ordered(limits) for limits in in_order):
            yield f"{name} has thresholds or actions out of order."  # 2
        if not all(more.no_stricter_than(less) for less, more in pairwise(in_order)):
            yield f"{name} is stricter for an audience that is better known."  # 4
        if rule.tier is Tier.PROHIBITED and not all(
            limits.at_block is Action.BLOCK for limits in in_order
        ):
            yield f"{name} is prohibited and must block for every audience."  # 5


def _is_ordered(limits: Limits) -> bool:
    return (
        0.0 < limits.review <= limits.block <= 1.0
        and limits.at_review.severity <= limits.at_block.severity
    )


def _faults_of_minors(rule: Rule) -> Iterator[str]:
    if rule.tier is not Tier.PROHIBITED or rule.overridable or rule.liftable:
        yield "sexual_minors must be prohibited, and nobody and nothing lifts it."  # 6
    for at_stage in map(rule.at, Stage):
        every = set() if at_stage is None else set(at_stage.values())
        if len(every) > 1:
            yield "sexual_minors must be the same for every audience."  # 6
        if any(limits.review != limits.block for limits in every):
            yield "Whatever reaches the limit of sexual_minors must be blocked."  # 6


def _faults_of_window(window: Window, rules: Mapping[Category, Rule]) -> Iterator[str]:
    name = window.rule
    if window.start.utcoffset() is None or window.end.utcoffset() is None:
        yield f"The window {name} does not say in which zone its times are."  # 9
    elif not window.start < window.end:
        yield f"The window {name} ends before it begins."  # 9
    if window.regions is not None and not (window.regions and window.regions <= REGIONS):
        yield f"The window {name} names no region, or one that ISO 3166-1 does not know."  # 9
    if Category.SEXUAL_MINORS in window.categories:
        yield f"The window {name} names sexual_minors, which is the same at any time."  # 6
    bounds = [bound for bound in (window.review, window.block) if bound is not None]
    if not all(0.0 < number <= 1.0 for number in (window.factor, *bounds)):
        yield f"The window {name} has a number outside 0 to 1."  # 9
        return
    if bounds != sorted(bounds):
        yield f"The window {name} has its threshold for review above the one for block."  # 2
    for category in sorted(window.categories):
        for limits in _publics(rules[category]):
            if _raises(window.review, limits.review) or _raises(window.block, limits.block):
                yield f"The window {name} has a higher threshold than {category.value}."  # 9
    if not any(changes(window, rules[category]) for category in window.categories):
        yield f"The window {name} makes nothing stricter."  # 9


def _publics(rule: Rule) -> Iterator[Limits]:
    """The limits of the public, which are the strictest, at each stage."""
    for stage in Stage:
        if (limits := rule.limits(stage, VETTING[0])) is not None:
            yield limits


def _raises(bound: float | None, threshold: float) -> bool:
    return bound is not None and not bound <= threshold


def remarks(
    rules: Mapping[Category, Rule], windows: tuple[Window, ...], *, now: datetime
) -> Iterator[str]:
    """What a sound policy does that its author may not have meant, as sentences."""
    for stage in Stage:
        if unjudged := [c.value for c, rule in rules.items() if rule.at(stage) is None]:
            yield f"Not judged on {stage.value}: {', '.join(unjudged)}."
        free: dict[str, list[str]] = {}
        for audience in VETTING:
            passing = ", ".join(_never_stopped(rules, stage, audience))
            if passing:
                free.setdefault(passing, []).append(audience.value)
        for names, audiences in free.items():
            yield f"At no {stage.value} score stopped for {' or '.join(audiences)}: {names}."
    for window in windows:
        if idle := [
            c.value for c in sorted(window.categories) if not changes(window, rules[c])
        ]:
            yield f"The window {window.rule} changes nothing for: {', '.join(idle)}."
        if window.end < now:
            yield f"The window {window.rule} is over."


def _never_stopped(
    rules: Mapping[Category, Rule], stage: Stage, audience: Audience
) -> Iterator[str]:
    for category, rule in rules.items():
        limits = rule.limits(stage, audience)
        if limits is not None and limits.threshold(Action.REVIEW) is None:
            yield category.value


def changes(window: Window, rule: Rule) -> bool:
    """True when the window changes the limits of the rule at some stage for somebody."""
    every = (rule.limits(stage, audience) for stage in Stage for audience in VETTING)
    return any(limits is not None and window.tighten(limits) != limits for limits in every)
