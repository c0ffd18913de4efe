"""Limits of a process that touches untrusted bytes. Standard library only: it starts fast."""

from __future__ import annotations

import contextlib
import ctypes
import json
import resource
import signal
import sys
from dataclasses import asdict, dataclass

GIB = 1024**3
MIB = 1024**2
_NO_NEW_PRIVILEGES = 38  # prctl(2) PR_SET_NO_NEW_PRIVS
_NEW_NETWORK = 0x40000000  # unshare(2) CLONE_NEWNET
_NEW_USER = 0x10000000  # unshare(2) CLONE_NEWUSER
# A child whose reader went away or stalls must end by itself, without anyone's help.
ORPHAN_FACTOR = 4


@dataclass(frozen=True, kw_only=True)
class ProcessLimits:
    """What a child process may use.

    ``memory_bytes`` is address space, not resident memory, and generous on purpose: a library
    that hits it reports a bad file, not a lack of memory. ``wall_seconds`` is what the parent
    waits in all; ``output_bytes`` bounds what ``run_limited`` takes. ``threads`` False forbids
    new threads and processes where the system counts them (not for root).
    """

    memory_bytes: int = 2 * GIB
    cpu_seconds: int = 60
    wall_seconds: float = 90.0
    output_bytes: int = 8 * MIB
    open_files: int = 64
    threads: bool = False

    def to_json(self) -> str:
        """The limits as one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ProcessLimits:
        """The inverse of ``to_json``."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """How much of an untrusted clip is looked at, and what is refused.

    Refused: more than ``max_bytes``, ``max_streams``, a side above ``max_side`` or below
    ``min_side`` (a watermark needs room), more than ``max_pixels`` a frame. Looked at: up to
    ``look_seconds``, ``max_frames`` and ``max_total_pixels``, spread over ``windows`` places
    when the clip is longer.
    """

    max_bytes: int = 256 * MIB
    max_streams: int = 4
    max_side: int = 4096
    max_pixels: int = 4096 * 2304
    min_side: int = 64
    look_seconds: float = 30.0
    windows: int = 3
    max_frames: int = 900
    max_total_pixels: int = 2_000_000_000
    process: ProcessLimits = ProcessLimits()

    def to_json(self) -> str:
        """The limits as one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> MediaLimits:
        """The inverse of ``to_json``."""
        values = json.loads(text)
        return cls(**{**values, "process": ProcessLimits(**values["process"])})


# For an operator's own file at the command line: all of it, however long.
WHOLE = MediaLimits(
    look_seconds=6 * 3600.0,
    windows=1,
    max_frames=1_000_000,
    max_total_pixels=2**50,
    process=ProcessLimits(cpu_seconds=6 * 3600, wall_seconds=6 * 3600.0),
)


@dataclass(frozen=True, kw_only=True)
class PictureLimits:
    """How large an untrusted picture may be, before and after it is decoded.

    Refused: more than ``max_bytes``, a side above ``max_side`` or below ``min_side``, more
    than ``max_pixels``. A side above ``kept_side`` is shrunk to it.
    """

    max_bytes: int = 20 * MIB
    max_side: int = 16_384
    max_pixels: int = 50_000_000
    min_side: int = 64
    kept_side: int = 2048
    process: ProcessLimits = ProcessLimits(
        cpu_seconds=20, wall_seconds=30.0, output_bytes=16 * MIB
    )

    def to_json(self) -> str:
        """The limits as one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PictureLimits:
        """The inverse of ``to_json``."""
        values = json.loads(text)
        return cls(**{**values, "process": ProcessLimits(**values["process"])})


def confine(limits: ProcessLimits) -> None:
    """Put the limits on this process, for ever: they cannot be raised again.

    Always: address space, processor time, open files, no core dump, no file writing, an alarm
    that ends an orphan. Where the system allows: no new threads, no new privileges, and a
    network of its own with nothing in it. macOS ignores some of these.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if libc.unshare(_NEW_NETWORK) != 0:
            libc.unshare(_NEW_USER | _NEW_NETWORK)
    if not limits.threads:
        _lower(resource.RLIMIT_NPROC, 0)
    _lower(resource.RLIMIT_AS, limits.memory_bytes)
    signal.alarm(int(limits.wall_seconds * ORPHAN_FACTOR) + 1)


def _lower(kind: int, value: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (bound, bound))
