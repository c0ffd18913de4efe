"""Untrusted files, opened only in confined child processes that are never believed.

Everything that goes wrong is ``Unreadable``. A limit that is hit inside a codec looks exactly
like a bad file, so no failure here may ever be read as "this clip carries no mark".
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from gateway.errors import UnreadableClip
from gateway.media.frames import CHUNK_FRAMES, Frames
from gateway.media.limits import MIB, MediaLimits, ProcessLimits

SENTENCES = {
    "too_large": "The file or its picture is larger than what we examine.",
    "not_media": "The file is not a video that we can read (MP4, MOV, MKV or WebM).",
    "limit": "Examining the file took more memory or processor time than we allow.",
    "timeout": "Examining the file took longer than we allow.",
    "broken": "The file is damaged: its picture could not be decoded.",
    "unsupported": "The file holds something that we do not examine.",
}
DETAILS = {
    "streams": "The file holds more tracks than we examine; we take exactly one picture track.",
    "codec": "The picture is coded in a way that we do not examine.",
    "too_small": "The picture is too small to examine.",
    "size_changes": "The picture changes its size inside the clip, which we do not examine.",
    "picture": "The picture has more pixels than we examine.",
}
MAX_LINE = 4096
CHUNK_BYTES = 64 * MIB
MAX_SECONDS = 1e7
MAX_FAREWELL = 5.0  # seconds between the end of the output and the end of the process
_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE = 1031  # fcntl(2) F_SETPIPE_SZ


class Unreadable(UnreadableClip):
    """The file could not be examined. It says nothing about where the clip comes from."""

    def __init__(self, reason: str, sentence: str | None = None) -> None:
        super().__init__(sentence or SENTENCES[reason])
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """What the child said about a clip, in bounds. Sizes are as shown, after rotation."""

    container: str
    codec: str
    width: int
    height: int
    fps: float
    seconds: float
    turns: int


@dataclass(frozen=True, kw_only=True)
class CompletedOutput:
    """What a confined command printed, and its exit code (never negative)."""

    stdout: bytes
    returncode: int


class UntrustedVideo:
    """A clip that is being decoded elsewhere. Use it in ``with``: leaving kills the child.

    ``chunks`` gives uint8[T, H, W, 3] RGB in reading order, T ≤ 16, turned the way a player
    shows it, and raises Unreadable when the rest cannot be had. Only after the last chunk does
    ``looked_at`` tell the spans, in seconds, that were really decoded.
    """

    def __init__(self, child: Child, limits: MediaLimits) -> None:
        self._child = child
        self._looked_at: tuple[tuple[float, float], ...] | None = None
        self._frames = 0
        self._limits = limits
        try:
            self.info = _info(self._child.line(), limits)
        except BaseException:
            self._child.kill()
            raise

    @property
    def looked_at(self) -> tuple[tuple[float, float], ...]:
        """The spans that were decoded; empty until the last chunk was read."""
        return self._looked_at or ()

    @property
    def chunks(self) -> Iterator[Frames]:
        """The frames, once."""
        try:
            yield from self._chunks()
        finally:
            self._child.kill()

    def _chunks(self) -> Iterator[Frames]:
        info = self.info
        flip = info.turns % 2 == 1
        height, width = (info.width, info.height) if flip else (info.height, info.width)
        size = max(1, min(CHUNK_FRAMES, CHUNK_BYTES // (height * width * 3)))
        while self._looked_at is None:
            chunk = np.empty((size, height, width, 3), np.uint8)
            count = 0
            while count < size and self._next_frame():
                self._child.fill(memoryview(chunk[count].reshape(-1)))
                count += 1
            if count:
                turned = np.rot90(chunk[:count], info.turns, axes=(1, 2))
                yield np.ascontiguousarray(turned)

    def _next_frame(self) -> bool:
        """True when the bytes of a frame follow, False at the honest end."""
        message = self._child.line()
        if message.get("kind") == "frame":
            self._frames += 1
            if self._frames <= self._limits.max_frames:
                return True
        elif message.get("kind") == "end" and self._frames:
            self._looked_at = _spans(message.get("looked_at"), self._limits)
            return False
        raise Unreadable("broken")

    def close(self) -> None:
        """Kill the child, wherever it is."""
        self._child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _fault: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()


def probe(path: Path, limits: MediaLimits | None = None) -> MediaInfo:
    """Say what a file is after decoding its first frame. Raises Unreadable."""
    limits = limits or MediaLimits()
    with UntrustedVideo(Child.start(path, limits, "probe"), limits) as video:
        return video.info


def decode_untrusted(path: Path, limits: MediaLimits | None = None) -> UntrustedVideo:
    """Begin to decode a file from outside. Raises Unreadable, here or while reading."""
    limits = limits or MediaLimits()
    return UntrustedVideo(Child.start(path, limits, "decode"), limits)


def run_limited(
    argv: Sequence[str], *, limits: ProcessLimits | None = None, stdin: Path | None = None
) -> CompletedOutput:
    """Run a command confined, with an empty environment, and take what it prints.

    ``argv[0]`` is an absolute path, such as ``sys.executable``; paths among the arguments must
    be absolute, because the command runs in ``/``. ``stdin`` is a file it may read. Raises
    Unreadable when it is killed, runs too long or prints too much; a normal exit code,
    whatever it is, is returned.
    """
    limits = limits or ProcessLimits()
    launch = ["-m", "gateway.media.limited", limits.to_json(), *argv]
    with _source(stdin) as source:
        child = Child(_spawn(launch, source), limits.wall_seconds)
    try:
        output = child.rest(limits.output_bytes)
        code = child.wait()
    finally:
        child.kill()
    if code < 0:
        raise Unreadable("limit")
    return CompletedOutput(stdout=output, returncode=code)


class Child:
    """A confined process and the patience that is left for it.

    Only time spent waiting for the child counts: a slow consumer is not the child's fault.
    """

    def __init__(self, process: subprocess.Popen[bytes], patience: float) -> None:
        self._process = process
        self._patience = patience
        self._ahead = bytearray()

    @classmethod
    def start(cls, path: Path, limits: MediaLimits, mode: str) -> Self:
        """Start ``gateway.media.child`` on a file. Raises Unreadable for a bad file size."""
        with _source(path) as source:
            size = os.fstat(source.fileno()).st_size
            if size > limits.max_bytes:
                raise Unreadable("too_large")
            if size == 0:
                raise Unreadable("not_media", "The file is empty.")
            process = _spawn(["-m", "gateway.media.child", limits.to_json(), mode], source)
        return cls(process, limits.process.wall_seconds)

    def line(self) -> dict[str, Any]:
        """One JSON line. Raises Unreadable for a fault, a lie or an early end."""
        while (end := self._ahead.find(b"\n")) < 0:
            if len(self._ahead) > MAX_LINE:
                raise Unreadable("broken")
            if not self._more():
                raise self._ended()
        text = bytes(self._ahead[:end])
        del self._ahead[: end + 1]
        try:
            message = json.loads(text) if len(text) <= MAX_LINE else None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Unreadable("broken")
        if message.get("kind") == "fault":
            raise _fault(message)
        return message

    def fill(self, target: memoryview) -> None:
        """Fill ``target`` with the bytes that follow. Raises Unreadable when they end."""
        ready = min(len(target), len(self._ahead))
        target[:ready] = self._ahead[:ready]
        del self._ahead[:ready]
        left = target[ready:]
        while left:
            count = os.readv(self._waited(), [left])
            if count == 0:
                raise self._ended()
            left = left[count:]

    def rest(self, most: int) -> bytes:
        """Everything until the end, at most ``most`` bytes."""
        while self._more():
            if len(self._ahead) > most:
                raise Unreadable("limit")
        return bytes(self._ahead)

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(min(MAX_FAREWELL, max(0.1, self._patience)))
        raise Unreadable("timeout")

    def kill(self) -> None:
        """End the process and forget its pipe; harmless when repeated."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._output.close()

    @property
    def _output(self) -> IO[bytes]:
        if self._process.stdout is None:
            raise Unreadable("broken")
        return self._process.stdout

    def _waited(self) -> int:
        if self._output.closed:
            raise Unreadable("broken", "The clip was closed while it was being read.")
        begun = time.monotonic()
        waiting = select.poll()
        waiting.register(self._output.fileno(), select.POLLIN)
        ready = self._patience > 0 and waiting.poll(self._patience * 1000)
        self._patience -= time.monotonic() - begun
        if not ready:
            raise Unreadable("timeout")
        return self._output.fileno()

    def _more(self) -> bool:
        data = os.read(self._waited(), MAX_LINE)
        self._ahead += data
        return bool(data)

    def _ended(self) -> Unreadable:
        """Why the child stopped without a word: killed by a limit, or broken."""
        code = self.wait()
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return Unreadable("limit")
        return Unreadable("timeout" if code == -signal.SIGALRM else "broken")


def _spawn(arguments: Sequence[str], stdin: IO[bytes]) -> subprocess.Popen[bytes]:
    # -I: no environment, no current folder, no user packages; -B: it could not write anyway.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
        [sys.executable, "-I", "-B", *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd="/",
        env={"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    if sys.platform == "linux" and process.stdout is not None:
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(process.stdout.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
    return process


@contextlib.contextmanager
def _source(path: Path | None) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(Path(path or os.devnull).open("rb"))
        except OSError as fault:
            raise Unreadable("not_media", "The file could not be opened.") from fault
        yield source


def _fault(message: dict[str, Any]) -> Unreadable:
    reason, detail = message.get("reason"), message.get("detail")
    if reason in SENTENCES:
        return Unreadable(str(reason), DETAILS.get(str(detail)))
    return Unreadable("broken")


def _info(message: dict[str, Any], limits: MediaLimits) -> MediaInfo:
    if message.get("kind") != "info":
        raise Unreadable("broken")
    width = _whole(message.get("width"), limits.min_side, limits.max_side)
    height = _whole(message.get("height"), limits.min_side, limits.max_side)
    if width * height > limits.max_pixels:
        raise Unreadable("too_large")
    turns = _whole(message.get("turns"), 0, 3)
    shown = (height, width) if turns % 2 else (width, height)
    return MediaInfo(
        container=_word(message.get("container")),
        codec=_word(message.get("codec")),
        width=shown[0],
        height=shown[1],
        fps=_real(message.get("fps"), 1e-6, 1000.0),
        seconds=_real(message.get("seconds"), 0.0, MAX_SECONDS),
        turns=turns,
    )


def _spans(value: object, limits: MediaLimits) -> tuple[tuple[float, float], ...]:
    if isinstance(value, list) and 1 <= len(value) <= limits.windows:
        pairs = [pair for pair in value if isinstance(pair, list) and len(pair) == 2]
        if len(pairs) == len(value):
            return tuple(
                (_real(a, -MAX_SECONDS, MAX_SECONDS), _real(b, -MAX_SECONDS, MAX_SECONDS))
                for a, b in pairs
            )
    raise Unreadable("broken")


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise Unreadable("broken")


def _real(value: object, low: float, high: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and low <= number <= high:
            return number
    raise Unreadable("broken")


def _word(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= 20 and value.isascii() and value.isalnum():
        return value
    raise Unreadable("broken")
