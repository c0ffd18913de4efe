"""Review: people look at what was held, and rule on it.

A hold opens a case (``gateway.holds``). A person takes it for a while, looks at what the
verdict rests on, and rules with a reason. Where the policy wants two people, the second rules
without knowing of the first; when they differ, a compliance officer settles it. A ruling may
let a held request go on, never a refused one, and nothing that may show a minor.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.review.docket import Docket
from gateway.review.exhibits import Exhibits
from gateway.review.rulings import Rulings

__all__ = ["Docket", "Exhibits", "Review", "Rulings"]


@dataclass(frozen=True, kw_only=True)
class Review:
    """The three parts of it."""

    docket: Docket
    rulings: Rulings
    exhibits: Exhibits
