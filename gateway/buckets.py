"""Where objects lie: a folder of this machine, or a bucket of an S3-compatible service."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from gateway.errors import Error, Interrupted, StageUnavailable

# What a place may raise; the service's own words may hold names and key ids, so no message
# of ours repeats them.
FAULTS = (OSError, BaseError)
# One conditional PUT writes an object or nothing. It passes through memory, and services
# take no more than 5 GiB in one.
MAX_OBJECT_BYTES = 2 * 1024**3
CREDENTIALS_MINUTES = 5.0


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """An access key. ``token`` belongs to one that was lent for a while."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a bucket is waited for, in seconds.

    ``request`` bounds one request with its body, ``question`` one without (is it there, list,
    delete). After ``retry`` no request is tried again, nor more often than ``retries``.
    """

    connect: float = 5.0
    question: float = 10.0
    request: float = 300.0
    retry: float = 60.0
    retries: int = 3


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or one that several machines mount."""

    path: Path

    def open(self, *, brisk: bool) -> LocalStore:
        """The objects in it; the folder is made. Raises OSError or BaseError."""
        del brisk  # a disk answers or fails
        self.path.mkdir(parents=True, exist_ok=True)
        return LocalStore(self.path, mkdir=True)

    def remove(self, scope: str) -> None:
        """Remove all below that name, others may be doing the same. Raises OSError.

        Also what no listing shows: the part of a file whose writer was killed, and the
        empty folder, which would be looked into for ever.
        """
        while (self.path / scope).exists():
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.path / scope)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket, or what lies below ``prefix`` in it.

    Without ``endpoint`` it is Amazon's own of that region; without ``credentials`` the
    standard chain gives them (environment, web identity, instance). ``plain_http`` allows an
    endpoint without TLS. Nothing is opened or read by the constructor.
    """

    name: str
    region: str
    prefix: str = ""
    endpoint: str | None = None
    plain_http: bool = False
    credentials: Callable[[], Credentials] | None = field(default=None, repr=False)
    patience: Patience = Patience()

    def open(self, *, brisk: bool) -> S3Store:
        """The objects in it, without asking the service yet.

        ``brisk`` is for questions, otherwise there is time for bodies. Raises BaseError, and
        StageUnavailable when the credentials cannot be read.
        """
        wait = self.patience
        seconds = wait.question if brisk else wait.request
        chosen: dict[str, Any] = {"region": self.region}
        if self.endpoint is not None:
            chosen["endpoint"] = self.endpoint
        if self.credentials is not None:
            self._lend()  # so that a file that cannot be used is named as what it is
            chosen["credential_provider"] = self._lend
        return S3Store(
            self.name,
            prefix=self.prefix or None,
            client_options={
                "allow_http": self.plain_http,
                "connect_timeout": dt.timedelta(seconds=wait.connect),
                "timeout": dt.timedelta(seconds=seconds),
            },
            retry_config={
                "max_retries": wait.retries,
                "retry_timeout": dt.timedelta(seconds=wait.retry),
            },
            **chosen,
        )

    def _lend(self) -> dict[str, Any]:
        # Read again every few minutes: a key that was rotated is used without a restart.
        assert self.credentials is not None  # noqa: S101 - only passed on when there are some
        try:
            key = self.credentials()
        except Error as fault:
            raise StageUnavailable(fault.message) from fault
        until = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=CREDENTIALS_MINUTES)
        return {
            "access_key_id": key.key_id,
            "secret_access_key": key.secret,
            "token": key.token,
            "expires_at": until,
        }


Place = Folder | Bucket


def unavailable(told: str, fault: Exception) -> StageUnavailable:
    """The fault of a place as ours: what could not be done, and why in general terms.

    All but an object that is not there may be otherwise later.
    """
    if isinstance(fault, FileNotFoundError):
        return StageUnavailable(f"{told} It is not there.")
    if isinstance(fault, PermissionError | PermissionDeniedError | UnauthenticatedError):
        return Interrupted(f"{told} Access is denied.")
    if isinstance(fault, OSError):
        return Interrupted(told)
    return Interrupted(f"{told} The service cannot be reached or answers with faults.")
