"""The console: what waits, one case on one screen, and ruling on it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.errors import Conflict, Error, InvalidRequest, StageUnavailable
from gateway.people import Right, Role
from gateway.review import Review
from gateway.review.docket import Dossier
from gateway.review.exhibits import Exhibit
from gateway.review.reasons import ALLOWING, REFUSING, Decision, ReasonCode
from gateway.review.rulings import Said
from gateway.sessions import SignedIn
from gateway.web.access import Administrator, Anybody, Reader, Reviewer, demand_form
from gateway.web.rendering import private_page

router = APIRouter(prefix="/console", include_in_schema=False)
FORM = [Depends(demand_form)]
BREAK_AFTER = dt.timedelta(hours=1)
# A case's own history, but for how people ruled: the second one must not know.
RULED = ("case.", "video.ruled")
TOLD = {
    "allow": "Released: the clip goes on.",
    "refuse": "Refused: the creator is told the rule.",
    "again": "Noted. A second person rules before anything happens.",
    "back": "Put back for the next person.",
    "up": "Left to a compliance officer.",
    "none": "Nothing waits for you.",
}


@router.get("", response_class=HTMLResponse)
def queue(request: Request, who: Anybody, told: str = "") -> Response:
    """What waits, the oldest first. Administrators, who review nothing, see people."""
    if not who.person.may(Right.READ_CASES):
        return RedirectResponse("/console/people", status_code=303)
    docket = _review(request).docket
    context = {
        "cases": docket.waiting(who.person),
        "counts": docket.counts(who.person),
        "in_hand": docket.in_hand(who.person),
        "told": TOLD.get(told, ""),
    }
    return _page(request, who, "console/queue.html", context)


@router.get("/closed", response_class=HTMLResponse)
def closed(request: Request, who: Reader, named: str = "") -> Response:
    """What people came to, the newest first."""
    cases = _review(request).docket.closed(who.person, named=named[:80])
    context = {"cases": cases, "named": named}
    return _page(request, who, "console/closed.html", context)


@router.post("/next", dependencies=FORM)
def take_next(request: Request, who: Reviewer) -> Response:
    """Take the oldest case that waits for this person."""
    case = _review(request).docket.take(who.person)
    return _to_queue("none") if case is None else _to_case(case.id)


@router.get("/cases/{case_id}", response_class=HTMLResponse)
def case(request: Request, who: Reader, case_id: str) -> Response:
    """One case on one screen."""
    return _case_page(request, who, case_id, error=None, status=200)


@router.post("/cases/{case_id}/take", dependencies=FORM)
def take(request: Request, who: Reviewer, case_id: str) -> Response:
    """Take this case."""
    _review(request).docket.take(who.person, case_id)
    return _to_case(case_id)


@router.post("/cases/{case_id}/back", dependencies=FORM)
def give_back(request: Request, who: Reviewer, case_id: str) -> Response:
    """Put this case back without a ruling."""
    _review(request).docket.give_back(who.person, case_id)
    return _to_queue("back")


@router.post("/cases/{case_id}/up", dependencies=FORM)
def escalate(
    request: Request, who: Reviewer, case_id: str, note: Annotated[str, Form()] = ""
) -> Response:
    """Leave this case to a compliance officer."""
    try:
        _review(request).rulings.escalate(who.person, case_id, note=note)
    except InvalidRequest as fault:
        return _case_page(request, who, case_id, error=fault, status=fault.status)
    return _to_queue("up")


@router.post("/cases/{case_id}/ruling", dependencies=FORM)
def rule(
    request: Request,
    who: Reviewer,
    case_id: str,
    ruling: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "",
) -> Response:
    """Rule on this case, then take the next one. ``ruling`` is ``decision:reason``."""
    review = _review(request)
    try:
        outcome = review.rulings.rule(who.person, case_id, _said(ruling, note))
    except (InvalidRequest, Conflict) as fault:
        return _case_page(request, who, case_id, error=fault, status=fault.status)
    following = review.docket.take(who.person)
    return _to_queue(outcome or "again") if following is None else _to_case(following.id)


@router.get("/cases/{case_id}/frames/{index}")
def veiled_frame(request: Request, who: Reader, case_id: str, index: int) -> Response:
    """A frame of which only light and dark can be told."""
    return _picture(request, who, case_id, index, reveal=False)


@router.get("/cases/{case_id}/frames/{index}/shown")
def shown_frame(request: Request, who: Reviewer, case_id: str, index: int) -> Response:
    """A frame as it is. That somebody looked is in the log."""
    return _picture(request, who, case_id, index, reveal=True)


@router.get("/people", response_class=HTMLResponse)
def people(request: Request, who: Administrator) -> Response:
    """Everybody who works here."""
    return _people_page(request, who, {"link": None})


@router.post("/people", dependencies=FORM)
def invite(
    request: Request,
    who: Administrator,
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
) -> Response:
    """Make a link with which somebody joins; it is shown once."""
    if role not in Role.__members__.values():
        raise InvalidRequest("There is no such role.", param="role")
    gateway = request.app.state.gateway
    made = gateway.people.invite(name, Role(role), by=who.person.id)
    link = str(request.url_for("join_form", token=made.token))
    return _people_page(request, who, {"link": link, "invited": made.person})


@router.post("/people/{person_id}/end", dependencies=FORM)
def end(request: Request, who: Administrator, person_id: str) -> Response:
    """Let somebody go."""
    if person_id == who.person.id:
        raise Conflict("Somebody else must let you go.")
    request.app.state.gateway.people.end(person_id, by=who.person.id)
    return RedirectResponse("/console/people", status_code=303)


# --- shared ----------------------------------------------------------------------------------


def _review(request: Request) -> Review:
    found: Review = request.app.state.gateway.review
    return found


def _said(ruling: str, note: str) -> Said:
    decision, _, reason = ruling.partition(":")
    known = decision in Decision.__members__.values()
    if not known or reason not in ReasonCode.__members__.values():
        raise InvalidRequest("Choose one of the reasons.", param="ruling")
    return Said(decision=Decision(decision), reason=ReasonCode(reason), note=note)


def _to_queue(told: str) -> Response:
    return RedirectResponse(f"/console?{urlencode({'told': told})}", status_code=303)


def _to_case(case_id: str) -> Response:
    return RedirectResponse(f"/console/cases/{case_id}", status_code=303)


def _picture(
    request: Request, who: SignedIn, case_id: str, index: int, *, reveal: bool
) -> Response:
    picture = _review(request).exhibits.picture(who.person, case_id, index, reveal=reveal)
    return Response(picture, media_type="image/jpeg", headers={"cache-control": "no-store"})


def _case_page(
    request: Request, who: SignedIn, case_id: str, *, error: Error | None, status: int
) -> Response:
    gateway, review = request.app.state.gateway, _review(request)
    dossier: Dossier = review.docket.dossier(who.person, case_id)
    now = gateway.clock()
    exhibits, unseen = _exhibits(review, dossier)
    until = dossier.case.holder_until
    mine = dossier.case.holder_id == who.person.id and until is not None and until > now
    history = [
        (entry.entry.kind, entry.entry.time)
        for entry in reversed(gateway.log.entries(subject=dossier.case.video_id, limit=200))
        if dossier.case.outcome is not None or not entry.entry.kind.startswith(RULED)
    ]
    context = {
        "dossier": dossier,
        "case": dossier.case,
        "exhibits": exhibits,
        "unseen": unseen,
        "mine": mine and dossier.case.outcome is None,
        "allowing": ALLOWING,
        "refusing": REFUSING,
        "history": history,
        "error": None if error is None else error.message,
    }
    return _page(request, who, "console/case.html", context, status=status)


def _exhibits(review: Review, dossier: Dossier) -> tuple[tuple[Exhibit, ...], str]:
    """The frames, or why there are none."""
    try:
        return review.exhibits.of(dossier), ""
    except StageUnavailable as fault:
        return (), fault.message


def _people_page(request: Request, who: SignedIn, more: dict[str, Any]) -> Response:
    everybody = request.app.state.gateway.people.list()
    context = {"people": everybody, "roles": list(Role), **more}
    return _page(request, who, "console/people.html", context)


def _page(
    request: Request, who: SignedIn, name: str, context: dict[str, Any], *, status: int = 200
) -> Response:
    now = request.app.state.gateway.clock()
    shared = {
        "who": who,
        "now": now,
        "break_due": now - who.since >= BREAK_AFTER,
        "may_rule": who.person.may(Right.RULE),
        "may_read": who.person.may(Right.READ_CASES),
        "may_manage": who.person.may(Right.MANAGE_PEOPLE),
    }
    return private_page(request, name, {**shared, **context}, status=status)
