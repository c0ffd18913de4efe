"""Traffic: tells an observer of every request, in words that a sender cannot choose."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.seams import Observer
from gateway.tracing import CARRIER, Tracing

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"
OTHER = "other"
ABANDONED = 499  # whoever asked was gone before there was an answer; nginx's number


class Traffic:
    """ASGI middleware, outermost. A request counts under the pattern of its route."""

    def __init__(self, app: ASGIApp, *, observer: Observer, tracing: Tracing) -> None:
        self._app = app
        self._observer = observer
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it when its answer is at an end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), ABANDONED
        method = scope["method"] if scope["method"] in METHODS else OTHER

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        told = {"http.request.method": method}
        with self._tracing.span(method, told, serving=True, beside=_carried(scope)) as span:
            try:
                await self._app(scope, receive, noted)
            finally:
                seconds, route = time.monotonic() - started, _pattern(scope)
                span.note("http.route", route)
                span.note("http.response.status_code", status)
                self._observer.request_answered(route, method, status, seconds)


def _pattern(scope: Scope) -> str:
    """The route's path with the names of its parameters; never the path that was asked for."""
    return str(getattr(scope.get("route"), "path", None) or UNMATCHED)


def _carried(scope: Scope) -> str | None:
    found = (value for name, value in scope["headers"] if name == CARRIER.encode())
    carried = next(found, None)
    return None if carried is None else str(carried.decode("latin-1"))
