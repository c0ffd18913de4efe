"""References: fetches a file that a stranger names by address, and from no private place."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore

from gateway.errors import Error, InvalidRequest, TooLarge

MAX_URL_CHARS = 2_000
PORT = 443
SECONDS = 60.0  # for the whole of it
PATIENCE = 10.0  # for one connection or one read
# Addresses that carry an IPv4 address inside: whoever routes them may end in a private place.
TRANSLATED = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)


class NotFetched(Error):
    """The file could not be had. Every reason is told alike: a stranger learns of no other."""

    status = 502
    type = "invalid_request_error"
    code = "not_fetched"

    def __init__(self) -> None:
        super().__init__("The file could not be fetched from this address.")


def addresses_of(host: str) -> tuple[str, ...]:
    """Every address of a name, by the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, PORT, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, and carries no other inside."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not known.is_global or known.is_multicast or known.is_reserved:
        return False
    if isinstance(known, ipaddress.IPv4Address):
        return True
    inside = known.ipv4_mapped is not None or any(known in net for net in TRANSLATED)
    return not inside


class PublicBackend(httpcore.NetworkBackend):
    """Connects to public addresses alone.

    The address that was examined is the one that is connected to: a name that answers
    otherwise the second time (DNS rebinding) gains nothing. One private address among several
    refuses the name.
    """

    def __init__(
        self,
        resolve: Callable[[str], Iterable[str]] = addresses_of,
        backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._resolve = resolve
        self._backend = backend or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the name, when every one is public."""
        found = tuple(self._resolve(host))
        if port != PORT or not found or not all(map(is_public, found)):
            raise httpcore.ConnectError("not a public address")
        return self._backend.connect_tcp(found[0], port, timeout, local_address, socket_options)


class References:
    """Fetches one file over HTTPS: whole, bounded, with no redirect and no proxy."""

    def __init__(
        self,
        *,
        max_bytes: int,
        backend: httpcore.NetworkBackend | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._backend = backend or PublicBackend()
        self._clock = clock

    def fetch(self, url: str, target: Path, *, length: int) -> None:
        """Write the file at the address, of exactly that many bytes, to ``target``.

        The certificate must be one of that name. Raises InvalidRequest for an address of
        another form, TooLarge, or NotFetched.
        """
        _demand_plain(url)
        if length > self._max_bytes:
            raise TooLarge("The file is larger than what we examine.")
        end, size = self._clock() + SECONDS, 0
        waits = dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE)
        try:
            with (
                httpcore.ConnectionPool(network_backend=self._backend) as pool,
                pool.stream("GET", url, extensions={"timeout": waits}) as answer,
                target.open("wb") as out,
            ):
                if answer.status != 200:
                    raise NotFetched
                for block in answer.iter_stream():
                    size += len(block)
                    if size > length or self._clock() > end:
                        raise NotFetched
                    out.write(block)
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            OSError,
            ValueError,
        ) as fault:
            raise NotFetched from fault
        if size != length:
            raise NotFetched


def _demand_plain(url: str) -> None:
    """Return for ``https://name/…`` without a user or another port."""
    try:
        parts = urlsplit(url)
        plain = (
            len(url) <= MAX_URL_CHARS
            and url.isascii()
            and url.isprintable()
            and " " not in url
            and "\\" not in url
            and parts.scheme == "https"
            and bool(parts.hostname)
            and parts.username is None
            and parts.password is None
            and parts.port in (None, PORT)
        )
    except ValueError:
        plain = False
    if not plain:
        raise InvalidRequest("referenceUrl must be an https address.", param="referenceUrl")
