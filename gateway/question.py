"""Questions: what may not answer is asked in a thread, so that the asker need not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Asked(Generic[T]):
    """A question that was put: ``answer`` is there in a while, or never."""

    answer: Future[T] = field(default_factory=Future)
    at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long ago it was put."""
        return time.monotonic() - self.at


class Question(Generic[T]):
    """Something that can be asked again and again, by one thread at a time.

    A database that hangs thus costs one thread and one connection, however often it is asked.
    """

    def __init__(self, ask: Callable[[], T], *, name: str) -> None:
        self._ask = ask
        self._name = name
        self._lock = threading.Lock()
        self._asked: Asked[T] | None = None

    def put(self) -> Asked[T]:
        """Ask now; the question that is still open, if there is one, is not put again."""
        with self._lock:
            if self._asked is None or self._asked.answer.done():
                self._asked = Asked()
                threading.Thread(
                    target=self._run, args=(self._asked.answer,), name=self._name, daemon=True
                ).start()
            return self._asked

    def _run(self, answer: Future[T]) -> None:
        try:
            answer.set_result(self._ask())
        except BaseException as fault:  # noqa: BLE001 - it is raised where the answer is read
            answer.set_exception(fault)
