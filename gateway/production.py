"""Bringing one job to its end: what ends it, what makes it wait, what leaves it to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.db import DATABASE_AWAY
from gateway.errors import Error, InternalError, Interrupted, StageUnavailable
from gateway.housekeeping import Housekeeping
from gateway.logs import trace
from gateway.orders import Order
from gateway.pipeline import Pipeline
from gateway.record import FINAL_STATES, Facts, JobEnded, Record, Stopped
from gateway.retries import Retries
from gateway.seams import UNOBSERVED, Observer
from gateway.tracing import Tracing

AWAY_SECONDS = 1.0

log = structlog.get_logger(part="jobs")


class NotMine(BaseException):
    """This process leaves a job that is not at its end: to its next run, here or elsewhere.

    Not an Exception: the engine would record one, and then take the job for ended, or replay
    the fault to the worker that took it over.
    """


class WorkerStopping(NotMine):
    """The worker was asked to stop; the job goes on from its last recorded stage."""


class StageFault(Exception):
    """A stage raised something unforeseen, whose message may hold the prompt."""


class StoppableSteps:
    """Runs stages unless the worker was asked to stop.

    What a stage gave is kept by ``Record`` under the job's claim, and nowhere else: the
    engine's own record of steps has no such fence, and once kept the fault of a frozen worker
    for the healthy one.
    """

    def __init__(
        self,
        stopping: threading.Event,
        observer: Observer = UNOBSERVED,
        tracing: Tracing | None = None,
    ) -> None:
        self._stopping = stopping
        self._observer = observer
        self._tracing = tracing or Tracing()

    def run(self, name: str, effect: Callable[[], Facts]) -> Facts:
        """The effect's facts. Our own errors pass as they are, others as StageFault.

        A file that cannot be written or a connection that breaks is an interruption.
        """
        self.checkpoint()
        started, outcome = time.monotonic(), "failed"
        try:
            facts = self._guarded(name, effect)
            outcome = "done"
        except (Interrupted, *DATABASE_AWAY):
            outcome = "interrupted"
            raise
        except (JobEnded, NotMine):
            outcome = "left"
            raise
        finally:
            self._observer.stage_ended(name, outcome, time.monotonic() - started)
        return facts

    def _guarded(self, name: str, effect: Callable[[], Facts]) -> Facts:
        try:
            with self._tracing.span(f"stage {name}", {"cinegate.stage": name}):
                return effect()
        except (Error, Stopped, *DATABASE_AWAY):
            raise
        except OSError as fault:
            log.error("stage.interrupted", stage=name, trace=trace(fault))
            raise Interrupted("A file or a connection could not be used.") from None
        except Exception as fault:  # noqa: BLE001 - named, without its message
            log.error("stage.failed", stage=name, trace=trace(fault))
            raise StageFault(type(fault).__name__) from None

    def checkpoint(self) -> None:
        """Raise WorkerStopping when the worker was asked to stop."""
        if self._stopping.is_set():
            raise WorkerStopping


@dataclass(frozen=True, kw_only=True)
class Production:
    """Brings a job to an end, or leaves it to its next run."""

    pipeline: Pipeline
    record: Record
    retries: Retries
    housekeeping: Housekeeping
    stopping: threading.Event = field(default_factory=threading.Event)
    model_only: bool = False
    observer: Observer = UNOBSERVED
    tracing: Tracing = field(default_factory=Tracing)

    def bring_to_an_end(self, video_id: str, run: int = 0, *, origin: str | None = None) -> str:
        """Run a job's stages and return its state; a fault ends it as failed.

        ``origin`` is the trace that the job carries.


        Raises NotMine, and leaves the job as it is, when it is neither at an end nor back in
        the queue afterwards: the worker is stopping, or another one took the job over. The
        engine therefore counts as done only what the record says is done. While the database
        is away, it waits.
        """
        told: dict[str, str | int] = {"cinegate.video": video_id, "cinegate.run": run}
        with self.tracing.span("clip", told, parent=origin) as span:
            state = self._ended(video_id, run)
            span.note("cinegate.state", state)
            return state

    def _ended(self, video_id: str, run: int) -> str:
        order: Order | None = None
        while True:
            try:
                if order is None:
                    order = self.record.claim(video_id, run=run)
                with structlog.contextvars.bound_contextvars(video=video_id):
                    return self._attempt(order)
            except DATABASE_AWAY as fault:
                log.error("database.away", trace=trace(fault))
                if self.stopping.wait(AWAY_SECONDS):
                    raise WorkerStopping from None
            except JobEnded:
                return self.record.state(video_id)

    def _attempt(self, order: Order) -> str:
        try:
            if self.model_only:
                self.pipeline.make(order)
                self.retries.hand_over(order)
            else:
                self.pipeline.run(order)
                self.observer.clip_ended("released")
        except JobEnded:
            log.info("job.ended_early")
        except Stopped as stop:
            self._end(order, stop.state, stop.refusal)
        except DATABASE_AWAY:
            raise
        except Exception as fault:
            if self.stopping.is_set():
                raise WorkerStopping from fault
            log.error("job.failed", trace=trace(fault))
            waits = isinstance(fault, Interrupted)
            if not (waits and self.retries.later(order, code=Interrupted.code)):
                self._end(order, "failed", failure(fault))
        now = self.record.order(order.video_id)
        state = self.record.state(order.video_id)
        if now.run != order.run:
            return "queued"
        if state in FINAL_STATES or state == "held":
            try:
                self.housekeeping.tidy(order.video_id)
            except StageUnavailable as fault:  # a store that is away; the sweep tries again
                log.warning("tidy.failed", trace=trace(fault))
            return state
        raise NotMine

    def _end(self, order: Order, state: str, refusal: Facts) -> None:
        if self.record.end(order, state, refusal=refusal):
            self.observer.clip_ended(state)


def failure(fault: BaseException | None) -> dict[str, Any]:
    """The error object of a job that failed: our sentence when we have one, else none."""
    if isinstance(fault, Error):
        return {"code": fault.code, "message": fault.message}
    return {
        "code": InternalError.code,
        "message": "Something went wrong while the clip was made. Nothing was released.",
    }
