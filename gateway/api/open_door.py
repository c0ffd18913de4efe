"""The open door: lets pages of any origin read the public API, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANYBODY = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "retry-after, x-request-id",
    # The guard keeps everything else to its own origin.
    "cross-origin-resource-policy": "cross-origin",
}
PREFLIGHT = {
    **ANYBODY,
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "content-type",
    "access-control-max-age": "86400",
}


class OpenDoor:
    """ASGI middleware around the guard. No credentials are allowed: there are none to send."""

    def __init__(self, app: ASGIApp, *, public: Callable[[str], bool]) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser's question beforehand, and mark every answer as readable."""
        if scope["type"] != "http" or not self._public(scope["path"]):
            await self._app(scope, receive, send)
            return
        asked = "access-control-request-method" in Headers(scope=scope)
        if scope["method"] == "OPTIONS" and asked:
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send)
            return

        async def opened(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ANYBODY)
            await send(message)

        await self._app(scope, receive, opened)
