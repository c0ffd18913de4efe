"""Worker slots: numbered lock files that tell which workers of a folder are alive.

A lock is held by the process itself and falls with it, however it ends. That holds on one
machine; a folder that several machines share needs leases instead.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from gateway.errors import StageUnavailable

MAX_SLOTS = 64


class Slots:
    """The slots of one data folder, seen by one worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: IO[str] | None = None
        self._number: int | None = None

    def take(self) -> int:
        """Hold the lowest free number until ``release`` or the end of the process.

        Raises StageUnavailable when every number is taken.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(MAX_SLOTS):
            handle = _locked(self._path(number))
            if handle is not None:
                handle.truncate(0)
                handle.write(f"{os.getpid()}\n")
                handle.flush()
                self._held, self._number = handle, number
                return number
        raise StageUnavailable("Every worker slot of this data folder is taken.")

    @contextmanager
    def abandoned(self) -> Iterator[tuple[int, ...]]:
        """Numbers that were used and that nobody holds; they stay locked inside the block,
        so that only one worker at a time takes over what was left there.
        """
        with ExitStack() as stack:
            free = []
            for number in range(MAX_SLOTS):
                path = self._path(number)
                if number == self._number or not path.exists():
                    continue
                handle = _locked(path)
                if handle is not None:
                    stack.enter_context(handle)
                    free.append(number)
            yield tuple(free)

    def release(self) -> None:
        """Give the number back."""
        if self._held is not None:
            self._held.close()
            self._held = self._number = None

    def _path(self, number: int) -> Path:
        return self._folder / f"worker-{number}.lock"


def _locked(path: Path) -> IO[str] | None:
    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle
