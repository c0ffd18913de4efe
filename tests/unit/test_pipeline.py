"""The pipeline on fakes: the order, the refusals, and that nothing else leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.audit.books import check_database
from gateway.audit.keys import CheckpointKey
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.errors import Conflict, NotFound, StageUnavailable
from gateway.orders import Order
from gateway.pipeline import STAGES
from gateway.record import Facts, JobEnded, Stopped
from gateway.tables import StageRow
from generator.errors import WeightsMissing
from safety.circumstances import Audience, Circumstances
from safety.moderation import MINOR_NOTE
from safety.verdict import Action, Stage
from tests.unit.rig import Rig


@pytest.fixture
def rig(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Rig:
    return Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path)


def assert_nothing_left(rig: Rig, order: Order) -> None:
    """Nothing of the job can be fetched, whatever became of it."""
    row = rig.row(order)
    assert row.state != "released"
    with pytest.raises((Conflict, NotFound)):
        rig.clips.content(rig.caller, order.video_id, variant="video")


def test_a_clean_order_is_released_and_recorded_in_order(
    rig: Rig, checkpoint_key: CheckpointKey
) -> None:
    order = rig.order()
    assert rig.produce(order) == "released"
    row = rig.row(order)
    assert (row.state, row.watermark_ok, row.credentials_ok) == ("released", True, True)
    assert rig.kinds(order) == [
        "request.accepted",
        "verdict.given",
        "video.generated",
        "verdict.given",
        "video.marked",
        "video.signed",
        "video.published",
        "video.released",
    ]
    ref = rig.clips.content(rig.caller, order.video_id, variant="video")
    assert rig.sealer.named_clip(rig.released.local_path(ref)) == order.clip_id
    assert not list((rig.folder / "vault").rglob("*.mp4")), "raw media outlived the release"


FAULT = RuntimeError("broken on purpose")
BREAKS: dict[str, Callable[[Rig], Any]] = {
    "the prompt judge crashes": lambda r: setattr(r.prompts, "fault", FAULT),
    "the prompt is blocked": lambda r: setattr(r.prompts, "action", Action.BLOCK),
    "the prompt needs a person": lambda r: setattr(r.prompts, "action", Action.REVIEW),
    "the prompt gets an unknown action": lambda r: setattr(r.prompts, "action", "perhaps"),
    "the model crashes": lambda r: setattr(r.generator, "fault", FAULT),
    "the model gives another size": lambda r: setattr(r.generator, "wrong_size", True),
    "the frame judge crashes": lambda r: setattr(r.frames, "fault", FAULT),
    "the frames are blocked": lambda r: setattr(r.frames, "action", Action.BLOCK),
    "the frames need a person": lambda r: setattr(r.frames, "action", Action.REVIEW),
    "encoding fails": lambda r: setattr(r.codec, "fault", FAULT),
    "encoding destroys the mark": lambda r: setattr(r.codec, "lossy", True),
    "the mark reads without certainty": lambda r: setattr(r.marker, "certain", False),
    "the mark reader crashes": lambda r: setattr(r.marker, "fault", FAULT),
    "the fingerprint cannot be made": lambda r: setattr(r.looks, "fault", FAULT),
    "signing fails": lambda r: setattr(r.sealer, "fault", FAULT),
    "the seal names another clip": lambda r: setattr(r.sealer, "named", "0" * 16),
    "the log never covers the entry": lambda r: setattr(r.log, "covers", False),
    "memory runs out": lambda r: setattr(r.generator, "fault", MemoryError()),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_whatever_breaks_nothing_leaves(
    rig: Rig, broken: str, checkpoint_key: CheckpointKey
) -> None:
    order = rig.order()
    BREAKS[broken](rig)
    assert rig.produce(order) in ("refused", "held", "failed")
    assert_nothing_left(rig, order)
    assert rig.row(order).state in ("refused", "held", "failed")
    assert not [path for path in (rig.folder / "released").rglob("*") if path.is_file()]
    rig.kinds(order)
    assert check_database(rig.database, checkpoint_key.verifier, now=rig.clock()).ok


def test_a_refusal_shows_the_rule_and_never_the_score(rig: Rig) -> None:
    order = rig.order()
    rig.frames.action = Action.BLOCK
    rig.produce(order)
    refusal = rig.row(order).refusal
    assert refusal is not None
    assert refusal["code"] == "moderation_blocked"
    assert refusal["stage"] == "frames"
    assert refusal["rules"] == ["T-1"]
    assert "0.9" not in str(refusal)


def test_a_held_clip_stays_in_the_vault_for_the_reviewer(rig: Rig) -> None:
    order = rig.order()
    rig.frames.action = Action.REVIEW
    assert rig.produce(order) == "held"
    assert list((rig.folder / "vault").rglob("*.mp4"))
    assert rig.row(order).completed_at is None


def test_bytes_that_change_in_the_store_are_not_released(rig: Rig) -> None:
    order = rig.order()
    put = rig.released.put

    def put_and_damage(path: Path, *, scope: str, suffix: str) -> Any:
        ref = put(path, scope=scope, suffix=suffix)
        stored = rig.released.local_path(ref)
        stored.write_bytes(stored.read_bytes()[:-1] + b"!")
        return ref

    rig.released.put = put_and_damage  # type: ignore[method-assign]
    assert rig.produce(order) == "failed"
    assert_nothing_left(rig, order)


def test_a_clip_deleted_while_it_is_made_is_not_released(rig: Rig) -> None:
    order = rig.order()
    judge = rig.frames.judge

    def delete_meanwhile(*args: Any, **kwargs: Any) -> Any:
        rig.clips.delete(rig.caller, order.video_id)
        return judge(*args, **kwargs)

    rig.frames.judge = delete_meanwhile  # type: ignore[method-assign]
    assert rig.produce(order) == "deleted"
    with pytest.raises(NotFound):
        rig.clips.get(rig.caller, order.video_id)
    assert not list((rig.folder / "vault").rglob("*.mp4"))
    assert not list((rig.folder / "released").rglob("*.mp4"))


def test_a_clip_deleted_while_it_is_published_leaves_no_file(rig: Rig) -> None:
    order = rig.order()
    put = rig.released.put

    def delete_meanwhile(path: Path, *, scope: str, suffix: str) -> Any:
        rig.clips.delete(rig.caller, order.video_id)
        return put(path, scope=scope, suffix=suffix)

    rig.released.put = delete_meanwhile  # type: ignore[method-assign]
    assert rig.produce(order) == "deleted"
    assert not [path for path in (rig.folder / "released").rglob("*") if path.is_file()]


def test_deleting_stops_the_model_within_a_step(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.PROGRESS_EVERY_SECONDS", 0.0)
    order = rig.order()

    def generate(request: Any, *, on_progress: Callable[[int, int], None]) -> Any:
        rig.clips.delete(rig.caller, order.video_id)
        on_progress(1, 4)
        raise AssertionError("the model went on after the clip was deleted")

    rig.generator.generate = generate  # type: ignore[assignment,method-assign]
    with pytest.raises(JobEnded):
        rig.pipeline.run(order)


def test_a_stage_that_answers_late_has_not_answered(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("gateway.pipeline").pipeline.DEADLINE_SECONDS, "check", 0)
    order = rig.order()
    assert rig.produce(order) == "failed"
    assert "video.marked" not in rig.kinds(order)
    assert_nothing_left(rig, order)


class Crash(BaseException):
    """Stands for kill -9: nothing catches it."""


class CrashingSteps:
    """Dies right before or right after a stage's effect, as a killed process would."""

    def __init__(self, stage: str, *, after: bool) -> None:
        self.stage = stage
        self.after = after

    def run(self, name: str, effect: Callable[[], Facts]) -> Facts:
        if name == self.stage and not self.after:
            raise Crash
        facts = effect()
        if name == self.stage:
            raise Crash
        return facts

    def checkpoint(self) -> None:
        """Never stops."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_after_a_crash_exactly_the_remaining_stages_run(
    rig: Rig, stage: str, after: bool, checkpoint_key: CheckpointKey
) -> None:
    order = rig.order()
    rig.steps = CrashingSteps(stage, after=after)
    with pytest.raises(Crash):
        rig.pipeline.run(order)
    assert_nothing_left(rig, order)
    done = STAGES.index(stage) + (1 if after else 0)
    before = {name: rig.record.facts(order, name) for name in STAGES[:done]}
    assert all(before.values())
    rig.steps = CrashingSteps("none", after=False)
    assert rig.produce(order) == "released"
    assert {name: rig.record.facts(order, name) for name in STAGES[:done]} == before
    assert rig.generator.calls == 1
    assert len(rig.prompts.asked) == 1
    assert len(rig.kinds(order)) == 8
    assert check_database(rig.database, checkpoint_key.verifier, now=rig.clock()).ok


def test_the_same_order_gives_the_same_pixels_after_a_crash(rig: Rig) -> None:
    marked = []
    for stage in ("none", "generate", "mark"):
        order = rig.order(seed=5)
        rig.steps = CrashingSteps(stage, after=False)
        try:
            rig.pipeline.run(order)
        except Crash:
            rig.steps = CrashingSteps("none", after=False)
            rig.produce(order)
        facts = rig.record.facts(order, "generate")
        assert facts is not None
        marked.append(facts["raw"]["sha256"])
    assert len(set(marked)) == 1


def test_a_release_that_runs_twice_happens_once(rig: Rig) -> None:
    order = rig.order()
    assert rig.produce(order) == "released"
    assert rig.produce(order) == "released"
    assert rig.kinds(order).count("video.released") == 1


def test_an_unknown_model_fails_and_leaves_nothing(rig: Rig) -> None:
    order = rig.order()
    rig.generator.name = "other"
    pipeline = rig.pipeline
    object.__setattr__(pipeline, "generators", {})
    with pytest.raises(StageUnavailable):
        pipeline.run(order)
    assert_nothing_left(rig, order)


def test_missing_weights_are_named_to_the_caller(rig: Rig) -> None:
    order = rig.order()
    rig.generator.fault = WeightsMissing("The weights of the model are missing a file.")
    assert rig.produce(order) == "failed"
    refusal = rig.row(order).refusal
    assert refusal is not None
    assert refusal["code"] == "stage_unavailable"
    assert "missing a file" in refusal["message"]


def test_an_approval_of_an_older_release_may_have_spoken_of_a_minor(rig: Rig) -> None:
    order = rig.order()
    rig.pipeline.approve(order)
    with rig.database.write() as session:
        row = session.scalars(sa.select(StageRow).where(StageRow.stage == "approve")).one()
        row.facts = {key: value for key, value in row.facts.items() if key != "notes"}
    assert rig.pipeline.approve(order).notes == {MINOR_NOTE}


def test_a_planted_stage_row_without_its_entry_releases_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.COVER_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("gateway.retries.TRIES", 1)
    order = rig.order()
    rig.frames.action = Action.BLOCK
    facts = {"action": "allow", "policy": "0" * 64, "stage": "frames", "refusal": None}
    with rig.database.write() as session:
        row = StageRow(
            video_id=order.video_id, stage="check", facts=facts, created_at=rig.clock()
        )
        session.add(row)
    assert rig.produce(order) == "failed"
    assert_nothing_left(rig, order)


@pytest.mark.parametrize("lie", [{"judges": ()}, {"scores": {}}, {"stage": Stage.PROMPT}])
def test_a_verdict_that_names_no_judge_or_score_is_none(rig: Rig, lie: dict[str, Any]) -> None:
    order = rig.order()
    honest = rig.frames.judge

    def judge(*args: Any, **kwargs: Any) -> Any:
        return dataclasses.replace(honest(*args, **kwargs), **lie)

    rig.frames.judge = judge  # type: ignore[method-assign]
    assert rig.produce(order) == "failed"
    assert_nothing_left(rig, order)


def test_a_blocked_prompt_is_never_drawn(rig: Rig) -> None:
    order = rig.order()
    rig.prompts.action = Action.BLOCK
    with pytest.raises(Stopped):
        rig.pipeline.run(order)
    assert rig.generator.calls == 0


def test_prompt_and_frames_are_judged_under_the_same_circumstances(rig: Rig) -> None:
    studio = Circumstances(audience=Audience.STUDIO, region="FR")
    rig.permits.known = studio
    assert rig.produce(rig.order()) == "released"
    assert set(rig.prompts.known) == {studio}
    assert rig.frames.known == [studio]


def test_what_the_prompt_speaks_of_is_known_when_the_frames_are_judged(rig: Rig) -> None:
    rig.prompts.notes = frozenset({MINOR_NOTE})
    assert rig.produce(rig.order()) == "released"
    assert [known.notes for known in rig.frames.known] == [frozenset({MINOR_NOTE})]


def test_what_another_database_explains_is_not_swept_away(rig: Rig) -> None:
    """A restored database finds in its stores what was made after the backup."""
    kept = [
        store.put_bytes(b"newer", scope="video_newer", suffix="mp4")
        for store in (rig.vault, rig.released)
    ]
    rig.housekeeping.tidy()
    rig.housekeeping.clear_shelf()
    assert [store.read(ref) for store, ref in zip((rig.vault, rig.released), kept, strict=True)]
