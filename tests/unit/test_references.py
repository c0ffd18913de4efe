"""Fetching what a stranger names: never from a private place, never without bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest, TooLarge
from gateway.references import NotFetched, PublicBackend, References, is_public

URL = "https://clips.example/clip.mp4"
PUBLIC = "93.184.216.34"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nclip"
PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:93.184.216.34", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::1", "fe80::1%lo", "localhost", "",
]  # fmt: skip


class Network(httpcore.NetworkBackend):
    """Answers every connection with the same bytes, and remembers where it went."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.went: list[tuple[str, int]] = []

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.went.append((host, port))
        return httpcore.MockStream(self.parts)


def references(network: Network, *addresses: str, **more: Any) -> References:
    backend = PublicBackend(lambda _name: addresses, network)
    return References(**{"max_bytes": 100, "backend": backend, **more})


def test_a_file_of_a_public_address_is_fetched(tmp_path: Path) -> None:
    network = Network(OK)
    references(network, PUBLIC).fetch(URL, tmp_path / "clip", length=4)
    assert (tmp_path / "clip").read_bytes() == b"clip"
    assert network.went == [(PUBLIC, 443)]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_place_is_ever_connected_to(tmp_path: Path, address: str) -> None:
    assert not is_public(address)
    for addresses in ((address,), (PUBLIC, address), (address, PUBLIC)):
        network = Network(OK)
        with pytest.raises(NotFetched):
            references(network, *addresses).fetch(URL, tmp_path / "clip", length=4)
        assert network.went == []


def test_a_name_that_answers_otherwise_the_second_time_gains_nothing(tmp_path: Path) -> None:
    answers: Iterator[tuple[str, ...]] = iter([(PUBLIC,), ("127.0.0.1",)])
    network = Network(OK)
    backend = PublicBackend(lambda _name: next(answers), network)
    References(max_bytes=100, backend=backend).fetch(URL, tmp_path / "clip", length=4)
    assert network.went == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "url",
    [
        "http://clips.example/",
        "ftp://clips.example/",
        "file:///etc/passwd",
        "https://",
        "https:///clip",
        "https://user@clips.example/",
        "https://user:word@clips.example/",
        "https://clips.example:8443/",
        "https://clips.example:port/",
        "https://[::1/",
        "https://clips.example/a b",
        "https://clips.example\\@127.0.0.1/",
        "https://clips.example/\r\nhost: x",
        "https://clips.exämple/",
        "https://clips.example/" + "a" * 3000,
        "",
    ],
)
def test_an_address_of_another_form_is_refused_before_anything(
    tmp_path: Path, url: str
) -> None:
    network = Network(OK)
    with pytest.raises(InvalidRequest):
        references(network, PUBLIC).fetch(url, tmp_path / "clip", length=4)
    assert network.went == []


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda rest: "https://" + rest))
def test_whatever_is_named_nothing_but_a_refusal_comes_out(
    tmp_path_factory: pytest.TempPathFactory, url: str
) -> None:
    network = Network(OK)
    target = tmp_path_factory.getbasetemp() / "clip"
    with pytest.raises((InvalidRequest, NotFetched)):
        references(network, "127.0.0.1").fetch(url, target, length=4)
    assert network.went == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 4\r\n\r\nclip",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nclip",
        b"HTTP/1.1 206 Partial\r\ncontent-length: 4\r\n\r\nclip",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nclips",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ncli",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nclip",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n" + b"x" * 500,
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_is_not_the_file_is_no_file(tmp_path: Path, answer: bytes) -> None:
    network = Network(answer)
    with pytest.raises(NotFetched):
        references(network, PUBLIC).fetch(URL, tmp_path / "clip", length=4)
    assert len(network.went) == 1


def test_it_ends_in_time_and_takes_no_more_than_is_examined(tmp_path: Path) -> None:
    ticks = iter([0.0, 61.0])
    slow = references(Network(OK), PUBLIC, clock=lambda: next(ticks))
    with pytest.raises(NotFetched):
        slow.fetch(URL, tmp_path / "clip", length=4)
    network = Network(OK)
    with pytest.raises(TooLarge):
        references(network, PUBLIC).fetch(URL, tmp_path / "clip", length=101)
    assert network.went == []
