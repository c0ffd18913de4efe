"""Differences: what two policies treat differently, and which of them is stricter there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from safety.circumstances import Audience
from safety.limits import VETTING, Limits, Rule
from safety.policy import Policy
from safety.review import Review
from safety.verdict import Action, Category, Stage
from safety.windows import DAWN, DUSK, Window


class Effect(StrEnum):
    """What a change means for a creator."""

    STRICTER = "stricter"
    MILDER = "milder"
    MIXED = "mixed"
    WORDING = "wording"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that differs: where, what it was, what it is now, and its effect."""

    place: str
    was: str
    now: str
    effect: Effect


def differences(old: Policy, new: Policy) -> tuple[Difference, ...]:
    """Every difference in meaning between two policies; a changed comment is none."""
    return tuple(_differences(old, new))


def _differences(old: Policy, new: Policy) -> Iterator[Difference]:
    yield from _wording("version", old.version, new.version)
    yield from _wording("fault text", old.fault_text, new.fault_text)
    if old.minor_sexual_limit != new.minor_sexual_limit:
        yield Difference(
            place="sexual score beside a minor",
            was=f"{old.minor_sexual_limit:g}",
            now=f"{new.minor_sexual_limit:g}",
            effect=_effect(stricter=new.minor_sexual_limit < old.minor_sexual_limit),
        )
    yield from _of_review(old.review, new.review)
    for category in Category:
        yield from _of_rules(old.rules[category], new.rules[category])
    before = {window.rule: window for window in old.windows}
    after = {window.rule: window for window in new.windows}
    for name in dict.fromkeys((*before, *after)):
        yield from _of_windows(name, before.get(name), after.get(name))


def _of_review(old: Review, new: Review) -> Iterator[Difference]:
    hours = (f"{old.answer_hours} hours", f"{new.answer_hours} hours")
    yield from _wording("a person answers within", *hours)
    if old.second_person != new.second_person:
        more, fewer = (
            new.second_person - old.second_person,
            old.second_person - new.second_person,
        )
        yield Difference(
            place="two people must agree on",
            was=", ".join(sorted(old.second_person)) or "nothing",
            now=", ".join(sorted(new.second_person)) or "nothing",
            effect=Effect.MIXED if more and fewer else _effect(stricter=bool(more)),
        )


def _of_rules(old: Rule, new: Rule) -> Iterator[Difference]:
    name = old.category.value
    yield from _wording(f"{name}, rule", old.rule, new.rule)
    yield from _wording(f"{name}, text", old.text, new.text)
    yield from _wording(f"{name}, tier", old.tier.value, new.tier.value)
    if old.overridable is not new.overridable:
        yield Difference(
            place=f"{name}, a person may release it",
            was=_yes(old.overridable),
            now=_yes(new.overridable),
            effect=_effect(stricter=old.overridable),
        )
    if old.lifted_from is not new.lifted_from:
        yield Difference(
            place=f"{name}, a record lifts it for",
            was=_lifted(old.lifted_from),
            now=_lifted(new.lifted_from),
            effect=_effect(stricter=_rank(new.lifted_from) > _rank(old.lifted_from)),
        )
    for stage in Stage:
        yield from _of_stage(f"{name}, {stage.value}", stage, old, new)


def _of_stage(place: str, stage: Stage, old: Rule, new: Rule) -> Iterator[Difference]:
    """One difference for all audiences that fare alike."""
    alike: dict[Difference, list[str]] = {}
    for audience in VETTING:
        was, now = old.limits(stage, audience), new.limits(stage, audience)
        if was != now:
            effect = _effect_of_limits(was, now)
            found = Difference(place=place, was=told(was), now=told(now), effect=effect)
            alike.setdefault(found, []).append(audience.value)
    for found, audiences in alike.items():
        everybody = len(audiences) == len(VETTING)
        yield (
            found if everybody else replace(found, place=f"{place}, {' and '.join(audiences)}")
        )


def told(limits: Limits | None) -> str:
    """Limits in words: from which score an item is held, and from which refused."""
    if limits is None:
        return "not judged"
    held, refused = limits.threshold(Action.REVIEW), limits.threshold(Action.BLOCK)
    if held is None:
        return "passes at any score"
    if refused is None:
        return f"held from {held:g}"
    if refused <= held:
        return f"refused from {refused:g}"
    return f"held from {held:g}, refused from {refused:g}"


def _effect_of_limits(old: Limits | None, new: Limits | None) -> Effect:
    steps = [
        (_threshold(old, action), _threshold(new, action))
        for action in (Action.REVIEW, Action.BLOCK)
    ]
    stricter = any(now < was for was, now in steps)
    milder = any(now > was for was, now in steps)
    if stricter and milder:
        return Effect.MIXED
    if stricter or milder:
        return _effect(stricter=stricter)
    return Effect.WORDING


def _threshold(limits: Limits | None, action: Action) -> float:
    """2 stands for a score that does not occur."""
    found = None if limits is None else limits.threshold(action)
    return 2.0 if found is None else found


def _of_windows(name: str, old: Window | None, new: Window | None) -> Iterator[Difference]:
    place = f"window {name}"
    if old is None or new is None:
        was = "none" if old is None else summary(old)
        now = "none" if new is None else summary(new)
        yield Difference(place=place, was=was, now=now, effect=_effect(stricter=old is None))
        return
    yield from _wording(f"{place}, text", old.text, new.text)
    if summary(old) != summary(new):
        within, around = _covers(new, old), _covers(old, new)
        effect = Effect.MIXED if within is around else _effect(stricter=within)
        yield Difference(place=place, was=summary(old), now=summary(new), effect=effect)


def summary(window: Window) -> str:
    """A window in one line: where, when, what about, and what it does."""
    where = "everywhere" if window.regions is None else ", ".join(sorted(window.regions))
    when = f"{window.start.isoformat()} to {window.end.isoformat()}"
    if (window.start, window.end) == (DAWN, DUSK):
        when = "at any time"
    if window.beside is not None:
        when += f", beside {window.beside}"
    does = []
    if window.factor != 1.0:
        does.append(f"thresholds × {window.factor:g}")
    if window.review is not None:
        does.append(f"review from {window.review:g}")
    if window.block is not None:
        does.append(f"block from {window.block:g}")
    if window.at_least is not Action.ALLOW:
        does.append(f"at least {window.at_least.value}")
    return f"{where}, {when}, {', '.join(sorted(window.categories))}: {', '.join(does)}"


def _covers(outer: Window, inner: Window) -> bool:
    """True when the outer window is open whenever the inner is, and as strict in all parts."""
    return (
        outer.start <= inner.start
        and outer.end >= inner.end
        and (outer.regions is None or (inner.regions or frozenset("*")) <= outer.regions)
        and outer.beside in (None, inner.beside)
        and outer.categories >= inner.categories
        and outer.factor <= inner.factor
        and _bound(outer.review) <= _bound(inner.review)
        and _bound(outer.block) <= _bound(inner.block)
        and outer.at_least.severity >= inner.at_least.severity
    )


def _bound(bound: float | None) -> float:
    return 2.0 if bound is None else bound


def _wording(place: str, old: str, new: str) -> Iterator[Difference]:
    if old != new:
        yield Difference(place=place, was=old, now=new, effect=Effect.WORDING)


def _effect(*, stricter: bool) -> Effect:
    return Effect.STRICTER if stricter else Effect.MILDER


def _yes(value: bool) -> str:  # noqa: FBT001 - a word for the value itself
    return "yes" if value else "no"


def _lifted(audience: Audience | None) -> str:
    if audience is None:
        return "nobody"
    return ", ".join(each.value for each in VETTING[VETTING.index(audience) :])


def _rank(audience: Audience | None) -> int:
    return len(VETTING) if audience is None else VETTING.index(audience)
