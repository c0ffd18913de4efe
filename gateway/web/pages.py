"""The public pages: what this is, and "where does this clip come from?"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from gateway.api.verify import examine_upload
from gateway.errors import Error

HERE = Path(__file__).parent
PAGES = ("/", "/verify")
TECHNIQUES = {
    "content_credentials": "Content Credentials",
    "watermark": "Watermark",
    "fingerprint": "Fingerprint",
    "log": "Public log",
}

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(directory=HERE / "templates")


def in_words(value: Any) -> str:
    """A value of a report for people: lists with commas, no Python in sight."""
    if value is None or value in ((), [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {in_words(v)}" for key, v in value.items())
    if isinstance(value, list | tuple):
        if len(value) == 2 and all(isinstance(x, int | float) for x in value):
            return f"{value[0]:g} to {value[1]:g} s"
        return ", ".join(in_words(item) for item in value)
    return str(value)


templates.env.filters["in_words"] = in_words


def install(app: FastAPI) -> None:
    """Add the pages and their static files."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


@router.get("/", response_class=HTMLResponse)
def home(request: Request) -> HTMLResponse:
    """What this gateway is and which models stand behind it."""
    gateway = request.app.state.gateway
    return _page(
        request,
        "home.html",
        {"organisation": gateway.settings.provenance.organisation, "cards": gateway.cards},
    )


@router.get("/verify", response_class=HTMLResponse)
def verify_form(request: Request) -> HTMLResponse:
    """The form that asks for a file."""
    return _page(request, "verify.html", {"report": None, "techniques": TECHNIQUES})


@router.post("/verify", response_class=HTMLResponse)
async def verify_answer(request: Request) -> HTMLResponse:
    """The same form with the answer above it. The file is not kept."""
    report = await examine_upload(request)
    return _page(request, "verify.html", {"report": report.to_dict(), "techniques": TECHNIQUES})


def error_page(request: Request, error: Error) -> Response | None:
    """An error as a page, for the routes that are pages; None for the rest."""
    if request.url.path not in PAGES:
        return None
    page = _page(request, "error.html", {"error": error}, status=error.status)
    page.headers.update(error.headers)
    return page


def _page(
    request: Request, name: str, context: Mapping[str, Any], *, status: int = 200
) -> HTMLResponse:
    return templates.TemplateResponse(request, name, dict(context), status_code=status)
