"""The console over fakes: every role at every route, forms of others, what each page says."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from gateway.audit.log import SqlAuditLog
from gateway.credentials import Seal
from gateway.db import Database
from gateway.people import Role
from gateway.review import Review
from gateway.server import create_app
from gateway.sessions import IDLE, Sessions
from gateway.settings import Settings
from gateway.tracing import Tracing
from gateway.web import account, console
from gateway.web.access import COOKIE
from safety.verdict import Action
from tests.unit.bench_of_reviewers import ALLOW, TWO, Bench
from tests.unit.rig import Rig

pytestmark = pytest.mark.one_database

PASSWORD = "a long enough password"
HERE = "http://testserver"


class StandInGateway:
    """The parts that the pages ask for, from a rig and its reviewers."""

    def __init__(self, bench: Bench) -> None:
        rig = bench.rig
        self.bench = bench
        self.settings = Settings(data_dir=rig.folder)
        self.clock, self.log, self.telemetry = rig.clock, rig.audit, rig.observer
        self.tracing = Tracing()
        self.people = bench.people
        self.sessions = Sessions(
            rig.database, rig.audit, self.people, Seal(b"A" * 43 + b"="), rig.clock
        )
        self.review = Review(
            docket=bench.docket, rulings=bench.rulings, exhibits=bench.exhibits
        )

    @contextlib.contextmanager
    def running(self, *, worker: bool) -> Iterator[StandInGateway]:
        del worker
        yield self


class Browser:
    """Somebody's browser: follows no redirect by itself, and fills in the hidden field."""

    def __init__(self, client: TestClient, gateway: StandInGateway) -> None:
        self.client, self.gateway = client, gateway
        self.secret = ""

    def join(self, name: str, role: Role, **more: Any) -> Browser:
        token = self.gateway.people.invite(name, role, by="test", **more).token
        shown = self.client.get(f"/account/join/{token}").text
        found = re.search(r"Secret <code class=\"long\">(\w+)</code>", shown)
        assert found is not None
        self.secret = found[1]
        answer = self.client.post(
            f"/account/join/{token}", data={"password": PASSWORD, "code": self.code()}
        )
        assert answer.headers["location"] == "/console", answer.text
        return self

    def code(self) -> str:
        clock = self.gateway.clock
        clock.now += dt.timedelta(seconds=30)
        return pyotp.TOTP(self.secret).at(clock.now)

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def post(self, path: str, **fields: str) -> Any:
        who = self.gateway.sessions.signed_in(self.client.cookies.get(COOKIE))
        token = "" if who is None else who.form_token
        return self.client.post(path, data={"form": token, **fields})


@pytest.fixture
def bench(database: Database, audit_log: SqlAuditLog, clock: Any, tmp_path: Path) -> Bench:
    return Bench(Rig(database=database, audit=audit_log, clock=clock, folder=tmp_path))


@pytest.fixture
def gateway(bench: Bench) -> StandInGateway:
    return StandInGateway(bench)


@pytest.fixture
def browser(gateway: StandInGateway) -> Iterator[Any]:
    """Makes browsers: one for each person."""
    with contextlib.ExitStack() as closing:
        app = create_app(gateway, worker=False)  # type: ignore[arg-type]
        closing.enter_context(TestClient(app))

        def make() -> Browser:
            client = TestClient(app, base_url=HERE, follow_redirects=False)
            return Browser(client, gateway)

        yield make


def held(bench: Bench, **wish: Any) -> str:
    """A clip held for its frames; the id of its case."""
    bench.rig.frames.action = Action.REVIEW
    order = bench.rig.order(**wish)
    bench.rig.produce(order)
    return bench.case_of(order)


# --- who may open what -----------------------------------------------------------------------

READS = {Role.REVIEWER, Role.TRAINED_REVIEWER, Role.COMPLIANCE, Role.AUDITOR}
RULES = READS - {Role.AUDITOR}
ADMIN = {Role.ADMINISTRATOR}
# Method and path of every page of people → who may use it. None: somebody without a session.
ROUTES: dict[tuple[str, str], set[Role] | None] = {
    ("GET", "/console"): READS | ADMIN,
    ("GET", "/console/closed"): READS,
    ("POST", "/console/next"): RULES,
    ("GET", "/console/cases/{case_id}"): READS,
    ("POST", "/console/cases/{case_id}/take"): RULES,
    ("POST", "/console/cases/{case_id}/back"): RULES,
    ("POST", "/console/cases/{case_id}/up"): RULES,
    ("POST", "/console/cases/{case_id}/ruling"): RULES,
    ("GET", "/console/cases/{case_id}/frames/{index}"): READS,
    ("GET", "/console/cases/{case_id}/frames/{index}/shown"): RULES,
    ("GET", "/console/people"): ADMIN,
    ("POST", "/console/people"): ADMIN,
    ("POST", "/console/people/{person_id}/end"): ADMIN,
    ("POST", "/account/sign-out"): READS | ADMIN,
    ("GET", "/account/sign-in"): None,
    ("POST", "/account/sign-in"): None,
    ("GET", "/account/join/{token}"): None,
    ("POST", "/account/join/{token}"): None,
}


def test_the_table_names_every_page_of_people() -> None:
    found = {
        (method, route.path)
        for router in (account.router, console.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert found == set(ROUTES)


@pytest.mark.parametrize("role", [*Role, None])
def test_every_role_at_every_page(bench: Bench, browser: Any, role: Role | None) -> None:
    case = held(bench)
    names = {"case_id": case, "index": "0", "person_id": "psn_none", "token": "none"}
    somebody: Browser = browser()
    if role is not None:
        somebody.join("Ada", role)
    for (method, path), roles in ROUTES.items():
        if roles is None or path == "/account/sign-out":
            continue
        where = path.format(**names)
        answer = somebody.get(where) if method == "GET" else somebody.post(where)
        if role is None:
            wanted = {"GET": 303, "POST": 401}[method]
            assert (answer.status_code, answer.headers.get("location")) == (
                wanted,
                "/account/sign-in" if method == "GET" else None,
            ), path
        elif role in roles:
            assert answer.status_code not in (401, 403), (path, answer.text)
        else:
            assert answer.status_code == 403, path
        kept = answer.headers.get("cache-control")
        assert kept == "no-store" or answer.status_code in (303, 422), path


def test_signing_in_and_out(browser: Any) -> None:
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    assert ada.post("/account/sign-out").headers["location"] == "/account/sign-in"
    assert ada.get("/console").status_code == 303
    wrong = ada.client.post(
        "/account/sign-in", data={"name": "Ada", "password": "no", "code": "1"}
    )
    assert wrong.status_code == 401
    assert "is not right" in wrong.text
    assert 'value="Ada"' in wrong.text
    right = ada.client.post(
        "/account/sign-in", data={"name": "Ada", "password": PASSWORD, "code": ada.code()}
    )
    assert right.headers["location"] == "/console"
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert ada.get("/account/sign-in").headers["location"] == "/console"
    ada.gateway.clock.now += IDLE
    assert ada.get("/console").status_code == 303


def test_a_link_that_is_over_says_so(browser: Any) -> None:
    answer = browser().get("/account/join/none")
    assert answer.status_code == 404
    assert "not good any more" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
    ],
)
def test_forms_of_other_sites_are_not_taken(
    bench: Bench, browser: Any, headers: dict[str, str]
) -> None:
    case = held(bench)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    ada.client.headers.update(headers)
    assert ada.post(f"/console/cases/{case}/take").status_code == 403
    signing = ada.client.post("/account/sign-in", data={"name": "Ada"})
    assert signing.status_code == 403


def test_a_form_of_another_session_is_not_taken(bench: Bench, browser: Any) -> None:
    case = held(bench)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    for token in ("", "x", "ü"):
        answer = ada.client.post(f"/console/cases/{case}/take", data={"form": token})
        assert answer.status_code == 403
    assert bench.every()[0].holder_id is None


# --- one case --------------------------------------------------------------------------------


def test_a_reviewer_takes_looks_rules_and_gets_the_next(bench: Bench, browser: Any) -> None:
    first, second = held(bench, prompt="ball one"), held(bench, prompt="ball <two>")
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    assert first in ada.get("/console").text
    assert ada.post("/console/next").headers["location"].endswith(first)
    page = ada.get(f"/console/cases/{first}").text
    assert "ball one" in page
    assert "The rule of the test." in page
    ruled = ada.post(f"/console/cases/{first}/ruling", ruling="allow:fiction", note="fine")
    assert ruled.headers["location"].endswith(second)
    assert "ball &lt;two&gt;" in ada.get(f"/console/cases/{second}").text
    last = ada.post(f"/console/cases/{second}/ruling", ruling="refuse:deceptive")
    assert last.headers["location"] == "/console?told=refuse"
    assert "Refused" in ada.get(last.headers["location"]).text
    closed = ada.get("/console/closed").text
    assert first in closed
    assert second in closed
    assert second not in ada.get(f"/console/closed?named={first}").text
    assert "fine" in ada.get(f"/console/cases/{first}").text


@pytest.mark.parametrize(
    "ruling", ["", "allow", "allow:", "allow:deceptive", "so:fiction", ":"]
)
def test_a_ruling_that_says_nothing_is_shown_again(
    bench: Bench, browser: Any, ruling: str
) -> None:
    case = held(bench)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    ada.post("/console/next")
    answer = ada.post(f"/console/cases/{case}/ruling", ruling=ruling)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert bench.every()[0].outcome is None


def test_frames_are_veiled_until_asked_for(bench: Bench, browser: Any) -> None:
    case = held(bench)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    page = ada.get(f"/console/cases/{case}").text
    frames = re.findall(rf'src="(/console/cases/{case}/frames/\d+)"', page)
    assert frames
    veiled, shown = ada.get(frames[0]), ada.get(f"{frames[0]}/shown")
    assert veiled.headers["content-type"] == shown.headers["content-type"] == "image/jpeg"
    assert veiled.content != shown.content
    order = bench.every()[0].video_id
    while bench.rig.audit.sequence():
        pass
    kinds = [entry.entry.kind for entry in bench.rig.audit.entries(subject=order, limit=100)]
    assert kinds.count("case.viewed") == 1


def test_the_second_person_is_told_nothing_of_the_first(bench: Bench, browser: Any) -> None:
    bench.policy = TWO
    case = held(bench)
    bench.rule(bench.person("Ben"), ALLOW)
    ada: Browser = browser()
    ada.gateway.review = Review(
        docket=bench.docket, rulings=bench.rulings, exhibits=bench.exhibits
    )
    ada.join("Ada", Role.REVIEWER)
    while bench.rig.audit.sequence():
        pass
    page = ada.get(f"/console/cases/{case}").text
    assert "two people must agree" in page
    for word in ("case.ruled", "case.taken", "Rulings", "fiction ·"):
        assert word not in page


def test_an_officer_is_asked_for_with_a_note(bench: Bench, browser: Any) -> None:
    case = held(bench)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    ada.post("/console/next")
    assert ada.post(f"/console/cases/{case}/up").status_code == 400
    answer = ada.post(f"/console/cases/{case}/up", note="Who is this?")
    assert answer.headers["location"] == "/console?told=up"
    assert ada.post(f"/console/cases/{case}/take").status_code == 403


def test_a_case_is_put_back(bench: Bench, browser: Any) -> None:
    case = held(bench)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    ada.post("/console/next")
    assert "Go on with the case" in ada.get("/console").text
    ada.post(f"/console/cases/{case}/back")
    assert "Take the oldest" in ada.get("/console").text


def test_a_clip_that_cannot_be_read_is_said_to_be_so(bench: Bench, browser: Any) -> None:
    case = held(bench)
    bench.rig.vault.clear(bench.every()[0].video_id)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    page = ada.get(f"/console/cases/{case}").text
    assert "could not be read" in page
    assert ada.get(f"/console/cases/{case}/frames/0").status_code == 503


def test_after_an_hour_a_break_is_due(bench: Bench, browser: Any) -> None:
    held(bench)
    ada: Browser = browser().join("Ada", Role.REVIEWER)
    for _ in range(5):
        assert "Look at something else" not in ada.get("/console").text
        ada.gateway.clock.now += dt.timedelta(minutes=11)
    ada.gateway.clock.now += dt.timedelta(minutes=6)
    assert "Look at something else" in ada.get("/console").text


# --- people ----------------------------------------------------------------------------------


def test_an_administrator_invites_and_lets_go(browser: Any) -> None:
    root: Browser = browser().join("Root", Role.ADMINISTRATOR)
    assert root.get("/console").headers["location"] == "/console/people"
    page = root.post("/console/people", name="Ben", role="reviewer").text
    link = re.search(rf"{HERE}(/account/join/[\w-]+)", page)
    assert link is not None
    assert root.get("/console/people").text.count("/account/join/") == 0
    assert "You join as reviewer" in browser().get(link[1]).text
    ben: Browser = browser().join("Ben", Role.REVIEWER)
    ident = next(
        each.person.id for each in root.gateway.people.list() if each.person.name == "Ben"
    )
    assert root.post(f"/console/people/{ident}/end").status_code == 303
    assert ben.get("/console").status_code == 303
    assert root.post("/console/people", name="", role="reviewer").status_code == 400
    assert root.post("/console/people", name="Cy", role="king").status_code == 400


def test_an_administrator_does_not_let_themselves_go(browser: Any) -> None:
    root: Browser = browser().join("Root", Role.ADMINISTRATOR)
    own = root.gateway.people.list()[0].person.id
    assert root.post(f"/console/people/{own}/end").status_code == 409
