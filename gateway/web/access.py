"""Who may open which page: visible in the type of a route's argument, closed by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from gateway.errors import Error, NotAuthenticated, NotPermitted
from gateway.people import Right
from gateway.sessions import LONGEST, SignedIn

COOKIE = "cinegate_session"
SIGN_IN = "/account/sign-in"
# Pages of people: what they show is nobody else's, and stays in no cache.
PRIVATE = ("/console", "/account")


def is_private(path: str) -> bool:
    """Whether a page is for people who are signed in, or on their way to it."""
    return any(path == root or path.startswith(f"{root}/") for root in PRIVATE)


def signed_in(request: Request) -> SignedIn:
    """Whoever is at the other end. Raises NotAuthenticated."""
    found: SignedIn | None = request.app.state.gateway.sessions.signed_in(
        request.cookies.get(COOKIE)
    )
    if found is None:
        raise NotAuthenticated("Sign in to go on.")
    return found


def _with(right: Right) -> Callable[[Request], SignedIn]:
    def allowed(request: Request) -> SignedIn:
        who = signed_in(request)
        if who.person.may(right):
            return who
        raise NotPermitted("Your role does not include this page.")

    return allowed


def demand_own_page(request: Request) -> None:
    """Return for what a page of ours sent; raises NotPermitted for other sites' forms.

    Browsers say with a POST where it comes from (Fetch Metadata; RFC 6454 for ``Origin`` of
    older ones, which is "null" under our referrer policy).
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    known = origin == "null" or urlsplit(origin).netloc == request.headers.get("host")
    if site in ("same-origin", "none") or (site is None and known):
        return
    raise NotPermitted("This form was sent from another site.")


def demand_form(request: Request, form: Annotated[str, Form()] = "") -> None:
    """Return for a form of this very session; raises NotPermitted for any other."""
    demand_own_page(request)
    if not signed_in(request).is_from_form(form):
        raise NotPermitted("This form is of another session. Go back and load the page again.")


Anybody = Annotated[SignedIn, Depends(signed_in)]
Reader = Annotated[SignedIn, Depends(_with(Right.READ_CASES))]
Reviewer = Annotated[SignedIn, Depends(_with(Right.RULE))]
Administrator = Annotated[SignedIn, Depends(_with(Right.MANAGE_PEOPLE))]


def keep(request: Request, response: Response, cookie: str) -> Response:
    """Give a browser its session."""
    production = request.app.state.gateway.settings.environment == "production"
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LONGEST.total_seconds()),
        httponly=True,
        secure=production or request.url.scheme == "https",
        samesite="lax",
    )
    return response


def to_sign_in(request: Request, error: Error) -> Response | None:
    """The way to sign in, for somebody who opens a page without a session."""
    asked = request.method == "GET" and is_private(request.url.path)
    if isinstance(error, NotAuthenticated) and asked:
        return RedirectResponse(SIGN_IN, status_code=303)
    return None
