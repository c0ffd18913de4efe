"""Tracing: spans from a request over its job to its stages.

The only importer of ``opentelemetry``. Off, the spans cost next to nothing and go nowhere; on,
they go to one collector over OTLP. A span holds route templates, stages, states, ids of clips
and types of exceptions: never a prompt, a key, or the message of an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NoOpTracerProvider, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.errors import ConfigurationFault

EXPORT_SECONDS = 5.0
CARRIER = "traceparent"  # W3C Trace Context §3.2
_PROPAGATOR = TraceContextTextMapPropagator()


class Noted(Protocol):
    """A span under way."""

    def note(self, name: str, value: str | int) -> None:
        """Add what became known meanwhile; nothing that a creator wrote."""


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)


class Tracing:
    """Makes spans. ``close`` sends what is left, for EXPORT_SECONDS."""

    def __init__(
        self, tracer: Tracer | None = None, close: Callable[[], None] = lambda: None
    ) -> None:
        self._tracer = tracer or NoOpTracerProvider().get_tracer("cinegate")
        self.close = close

    @contextmanager
    def span(
        self,
        name: str,
        noted: Mapping[str, str | int],
        *,
        parent: str | None = None,
        beside: str | None = None,
        serving: bool = False,
    ) -> Iterator[Noted]:
        """A span around the block, below the current one or below ``parent``.

        ``parent`` is what ``origin`` gave earlier. ``beside`` is one that a stranger sent: it
        is linked to and otherwise not believed, or anybody could have us keep every trace.
        An exception shows as its type.
        """
        links = [Link(trace.get_current_span(_read(beside)).get_span_context())]
        with self._tracer.start_as_current_span(
            name,
            context=Context() if serving else _read(parent) if parent else None,
            kind=SpanKind.SERVER if serving else SpanKind.INTERNAL,
            attributes=dict(noted),
            links=[link for link in links if link.context.is_valid],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _Span(span)
            except BaseException as fault:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(fault).__name__)
                raise

    def origin(self) -> str | None:
        """The current span in the form that a job carries to its worker; None without one."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get(CARRIER)


def exported(endpoint: str) -> Tracing:
    """Spans that go to a collector's OTLP/HTTP address.

    Not through the global provider: what libraries put into spans of their own may hold a
    prompt. Raises ConfigurationFault when the extra ``telemetry`` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as fault:
        raise ConfigurationFault(
            "tracing.endpoint needs what pip install 'cinegate[telemetry]' brings."
        ) from fault
    named = {"service.name": "cinegate", "service.version": version("cinegate")}
    provider = TracerProvider(resource=Resource(named), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider.get_tracer("cinegate"), provider.shutdown)


def _read(carried: str | None) -> Context:
    return _PROPAGATOR.extract({CARRIER: carried} if carried else {}, context=Context())
