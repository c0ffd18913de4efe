"""The door and the shelf: what comes in, and that nobody sees another's."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit.log import SqlAuditLog
from gateway.auth import Caller
from gateway.db import Database
from gateway.errors import Conflict, InvalidRequest, NotFound, PromptRefused, RateLimited
from gateway.settings import Limits
from gateway.tables import AuditOutbox, AuditPersonal, Tenant, VerdictRow, Video
from gateway.wish import MAX_LINEAGE, MAX_SEED, MAX_TITLE_CHARS, Wish
from safety.verdict import Action
from tests.unit.rig import Rig


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


def count(rig: Rig, table: Any) -> int:
    with rig.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_row_verdict_event_and_job_come_together(rig: Rig) -> None:
    row = rig.clips.submit(rig.caller, Wish(prompt=" a red ball "))
    assert (row.state, row.prompt, rig.queue.jobs) == ("queued", "a red ball", [row.id])
    assert (count(rig, Video), count(rig, VerdictRow), count(rig, AuditOutbox)) == (1, 1, 1)


def test_a_queue_that_fails_leaves_no_trace(rig: Rig) -> None:
    def enqueue(*_: Any, **__: Any) -> None:
        raise RuntimeError("the engine is away")

    rig.queue.enqueue = enqueue  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        rig.clips.submit(rig.caller, Wish(prompt="a red ball"))
    assert (count(rig, Video), count(rig, VerdictRow), count(rig, AuditOutbox)) == (0, 0, 0)


def test_a_refused_prompt_is_recorded_and_not_enqueued(rig: Rig) -> None:
    rig.door.action = Action.BLOCK
    with pytest.raises(PromptRefused) as refused:
        rig.clips.submit(rig.caller, Wish(prompt="something bad"))
    assert refused.value.extra["rules"] == ["T-1"]
    assert refused.value.extra["stage"] == "prompt"
    assert "bad" not in str(refused.value.envelope())
    assert (count(rig, Video), count(rig, VerdictRow), count(rig, AuditOutbox)) == (0, 1, 1)
    assert rig.queue.jobs == []


@pytest.mark.parametrize("action", [Action.REVIEW])
def test_a_doubtful_prompt_is_held_and_not_enqueued(rig: Rig, action: Action) -> None:
    rig.door.action = action
    row = rig.clips.submit(rig.caller, Wish(prompt="something odd"))
    assert (row.state, rig.queue.jobs) == ("held", [])


def test_a_door_that_crashes_lets_nobody_in(rig: Rig) -> None:
    rig.door.fault = RuntimeError("no model")
    with pytest.raises(RuntimeError):
        rig.clips.submit(rig.caller, Wish(prompt="a red ball"))
    assert count(rig, Video) == 0


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        (Wish(prompt=""), "prompt"),
        (Wish(prompt=" \n\t "), "prompt"),
        (Wish(prompt="x" * 4_001), "prompt"),
        (Wish(prompt="broken \ud800 text"), "prompt"),
        (Wish(prompt="nul \0 byte"), "prompt"),
        (Wish(prompt="a ball", negative_prompt="x" * 4_001), "negative_prompt"),
        (Wish(prompt="a ball", negative_prompt="nul \0 byte"), "negative_prompt"),
        (Wish(prompt="a ball", title="x" * (MAX_TITLE_CHARS + 1)), "title"),
        (Wish(prompt="a ball", title="broken \ud800"), "title"),
        (Wish(prompt="a ball", project=""), "project"),
        (Wish(prompt="a ball", project="a text, not a name"), "project"),
        (Wish(prompt="a ball", rewrite_of="req_1"), "rewrite_of"),
        (Wish(prompt="a ball", model="sora"), "model"),
        (Wish(prompt="a ball", size="1x1"), "size"),
        (Wish(prompt="a ball", size="20000x20000"), "size"),
        (Wish(prompt="a ball", seconds=0), "seconds"),
        (Wish(prompt="a ball", seconds=3600), "seconds"),
        (Wish(prompt="a ball", seed=-1), "seed"),
        (Wish(prompt="a ball", seed=MAX_SEED + 1), "seed"),
    ],
)
def test_bad_input_names_the_field_and_keeps_nothing(rig: Rig, wish: Wish, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        rig.clips.submit(rig.caller, wish)
    assert refused.value.param == param
    assert count(rig, Video) == 0
    assert rig.door.asked == []


def test_seed_zero_is_a_seed(rig: Rig) -> None:
    assert rig.clips.submit(rig.caller, Wish(prompt="a ball", seed=0)).seed == 0


def test_the_same_request_in_a_moment_is_one_job(rig: Rig) -> None:
    rig.limits = Limits(dedupe_window_seconds=10)
    first = rig.clips.submit(rig.caller, Wish(prompt="a ball"))
    again = rig.clips.submit(rig.caller, Wish(prompt="a ball"))
    other = rig.clips.submit(rig.caller, Wish(prompt="a ball", seed=3))
    keyed = rig.clips.submit(rig.caller, Wish(prompt="a ball", idempotency_key="k"))
    assert first.id == again.id
    assert len({first.id, other.id, keyed.id}) == 3


def test_a_full_queue_says_so(rig: Rig) -> None:
    rig.limits = Limits(dedupe_window_seconds=0, max_queued_per_tenant=2)
    for _ in range(2):
        rig.clips.submit(rig.caller, Wish(prompt="a ball"))
    with pytest.raises(RateLimited):
        rig.clips.submit(rig.caller, Wish(prompt="a ball"))


def test_nobody_sees_the_clip_of_another(rig: Rig) -> None:
    mine = rig.order()
    rig.produce(mine)
    stranger = Caller(key_id="x", tenant_id=rig.keys.create(name="other").tenant_id)
    for attempt in (
        lambda: rig.clips.get(stranger, mine.video_id),
        lambda: rig.clips.delete(stranger, mine.video_id),
        lambda: rig.clips.content(stranger, mine.video_id, variant="video"),
        lambda: rig.clips.page(stranger, after=mine.video_id, limit=5, ascending=False),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert rig.clips.page(stranger, after=None, limit=5, ascending=False) == ((), False)
    assert rig.row(mine).state == "released"


def test_a_deleted_clip_is_gone_and_its_entries_stay(rig: Rig) -> None:
    order = rig.order()
    rig.produce(order)
    ref = rig.clips.content(rig.caller, order.video_id, variant="video")
    rig.clips.delete(rig.caller, order.video_id)
    assert not rig.released.local_path(ref).exists()
    assert rig.row(order).prompt == ""
    with pytest.raises(NotFound):
        rig.clips.content(rig.caller, order.video_id, variant="video")
    with pytest.raises(NotFound):
        rig.clips.delete(rig.caller, order.video_id)
    assert rig.kinds(order)[-2:] == ["personal.erased", "video.deleted"]
    assert count(rig, AuditPersonal) == 0


def test_a_released_file_that_was_changed_on_disk_is_not_served(rig: Rig) -> None:
    order = rig.order()
    rig.produce(order)
    ref = rig.clips.content(rig.caller, order.video_id, variant="video")
    path = rig.released.local_path(ref)
    path.write_bytes(bytes(ref.size))
    with pytest.raises(NotFound):
        rig.clips.content(rig.caller, order.video_id, variant="video")


def test_nothing_can_be_fetched_before_the_release(rig: Rig) -> None:
    order = rig.order()
    with pytest.raises(Conflict):
        rig.clips.content(rig.caller, order.video_id, variant="video")


@pytest.mark.parametrize("missing", ["sha256", "watermark_ok", "credentials_ok", "audit_index"])
def test_the_table_itself_refuses_a_release_without(rig: Rig, missing: str) -> None:
    order = rig.order()
    values: dict[str, Any] = {
        "state": "released",
        "sha256": "0" * 64,
        "size_bytes": 1,
        "watermark_ok": True,
        "credentials_ok": True,
        "audit_index": 0,
    }
    values[missing] = None
    statement = sa.update(Video).where(Video.id == order.video_id).values(**values)
    with pytest.raises(sa.exc.IntegrityError), rig.database.write() as session:
        session.execute(statement)


def test_pages_follow_each_other_without_gap_or_repeat(rig: Rig) -> None:
    made = [rig.order().video_id for _ in range(7)]
    for ascending in (True, False):
        seen: list[str] = []
        after, more = None, True
        while more:
            rows, more = rig.clips.page(rig.caller, after=after, limit=3, ascending=ascending)
            seen += [row.id for row in rows]
            after = seen[-1]
        assert seen == (made if ascending else made[::-1])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(prompt=st.text(max_size=300), size=st.text(max_size=12), seconds=st.integers())
def test_any_text_is_taken_or_refused_by_name(
    rig: Rig, prompt: str, size: str, seconds: int
) -> None:
    wish = Wish(prompt=prompt, size=size or None, seconds=seconds)
    try:
        row = rig.clips.submit(rig.caller, wish)
    except InvalidRequest as refused:
        param = refused.param
    else:
        param = None
        assert row.prompt == prompt.strip()
        rig.clips.delete(rig.caller, row.id)
    assert param in (None, "prompt", "size", "seconds")


def test_tenants_are_made_once(rig: Rig) -> None:
    rig.keys.create(name="a", tenant="studio")
    rig.keys.create(name="b", tenant="studio")
    with rig.database.read() as session:
        names = session.scalars(sa.select(Tenant.name)).all()
    assert sorted(names) == ["local", "studio"]


# --- every door ---------------------------------------------------------------------------


def released(rig: Rig, **wish: Any) -> Video:
    order = rig.order(**wish)
    rig.produce(order)
    return rig.row(order)


def test_everything_that_is_said_is_judged_kept_and_drawn(rig: Rig) -> None:
    wish = {"negative_prompt": " blurry ", "title": "The ball", "project": "feature-7"}
    row = released(rig, **wish)
    assert (row.negative_prompt, row.title, row.project) == ("blurry", "The ball", "feature-7")
    assert row.state == "released"
    for judge in (rig.door, rig.prompts):
        (asked,) = judge.weighed
        assert [(str(p.kind), p.text) for p in asked.parts] == [
            ("prompt", "a red ball"),
            ("title", "The ball"),
            ("negative_prompt", "blurry"),
        ]
    (request,) = rig.generator.requests
    assert (request.prompt, request.negative_prompt) == ("a red ball", "blurry")


def test_a_remix_is_judged_and_drawn_with_what_it_changes(rig: Rig) -> None:
    parent = released(rig, negative_prompt="blurry", project="p", seed=9)
    remix = rig.clips.remix(rig.caller, parent.id, "now it is blue")
    assert (remix.prompt, remix.remixed_from, remix.seed) == ("now it is blue", parent.id, 9)
    rig.produce(rig.record.order(remix.id))
    again = rig.clips.remix(rig.caller, remix.id, "and it bounces")
    for asked in (rig.door.weighed[-1], rig.record.order(again.id)):
        assert asked.lineage == ("a red ball", "now it is blue")
    assert rig.door.weighed[-1].story == "a red ball. now it is blue. and it bounces."
    rig.produce(rig.record.order(again.id))
    drawn = [(r.prompt, r.negative_prompt) for r in rig.generator.requests]
    assert drawn[-1] == ("a red ball. now it is blue. and it bounces.", "blurry")


def test_only_a_released_clip_of_ones_own_is_remixed(rig: Rig) -> None:
    queued = rig.order()
    with pytest.raises(Conflict):
        rig.clips.remix(rig.caller, queued.video_id, "now it is blue")
    rig.produce(queued)
    stranger = Caller(key_id="x", tenant_id=rig.keys.create(name="other").tenant_id)
    with pytest.raises(NotFound):
        rig.clips.remix(stranger, queued.video_id, "now it is blue")
    rig.clips.delete(rig.caller, queued.video_id)
    with pytest.raises(NotFound):
        rig.clips.remix(rig.caller, queued.video_id, "now it is blue")


def test_a_refused_remix_is_recorded_and_not_enqueued(rig: Rig) -> None:
    parent = released(rig)
    rig.door.action = Action.BLOCK
    with pytest.raises(PromptRefused):
        rig.clips.remix(rig.caller, parent.id, "now it is blue")
    assert count(rig, Video) == 1


def test_a_chain_of_remixes_has_an_end(rig: Rig) -> None:
    parent = released(rig, prompt="x" * 3_990)
    with pytest.raises(InvalidRequest) as refused:
        rig.clips.remix(rig.caller, parent.id, "y" * 20)
    assert refused.value.param == "prompt"
    parent = released(rig)
    for n in range(MAX_LINEAGE):
        remix = rig.clips.remix(rig.caller, parent.id, f"change {n}")
        rig.produce(rig.record.order(remix.id))
        parent = rig.row(rig.record.order(remix.id))
    with pytest.raises(InvalidRequest, match="remixed"):
        rig.clips.remix(rig.caller, parent.id, "one more")


def test_the_worker_judges_what_the_door_judged(rig: Rig) -> None:
    for n in range(3):
        rig.order(prompt=f"scene {n}")
    last = rig.order(prompt="the end", title="Four")
    rig.produce(last)
    assert rig.prompts.weighed == [rig.door.weighed[-1]]
    assert rig.prompts.weighed[0].recent == ("scene 0", "scene 1", "scene 2")


def test_recent_prompts_are_those_of_one_key_in_the_window(rig: Rig) -> None:
    rig.limits = Limits(
        dedupe_window_seconds=0, sequence_window_minutes=60, sequence_window_requests=2
    )
    other = Caller(key_id="other", tenant_id=rig.caller.tenant_id)
    rig.clips.submit(other, Wish(prompt="of another key"))
    rig.door.action = Action.REVIEW
    rig.order(prompt="held for a person")
    rig.door.action = Action.ALLOW
    gone = rig.order(prompt="deleted")
    rig.clips.delete(rig.caller, gone.video_id)
    rig.order(prompt="scene 0")
    assert rig.door.weighed[-1].recent == ()
    for n in (1, 2):
        rig.order(prompt=f"scene {n}")
    assert rig.door.weighed[-1].recent == ("scene 0", "scene 1")
    rig.order(prompt="scene 3")
    assert rig.door.weighed[-1].recent == ("scene 1", "scene 2")
    rig.clock.now += dt.timedelta(minutes=61)
    rig.order(prompt="the next day")
    assert rig.door.weighed[-1].recent == ()


def test_no_request_but_the_first_is_judged_apart_unless_settings_say_so(rig: Rig) -> None:
    rig.limits = Limits(dedupe_window_seconds=0, sequence_window_requests=0)
    rig.order(prompt="scene 0")
    rig.order(prompt="scene 1")
    assert rig.door.weighed[-1].recent == ()


@pytest.mark.parametrize(
    "change",
    [
        {"negative_prompt": "blurry"},
        {"title": "The ball"},
        {"project": "p"},
        {"rewrite_of": "req_" + "0" * 16},
    ],
)
def test_another_field_is_another_request(rig: Rig, change: dict[str, str]) -> None:
    rig.limits = Limits(dedupe_window_seconds=10)
    rig.offered("req_" + "0" * 16, "a red ball")
    first = rig.order()
    assert rig.order(**change).video_id != first.video_id
    assert rig.order(**change).video_id == rig.order(**change).video_id


def test_a_remix_of_the_same_words_is_another_request(rig: Rig) -> None:
    parent = released(rig)
    rig.limits = Limits(dedupe_window_seconds=10)
    plain = rig.order(prompt="now it is blue", seed=parent.seed)
    remix = rig.clips.remix(rig.caller, parent.id, "now it is blue")
    assert remix.id != plain.video_id
    assert rig.clips.remix(rig.caller, parent.id, "now it is blue").id == remix.id


def test_what_was_said_stays_out_of_the_log_and_goes_with_the_clip(rig: Rig) -> None:
    parent = released(rig, negative_prompt="secret fog", title="Secret ball")
    remix = rig.clips.remix(rig.caller, parent.id, "secret blue")
    rig.clips.delete(rig.caller, remix.id)
    rig.clips.delete(rig.caller, parent.id)
    with rig.database.read() as session:
        for row in session.scalars(sa.select(Video)):
            assert (row.prompt, row.negative_prompt, row.title, row.lineage) == (
                "",
                "",
                "",
                None,
            )
        leaves = [row.leaf for row in session.scalars(sa.select(AuditOutbox))]
    assert leaves
    assert not any(b"ecret" in leaf for leaf in leaves)
    assert count(rig, AuditPersonal) == 0
