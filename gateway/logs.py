"""Operational logs: structured lines that may be lost. The audit log is something else."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
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


def trace(fault: BaseException) -> str:
    """Where an exception came from: types and places, without messages or variables.

    Both may hold a prompt or a secret, so neither goes into a log line.
    """
    lines = []
    current: BaseException | None = fault
    while current is not None:
        lines.append(type(current).__name__)
        for frame in traceback.extract_tb(current.__traceback__):
            lines.append(f"  {frame.filename}:{frame.lineno} {frame.name}")
        current = current.__cause__ or current.__context__
    return "\n".join(lines)


class _LossyLogger(structlog.PrintLogger):
    """Prints a line or loses it: a full disk or closed pipe must not change a clip's fate."""

    def msg(self, message: str) -> None:
        """Print the line if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure_logs(*, verbose: bool = False, json: bool = False) -> None:
    """Send ``noun.verbed`` events to standard error, as text or as JSON lines."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")
    for noisy in ("dbos", "httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _LossyLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
