"""The public pages: what this is, and "where does this clip come from?"."""

from __future__ import annotations

import base64

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from gateway.api.verify import examine_upload
from gateway.errors import Error
from gateway.signed_reports import MEDIA_TYPE
from gateway.web import account, console
from gateway.web.access import is_private, to_sign_in
from gateway.web.rendering import HERE, page, private_page

PAGES = ("/", "/verify", "/log")
SHORT = 12  # of a SHA-256, in the name of a file
TECHNIQUES = {
    "content_credentials": "Content Credentials",
    "watermark": "Watermark",
    "fingerprint": "Fingerprint",
    "log": "Public log",
}

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add the pages and their static files."""
    for each in (router, account.router, console.router):
        app.include_router(each)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


@router.get("/", response_class=HTMLResponse)
def home(request: Request) -> HTMLResponse:
    """What this gateway is and which models stand behind it."""
    gateway = request.app.state.gateway
    return page(
        request,
        "home.html",
        {"organisation": gateway.settings.provenance.organisation, "cards": gateway.cards},
    )


@router.get("/verify", response_class=HTMLResponse)
def verify_form(request: Request) -> HTMLResponse:
    """The form that asks for a file."""
    return page(request, "verify.html", {"report": None, "techniques": TECHNIQUES})


@router.post("/verify", response_class=HTMLResponse)
async def verify_answer(request: Request) -> HTMLResponse:
    """The same form with the answer above it. The file is not kept."""
    report = await examine_upload(request)
    # In the page itself: the report is not kept here either.
    signed = base64.b64encode(request.app.state.gateway.report_key.sign(report).encode())
    shown = {
        "report": report.to_dict(),
        "techniques": TECHNIQUES,
        "signed": f"data:{MEDIA_TYPE};base64,{signed.decode('ascii')}",
        "name": f"cinegate-report-{(report.content_sha256 or 'unread')[:SHORT]}.jws",
    }
    return page(request, "verify.html", shown)


@router.get("/log", response_class=HTMLResponse)
def public_log(request: Request) -> HTMLResponse:
    """What the log promises, its newest head, and how to check it without us."""
    gateway = request.app.state.gateway
    shown = {
        "head": gateway.log.checkpoint(),
        "keys": [key.text for key in gateway.checkpoint_key.verifier.keys],
        "stamped": None if gateway.anchors is None else gateway.anchors.newest(),
    }
    return page(request, "log.html", shown)


def error_page(request: Request, error: Error) -> Response | None:
    """An error as a page, for the routes that are pages; None for the rest."""
    private = is_private(request.url.path)
    if request.url.path not in PAGES and not private:
        return None
    if (instead := to_sign_in(request, error)) is not None:
        return instead
    back = ("/console", "Back to the queue") if private else ("/verify", "Back to the form")
    made = (private_page if private else page)(
        request, "error.html", {"error": error, "back": back}, status=error.status
    )
    made.headers.update(error.headers)
    return made
