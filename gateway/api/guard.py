"""The guard around every request: an id, security headers, a bound on the body, an answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.envelope import Respond
from gateway.errors import TooLarge

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
# The interactive API description loads its own scripts from elsewhere, so it is switched off.


class Guard:
    """ASGI middleware. ``limit`` gives the largest body, in bytes, for a path.

    An exception that nobody foresaw ends here: it is answered by ``respond`` and goes no
    further, so that no server prints its message, which may hold a prompt.
    """

    def __init__(self, app: ASGIApp, *, limit: Callable[[str], int], respond: Respond) -> None:
        self._app = app
        self._limit = limit
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, watching its size and stamping its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        limit, seen, started = self._limit(scope["path"]), 0, False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise _OverLimit
            return message

        try:
            if _declared_length(scope) > limit:
                raise _OverLimit
            await self._app(scope, counted, stamped)
        except _OverLimit:
            if not started:
                error = TooLarge(f"The request is larger than {limit} bytes.")
                await self._respond(Request(scope), error)(scope, receive, stamped)
        except Exception as fault:  # noqa: BLE001 - the last one to answer
            response = self._respond(Request(scope), fault)
            if not started:
                await response(scope, receive, stamped)


class _OverLimit(BaseException):
    """Not an Exception, so that no handler further in can turn it into something else."""


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
