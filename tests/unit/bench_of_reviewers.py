"""People who review, around a rig: what they are shown and how they rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import Error
from gateway.orders import Order
from gateway.people import People, Person, Role
from gateway.review import Docket, Exhibits, Rulings
from gateway.review.reasons import Decision, ReasonCode
from gateway.review.rulings import Said
from safety.policy import Policy
from safety.review import Review
from safety.verdict import Category
from tests.unit.policies import POLICY
from tests.unit.rig import Rig

ALLOW = Said(decision=Decision.ALLOW, reason=ReasonCode.FICTION)
REFUSE = Said(decision=Decision.REFUSE, reason=ReasonCode.RULE_APPLIES, note="seen twice")
ONE = replace(POLICY, review=Review(answer_hours=24, second_person=frozenset()))
TWO = replace(POLICY, review=Review(answer_hours=24, second_person=frozenset(Category)))


@dataclass
class Bench:
    """The parts of review on a rig's database."""

    rig: Rig
    policy: Policy = ONE

    @property
    def people(self) -> People:
        return People(self.rig.database, self.rig.audit, lambda: b"q" * 32, self.rig.clock)

    @property
    def docket(self) -> Docket:
        return Docket(self.rig.database, self.rig.audit, self.policy, self.rig.clock)

    @property
    def rulings(self) -> Rulings:
        rig = self.rig
        shared = (rig.database, rig.audit, self.docket, rig.retries)
        return Rulings(*shared, self.policy, rig.clock)

    @property
    def exhibits(self) -> Exhibits:
        rig = self.rig
        shared = (rig.database, rig.audit, self.docket, rig.vault, rig.codec)
        return Exhibits(*shared, rig.folder / "work")

    def person(self, name: str, role: Role = Role.REVIEWER, **more: Any) -> Person:
        return self.people.invite(name, role, by="test", **more).person

    def rule(self, person: Person, said: Said) -> str | None:
        """Take the oldest case and rule on it."""
        case = self.docket.take(person)
        assert case is not None
        return self.rulings.rule(person, case.id, said)

    def case_of(self, order: Order) -> str:
        found = [c for c in self.every() if c.video_id == order.video_id]
        return found[-1].id

    def every(self) -> list[Any]:
        """All cases, oldest first."""
        import sqlalchemy as sa

        from gateway.tables import CaseRow

        with self.rig.database.read() as session:
            return list(session.scalars(sa.select(CaseRow).order_by(CaseRow.opened_at)))


def refused(act: Any) -> type[Error] | None:
    """The class of the error that an act ends with, or None."""
    try:
        act()
    except Error as fault:
        return type(fault)
    return None
