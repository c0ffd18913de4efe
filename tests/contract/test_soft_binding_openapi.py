"""The Soft Binding Resolution API against an OpenAPI file of it, by schemathesis.

The file is a third party's reading of the specification (``tests/data/soft_binding``). Few
cases here; ``SBR_CASES=2000`` for more. What we leave out must not be advertised.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks

from gateway.api.soft_binding import CAPABILITIES, PREFIX, WELL_KNOWN
from gateway.server import create_app
from tests.contract.soft_binding_kit import Door
from tests.contract.studio_kit import CLIP, CODEC, FPS, open_studio, scene

pytestmark = pytest.mark.socket
FILE = Path(__file__).parents[1] / "data/soft_binding/sbr_2.4_third_party_openapi.yaml"
CASES = int(os.environ.get("SBR_CASES", "25"))
SCHEMA = schemathesis.openapi.from_path(str(FILE))
EVERY = {
    f"{operation.method.upper()} {operation.path}": operation
    for result in SCHEMA.get_all_operations()
    for operation in [result.ok()]
}
LEFT_OUT = {
    "POST /manifests": "storeManifests",
    "DELETE /manifests/{manifestId}": "storeManifests",
    "POST /bindings": "storeBindings",
    "PUT /bindings": "storeBindings",
    "GET /manifests/{manifestId}/receipts": "receipts",
    "POST /manifests/{manifestId}/receipts": "receipts",
}
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    schemathesis.checks.not_a_server_error,
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server with one released clip."""
    with open_studio(tmp_path_factory.mktemp("studio")) as studio:
        studio.released(CLIP)
        app = create_app(Door(studio), worker=False)  # type: ignore[arg-type]
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(timeout=30)


def test_what_is_left_out_is_not_advertised() -> None:
    assert EVERY.keys() >= LEFT_OUT.keys()
    assert not set(LEFT_OUT.values()) & set(CAPABILITIES)


RIGHT, WRONG = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
SERVED = sorted(EVERY.keys() - LEFT_OUT.keys())
# The others say nothing, or a name that may be any text: none of it is wrong.
SPOKEN = [name for name in SERVED if "/matches/" in name]


@pytest.mark.parametrize(
    ("name", "mode"), [(name, RIGHT) for name in SERVED] + [(name, WRONG) for name in SPOKEN]
)
def test_every_answer_is_one_that_the_file_knows(site: str, name: str, mode: Any) -> None:
    operation = EVERY[name]
    base = site if operation.path == WELL_KNOWN else site + PREFIX

    @settings(
        max_examples=CASES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(base_url=base, timeout=120)
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code != 429

    ask()


@settings(max_examples=min(CASES, 50), suppress_health_check=list(HealthCheck))
@given(cut=st.floats(0, 1), flips=st.lists(st.floats(0, 1), max_size=8))
def test_a_damaged_video_is_answered_in_a_known_form(
    site: str, tmp_path: Path, cut: float, flips: list[float]
) -> None:
    path = tmp_path / "foreign.mp4"
    if not path.exists():
        CODEC.encode(scene(98), path, fps=FPS)
    content = bytearray(path.read_bytes())
    for place in flips:
        content[int(place * (len(content) - 1))] ^= 0xFF
    (operation,) = [one for name, one in EVERY.items() if name == "POST /matches/byContent"]
    case = operation.Case(
        body=bytes(content[: int(cut * len(content))]), media_type="application/octet-stream"
    )
    kind = {"content-type": "video/mp4"}
    answer = case.call(base_url=site + PREFIX, headers=kind, timeout=120)
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code == 200:
        assert answer.json() == {"matches": []}
