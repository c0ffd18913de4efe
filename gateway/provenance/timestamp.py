"""A local time-stamp authority (RFC 3161) for development and tests.

It stamps whatever a local process sends it, with the machine's own clock. It gives a clip the
*shape* of a trusted time, and what that proves is worth as much as this machine.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import ConfigurationFault
from gateway.provenance.certificates import Authority

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"
MAX_QUERY_BYTES = 8_192
REQUEST_SECONDS = 5.0
# A policy of nobody: the enterprise number kept for documentation (RFC 5612).
POLICY = "1.3.6.1.4.1.32473.1"
_DIGESTS = {"sha256": 32, "sha384": 48, "sha512": 64}


class _Reply(core.Sequence):  # type: ignore[misc]
    """TimeStampResp; the library's own type forbids a reply without a token."""

    _fields = [  # noqa: RUF012 (the library's declarative form)
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


class TimestampResponder:
    """Answers RFC 3161 queries, given and returned as DER."""

    def __init__(self, authority: Authority, *, clock: Callable[[], datetime]) -> None:
        self._authority = authority
        self._clock = clock

    def answer(self, query: bytes) -> bytes:
        """Give a signed token, or a rejection that names the reason (RFC 3161 §2.4.2)."""
        try:
            request = tsp.TimeStampReq.load(query, strict=True)
            version = request["version"].native
            imprint = request["message_imprint"]
            digest = imprint["hash_algorithm"]["algorithm"].native
            hashed = imprint["hashed_message"].native
            nonce = request["nonce"].native
            with_certificate = bool(request["cert_req"].native)
            extensions = request["extensions"].native
        except (ValueError, TypeError, KeyError):
            return _rejection("bad_data_format")
        if version != "v1" or extensions:
            return _rejection("bad_request")
        if _DIGESTS.get(digest) != len(hashed):
            return _rejection("bad_alg")
        token = self._token(
            digest=digest, hashed=hashed, nonce=nonce, with_certificate=with_certificate
        )
        response = _Reply({"status": {"status": "granted"}, "time_stamp_token": token})
        return bytes(response.dump())

    def _token(
        self, *, digest: str, hashed: bytes, nonce: int | None, with_certificate: bool
    ) -> cms.ContentInfo:
        now = self._clock().astimezone(UTC)
        info = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": {
                "hash_algorithm": {"algorithm": digest},
                "hashed_message": hashed,
            },
            "serial_number": secrets.randbits(120) + 1,
            "gen_time": now.replace(microsecond=0),
            "accuracy": {"seconds": 1},
        }
        if nonce is not None:
            info["nonce"] = nonce
        content = tsp.TSTInfo(info).dump()
        der = self._authority.certificate.public_bytes(serialization.Encoding.DER)
        certificate = asn1_x509.Certificate.load(der)
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "signing_time", "values": [_utc_time(now)]}),
                cms.CMSAttribute(
                    {"type": "message_digest", "values": [hashlib.sha256(content).digest()]}
                ),
                # RFC 5816: binds the token to this very certificate.
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [
                            {"certs": [{"cert_hash": hashlib.sha256(der).digest()}]},
                        ],
                    }
                ),
            ]
        )
        signature = self._authority.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    {
                        "issuer_and_serial_number": {
                            "issuer": certificate.issuer,
                            "serial_number": certificate.serial_number,
                        }
                    }
                ),
                "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                "signature": signature,
            }
        )
        signed = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {
                "content_type": "tst_info",
                "content": core.ParsableOctetString(content),
            },
            "signer_infos": [signer],
        }
        if with_certificate:
            signed["certificates"] = [certificate]
        return cms.ContentInfo(
            {"content_type": "signed_data", "content": cms.SignedData(signed)}
        )


class LocalTimestampAuthority:
    """A server on 127.0.0.1, on a free port, for as long as the ``with`` block lasts."""

    def __init__(self, authority: Authority, *, clock: Callable[[], datetime]) -> None:
        self._responder = TimestampResponder(authority, clock=clock)
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> str:
        """Start it; give the address to use as ``tsa_url``."""
        endpoint = partial(_Endpoint, self._responder)
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), endpoint)
        except OSError as fault:
            raise ConfigurationFault(
                "The local time-stamp authority cannot open a port."
            ) from fault
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="timestamp-authority",
            daemon=True,
        )
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=REQUEST_SECONDS)
        self._server = self._thread = None


class _Endpoint(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS
    protocol_version = "HTTP/1.1"

    def __init__(self, responder: TimestampResponder, *connection: Any) -> None:
        # The base class answers the request inside its constructor.
        self._responder = responder
        super().__init__(*connection)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Content-Type", "").strip().lower() != QUERY_TYPE:
            self._send(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, b"")
        elif not length.isascii() or not length.isdigit() or int(length) > MAX_QUERY_BYTES:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"")
        else:
            query = self.rfile.read(int(length))
            self._send(HTTPStatus.OK, self._responder.answer(query))

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", REPLY_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: each signing would print a line."""


def _utc_time(now: datetime) -> cms.Time:
    return cms.Time({"utc_time": now.replace(microsecond=0)})


def _rejection(reason: str) -> bytes:
    response = _Reply({"status": {"status": "rejection", "fail_info": {reason}}})
    return bytes(response.dump())
