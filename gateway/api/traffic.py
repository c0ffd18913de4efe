"""Traffic: tells an observer of every request, in words that a sender cannot choose."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.seams import Observer

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"
OTHER = "other"
ABANDONED = 499  # whoever asked was gone before there was an answer; nginx's number


class Traffic:
    """ASGI middleware, outermost. A request counts under the pattern of its route."""

    def __init__(self, app: ASGIApp, *, observer: Observer) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it when its answer is at an end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), ABANDONED

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            method = scope["method"] if scope["method"] in METHODS else OTHER
            seconds = time.monotonic() - started
            self._observer.request_answered(_pattern(scope), method, status, seconds)


def _pattern(scope: Scope) -> str:
    """The route's path with the names of its parameters; never the path that was asked for."""
    return str(getattr(scope.get("route"), "path", None) or UNMATCHED)
