"""The moderations service: what it is asked, what its answers must be, what is not told."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from safety.adapters.faults import ServiceFailed
from safety.adapters.label_map import STOP_FLOOR, LabelMap
from safety.adapters.moderations_service import ModerationsService, ServiceKey
from safety.moderation import PromptGate
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action, Category
from tests.contract.moderations_stub import Stub, result, serving

POLICY = Policy.load(POLICY_PATH)
HATE, VIOLENCE = Category.HATE, Category.VIOLENCE


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as service:
        yield service


def scores_of(service: ModerationsService, text: str) -> dict[Category, float]:
    [answer] = service.score([text])
    return dict(answer.scores)


@pytest.mark.socket
def test_the_service_is_asked_in_batches_and_its_scores_are_mapped(stub: Stub) -> None:
    service = ModerationsService(url=stub.url, model="m-1")
    prompts = [f"scene number {n}, seen from above" for n in range(39)]
    answers = service.score([*prompts, "they plan a murder"])
    assert [len(asked["input"]) for asked in stub.asked] == [32, 8]
    assert {(asked["path"], asked["model"]) for asked in stub.asked} == {
        ("/v1/moderations", "m-1")
    }
    assert answers[-1].scores[VIOLENCE] == 0.97
    assert answers[0].scores[VIOLENCE] == 0.01
    assert stub.authorizations == [None, None]


@pytest.mark.socket
def test_a_category_that_the_service_flags_counts(stub: Stub) -> None:
    flagged = result(hate=0.2)
    flagged["categories"]["hate"] = True
    stub.results = lambda inputs: [flagged] * len(inputs)  # type: ignore[method-assign]
    assert scores_of(ModerationsService(url=stub.url, model="m"), "x")[HATE] == STOP_FLOOR


@pytest.mark.socket
def test_a_category_of_the_services_own_is_ignored_unless_mapped(stub: Stub) -> None:
    stub.results = lambda inputs: [result(quarrel=0.9)] * len(inputs)  # type: ignore[method-assign]
    assert max(scores_of(ModerationsService(url=stub.url, model="m"), "x").values()) == 0.01
    mapped = LabelMap.parse("openai", {"labels": {"quarrel": {"categories": ["harassment"]}}})
    service = ModerationsService(url=stub.url, model="m", labels=mapped)
    assert scores_of(service, "x")[Category.HARASSMENT] == 0.9


@pytest.mark.socket
@pytest.mark.parametrize("statuses", [[500], [429, 503]])
def test_a_service_that_stumbles_is_asked_again(stub: Stub, statuses: list[int]) -> None:
    stub.statuses = list(statuses)
    assert scores_of(ModerationsService(url=stub.url, model="m"), "x")
    assert len(stub.asked) == len(statuses) + 1


@pytest.mark.socket
@pytest.mark.parametrize(
    ("statuses", "tries"), [([500] * 9, 3), ([401], 1), ([400], 1), ([302], 1)]
)
def test_a_service_that_refuses_is_no_judge(
    stub: Stub, statuses: list[int], tries: int
) -> None:
    stub.statuses, stub.headers = statuses, {"location": f"{stub.url}/elsewhere"}
    with pytest.raises(ServiceFailed, match=str(statuses[0])):
        ModerationsService(url=stub.url, model="m").score(["x"])
    assert len(stub.asked) == tries


def _without(category: str) -> dict[str, Any]:
    answer = result()
    del answer["category_scores"][category]
    return answer


@pytest.mark.socket
@pytest.mark.parametrize(
    "results",
    [
        [],
        [result(), result()],
        [_without("sexual/minors")],
        [result(hate=None)],
        [result(hate="0.1")],
        [result(hate=1.5)],
        [result(hate=-0.1)],
        [result(hate=float("nan"))],
        [result(hate=float("inf"))],
        [result(hate=True)],
        [{**result(), "categories": {"hate": "no"}}],
        [{"flagged": False}],
        "none",
    ],
    ids=str,
)
def test_an_answer_of_another_shape_is_no_answer(stub: Stub, results: Any) -> None:
    stub.results = lambda _: results  # type: ignore[method-assign]
    with pytest.raises(ServiceFailed):
        ModerationsService(url=stub.url, model="m").score(["x"])


@pytest.mark.socket
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "shape"),
        (b"null", "shape"),
        (b"<html>", "shape"),
        (b"[" * 100_000, "shape"),
        (b"x" * 5_000_000, "too large"),
    ],
    ids=["empty", "null", "page", "deep", "large"],
)
def test_a_body_that_is_no_answer_is_refused(stub: Stub, body: bytes, told: str) -> None:
    stub.body = body
    with pytest.raises(ServiceFailed, match=told):
        ModerationsService(url=stub.url, model="m").score(["x"])


@pytest.mark.socket
@pytest.mark.parametrize(("delay", "drip"), [(1.5, 0.0), (0.0, 0.1)])
def test_a_slow_service_is_given_up(stub: Stub, delay: float, drip: float) -> None:
    stub.delay, stub.drip = delay, drip
    begun = time.monotonic()
    with pytest.raises(ServiceFailed, match="in time"):
        ModerationsService(url=stub.url, model="m", timeout=0.4).score(["x"])
    assert time.monotonic() - begun < 1.2


@pytest.mark.socket
def test_a_service_that_is_not_there_holds_the_prompt() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    service = ModerationsService(url=url, model="m")
    with pytest.raises(ServiceFailed, match="reached"):
        service.score(["x"])
    [verdict] = PromptGate(moderators=(service,), policy=POLICY).judge(["a red ball"])
    assert verdict.action is Action.REVIEW


@pytest.mark.socket
def test_the_key_is_sent_and_never_told(
    stub: Stub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret, prompt = "sk-very-secret-1", "an unheard-of prompt"
    (tmp_path / "key").write_text(f"{secret}\n")
    monkeypatch.setenv("GUARD_KEY", secret)
    caplog.set_level(logging.DEBUG)
    for key in (ServiceKey(file=tmp_path / "key"), ServiceKey(variable="GUARD_KEY")):
        stub.delay = 0.0
        service = ModerationsService(url=stub.url, model="m", key=key, timeout=0.5)
        assert scores_of(service, prompt)
        assert stub.authorizations[-1] == f"Bearer {secret}"
        for stub.statuses, stub.delay in (([401], 0.0), ([500], 1.5)):
            with pytest.raises(ServiceFailed) as caught:
                service.score([prompt])
            fault: BaseException | None = caught.value
            while fault is not None:
                assert secret not in f"{fault!r} {fault}"
                assert prompt not in f"{fault!r} {fault}"
                fault = fault.__cause__ or (
                    None if fault.__suppress_context__ else fault.__context__
                )
        assert secret not in f"{service!r} {service.name}"
    assert secret not in caplog.text
    assert prompt not in caplog.text


@pytest.mark.parametrize(
    "content", [None, b"", b"two words", "schlüssel".encode(), b"k" * 9999]
)
def test_a_key_that_is_none_stops_the_call(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    service = ModerationsService(
        url="https://moderations.invalid/v1", model="m", key=ServiceKey(file=path)
    )
    with pytest.raises(ServiceFailed, match="key") as caught:
        service.score(["x"])
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://moderations.example/v1",
        "ftp://moderations.example",
        "https://user@moderations.example/v1",
        "https://:word@moderations.example/v1",
        "https://",
        "moderations.example/v1",
        "https://moderations.example/v1?x=1",
    ],
)
def test_an_address_that_would_leak_is_refused(url: str) -> None:
    with pytest.raises(ServiceFailed):
        ModerationsService(url=url, model="m")


def test_plain_http_must_be_asked_for() -> None:
    assert ModerationsService(url="http://guard.internal/v1", model="m", plain_http=True)
