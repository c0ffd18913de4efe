"""The local time-stamp authority, asked directly and over loopback."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.provenance.certificates import Authority, make_root, make_stamping
from gateway.provenance.timestamp import (
    MAX_QUERY_BYTES,
    QUERY_TYPE,
    LocalTimestampAuthority,
    TimestampResponder,
)

NOW = datetime(2026, 11, 22, 12, 0, 30, 500_000, tzinfo=UTC)
ROOT = make_root(organisation="Example Studio", role="root", now=NOW)
STAMPING = make_stamping(organisation="Example Studio", root=ROOT, now=NOW)


@pytest.fixture(scope="module")
def responder() -> TimestampResponder:
    return TimestampResponder(STAMPING, clock=lambda: NOW)


def query(message: bytes, **changes: object) -> bytes:
    values: dict[str, object] = {
        "version": "v1",
        "message_imprint": {
            "hash_algorithm": {"algorithm": "sha256"},
            "hashed_message": hashlib.sha256(message).digest(),
        },
        "nonce": 2**63 + 5,
        "cert_req": True,
    }
    return bytes(tsp.TimeStampReq(values | changes).dump())


def status(reply: bytes) -> str:
    from gateway.provenance.timestamp import _Reply

    return str(_Reply.load(reply)["status"]["status"].native)


def signed_data(reply: bytes) -> object:
    return tsp.TimeStampResp.load(reply)["time_stamp_token"]["content"]


def test_a_token_states_the_hash_the_nonce_and_the_time(responder: TimestampResponder) -> None:
    data = signed_data(responder.answer(query(b"clip")))
    info = data["encap_content_info"]["content"].parsed  # type: ignore[index]
    assert info["message_imprint"]["hashed_message"].native == hashlib.sha256(b"clip").digest()
    assert info["nonce"].native == 2**63 + 5
    assert info["gen_time"].native == NOW.replace(microsecond=0)
    assert info["serial_number"].native > 0


def test_the_signature_of_a_token_holds(responder: TimestampResponder) -> None:
    data = signed_data(responder.answer(query(b"clip")))
    signer = data["signer_infos"][0]  # type: ignore[index]
    content = data["encap_content_info"]["content"].contents  # type: ignore[index]
    attributes = {a["type"].native: a["values"][0] for a in signer["signed_attrs"]}
    assert attributes["message_digest"].native == hashlib.sha256(content).digest()
    assert attributes["content_type"].native == "tst_info"
    bound = attributes["signing_certificate_v2"]["certs"][0]["cert_hash"].native
    assert bound == STAMPING.certificate.fingerprint(hashes.SHA256())
    signed = signer["signed_attrs"].untag().dump()
    public = STAMPING.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signer["signature"].native, signed, ec.ECDSA(hashes.SHA256()))


def test_two_tokens_never_share_a_serial_number(responder: TimestampResponder) -> None:
    serials = {
        signed_data(responder.answer(query(b"clip")))["encap_content_info"]["content"]  # type: ignore[index]
        .parsed["serial_number"]
        .native
        for _ in range(20)
    }
    assert len(serials) == 20


def test_the_certificate_comes_only_when_asked_for(responder: TimestampResponder) -> None:
    with_it = signed_data(responder.answer(query(b"x")))
    without = signed_data(responder.answer(query(b"x", cert_req=False)))
    (sent,) = with_it["certificates"]  # type: ignore[index]
    assert x509.load_der_x509_certificate(sent.dump()) == STAMPING.certificate
    assert without["certificates"].native is None  # type: ignore[index]


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"junk",
        query(b"x") + b"more",
        query(b"x")[:-3],
        query(
            b"x",
            message_imprint={
                "hash_algorithm": {"algorithm": "sha1"},
                "hashed_message": b"\0" * 20,
            },
        ),
        query(
            b"x",
            message_imprint={
                "hash_algorithm": {"algorithm": "sha256"},
                "hashed_message": b"\0" * 31,
            },
        ),
    ],
)
def test_what_is_no_query_is_rejected(responder: TimestampResponder, asked: bytes) -> None:
    assert status(responder.answer(asked)) == "rejection"


@given(st.binary(max_size=200))
def test_noise_never_gets_a_token(noise: bytes) -> None:
    assert status(TimestampResponder(STAMPING, clock=lambda: NOW).answer(noise)) == "rejection"


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_query_never_raises(at: int, bit: int) -> None:
    damaged = bytearray(query(b"clip"))
    damaged[at % len(damaged)] ^= 1 << bit
    answer = TimestampResponder(STAMPING, clock=lambda: NOW).answer(bytes(damaged))
    assert status(answer) in {"granted", "rejection"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LocalTimestampAuthority(STAMPING, clock=lambda: NOW) as address:
        yield address


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("POST", "/", body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.socket
def test_the_server_listens_on_loopback_and_stamps(url: str) -> None:
    assert urlsplit(url).hostname == "127.0.0.1"
    code, reply = post(url, query(b"x"), {"Content-Type": QUERY_TYPE})
    assert (code, status(reply)) == (200, "granted")


@pytest.mark.socket
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": QUERY_TYPE, "Content-Length": str(MAX_QUERY_BYTES + 1)}, 413),
        ({"Content-Type": QUERY_TYPE, "Content-Length": "-1"}, 413),
    ],
)
def test_the_server_refuses_other_types_and_sizes(
    url: str, headers: dict[str, str], code: int
) -> None:
    assert post(url, b"", headers)[0] == code


@pytest.mark.socket
def test_the_port_is_closed_after_the_block() -> None:
    with LocalTimestampAuthority(STAMPING, clock=lambda: NOW) as address:
        pass
    with pytest.raises(ConnectionRefusedError):
        post(address, query(b"x"), {"Content-Type": QUERY_TYPE})


def test_an_authority_prints_no_key() -> None:
    assert isinstance(STAMPING, Authority)
    assert "key" not in repr(STAMPING).lower()
