"""Review: what a hold opens, who may rule, and what a ruling does; on both databases."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import pipeline
from gateway.audit.books import check_database
from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.census import census
from gateway.db import Database
from gateway.errors import (
    AlreadyDecided,
    Conflict,
    Error,
    InvalidRequest,
    NotFound,
    NotPermitted,
    SameReviewer,
)
from gateway.people import Role
from gateway.review.docket import LEASE
from gateway.review.reasons import Decision, ReasonCode
from gateway.review.rulings import MAX_NOTE_CHARS, Said
from gateway.tables import AuditPersonal, CaseRow, RulingRow, StageRow, Tenant
from safety.verdict import Action
from tests.unit.bench_of_reviewers import ALLOW, REFUSE, TWO, Bench, refused
from tests.unit.rig import Rig


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


@pytest.fixture
def bench(rig: Rig) -> Bench:
    return Bench(rig)


# --- what a ruling does for the clip ---------------------------------------------------------


def test_a_prompt_held_at_the_door_goes_on_when_a_person_allows_it(
    rig: Rig, bench: Bench
) -> None:
    rig.door.action = rig.prompts.action = Action.REVIEW
    order = rig.order()
    assert (rig.row(order).state, rig.queue.jobs) == ("held", [])
    assert bench.rule(bench.person("Ada"), ALLOW) == "allow"
    assert (rig.row(order).state, rig.queue.jobs) == ("queued", [order.video_id])
    assert rig.produce(order) == "released"
    kinds = rig.kinds(order)
    assert kinds[:4] == ["request.held", "case.taken", "case.ruled", "video.ruled"]
    assert kinds[-1] == "video.released"


def test_a_clip_held_for_its_frames_goes_on_without_being_made_again(
    rig: Rig, bench: Bench
) -> None:
    rig.frames.action = Action.REVIEW
    order = rig.order()
    assert rig.produce(order) == "held"
    assert bench.rule(bench.person("Ada"), ALLOW) == "allow"
    assert rig.queue.asked[-1]["finish"]
    assert rig.produce(order) == "released"
    assert rig.generator.calls == 1


def test_held_twice_it_needs_two_rulings(rig: Rig, bench: Bench) -> None:
    rig.door.action = rig.prompts.action = rig.frames.action = Action.REVIEW
    order, ada = rig.order(), bench.person("Ada")
    assert bench.rule(ada, ALLOW) == "allow"
    assert rig.produce(order) == "held"
    assert [case.stage for case in bench.every()] == ["prompt", "frames"]
    assert bench.rule(ada, ALLOW) == "allow"
    assert rig.produce(order) == "released"


def test_what_a_person_refuses_ends_as_refused_and_stays_so(rig: Rig, bench: Bench) -> None:
    rig.frames.action = Action.REVIEW
    order = rig.order()
    rig.produce(order)
    assert bench.rule(bench.person("Ada"), REFUSE) == "refuse"
    row = rig.row(order)
    assert row.state == "refused"
    assert row.refusal is not None
    assert row.refusal["reviewed"]
    assert "seen twice" not in str(row.refusal)
    assert rig.production.bring_to_an_end(order.video_id, row.run) == "refused"
    assert rig.kinds(order)[-3:] == ["case.ruled", "video.ruled", "video.refused"]
    rig.housekeeping.tidy()
    assert not list(rig.vault.scopes())


def test_a_clip_that_the_release_before_held_goes_on_too(rig: Rig, bench: Bench) -> None:
    """That release kept the verdict with its reasons, and no grounds beside the facts."""
    rig.frames.action = Action.REVIEW
    order = rig.order()
    rig.produce(order)
    with rig.database.write() as session:
        row = session.get_one(StageRow, (order.video_id, "check"))
        row.facts = {name: fact for name, fact in row.facts.items() if name != "grounds"}
    assert bench.rule(bench.person("Ada"), ALLOW) == "allow"
    assert rig.produce(order) == "released"


def test_a_clip_that_a_worker_of_the_release_before_holds_gets_its_case(
    rig: Rig, bench: Bench
) -> None:
    """During a rolling upgrade that worker knows nothing of cases."""
    rig.frames.action = Action.REVIEW
    order = rig.order()
    rig.produce(order)
    with rig.database.write() as session:
        session.execute(sa.delete(CaseRow))
    for _ in range(2):
        rig.housekeeping.open_cases()
    assert [case.stage for case in bench.every()] == ["frames"]
    assert bench.rule(bench.person("Ada"), ALLOW) == "allow"
    assert rig.produce(order) == "released"


def test_a_ruling_does_not_hold_for_grounds_that_nobody_saw(rig: Rig, bench: Bench) -> None:
    rig.door.action = rig.prompts.action = Action.REVIEW
    order = rig.order()
    bench.rule(bench.person("Ada"), ALLOW)
    with rig.database.write() as session:
        session.execute(sa.update(CaseRow).values(grounds=["hate:T-2"]))
    assert rig.produce(order) == "held"
    assert len(bench.every()) == 2


def test_a_ruling_does_not_hold_for_another_policy(rig: Rig, bench: Bench) -> None:
    rig.door.action = rig.prompts.action = Action.REVIEW
    order = rig.order()
    bench.rule(bench.person("Ada"), ALLOW)
    with rig.database.write() as session:
        session.execute(sa.update(CaseRow).values(policy="1" * 64))
    assert rig.produce(order) == "held"


def test_a_ruling_never_lets_a_block_pass(rig: Rig, bench: Bench) -> None:
    rig.door.action, rig.prompts.action = Action.REVIEW, Action.BLOCK
    order = rig.order()
    bench.rule(bench.person("Ada"), ALLOW)
    assert rig.produce(order) == "refused"


def test_a_case_that_somebody_planted_releases_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table says that people allowed it; the log knows nothing of it."""
    monkeypatch.setattr(pipeline, "COVER_TIMEOUT_SECONDS", 0.2)
    rig.frames.action = Action.REVIEW
    order = rig.order()
    rig.produce(order)
    with rig.database.write() as session:
        session.execute(
            sa.update(CaseRow).values(outcome="allow", allows=1, closed_at=rig.clock())
        )
        row = session.get_one(type(rig.row(order)), order.video_id)
        rig.retries.resume(session, row, finish=True)
    assert rig.production.bring_to_an_end(order.video_id, rig.row(order).run) == "queued"
    assert rig.row(order).sha256 is not None  # it came as far as that
    assert "video.delayed" in rig.kinds(order)


def test_a_ruling_that_somebody_widened_releases_nothing(
    rig: Rig, bench: Bench, monkeypatch: pytest.MonkeyPatch, checkpoint_key: CheckpointKey
) -> None:
    """People allowed one ground; the table says that they allowed what the worker found."""
    monkeypatch.setattr(pipeline, "COVER_TIMEOUT_SECONDS", 0.2)
    rig.door.action = rig.prompts.action = Action.REVIEW
    order = rig.order()
    seen = {"grounds": ["hate:T-2"], "policy": "1" * 64}
    with rig.database.write() as session:
        session.execute(sa.update(CaseRow).values(**seen))
    bench.rule(bench.person("Ada"), ALLOW)
    with rig.database.write() as session:
        session.execute(sa.update(CaseRow).values(grounds=["violence:T-1"], policy="0" * 64))
    assert rig.production.bring_to_an_end(order.video_id, rig.row(order).run) == "queued"
    assert "video.delayed" in rig.kinds(order)
    report = check_database(rig.database, checkpoint_key.verifier, now=rig.clock())
    assert "a case is closed without a ruling on record" in [f.text for f in report.faults]


def test_deleting_a_held_clip_closes_its_case(rig: Rig, bench: Bench) -> None:
    rig.frames.action = Action.REVIEW
    order, ada = rig.order(), bench.person("Ada")
    rig.produce(order)
    case = bench.docket.take(ada)
    assert case is not None
    rig.clips.delete(rig.caller, order.video_id)
    with pytest.raises(AlreadyDecided):
        bench.rulings.rule(ada, case.id, ALLOW)
    assert [each.outcome for each in bench.every()] == ["void"]
    assert bench.docket.waiting(ada) == ()


def test_no_job_ends_what_is_held_for_people(rig: Rig, bench: Bench) -> None:
    """The engine may give a job up whose clip is held already: its case would never close."""
    rig.frames.action = Action.REVIEW
    order = rig.order()
    rig.produce(order)
    again = rig.record.claim(order.video_id)
    assert not rig.record.end(again, "failed", refusal={"code": "internal_error"})
    assert bench.rule(bench.person("Ada"), ALLOW) == "allow"
    assert rig.produce(order) == "released"


def test_the_log_and_the_tables_agree_after_rulings(
    rig: Rig, bench: Bench, checkpoint_key: CheckpointKey
) -> None:
    rig.frames.action = Action.REVIEW
    ada = bench.person("Ada")
    for said in (ALLOW, REFUSE):
        order = rig.order(prompt=f"a ball, {said.decision}")
        rig.produce(order)
        bench.rule(ada, said)
        rig.produce(order)
    rig.kinds(order)
    report = check_database(rig.database, checkpoint_key.verifier, now=rig.clock())
    assert report.faults == ()
    with rig.database.write() as session:
        session.execute(sa.update(CaseRow).values(outcome="refuse"))
    report = check_database(rig.database, checkpoint_key.verifier, now=rig.clock())
    assert [fault.text for fault in report.faults] == [
        "a case is closed without a ruling on record",
        "a ruling on record has no case",
    ]


# --- who may rule ----------------------------------------------------------------------------


def held(rig: Rig, **wish: Any) -> Any:
    rig.frames.action = Action.REVIEW
    order = rig.order(**wish)
    assert rig.produce(order) == "held"
    return order


def test_where_two_are_wanted_one_releases_nothing(rig: Rig, bench: Bench) -> None:
    bench.policy = TWO
    order, ada, ben = held(rig), bench.person("Ada"), bench.person("Ben")
    assert bench.rule(ada, ALLOW) is None
    assert rig.row(order).state == "held"
    assert bench.docket.waiting(ada) == ()
    with pytest.raises(Conflict):
        bench.docket.take(ada, bench.case_of(order))
    assert bench.rule(ben, ALLOW) == "allow"
    assert rig.produce(order) == "released"


def test_the_second_person_does_not_know_how_the_first_ruled(rig: Rig, bench: Bench) -> None:
    bench.policy = TWO
    order, ada, ben = held(rig), bench.person("Ada"), bench.person("Ben")
    bench.rule(ada, REFUSE)
    case = bench.docket.take(ben)
    assert case is not None
    assert bench.docket.dossier(ben, case.id).rulings == ()
    assert [r.decision for r in bench.docket.dossier(ada, case.id).rulings] == ["refuse"]
    assert "seen twice" not in str(bench.docket.dossier(ben, case.id))
    assert rig.row(order).state == "held"


def test_nobody_is_their_own_second_person(rig: Rig, bench: Bench) -> None:
    bench.policy = TWO
    order, ada = held(rig), bench.person("Ada")
    bench.rule(ada, ALLOW)
    case = bench.case_of(order)
    with rig.database.write() as session:  # as if a bug had handed it to her again
        session.execute(
            sa.update(CaseRow).values(holder_id=ada.id, holder_until=rig.clock() + LEASE)
        )
    with pytest.raises(SameReviewer):
        bench.rulings.rule(ada, case, ALLOW)


def test_two_who_differ_leave_it_to_an_officer_who_knows_both(rig: Rig, bench: Bench) -> None:
    bench.policy = TWO
    order, ada, ben = held(rig), bench.person("Ada"), bench.person("Ben")
    cy, dan = bench.person("Cy", Role.COMPLIANCE), bench.person("Dan")
    bench.rule(ada, ALLOW)
    assert bench.rule(ben, REFUSE) is None
    assert bench.docket.waiting(dan) == ()
    case = bench.docket.take(cy)
    assert case is not None
    assert len(bench.docket.dossier(cy, case.id).rulings) == 2
    assert bench.rulings.rule(cy, case.id, ALLOW) == "allow"
    assert bench.every()[0].settled
    assert rig.produce(order) == "released"


def test_nobody_rules_on_their_own_request(rig: Rig, bench: Bench) -> None:
    order = held(rig)
    own = bench.person("Ada", tenant=rig.caller.tenant_id)
    case = bench.case_of(order)
    assert bench.docket.waiting(own) == ()
    assert refused(lambda: bench.docket.take(own, case)) is NotPermitted
    assert refused(lambda: bench.docket.dossier(own, case)) is NotPermitted
    assert refused(lambda: bench.exhibits.picture(own, case, 0, reveal=False)) is NotPermitted
    assert refused(lambda: bench.rulings.rule(own, case, ALLOW)) is NotPermitted
    other = bench.person("Ben")
    bench.rule(other, REFUSE)
    assert bench.docket.closed(own) == ()
    assert len(bench.docket.closed(other)) == 1


def test_a_new_link_leaves_somebody_bound_to_their_own_requests(rig: Rig, bench: Bench) -> None:
    """A link for a lost phone names no tenant: the console has no field for one."""
    order = held(rig)
    bench.person("Ada", tenant=rig.caller.tenant_id)
    again = bench.person("Ada")
    assert again.tenant_id == rig.caller.tenant_id
    assert refused(lambda: bench.docket.take(again, bench.case_of(order))) is NotPermitted


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ADMINISTRATOR])
def test_whoever_does_not_review_is_handed_nothing(rig: Rig, bench: Bench, role: Role) -> None:
    order, person = held(rig), bench.person("Ada", role)
    case = bench.case_of(order)
    assert bench.docket.waiting(person) == ()
    assert bench.docket.take(person) is None
    assert refused(lambda: bench.docket.take(person, case)) is NotPermitted
    assert refused(lambda: bench.rulings.rule(person, case, ALLOW)) is NotPermitted
    seen = refused(lambda: bench.docket.dossier(person, case))
    assert seen is (None if role is Role.AUDITOR else NotPermitted)


def test_what_may_show_a_minor_is_for_trained_people_and_never_released(
    rig: Rig, bench: Bench
) -> None:
    order = held(rig)
    case = bench.case_of(order)
    with rig.database.write() as session:
        session.execute(
            sa.update(CaseRow).values(grounds=["sexual_minors:CG-FAULT"], restricted=True)
        )
    for role in (Role.REVIEWER, Role.COMPLIANCE, Role.AUDITOR):
        somebody = bench.person(role, role)
        assert bench.docket.waiting(somebody) == ()
        assert refused(lambda who=somebody: bench.docket.take(who, case)) is NotPermitted
        assert refused(lambda who=somebody: bench.docket.dossier(who, case)) is NotPermitted
    trained = bench.person("Tess", Role.TRAINED_REVIEWER)
    taken = bench.docket.take(trained)
    assert taken is not None
    assert bench.exhibits.of(bench.docket.dossier(trained, case)) == ()
    for reveal in (True, False):
        with pytest.raises(NotPermitted):
            bench.exhibits.picture(trained, case, 0, reveal=reveal)
    with pytest.raises(NotPermitted):
        bench.rulings.rule(trained, case, ALLOW)
    said = Said(decision=Decision.REFUSE, reason=ReasonCode.MINOR)
    assert bench.rulings.rule(trained, case, said) == "refuse"
    assert [each.id for each in bench.docket.closed(trained)] == [case]
    for role in (Role.REVIEWER, Role.COMPLIANCE, Role.AUDITOR, Role.ADMINISTRATOR):
        assert bench.docket.closed(bench.person(role, role)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"restricted": True, "outcome": "allow", "allows": 2},
        {"needed": 2, "outcome": "allow", "allows": 1},
        {"outcome": "allow", "allows": 0},
        {"outcome": "maybe"},
        {"needed": 0},
    ],
)
def test_the_table_refuses_what_the_rules_forbid(
    rig: Rig, bench: Bench, change: dict[str, Any]
) -> None:
    held(rig)
    with pytest.raises(sa.exc.IntegrityError), rig.database.write() as session:
        session.execute(sa.update(CaseRow).values(**change))
    assert bench.every()[0].outcome is None


@pytest.mark.parametrize(
    "change",
    [{"person_tenant": "tnt_own", "case_tenant": "tnt_own"}, {"seat": 4}, {"decision": "so"}],
)
def test_the_table_refuses_a_ruling_that_nobody_may_make(
    rig: Rig, bench: Bench, change: dict[str, Any]
) -> None:
    case = bench.case_of(held(rig))
    person = bench.person("Ada")
    row: dict[str, Any] = {
        "case_id": case,
        "seat": 1,
        "person_id": person.id,
        "person_tenant": None,
        "case_tenant": "tnt_other",
        "decision": "allow",
        "reason": "fiction",
        "note": "",
        "created_at": rig.clock(),
    }
    with pytest.raises(sa.exc.IntegrityError), rig.database.write() as session:
        session.add(RulingRow(**{**row, **change}))
    with rig.database.write() as session:
        session.add(RulingRow(**row))
    with pytest.raises(sa.exc.IntegrityError), rig.database.write() as session:
        session.add(RulingRow(**{**row, "seat": 2}))


# --- who has it now --------------------------------------------------------------------------


def test_the_oldest_comes_first_and_to_one_person_only(rig: Rig, bench: Bench) -> None:
    orders = [held(rig, prompt=f"ball {n}") for n in range(6)]
    people = [bench.person(f"P{n}") for n in range(6)]
    gate = threading.Barrier(6)

    def take(person: Any) -> str:
        gate.wait()
        case = bench.docket.take(person)
        return "" if case is None else case.video_id

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(take, people))
    assert sorted(taken) == sorted(order.video_id for order in orders)
    assert bench.docket.waiting(bench.person("late")) == ()


def test_a_ruling_and_a_deletion_at_once_do_not_wait_for_each_other(
    rig: Rig, bench: Bench
) -> None:
    ada = bench.person("Ada")
    for n in range(5):
        order, gate = held(rig, prompt=f"ball {n}"), threading.Barrier(2)
        case = bench.docket.take(ada)
        assert case is not None

        def rule(case: str = case.id, gate: threading.Barrier = gate) -> type[Error] | None:
            gate.wait()
            return refused(lambda: bench.rulings.rule(ada, case, REFUSE))

        with ThreadPoolExecutor(1) as pool:
            ruled = pool.submit(rule)
            gate.wait()
            rig.clips.delete(rig.caller, order.video_id)
            assert ruled.result() in (None, AlreadyDecided)
        assert rig.row(order).state == "deleted"
        assert bench.every()[-1].outcome in ("refuse", "void")


def test_a_case_comes_back_when_its_time_is_over(rig: Rig, bench: Bench) -> None:
    order, ada, ben = held(rig), bench.person("Ada"), bench.person("Ben")
    case = bench.docket.take(ada)
    assert case is not None
    assert bench.docket.take(ben) is None
    assert refused(lambda: bench.docket.take(ben, case.id)) is Conflict
    rig.clock.now += LEASE
    assert refused(lambda: bench.rulings.rule(ada, case.id, ALLOW)) is AlreadyDecided
    assert bench.rule(ben, ALLOW) == "allow"
    assert refused(lambda: bench.rulings.rule(ada, case.id, ALLOW)) is AlreadyDecided
    assert rig.produce(order) == "released"


def test_a_case_that_is_given_back_waits_for_the_next(rig: Rig, bench: Bench) -> None:
    order, ada, ben = held(rig), bench.person("Ada"), bench.person("Ben")
    case = bench.docket.take(ada)
    assert case is not None
    bench.docket.give_back(ben, case.id)  # not hers to give
    mine = bench.docket.in_hand(ada)
    assert mine is not None
    assert mine.id == case.id
    bench.docket.give_back(ada, case.id)
    assert bench.docket.in_hand(ada) is None
    assert bench.docket.take(ben) is not None
    assert rig.row(order).state == "held"


def test_an_escalated_case_is_for_officers(rig: Rig, bench: Bench) -> None:
    order, ada, ben = held(rig), bench.person("Ada"), bench.person("Ben")
    cy = bench.person("Cy", Role.COMPLIANCE)
    case = bench.docket.take(ada)
    assert case is not None
    with pytest.raises(InvalidRequest):
        bench.rulings.escalate(ada, case.id, note=" ")
    bench.rulings.escalate(ada, case.id, note="Is this a real person?")
    assert bench.docket.waiting(ben) == ()
    assert refused(lambda: bench.docket.take(ben, case.id)) is NotPermitted
    assert bench.docket.dossier(cy, case.id).passed_on == "Is this a real person?"
    assert bench.docket.dossier(ben, case.id).passed_on is None
    assert bench.rule(cy, ALLOW) == "allow"
    assert rig.produce(order) == "released"


def test_counts_say_what_waits_and_what_is_late(rig: Rig, bench: Bench) -> None:
    ada = bench.person("Ada")
    for n in range(3):
        held(rig, prompt=f"ball {n}")
    assert (bench.docket.counts(ada).waiting, bench.docket.counts(ada).overdue) == (3, 0)
    rig.clock.now += dt.timedelta(hours=25)
    assert bench.docket.counts(ada).overdue == 3
    asked = census(rig.database, rig.clock())
    assert asked.clips_held == 3
    assert 25 * 3600 < asked.oldest_open_case_seconds < 26 * 3600
    for _ in range(3):
        bench.rule(ada, REFUSE)
    assert census(rig.database, rig.clock()).oldest_open_case_seconds == 0


# --- what is said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        Said(decision=Decision.ALLOW, reason=ReasonCode.DECEPTIVE),
        Said(decision=Decision.REFUSE, reason=ReasonCode.FICTION),
        Said(decision=Decision.ALLOW, reason=ReasonCode.FICTION, note="x" * 4_001),
    ],
)
def test_a_reason_goes_with_its_decision(rig: Rig, bench: Bench, said: Said) -> None:
    assert len(said.note) in (0, MAX_NOTE_CHARS + 1)
    order = held(rig)
    with pytest.raises(InvalidRequest):
        bench.rule(bench.person("Ada"), said)
    assert rig.row(order).state == "held"
    assert bench.every()[0].outcome is None


def test_notes_and_names_stay_out_of_the_log(rig: Rig, bench: Bench) -> None:
    order = held(rig, prompt="a very red ball")
    bench.rule(bench.person("Ada Lovelace"), REFUSE)
    rig.kinds(order)
    leaves = b"".join(entry.leaf for entry in rig.audit.entries(limit=1000))
    for word in (b"seen twice", b"Lovelace", b"very red"):
        assert word not in leaves
    assert b"psn_" in leaves


def test_a_note_may_hold_what_a_database_cannot_keep(rig: Rig, bench: Bench) -> None:
    held(rig)
    bench.rule(bench.person("Ada"), replace(REFUSE, note="\0so\0 \u202eit is\n"))
    with rig.database.read() as session:
        assert session.scalars(sa.select(RulingRow.note)).all() == ["so \u202eit is"]


def test_notes_go_with_the_words_that_they_are_about(
    rig: Rig, bench: Bench, checkpoint_key: CheckpointKey
) -> None:
    order, ada, cy = held(rig), bench.person("Ada"), bench.person("Cy", Role.COMPLIANCE)
    case = bench.docket.take(ada)
    assert case is not None
    bench.rulings.escalate(ada, case.id, note="seen twice, says Ada")
    bench.rule(cy, REFUSE)
    rig.clips.delete(rig.caller, order.video_id)
    with rig.database.read() as session:
        assert session.scalars(sa.select(RulingRow.note)).all() == [""]
        kept = session.scalars(sa.select(AuditPersonal.record)).all()
    assert b"seen twice" not in b"".join(kept)
    assert rig.kinds(order).count("personal.erased") == 3
    report = check_database(rig.database, checkpoint_key.verifier, now=rig.clock())
    assert report.faults == ()


def test_a_case_shows_what_it_is_about(rig: Rig, bench: Bench) -> None:
    order, ada = held(rig, prompt="a red ball", title="Ball"), bench.person("Ada")
    case = bench.docket.take(ada)
    assert case is not None
    dossier = bench.docket.dossier(ada, case.id)
    assert dossier.words == {"prompt": "a red ball", "title": "Ball"}
    assert [(g.category, g.rule) for g in dossier.grounds] == [("violence", "T-1")]
    assert dossier.releasable
    assert dossier.case.due_at - dossier.case.opened_at == dt.timedelta(hours=24)
    assert dossier.case.video_id == order.video_id


def test_frames_are_shown_to_who_asks_and_that_is_in_the_log(rig: Rig, bench: Bench) -> None:
    order, ada = held(rig), bench.person("Ada")
    case = bench.docket.take(ada)
    assert case is not None
    exhibits = bench.exhibits
    found = exhibits.of(bench.docket.dossier(ada, case.id))
    assert found
    index = found[0].index
    veiled = exhibits.picture(ada, case.id, index, reveal=False)
    assert "case.viewed" not in rig.kinds(order)
    shown = exhibits.picture(ada, case.id, index, reveal=True)
    assert rig.kinds(order).count("case.viewed") == 1
    assert veiled != shown
    assert veiled[:2] == shown[:2] == b"\xff\xd8"
    with pytest.raises(NotFound):
        exhibits.picture(ada, case.id, 10**6, reveal=True)


def test_nothing_is_shown_once_a_case_is_closed(rig: Rig, bench: Bench) -> None:
    held(rig)
    ada = bench.person("Ada")
    case = bench.docket.take(ada)
    assert case is not None
    exhibits = bench.exhibits
    index = exhibits.of(bench.docket.dossier(ada, case.id))[0].index
    bench.rulings.rule(ada, case.id, REFUSE)
    with pytest.raises(NotFound):
        exhibits.picture(ada, case.id, index, reveal=True)
    assert [r.note for r in bench.docket.dossier(ada, case.id).rulings] == ["seen twice"]


def test_a_category_of_a_later_release_is_shown_and_never_released(
    rig: Rig, bench: Bench
) -> None:
    held(rig)
    with rig.database.write() as session:
        session.execute(sa.update(CaseRow).values(grounds=["cheating:CG-C1"]))
    ada = bench.person("Ada")
    assert [each.categories for each in bench.docket.waiting(ada)] == [("cheating",)]
    case = bench.docket.take(ada)
    assert case is not None
    assert not bench.docket.dossier(ada, case.id).releasable
    assert refused(lambda: bench.rulings.rule(ada, case.id, ALLOW)) is NotPermitted
    assert bench.rulings.rule(ada, case.id, REFUSE) == "refuse"


def test_an_unknown_case_is_not_found(bench: Bench) -> None:
    ada = bench.person("Ada")
    for act in (bench.docket.take, bench.docket.dossier):
        with pytest.raises(NotFound):
            act(ada, "case_none")
    with pytest.raises(NotFound):
        bench.rulings.rule(ada, "case_none", ALLOW)


def test_somebody_of_an_unknown_tenant_is_not_invited(rig: Rig, bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.person("Ada", tenant="nobody")
    with rig.database.read() as session:
        assert session.scalars(sa.select(Tenant.name)).all() == ["local"]
