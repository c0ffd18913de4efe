"""The error envelope: every failure of the API in one documented form."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway.db import DATABASE_AWAY
from gateway.errors import (
    Conflict,
    Error,
    InternalError,
    Interrupted,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PromptRefused,
    RateLimited,
    StageUnavailable,
    TooLarge,
    UnreadableClip,
    Withdrawn,
)
from gateway.logs import trace

log = structlog.get_logger(part="api")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}


def failures(*classes: type[Error]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI ``responses`` for the errors a route can give, and those any route can."""
    every: tuple[type[Error], ...] = (*classes, TooLarge, InternalError, StageUnavailable)
    by_status: dict[int | str, dict[str, Any]] = {}
    for cls in sorted(every, key=lambda c: c.status):
        known = by_status.get(cls.status)
        codes = f"{known['description']}, {cls.code}" if known else cls.code
        by_status[cls.status] = {
            "description": codes,
            "content": {"application/json": {"schema": SCHEMA}},
        }
    return by_status


CALLER_FAILURES = (NotAuthenticated,)
SUBMIT_FAILURES = (NotAuthenticated, InvalidRequest, PromptRefused, RateLimited)
LOOKUP_FAILURES = (NotAuthenticated, NotFound, InvalidRequest)
FETCH_FAILURES = (NotAuthenticated, NotFound, Withdrawn, InvalidRequest, Conflict)
DELETE_FAILURES = (NotAuthenticated, NotFound, Withdrawn, InvalidRequest)
VERIFY_FAILURES = (InvalidRequest, UnreadableClip, RateLimited)


def answer(error: Error) -> JSONResponse:
    """An error as a response."""
    return JSONResponse(error.envelope(), status_code=error.status, headers=error.headers)


def translate(fault: Exception) -> Error:
    """Any exception as one of ours; what is not foreseen gets a reference and a log line."""
    if isinstance(fault, Error):
        return fault
    if isinstance(fault, RequestValidationError):
        first = fault.errors()[0]
        param = str(first["loc"][-1]) if first["loc"] else None
        return InvalidRequest(f"{first['msg'].rstrip('.')}.", param=param)
    if isinstance(fault, HTTPException):
        if fault.status_code == NotFound.status:
            return NotFound("There is nothing at this address.")
        error = InvalidRequest(f"{str(fault.detail).rstrip('.')}.")
        error.status = fault.status_code
        error.headers = dict(fault.headers or {})
        return error
    if isinstance(fault, DATABASE_AWAY):
        log.error("database.away", trace=trace(fault))
        return Interrupted("The database does not answer; try again later.")
    reference = f"err_{secrets.token_hex(6)}"
    log.error("request.failed", reference=reference, trace=trace(fault))
    return InternalError(reference)


Respond = Callable[[Request, Exception], Response]


def responder(pages: Callable[[Request, Error], Response | None]) -> Respond:
    """How this service answers an exception: as a page where ``pages`` gives one, else JSON."""

    def respond(request: Request, fault: Exception) -> Response:
        error = translate(fault)
        return pages(request, error) or answer(error)

    return respond


def install_error_handlers(app: FastAPI, respond: Respond) -> None:
    """Answer every foreseen exception; the guard answers the others the same way."""
    for kind in (Error, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, respond)
