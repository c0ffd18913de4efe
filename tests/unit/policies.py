"""Random sound policies, windows, scores and circumstances, and text files to break."""

from __future__ import annotations

import datetime as dt
import math
import random
from dataclasses import replace

from hypothesis import strategies as st

from safety.circumstances import Audience, Circumstances
from safety.limits import VETTING, Limits, Rule, Tier
from safety.policy import POLICY_PATH, Policy
from safety.regions import REGIONS
from safety.soundness import LIFTABLE
from safety.verdict import Action, Category
from safety.windows import Window

CONTENT = POLICY_PATH.read_bytes()
POLICY = Policy.parse(CONTENT)
CLEAN = dict.fromkeys(Category, 0.0)
ACTIONS = tuple(Action)
SOME_REGIONS = ("FR", "DE", "US")
NOON = dt.datetime(2027, 4, 20, 12, tzinfo=dt.UTC)

ELECTION = """
[[windows]]
id = "EX-W1"
text = "Election period in {regions} until {to}: content made to influence the vote is refused."
from = 2027-04-05T00:00:00+02:00
to = 2027-05-02T23:59:59+02:00
regions = ["FR"]
categories = ["political_election", "deception_misinfo"]
stricter = { multiply = 0.5, at_least = "block" }
"""


def with_window(text: str = ELECTION) -> Policy:
    return Policy.parse(CONTENT + text.encode())


def random_limits(draw: random.Random, *, prohibited: bool) -> dict[Audience, Limits]:
    """Limits of the three audiences, each no stricter than the one before."""
    found: dict[Audience, Limits] = {}
    low, high = sorted(draw.choice((draw.uniform(0.01, 1.0), 0.5, 1.0)) for _ in range(2))
    first, second = sorted(draw.choices(range(3), k=2))
    for audience in VETTING:
        at_block = Action.BLOCK if prohibited else ACTIONS[second]
        found[audience] = Limits(
            review=low, block=high, at_review=ACTIONS[first], at_block=at_block
        )
        if draw.random() < 0.5:
            low, high = sorted((draw.uniform(low, 1.0), draw.uniform(high, 1.0)))
        if draw.random() < 0.5:
            second = draw.randint(0, second)
            first = min(draw.randint(0, first), second)
    return found


def random_rule(draw: random.Random, number: int, category: Category) -> Rule:
    tier = draw.choice(tuple(Tier))
    prohibited = tier is Tier.PROHIBITED
    prompt = random_limits(draw, prohibited=prohibited)
    frames = random_limits(draw, prohibited=prohibited) if draw.random() < 0.7 else None
    overridable = True
    if category is Category.SEXUAL_MINORS:
        tier, overridable, frames = Tier.PROHIBITED, False, None
        low = Limits(review=0.1, block=0.1, at_review=Action.REVIEW, at_block=Action.BLOCK)
        prompt = dict.fromkeys(Audience, low)
    return Rule(
        category=category,
        tier=tier,
        rule=f"XX-{number}",
        text=f"The rule about {category.value}.",
        overridable=overridable,
        prompt=prompt,
        frames=frames,
        lifted_from=draw.choice(VETTING) if category in LIFTABLE else None,
    )


def random_policy(seed: int) -> Policy:
    draw = random.Random(seed)
    rules = {c: random_rule(draw, n, c) for n, c in enumerate(Category)}
    if all(rule.frames is None for rule in rules.values()):
        hate = rules[Category.HATE]
        rules[Category.HATE] = replace(hate, frames=hate.prompt)
    return Policy(
        version="test",
        hash=f"{seed:064x}",
        rules=rules,
        minor_sexual_limit=0.2,
        fault_text="This could not be judged completely.",
    )


def random_window(seed: int, policy: Policy, name: str = "XX-W1") -> Window:
    """A window that changes something, whatever the policy says."""
    draw = random.Random(seed)
    others = sorted(c for c in Category if c is not Category.SEXUAL_MINORS)
    categories = frozenset(draw.sample(others, draw.randint(1, 6)))
    every = [
        limits[Audience.PUBLIC]
        for rule in map(policy.rules.__getitem__, categories)
        for limits in (rule.prompt, rule.frames)
        if limits is not None
    ]
    review = draw.uniform(0.01, 0.99) * min(each.review for each in every)
    block = draw.uniform(review, min(each.block for each in every))
    start = NOON + dt.timedelta(days=draw.randint(-20, 5))
    bounded = draw.random() < 0.5
    return Window(
        rule=name,
        text="A period in which more is stopped.",
        start=start,
        end=start + dt.timedelta(days=draw.randint(1, 20)),
        regions=draw.choice((None, frozenset(draw.sample(SOME_REGIONS, 2)))),
        categories=categories,
        factor=draw.choice((1.0, 0.3)) if bounded else 0.9,
        review=review if bounded else None,
        block=draw.choice((None, block)),
        at_least=draw.choice(ACTIONS),
    )


def beside(policy: Policy, *windows: Window) -> Policy:
    return replace(policy, windows=(*policy.windows, *windows))


SEEDS = st.integers(min_value=0, max_value=2**32)
SCORES = st.dictionaries(
    st.sampled_from(list(Category)),
    st.one_of(st.floats(min_value=0, max_value=1), st.sampled_from([0.0, 0.1, 0.5, 1.0])),
).map(lambda some: {**CLEAN, **some})
BAD = st.sampled_from([math.nan, math.inf, -math.inf, -0.001, 1.001, None, "0.1", True])
TIMES = st.one_of(
    st.none(), st.integers(-40, 40).map(lambda days: NOON + dt.timedelta(days=days))
)
PLACES = st.sampled_from([None, *SOME_REGIONS, "JP", "UK", "XK", "fr", ""])
ASKED = st.builds(
    Circumstances, audience=st.sampled_from(list(Audience)), region=PLACES, at=TIMES
)
assert set(SOME_REGIONS) <= REGIONS
