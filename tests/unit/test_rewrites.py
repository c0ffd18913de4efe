"""A refusal may carry another wording; only the creator turns it into a request."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import InvalidRequest, PromptRefused
from gateway.orders import Order
from gateway.permissions import Agreement, Permissions
from gateway.tables import AuditPersonal
from gateway.wish import Wish
from safety.circumstances import STRICTEST, Audience, Circumstances
from safety.masking import NameMask
from safety.moderation import PromptGate
from safety.policy import POLICY_PATH, Policy
from safety.rewrite import Rewriter
from safety.rules import RuleBook, RuleModerator
from safety.submission import Submission, SubmissionGate
from safety.verdict import Category, Verdict
from tests.unit.rig import Rig

pytestmark = pytest.mark.one_database

BOOK = RuleBook.load()
STYLED = "a fox in the style of Krenz Cushart"
OFFERED = "a fox in a painterly illustrated style"
HANKS = "Tom Hanks feeds the pigeons"


@dataclass
class RealDoor:
    """The real gate with the rules alone."""

    gate: SubmissionGate = field(
        default_factory=lambda: SubmissionGate(
            gate=PromptGate(
                moderators=(RuleModerator(book=BOOK),),
                policy=Policy.load(POLICY_PATH),
                mask=NameMask(names=lambda: BOOK.names),
            )
        )
    )

    def judge(
        self, prompts: Sequence[str], *, circumstances: Circumstances = STRICTEST
    ) -> tuple[Verdict, ...]:
        return self.gate.judge(prompts, circumstances=circumstances)

    def weigh(
        self, submission: Submission, *, circumstances: Circumstances = STRICTEST
    ) -> Verdict:
        return self.gate.weigh(submission, circumstances=circumstances)


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    rig = Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)
    rig.door = rig.prompts = RealDoor()  # type: ignore[assignment]
    rig.offers = Rewriter(names=lambda: BOOK.names)
    rig.permits = Permissions(database, audit_log, clock)
    return rig


def refused(rig: Rig, prompt: str, **wish: Any) -> dict[str, Any]:
    with pytest.raises(PromptRefused) as stop:
        rig.clips.submit(rig.caller, Wish(prompt=prompt, **wish))
    return dict(stop.value.extra)


def consent(rig: Rig, **changes: Any) -> str:
    agreed = Agreement(
        category=Category.PUBLIC_FIGURE,
        subject="tom-hanks",
        tenant_id=rig.caller.tenant_id,
        project="pilot",
        scope="One scene",
        evidence_sha256="0" * 64,
        evidence_reference="contracts/1",
        valid_from=rig.clock(),
        valid_to=None,
        recorded_by="tester",
    )
    return str(rig.permits.record(replace(agreed, **changes)).id)


def test_a_refused_style_carries_another_wording_and_its_confirmation_is_recorded(
    rig: Rig,
) -> None:
    told = refused(rig, STYLED)
    assert told["category"] == "living_artist_style"
    assert told["rewrite"] == {"prompt": OFFERED}
    order = rig.order(prompt=OFFERED, rewrite_of=told["reference"])
    assert rig.produce(order) == "released"
    assert "rewrite.confirmed" in rig.kinds(order)
    [offered] = [
        e.entry
        for e in rig.audit.entries(subject=told["reference"], limit=9)
        if e.entry.kind == "rewrite.offered"
    ]
    assert offered.facts == {}
    with rig.database.read() as session:
        kept = session.get(AuditPersonal, f"{order.video_id}:door:rewrite.confirmed")
    assert kept is not None
    assert hashlib.sha256(OFFERED.encode()).hexdigest().encode() in kept.record
    assert b"fox" not in kept.record


def test_a_rewrite_is_never_applied_in_silence(rig: Rig) -> None:
    refused(rig, STYLED)
    refused(rig, STYLED)
    assert rig.queue.jobs == []


@pytest.mark.parametrize(
    "prompt",
    [
        HANKS,
        "Mickey Mouse in the style of Krenz Cushart",
        "a beheading with gore and blood in the style of Krenz Cushart, Tom Hanks",
    ],
)
def test_nothing_is_offered_where_something_else_stands_in_the_way(
    rig: Rig, prompt: str
) -> None:
    assert "rewrite" not in refused(rig, prompt)


def test_nothing_is_offered_that_would_be_refused_again(rig: Rig) -> None:
    told = refused(rig, STYLED, title="Foxes by Krenz Cushart")
    assert "rewrite" not in told


@pytest.mark.parametrize("wording", [f"{OFFERED} ", "a fox", STYLED, OFFERED.upper()])
def test_only_the_offered_words_confirm_an_offer(rig: Rig, wording: str) -> None:
    reference = refused(rig, STYLED)["reference"]
    if wording.strip() == OFFERED:
        assert rig.order(prompt=wording, rewrite_of=reference)
        return
    with pytest.raises(InvalidRequest) as stop:
        rig.clips.submit(rig.caller, Wish(prompt=wording, rewrite_of=reference))
    assert stop.value.param == "rewrite_of"


def test_an_offer_is_for_the_one_who_got_it(rig: Rig) -> None:
    reference = refused(rig, STYLED)["reference"]
    key = rig.keys.create(name="other")
    rig.caller = rig.keys.authenticate(f"Bearer {key.key}")
    with pytest.raises(InvalidRequest):
        rig.order(prompt=OFFERED, rewrite_of=reference)
    with pytest.raises(InvalidRequest):
        rig.order(prompt=OFFERED, rewrite_of="req_" + "0" * 16)


# --- records on the way from the door to the release --------------------------------------


def test_a_consent_carries_a_clip_to_its_release(rig: Rig) -> None:
    refused(rig, HANKS, project="pilot")
    consent(rig)
    refused(rig, HANKS)
    refused(rig, HANKS, project="sequel")
    order: Order = rig.order(prompt=HANKS, project="pilot")
    assert rig.produce(order) == "released"


def test_a_consent_revoked_between_door_and_worker_stops_the_job(rig: Rig) -> None:
    ident = consent(rig)
    order = rig.order(prompt=HANKS, project="pilot")
    rig.permits.revoke(ident, by="tester")
    assert rig.produce(order) == "refused"
    assert rig.generator.calls == 0
    refusal = rig.row(order).refusal
    assert refusal is not None
    assert refusal["category"] == "public_figure"


def test_a_consent_that_ends_while_the_job_waits_stops_it(rig: Rig) -> None:
    now = rig.clock()
    consent(rig, valid_to=now.replace(year=now.year + 1))
    order = rig.order(prompt=HANKS, project="pilot")
    later = Permissions(rig.database, rig.audit, lambda: now.replace(year=now.year + 2))
    rig.permits = later
    assert rig.produce(order) == "refused"


def test_records_that_cannot_be_read_let_nobody_in(rig: Rig) -> None:
    order = rig.order(prompt="a red ball")

    class Away:
        def circumstances(self, owner: object, *, project: str | None) -> Circumstances:
            raise OSError("the database is away")

    rig.permits = Away()
    assert rig.produce(order) == "failed"
    with pytest.raises(OSError, match="away"):
        rig.clips.submit(rig.caller, Wish(prompt="a blue ball"))


def test_a_vetted_tenant_is_judged_as_one(rig: Rig) -> None:
    rig.permits.vet("local", Audience.STUDIO, by="tester")
    seen: list[Circumstances] = []
    weigh = rig.door.weigh

    def spy(asked: Submission, *, circumstances: Circumstances = STRICTEST) -> Verdict:
        seen.append(circumstances)
        return weigh(asked, circumstances=circumstances)

    rig.door.weigh = spy  # type: ignore[method-assign]
    rig.order(prompt="a red ball")
    assert [known.audience for known in seen] == [Audience.STUDIO]
    assert seen[0].at is not None
