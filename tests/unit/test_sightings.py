"""Sightings: what a ground in a clip rests on, for whoever reviews it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.policy import POLICY_PATH, Policy
from safety.sightings import MAX_SHOWN
from safety.verdict import Category, FrameScores, Reason

POLICY = Policy.load(POLICY_PATH)
EXPLICIT, SUGGESTIVE = Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE


def reasons(scores: list[float], *, step: float = 0.5) -> tuple[Reason, ...]:
    """The grounds of a clip whose looks score so, every half second, every twelfth frame."""
    judged = [c for c in Category if POLICY.rules[c].frames is not None]
    clip = [
        FrameScores(
            index=12 * i,
            seconds=step * i,
            scores={**dict.fromkeys(judged, 0.0), EXPLICIT: score},
        )
        for i, score in enumerate(scores)
    ]
    return POLICY.judge_frames(clip, judges=("test@1",)).reasons


def test_a_run_of_flagged_looks_is_one_sighting_with_its_peak():
    (ground,) = reasons([0.0, 0.75, 0.85, 0.8, 0.0])
    assert (ground.start, ground.end) == (0.5, 1.5)
    assert ground.sighting is not None
    assert (ground.sighting.peak, ground.sighting.peak_at) == (0.85, 1.0)
    assert (ground.sighting.looks, ground.sighting.share) == (3, 0.6)
    assert ground.sighting.frames == (24, 36, 12)


def test_a_look_that_clears_in_between_makes_two_sightings():
    first, second = reasons([0.75, 0.0, 0.8])
    assert [(first.start, first.end), (second.start, second.end)] == [(0.0, 0.0), (1.0, 1.0)]


def test_what_is_held_and_what_is_blocked_are_sightings_apart():
    blocked, held = reasons([0.75, 0.95, 0.0])
    assert (blocked.action.value, held.action.value) == ("block", "review")
    assert blocked.sighting is not None
    assert blocked.sighting.frames == (12,)


def test_only_so_many_frames_are_shown_and_they_are_the_strongest():
    (ground,) = reasons([0.7 + i / 1000 for i in range(100)])
    assert ground.sighting is not None
    assert len(ground.sighting.frames) == MAX_SHOWN
    assert ground.sighting.frames[0] == 12 * 99
    assert ground.sighting.looks == 100


@pytest.mark.parametrize("bad", [math.nan, -1.0, 7.0])
def test_a_score_that_is_no_number_is_shown_first_and_has_no_peak(bad: float):
    sighting = reasons([bad, 0.0])[0].sighting
    assert sighting is not None
    assert (sighting.peak, sighting.frames) == (None, (0,))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_sightings_cover_every_flagged_look_once(scores: list[float]):
    found = [r.sighting for r in reasons(scores) if r.category is EXPLICIT]
    flagged = [s for s in scores if s >= 0.7]
    assert sum(s.looks for s in found if s is not None) == len(flagged)
