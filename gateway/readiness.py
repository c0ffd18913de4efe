"""Readiness: whether every part could say yes, told in bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass

from gateway.question import Asked, Question

FRESH_SECONDS = 10.0
ANSWER_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One part's readiness; ``problem`` is a sentence when it is not ready.

    Without a part that is not ``needed`` the service is degraded, and still answers.
    """

    part: str
    problem: str | None = None
    needed: bool = True

    @property
    def ok(self) -> bool:
        """Whether the part can say yes."""
        return self.problem is None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How a part is asked, and for how many seconds what it said may be told again.

    ``fresh``: it is not asked before. ``patience``: how long its last answer stands while the
    next one is waited for; the judges of a busy machine are slow and not away.
    """

    part: str
    ask: Callable[[], Check]
    fresh: float = FRESH_SECONDS
    patience: float = 0.0
    needed: bool = True


class Readiness:
    """The checks of all parts, each asked in a thread of its own.

    Every call returns after about ``answer_seconds``, whatever hangs: a part that does not
    answer is a fault of that part. Nobody waits again for one that is known to hang, and it
    is not asked again before it has answered.
    """

    def __init__(
        self, probes: tuple[Probe, ...], *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._parts = tuple(_Part(probe) for probe in probes)
        self._lock = threading.Lock()
        self._seconds = answer_seconds

    def __call__(self) -> tuple[Check, ...]:
        """The checks, none older than its probe allows."""
        with self._lock:
            asked = [one for part in self._parts if (one := part.put()) is not None]
            awaited = [one.answer for one in asked if one.seconds < self._seconds]
            wait(awaited, timeout=self._seconds)
            return tuple(part.check() for part in self._parts)


class _Part:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._question = Question(probe.ask, name=f"ready-{probe.part}")
        self._open: Asked[Check] | None = None
        self._last: Check | None = None
        self._at = 0.0

    def put(self) -> Asked[Check] | None:
        """Ask, unless its last answer is fresh; what is being waited for."""
        self._read()
        if self._last is not None and time.monotonic() - self._at <= self._probe.fresh:
            return None
        self._open = self._question.put()
        return self._open

    def check(self) -> Check:
        self._read()
        waited = 0.0 if self._open is None else self._open.seconds
        if self._last is not None and waited <= self._probe.patience:
            return self._last
        return Check(
            part=self._probe.part,
            problem=f"It has not answered for {waited:.0f} seconds.",
            needed=self._probe.needed,
        )

    def _read(self) -> None:
        # An answer that came after everybody had left counts too: a part that always takes
        # a little longer than a call waits would never be heard otherwise.
        if self._open is not None and self._open.answer.done():
            self._last, self._at = self._open.answer.result(), time.monotonic()
            self._open = None
