"""Addresses: how often one may ask what anybody may ask, kept in memory alone."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from gateway.errors import RateLimited

MOST_ADDRESSES = 20_000
SITE_BITS = 64  # whoever has an IPv6 address has this many bits of them


class AddressRates:
    """Token buckets by address, of this process. The longest unused one goes when it is full.

    With several processes an address may ask as often of each. Nothing is written down.
    """

    def __init__(
        self,
        *,
        per_minute: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_ADDRESSES,
    ) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, address: str | None) -> None:
        """Spend one request of an address. Raises RateLimited with the time to wait."""
        name, now = _site(address), self._clock()
        with self._lock:
            tokens, at = self._buckets.pop(name, (float(self._burst), now))
            tokens = min(self._burst, tokens + max(0.0, now - at) * self._rate)
            allowed = tokens >= 1
            self._buckets[name] = (tokens - 1 if allowed else tokens, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1 - tokens) / self._rate))
            raise RateLimited("Too many requests from this address.", retry_after=wait)


def _site(address: str | None) -> str:
    """An IPv4 address, or the network of an IPv6 one; all that is neither is one."""
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((int(known), SITE_BITS), strict=False))


def spend(request: Request) -> None:
    """Count a request against its address. Raises RateLimited."""
    request.app.state.address_rates.take(request.client.host if request.client else None)
