"""The sequencer: a thread that moves waiting events into the log, about ten times a second."""

from __future__ import annotations

import threading
import time

from gateway.audit.log import AuditLog
from gateway.errors import Interrupted

BEAT_SECONDS = 0.1
POLL_SECONDS = 0.05


class Sequencer:
    """Runs ``AuditLog.sequence`` until it is stopped.

    Several may run on one database. A beat that fails is kept in ``fault`` and tried again;
    until one succeeds, nothing new counts as covered.
    """

    def __init__(self, log: AuditLog, *, beat: float = BEAT_SECONDS) -> None:
        self._log = log
        self._beat = beat
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: Exception | None = None

    @property
    def fault(self) -> Exception | None:
        """Why the last beat failed, or None when it succeeded."""
        return self._fault

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Finish the beat under way, run a last one, and end the thread."""
        if self._thread is not None:
            self._stopping.set()
            self._wake.set()
            self._thread.join()
            self._thread = None

    def wait_until_covered(self, event_id: str, timeout: float) -> int:
        """The index of the event as soon as a signed checkpoint covers it.

        Sequences by itself when the thread is not running. Raises Interrupted after
        ``timeout`` seconds; the event then still waits and nothing may be released.
        """
        deadline = time.monotonic() + timeout
        while True:
            if self._thread is None:
                self._try()
            else:
                self._wake.set()
            index = self._log.covered(event_id)
            if index is not None:
                return index
            if time.monotonic() >= deadline:
                raise Interrupted(
                    "The entry is not under a signed checkpoint yet; nothing was released."
                ) from self._fault
            time.sleep(POLL_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._try()
            self._wake.wait(self._beat)
            self._wake.clear()
        self._try()

    def _try(self) -> None:
        try:
            while self._log.sequence():
                pass
        except Exception as fault:  # noqa: BLE001 - kept, shown, and tried again
            self._fault = fault
        else:
            self._fault = None
