"""Rendering: templates, words for values, and pages that no cache keeps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

HERE = Path(__file__).parent

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


def plain(name: str) -> str:
    """A stored word for people: ``public_figure`` is a public figure."""
    return name.replace("_", " ")


def on_clock(moment: dt.datetime) -> str:
    """A moment to the minute, UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def span(length: dt.timedelta) -> str:
    """How long something takes or took, in the largest unit that says enough."""
    minutes = max(0, int(length.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"


templates.env.filters |= {
    "in_words": in_words,
    "plain": plain,
    "on_clock": on_clock,
    "span": span,
}


def page(
    request: Request, name: str, context: Mapping[str, Any], *, status: int = 200
) -> HTMLResponse:
    """A page from its template."""
    return templates.TemplateResponse(request, name, dict(context), status_code=status)


def private_page(
    request: Request, name: str, context: Mapping[str, Any], *, status: int = 200
) -> HTMLResponse:
    """A page that only one person may see: no cache keeps it."""
    made = page(request, name, context, status=status)
    made.headers["cache-control"] = "no-store"
    return made
