"""Access: which caller a route serves, visible in the type of its argument."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer

from gateway.auth import Caller

bearer = HTTPBearer(auto_error=False, description="An API key: cg_<id>.<secret>")


def _caller(request: Request, _declared: Annotated[Any, Depends(bearer)]) -> Caller:
    caller: Caller = request.app.state.gateway.keys.authenticate(
        request.headers.get("authorization")
    )
    return caller


IdempotencyKey = Annotated[
    str | None, Header(description="Sent again with the same request, it gets the same job")
]
Creator = Annotated[Caller, Depends(_caller)]
