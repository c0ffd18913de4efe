"""Whether the points of a copy lie as those of a clip do: geometry, and how likely by chance.

An a-contrario test (Moisan and Stival 2004): given M pairs of points with like codes, and
unrelated pictures, the place, size and direction of each pair are independent of all others.
One pair fixes a similarity (shift, turn, size); another one agrees with it by chance with a
probability of at most `BY_CHANCE`. So k pairs agree with the best of M similarities with a
probability of at most M · P[Binomial(M − 1, BY_CHANCE) ≥ k − 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.points import SIZE_STEPS, Points

LIKE: Final = 10
"""Codes within so many bits may be of the same point."""
MAX_PAIRS: Final = 1000
MAX_TRIED: Final = 200
REACH: Final = 0.06
"""How far a point may be from where it should be, in short sides of the copy's picture."""
TURN: Final = 18
"""… and in direction, in 1/256 of a turn (25°)."""
STEP: Final = 11
"""… and in size, in 1/32 octave."""
SPOT: Final = 4
"""Points within the same 4/256 of width and height are one spot."""
BY_CHANCE: Final = 1e-3
"""0.14 (direction) × 0.2 (size) × 0.0064 to 0.02 (place), rounded up."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """`pairs` pairs at distinct spots agree; `visible` stored points are in the copy's picture.

    `log10_p` bounds the probability of as much agreement between unrelated pictures (one
    comparison, both mirror images). `members` indexes the copy's points that agree.
    """

    pairs: int
    visible: int
    log10_p: float
    members: tuple[int, ...]


NO_AGREEMENT: Final = Agreement(pairs=0, visible=0, log10_p=0.0, members=())


def agreement(copy: Points, clip: Points) -> Agreement:
    """Compares a copy's points with a clip's, without mirroring."""
    if not len(copy) or not len(clip):
        return NO_AGREEMENT
    distance = np.bitwise_count(copy.codes[:, None] ^ clip.codes[None])
    flat = np.flatnonzero(distance <= LIKE)
    if len(flat) < 2:
        return NO_AGREEMENT
    flat = flat[np.argsort(distance.ravel()[flat], kind="stable")[:MAX_PAIRS]]
    of_copy, of_clip = np.divmod(flat, len(clip))
    to, came = copy.positions(of_copy), clip.positions(of_clip)
    steps = copy.places[of_copy, 2].astype(np.int16) - clip.places[of_clip, 2]
    turns = copy.places[of_copy, 3] - clip.places[of_clip, 3]
    angle = turns.astype(np.float32) * np.float32(2 * np.pi / 256)
    scale = np.exp2(steps.astype(np.float32) / SIZE_STEPS)
    map_ = np.stack([scale * np.cos(angle), scale * np.sin(angle)], axis=1)[:MAX_TRIED]
    tried = len(map_)
    same_turn = np.abs((turns[:tried, None] - turns[None]).view(np.int8)) <= TURN
    same_size = np.abs(steps[:tried, None] - steps[None]) <= STEP
    moved_x = map_[:, :1] * (came[:, 0] - came[:tried, :1]) - map_[:, 1:] * (
        came[:, 1] - came[:tried, 1:]
    )
    moved_y = map_[:, 1:] * (came[:, 0] - came[:tried, :1]) + map_[:, :1] * (
        came[:, 1] - came[:tried, 1:]
    )
    away = (moved_x + to[:tried, :1] - to[:, 0]) ** 2 + (
        moved_y + to[:tried, 1:] - to[:, 1]
    ) ** 2
    reach = REACH * np.clip(scale[:tried, None], 0.5, 2.0)
    agrees = same_turn & same_size & (away <= reach**2)
    best = NO_AGREEMENT
    for seed in np.argsort(-agrees.sum(axis=1), kind="stable")[:3]:
        inside = np.flatnonzero(agrees[seed])
        pairs = min(_apart(copy, of_copy[inside]), _apart(clip, of_clip[inside]))
        if pairs <= best.pairs:
            continue
        shown = _shown(map_[seed], to[seed] - _turned(map_[seed], came[seed]), copy, clip)
        best = Agreement(
            pairs=pairs,
            visible=max(pairs, shown),
            log10_p=chance(pairs, len(flat)),
            members=tuple(int(index) for index in np.unique(of_copy[inside])),
        )
    return best


def chance(agreeing: int, pairs: int) -> float:
    """log10 of the bound in the module's first lines, for both mirror images; at most 0."""
    if agreeing < 2:
        return 0.0
    # The binomial tail is at most its first term / (1 − ratio of the first two terms).
    pairs = max(pairs, agreeing)
    need, rest = agreeing - 1, pairs - 1
    ratio = (rest - need) / (need + 1) * BY_CHANCE / (1 - BY_CHANCE)
    if ratio >= 1:
        return 0.0
    log_term = (
        math.lgamma(rest + 1)
        - math.lgamma(need + 1)
        - math.lgamma(rest - need + 1)
        + need * math.log(BY_CHANCE)
        + (rest - need) * math.log1p(-BY_CHANCE)
        - math.log1p(-ratio)
    )
    return min(0.0, (log_term + math.log(2 * pairs)) / math.log(10))


def _apart(points: Points, which: NDArray[np.intp]) -> int:
    # One corner seen with two directions, at two sizes or twice is one witness, not two.
    spots = points.places[which, :2].astype(np.int64) // SPOT
    return len(np.unique(spots[:, 0] * 256 + spots[:, 1]))


def _turned(map_: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y = points[..., 0], points[..., 1]
    return np.stack([map_[0] * x - map_[1] * y, map_[1] * x + map_[0] * y], axis=-1)


def _shown(
    map_: NDArray[np.float32], shift: NDArray[np.float32], copy: Points, clip: Points
) -> int:
    """How many of the clip's points fall into the copy's picture."""
    moved = _turned(map_, clip.positions()) + shift
    limit = np.array([max(1.0, copy.aspect), max(1.0, 1 / copy.aspect)])
    return int(((moved >= 0) & (moved <= limit)).all(axis=1).sum())
