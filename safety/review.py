"""Review: what the policy asks of the people who look at what was held."""

from __future__ import annotations

from dataclasses import dataclass

from safety.verdict import Category

MAX_ANSWER_HOURS = 24 * 30


@dataclass(frozen=True, kw_only=True)
class Review:
    """``answer_hours``, 1 to MAX_ANSWER_HOURS, is how soon a person answers a creator.

    Two people must come to the same ruling, neither knowing of the other's, when one of the
    grounds is of a category in ``second_person``.
    """

    answer_hours: int
    second_person: frozenset[Category]

    def people(self, categories: frozenset[Category]) -> int:
        """How many people must agree, 1 or 2."""
        return 2 if categories & self.second_person else 1


STRICTEST_REVIEW = Review(answer_hours=24, second_person=frozenset(Category))
"""What holds for a policy that says nothing of it."""
