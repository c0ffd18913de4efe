"""Local copies of released objects that lie in a bucket: checked bytes to serve ranges from."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import StageUnavailable

# A copy that somebody may just be reading is never removed, whatever the bound.
IN_USE_SECONDS = 600.0
# A deleted clip's copy must not outlive it for ever on a machine that nobody told.
IDLE_SECONDS = 24 * 3600.0


class Copies:
    """Files by object name, the least recently used removed beyond ``max_bytes``.

    Several processes may share the folder: a name always stands for the same bytes, and a
    file is put in place whole. A copy counts while neither the file was touched nor the
    object's tag in the bucket changed since the bytes were checked by this process.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._known: dict[str, tuple[str, int, int, int]] = {}

    def path(self, name: str) -> Path:
        """Where the copy of that name lies, or would."""
        return self.folder / name

    def current(self, name: str, tag: str) -> bool:
        """Whether the copy is the one checked while the object had this tag."""
        path = self.path(name)
        try:
            if self._known.get(name) != self._seen(path, tag):
                return False
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except OSError:
            return False
        return True

    def keep(self, name: str, tag: str, checked: Path, *, modified: float) -> None:
        """Take over a file whose digest was just compared; ``modified`` in seconds since 1970.

        Raises StageUnavailable when the folder cannot be written.
        """
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.utime(checked, (time.time(), modified))
            checked.replace(path)
            self._known[name] = self._seen(path, tag)
            self._make_room()
        except OSError as fault:
            raise StageUnavailable("A released file cannot be kept for serving.") from fault

    def forget(self, name: str) -> None:
        """Remove the copy of an object that is not as it was released."""
        self._known.pop(name, None)
        self.path(name).unlink(missing_ok=True)

    def clear(self, scope: str) -> None:
        """Remove every copy of one job."""
        shutil.rmtree(self.folder / scope, ignore_errors=True)

    def _seen(self, path: Path, tag: str) -> tuple[str, int, int, int]:
        status = path.stat()
        return tag, status.st_ino, status.st_mtime_ns, status.st_size

    def _make_room(self) -> None:
        now = time.time()
        found = sorted(self._files(), key=lambda file: file[1].st_atime)
        total = sum(status.st_size for _, status in found)
        for path, status in found:
            idle = now - status.st_atime
            if idle > IDLE_SECONDS or (total > self._max_bytes and idle > IN_USE_SECONDS):
                path.unlink(missing_ok=True)
                total -= status.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):  # another process removed it
                if path.is_file():
                    yield path, path.stat()
