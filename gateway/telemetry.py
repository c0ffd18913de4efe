"""Telemetry: what this process does, counted for Prometheus; its only importer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.errors import ConfigurationFault
from gateway.findings import Finding
from gateway.logs import trace
from gateway.pipeline import STAGES
from gateway.question import Question
from safety.verdict import Category

SCRAPE_SECONDS = 2.0
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STAGE_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800)
ENDED = ("released", "refused", "held", "failed")
# Read when somebody asks. Absent while what they are read from does not answer.
GAUGES = {
    "clips_waiting": "Clips in the queue, also those that wait for another try.",
    "oldest_waiting_clip_seconds": "Since the oldest clip in the queue was asked for.",
    "clips_under_way": "Clips that a worker has begun.",
    "clips_held": "Clips that wait for a person.",
    "oldest_open_case_seconds": "How long the oldest held clip has waited for a person.",
    "living_workers": "Workers whose lease runs, on every machine.",
    "outbox_events": "Events that wait for their place in the audit log.",
    "oldest_outbox_event_seconds": "Since the oldest of those events was written.",
    "log_entries": "Entries of the audit log.",
    "log_entries_uncovered": "Entries that no signed checkpoint covers yet.",
    "newest_covered_entry_seconds": "Since the newest entry under a checkpoint was written.",
    "newest_stamp_seconds": "Since an outside authority stamped a head of the log.",
    "certificate_seconds": "Until the signing certificate, or one above it, ends.",
}

Source = Callable[[], Mapping[str, float]]

log = structlog.get_logger(part="telemetry")


class Telemetry:
    """Counts of one process, in a registry of its own; a ``gateway.seams.Observer``.

    ``sources`` are asked at every scrape, each for at most SCRAPE_SECONDS; they give values
    of GAUGES. Labels are words of our own code: no tenant, id, prompt or path is ever one.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.registry = CollectorRegistry()
        errors = Counter(
            "cinegate_scrape_errors", "Sources that did not answer a scrape.", ["source"],
            registry=None,
        )  # fmt: skip
        # Before the counter of its errors: a scrape shows its own.
        self.registry.register(_Gauges(sources, errors))
        self.registry.register(errors)
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "requests", "Answered requests.", "route", "method", "status"
        )
        self._request_seconds = self._histogram(
            "request_seconds", "From a request's head to its last byte.", REQUEST_BUCKETS,
            "route", "method",
        )  # fmt: skip
        self._rate_limited = self._counter(
            "rate_limited", "Requests that were answered 429.", "route"
        )
        self._refusals = self._counter("refusals", "Requests refused at the door.", "category")
        self._ended = self._counter("clips_ended", "Clips, by how they ended here.", "state")
        self._stages = self._histogram(
            "stage_seconds", "What stages took here.", STAGE_BUCKETS, "stage", "outcome"
        )
        self._put_back = self._counter(
            "put_back", "Jobs that were interrupted, and wait for another try.", "stage"
        )
        self._verified = self._counter("verified", "Files that were examined.", "finding")
        # A first case must be seen as a rise, and not as a series that begins at one.
        for counter, words in (
            (self._ended, ENDED),
            (self._refusals, Category),
            (self._put_back, STAGES),
            (self._verified, Finding),
            (errors, sources),
        ):
            for word in words:
                counter.labels(word)

    def request_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """See ``gateway.seams.Observer``."""
        self._requests.labels(route, method, f"{status // 100}xx").inc()
        self._request_seconds.labels(route, method).observe(seconds)
        if status == 429:
            self._rate_limited.labels(route).inc()

    def request_refused(self, category: str) -> None:
        """See ``gateway.seams.Observer``."""
        self._refusals.labels(category).inc()

    def clip_ended(self, state: str) -> None:
        """See ``gateway.seams.Observer``."""
        self._ended.labels(state).inc()

    def stage_ended(self, stage: str, outcome: str, seconds: float) -> None:
        """See ``gateway.seams.Observer``."""
        self._stages.labels(stage, outcome).observe(seconds)

    def job_put_back(self, stage: str) -> None:
        """See ``gateway.seams.Observer``."""
        self._put_back.labels(stage).inc()

    def file_verified(self, finding: str) -> None:
        """See ``gateway.seams.Observer``."""
        self._verified.labels(finding).inc()

    @contextmanager
    def exposed(self, host: str, port: int) -> Iterator[int]:
        """Answer scrapes at an address of their own while the block runs; gives the port.

        Port 0 takes any that is free. Raises ConfigurationFault when it cannot be taken.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as fault:
            raise ConfigurationFault(
                "The address for metrics cannot be used: each process needs a port of its own."
            ) from fault
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(f"cinegate_{name}", told, labels, registry=self.registry)

    def _histogram(
        self, name: str, told: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"cinegate_{name}", told, labels, buckets=buckets, registry=self.registry
        )


class _Gauges(Collector):
    """Asks the sources at each scrape; one that does not answer is counted and left out."""

    def __init__(self, sources: Mapping[str, Source], errors: Counter) -> None:
        self._questions = {
            name: Question(ask, name=f"scrape-{name}") for name, ask in sources.items()
        }
        self._errors = errors

    def collect(self) -> Iterator[GaugeMetricFamily]:
        asked = {name: question.put() for name, question in self._questions.items()}
        for name, one in asked.items():
            try:
                values = one.answer.result(timeout=SCRAPE_SECONDS)
            except Exception as fault:  # noqa: BLE001 - a scrape tells what can be told
                self._errors.labels(name).inc()
                log.warning("scrape.failed", source=name, trace=trace(fault))
                continue
            for gauge, value in values.items():
                yield GaugeMetricFamily(f"cinegate_{gauge}", GAUGES[gauge], value=value)
