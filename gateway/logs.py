"""Operational logs: structured lines that may be lost. The audit log is something else."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Fields that must not reach a log line, whoever adds them.
SECRET_FIELDS = frozenset(
    {"prompt", "negative_prompt", "text", "frames", "authorization", "key", "secret", "pepper"}
)


def _drop_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in SECRET_FIELDS & event.keys():
        event[name] = "[withheld]"
    return event


def configure_logs(*, verbose: bool = False, json: bool = False) -> None:
    """Send ``noun.verbed`` events to standard error, as text or as JSON lines."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")
    for noisy in ("dbos", "httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_secrets,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def log(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry ``part=name``."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(part=name)
    return bound
