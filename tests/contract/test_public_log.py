"""The public log: whoever keeps a checkpoint can prove that the log only grew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit import merkle
from gateway.audit.checkpoint import Verifier
from gateway.audit.folder import tile_path
from tests.contract.audit_kit import Room, event
from tests.contract.soft_binding_kit import Door, opened
from tests.contract.studio_kit import Studio, open_studio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with open_studio(tmp_path_factory.mktemp("studio")) as made:
        yield made


@pytest.fixture(scope="module")
def room(studio: Studio) -> Room:
    return studio.room


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[TestClient]:
    door: Any = Door(studio, public_burst=10_000)
    door.database, door.log = studio.room.database, studio.room.log
    door.checkpoint_key, door.anchors = studio.room.key, None
    with opened(door) as asked:
        yield asked


class Fetched:
    """Tiles as a stranger gets them: by their names, and only as wide as the head says."""

    def __init__(self, client: TestClient, size: int) -> None:
        self.client = client
        self.widths = {
            (level, index): width for level, index, width in merkle.tile_widths(size)
        }

    def tile(self, level: int, index: int) -> bytes:
        width = self.widths.get((level, index))
        if width is None:
            return b""
        answer = self.client.get(f"/log/{tile_path(level, index, width)}")
        assert answer.status_code == 200, answer.text
        assert "immutable" in answer.headers["cache-control"]
        return bytes(answer.content)


def test_a_stranger_can_prove_that_the_log_only_grew(room: Room, client: TestClient) -> None:
    room.fill(300)
    key = Verifier.parse(client.get("/log/verifier-key").text)
    then = key.open(client.get("/log/checkpoint").text)
    assert merkle.root(Fetched(client, then.size), then.size) == then.root
    for number in range(300, 560):
        room.record(event(number))
    room.log.sequence()
    now = key.open(client.get("/log/checkpoint").text)
    tiles = Fetched(client, now.size)
    assert (then.size, now.size) == (300, 560)
    assert merkle.root(tiles, now.size) == now.root
    proof = merkle.consistency_proof(tiles, then.size, now.size)
    merkle.verify_consistency(
        old=then.size, new=now.size, proof=proof, old_root=then.root, new_root=now.root
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.one_of(
        st.text(alphabet="x0123456789/.p%", max_size=40),
        st.sampled_from(
            ["0/999", "0/000.p/257", "0/000.p/0", "0/x000/000", "00/000", "8/000", "0/0",
             "0/000.p/256", "0/001.p/999", "entries/000", "0/" + "x999/" * 30 + "999"]
        ),
    )
)  # fmt: skip
def test_what_is_no_tile_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(f"/log/tile/{path}")
    if answer.status_code == 200:
        assert len(answer.content) % merkle.HASH_BYTES == 0
    else:
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]["code"] in ("not_found", "invalid_value")


def test_pages_of_any_origin_may_follow_it(client: TestClient) -> None:
    answer = client.get("/log/verifier-key")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in client.get("/log").headers


def test_the_page_shows_the_newest_head_and_every_key(room: Room, client: TestClient) -> None:
    page = client.get("/log").text
    assert room.key.verifier.text.replace("+", "&#43;") in page.replace("+", "&#43;")
    head = room.log.checkpoint()
    assert f"{head.size if head else 0} entries" in page or "the log is empty" in page
