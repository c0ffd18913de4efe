"""Secret files: written whole, readable by their owner only, made by one process at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import ConfigurationFault

MAX_SECRET_BYTES = 256 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def secret_folder(path: Path) -> None:
    """Make the folder with mode 0700, or refuse one that others may enter."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as fault:
        raise ConfigurationFault("The key folder cannot be made or entered.") from fault
    if mode & _OTHERS:
        raise ConfigurationFault(
            f"The key folder has mode {mode:04o}: others may enter it. Set it to 0700."
        )


def write_secret(path: Path, content: bytes) -> None:
    """Replace the file in one step with mode 0600; a crash leaves the old one or the new."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as fault:
        part.unlink(missing_ok=True)
        raise ConfigurationFault(f"The key file {path.name} cannot be written.") from fault


def read_secret(path: Path) -> bytes:
    """Read a file that only its owner may read.

    Raises ConfigurationFault when it is absent, too large (256 KiB) or open to others. The
    mode is taken from the opened file, so a swap between check and read gains nothing.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & _OTHERS:
                raise ConfigurationFault(
                    f"The key file {path.name} has mode {mode:04o}: others may use it. "
                    "Set it to 0600, and replace the key if anybody else could have read it."
                )
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as fault:
        raise ConfigurationFault(f"The key file {path.name} cannot be read.") from fault
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigurationFault(f"The key file {path.name} is too large to be a key.")
    return content


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; a second process waits until the first is done."""
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as fault:
        raise ConfigurationFault("The key folder cannot be locked.") from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
