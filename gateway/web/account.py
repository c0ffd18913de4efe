"""The pages of an account: join by a link, sign in, sign out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.errors import Error, InvalidRequest, NotAuthenticated, RateLimited
from gateway.web.access import (
    COOKIE,
    SIGN_IN,
    Anybody,
    demand_form,
    demand_own_page,
    keep,
)
from gateway.web.rendering import private_page

router = APIRouter(prefix="/account", include_in_schema=False)
HOME = "/console"


@router.get("/sign-in", response_class=HTMLResponse)
def sign_in_form(request: Request) -> Response:
    """The form; whoever is signed in already goes on."""
    if request.app.state.gateway.sessions.signed_in(request.cookies.get(COOKIE)) is not None:
        return RedirectResponse(HOME, status_code=303)
    return private_page(request, "account/sign_in.html", {"error": None, "name": ""})


@router.post("/sign-in", dependencies=[Depends(demand_own_page)])
def sign_in(
    request: Request,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
) -> Response:
    """Open a session, or show the form again with what was wrong."""
    address = request.client.host if request.client else "unknown"
    sessions = request.app.state.gateway.sessions
    try:
        cookie = sessions.sign_in(name, password=password, code=code, address=address)
    except (NotAuthenticated, RateLimited) as fault:
        again = private_page(
            request,
            "account/sign_in.html",
            {"error": fault.message, "name": name},
            status=fault.status,
        )
        again.headers.update(fault.headers)
        return again
    return keep(request, RedirectResponse(HOME, status_code=303), cookie)


@router.post("/sign-out", dependencies=[Depends(demand_form)])
def sign_out(request: Request, who: Anybody) -> Response:
    """End the session."""
    del who
    request.app.state.gateway.sessions.sign_out(request.cookies[COOKIE])
    response = RedirectResponse(SIGN_IN, status_code=303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/join/{token}", response_class=HTMLResponse)
def join_form(request: Request, token: str) -> Response:
    """Where somebody who was invited chooses a password and adds their authenticator."""
    return _join_page(request, token, error=None, status=200)


@router.post("/join/{token}", dependencies=[Depends(demand_own_page)])
def join(
    request: Request,
    token: str,
    password: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
) -> Response:
    """Finish joining, or show the form again with what was wrong."""
    try:
        cookie = request.app.state.gateway.sessions.join(token, password=password, code=code)
    except InvalidRequest as fault:
        return _join_page(request, token, error=fault, status=fault.status)
    return keep(request, RedirectResponse(HOME, status_code=303), cookie)


def _join_page(request: Request, token: str, *, error: Error | None, status: int) -> Response:
    joining = request.app.state.gateway.sessions.joining(token)
    told = {
        "joining": joining,
        "error": None if error is None else error.message,
        "param": None if error is None else error.param,
    }
    return private_page(request, "account/join.html", told, status=status)
