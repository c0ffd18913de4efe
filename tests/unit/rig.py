"""A pipeline on fakes, with the real record, stores and audit log around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.audit.log import SqlAuditLog
from gateway.audit.sequencer import Sequencer
from gateway.auth import Caller, KeyRing
from gateway.buckets import Folder, Place
from gateway.clips import Clips
from gateway.copies import Copies
from gateway.db import Database
from gateway.housekeeping import Housekeeping
from gateway.orders import Order
from gateway.pipeline import Pipeline
from gateway.production import Production
from gateway.record import Record
from gateway.retries import Retries
from gateway.rewrites import Rewrites
from gateway.seams import UNOBSERVED
from gateway.settings import Limits, Retention
from gateway.store import Released, Vault
from gateway.tables import Video
from gateway.wish import Wish
from tests.fakes import (
    FakeCard,
    FakeCodec,
    FakeFrameJudge,
    FakeGenerator,
    FakeLooks,
    FakeMarker,
    FakeOffers,
    FakePermits,
    FakePromptJudge,
    FakeQueue,
    FakeSealer,
    PlainSteps,
    SwitchedLog,
)


@dataclass
class Rig:
    """Every part of the path, each of which a test may break."""

    database: Database
    audit: SqlAuditLog
    clock: Any
    folder: Path
    prompts: FakePromptJudge = field(default_factory=FakePromptJudge)
    generator: FakeGenerator = field(default_factory=FakeGenerator)
    frames: FakeFrameJudge = field(default_factory=FakeFrameJudge)
    marker: FakeMarker = field(default_factory=FakeMarker)
    looks: FakeLooks = field(default_factory=FakeLooks)
    codec: FakeCodec = field(default_factory=FakeCodec)
    sealer: FakeSealer = field(default_factory=FakeSealer)
    queue: FakeQueue = field(default_factory=FakeQueue)
    steps: Any = field(default_factory=PlainSteps)
    permits: Any = field(default_factory=FakePermits)
    offers: Any = field(default_factory=FakeOffers)
    observer: Any = UNOBSERVED
    retention: Retention = field(default_factory=lambda: Retention(failed_hours=0))
    places: dict[str, Place] = field(default_factory=dict)
    limits: Limits = field(
        default_factory=lambda: Limits(
            dedupe_window_seconds=0,
            request_burst=10_000,
            max_queued_per_tenant=10_000,
            clip_seconds_per_day=1_000_000,
        )
    )

    def __post_init__(self) -> None:
        self.places = self.places or {
            name: Folder(self.folder / name) for name in ("vault", "released")
        }
        self.record = Record(self.database, self.audit, self.clock)
        self.log = SwitchedLog(Sequencer(self.audit))
        self.vault = Vault(self.places["vault"])
        self.released = Released(
            self.places["released"], Copies(self.folder / "copies", max_bytes=10**9)
        )
        self.keys = KeyRing(self.database, self.audit, lambda: b"p" * 32, self.clock)
        self.door = FakePromptJudge()
        self.caller: Caller = self.keys.local_caller()

    @property
    def clips(self) -> Clips:
        return Clips(
            database=self.database,
            audit=self.audit,
            queue=self.queue,
            prompts=self.door,
            permits=self.permits,
            rewrites=self.rewrites,
            cards={"fake": FakeCard()},
            default_model="fake",
            released=self.released,
            limits=self.limits,
            clock=self.clock,
            observer=self.observer,
        )

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(
            record=self.record,
            vault=self.vault,
            released=self.released,
            scratch=self.folder / "work",
            prompts=self.prompts,
            generators={"fake": self.generator},  # type: ignore[dict-item]
            frames=self.frames,
            marker=self.marker,
            looks=self.looks,
            codec=self.codec,
            sealer=self.sealer,
            log=self.log,
            steps=self.steps,
            permits=self.permits,
        )

    @property
    def rewrites(self) -> Rewrites:
        return Rewrites(self.database, self.audit, self.offers)

    def offered(self, reference: str, wording: str, *, tenant_id: str | None = None) -> str:
        """A reference under which these words were offered, to the caller if not said."""
        tenant_id = tenant_id or self.caller.tenant_id
        with self.database.write() as session:
            self.rewrites.note_offered(session, tenant_id, reference, wording)
        return reference

    def order(self, **wish: Any) -> Order:
        row = self.clips.submit(self.caller, Wish(**{"prompt": "a red ball", **wish}))
        return self.record.order(row.id)

    @property
    def retries(self) -> Retries:
        known = (self.audit, self.queue, self.clock, self.retention)
        return Retries(self.database, *known, self.observer)

    @property
    def housekeeping(self) -> Housekeeping:
        return Housekeeping(
            database=self.database,
            audit=self.audit,
            vault=self.vault,
            released=self.released,
            limits=self.limits,
            retention=self.retention,
            clock=self.clock,
        )

    @property
    def production(self) -> Production:
        return Production(
            pipeline=self.pipeline,
            record=self.record,
            retries=self.retries,
            housekeeping=self.housekeeping,
            observer=self.observer,
        )

    def produce(self, order: Order) -> str:
        """Run the job, and run it again as long as it is put back, without the waiting."""
        state = "queued"
        while state == "queued":
            run = self.record.order(order.video_id).run
            state = self.production.bring_to_an_end(order.video_id, run)
        return state

    def row(self, order: Order) -> Video:
        with self.database.read() as session:
            row = session.get(Video, order.video_id)
        assert row is not None
        return row

    def kinds(self, order: Order) -> list[str]:
        while self.audit.sequence():
            pass
        entries = self.audit.entries(subject=order.video_id, limit=100)
        return [str(entry.entry.kind) for entry in reversed(entries)]
