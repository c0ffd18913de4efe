"""One clip that a copy may come from, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from watermark.fingerprint.agreement import agreement
from watermark.fingerprint.points import Points
from watermark.fingerprint.query import Query

CREDIBLE_LOG10_P: Final = -6.0
"""A match is credible only at or below this false-match bound."""
MAX_MATCHES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Match:
    """A clip of the index that the copy resembles.

    `similarity` is the share of the clip's points, among those that should be in the copy's
    picture, that were found there: 0 to 1. `log10_p` bounds the probability that a picture
    that has nothing in common with any clip of the index gives such a match with one of
    them. It says nothing of pictures that do have something in common: another take of the
    same scene, another part of the same photograph, the same logo. `start` and `end` are
    seconds of the copy between which the clip was seen. `mirrored`: the copy is a mirror
    image.
    """

    clip_id: str
    similarity: float
    log10_p: float
    pairs: int
    mirrored: bool
    start: float
    end: float

    @property
    def credible(self) -> bool:
        """Whether chance is excluded, to 1e-6 per search."""
        return self.log10_p <= CREDIBLE_LOG10_P


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search found, the likeliest first.

    `outcome` is "too_little_detail" when the copy shows too few points to be told from
    others (a plain wall, a black screen): then nothing was looked for, and the absence of
    matches means nothing.
    """

    outcome: Literal["matches", "nothing_like_it", "too_little_detail"]
    matches: tuple[Match, ...]


TOO_LITTLE_DETAIL: Final = Search(outcome="too_little_detail", matches=())


def compare(
    query: Query, seen: Points, clip: Points, clip_id: str, *, clips: int, mirrored: bool
) -> Match | None:
    """Compares what is seen, the query's points or their mirror image, with one of `clips`
    clips; None when unlike.
    """
    found = agreement(seen, clip)
    log10_p = found.log10_p + math.log10(max(1, clips))
    if not log10_p < 0:
        return None
    seconds = query.seconds[list(found.members)]
    return Match(
        clip_id=clip_id,
        similarity=found.pairs / found.visible,
        log10_p=log10_p,
        pairs=found.pairs,
        mirrored=mirrored,
        start=float(seconds.min()),
        end=float(seconds.max()),
    )


def ranked(found: Iterable[Match | None], limit: int) -> Search:
    """The search that these matches make; of a clip's two mirror images the likelier one."""
    best: dict[str, Match] = {}
    for match in found:
        if match is not None:
            other = best.get(match.clip_id, match)
            best[match.clip_id] = min(match, other, key=lambda one: one.log10_p)
    matches = sorted(best.values(), key=lambda match: (match.log10_p, match.clip_id))
    kept = tuple(matches[: max(0, min(limit, MAX_MATCHES))])
    return Search(outcome="matches" if kept else "nothing_like_it", matches=kept)
