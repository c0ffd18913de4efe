"""A real S3-compatible service for the tests, on loopback, and a door before it that fails."""

from __future__ import annotations

import http.client
import secrets
import socketserver
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from gateway.buckets import Bucket, Credentials, Patience

KEY = Credentials(key_id="AKIAOPERATORSKEYID", secret="operators-secret", token=None)


def lend() -> Credentials:
    """The tests' key; a function, so that other processes can be told of it."""
    return KEY


HURRY = Patience(connect=1.0, question=1.0, request=2.0, retry=2.0, retries=1)


class ObjectService:
    """moto's S3, in a thread of this process; it knows conditional writes."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries that only this server uses
            from moto.server import ThreadedMotoServer

        self._server: Any = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        self.host, self.port = self._server.get_host_and_port()
        self.url = f"http://{self.host}:{self.port}"

    def bucket(self, *, prefix: str = "", url: str | None = None) -> Bucket:
        """A fresh bucket, reached directly or through ``url``."""
        name = f"bucket-{secrets.token_hex(8)}"
        assert self.ask("PUT", f"/{name}") == 200
        return Bucket(
            name=name,
            prefix=prefix,
            region="us-east-1",
            endpoint=url or self.url,
            plain_http=True,
            credentials=lend,
            patience=HURRY,
        )

    def ask(self, method: str, path: str, body: bytes | None = None) -> int:
        """What somebody with a key of their own does behind the gateway's back."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        # The service believes any signature; it wants to see one.
        signed = f"AWS4-HMAC-SHA256 Credential={KEY.key_id}/20261122/us-east-1/s3/aws4_request"
        connection.request(method, path, body=body, headers={"authorization": signed})
        status = connection.getresponse().status
        connection.close()
        return status

    def stop(self) -> None:
        """End the server's thread."""
        self._server.stop()


@dataclass
class Door:
    """Passes requests on to the service, or does to them what ``trouble`` says.

    "500", "403", "slow", "truncated" (the body ends early), "altered" (one byte differs),
    "blind" (the condition of a write is lost on the way). ``only`` limits it to one method.
    """

    service: ObjectService
    trouble: str = ""
    only: str = ""
    url: str = ""
    seen: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        size = int(asked.headers.get("content-length", 0))
        body = asked.rfile.read(size)
        self.seen.append(f"{asked.command} {asked.path}")
        signed = asked.headers.get("authorization", "")
        self.keys.add(signed.partition("Credential=")[2].partition("/")[0])
        trouble = self.trouble if self.only in ("", asked.command) else ""
        if trouble == "slow":
            time.sleep(HURRY.request + 1)
        if trouble in ("500", "403"):
            told = (
                f"<Error><Code>No</Code><AWSAccessKeyId>{KEY.key_id}</AWSAccessKeyId></Error>"
            )
            self._send(asked, int(trouble), {}, told.encode(), len(told))
            return
        headers = {k: v for k, v in asked.headers.items() if k.lower() != "connection"}
        if trouble == "blind":
            headers.pop("if-none-match", None)
        to = http.client.HTTPConnection(self.service.host, self.service.port, timeout=20)
        to.request(asked.command, asked.path, body=body, headers=headers)
        response = to.getresponse()
        content = response.read()
        told_headers = dict(response.getheaders())
        to.close()
        whole = int(told_headers.get("Content-Length", len(content)))
        if trouble == "altered" and content:
            content = bytes([content[0] ^ 1]) + content[1:]
        if trouble == "truncated":
            content = content[: len(content) // 2]
        self._send(asked, response.status, told_headers, content, whole)

    def _send(
        self,
        asked: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        content: bytes,
        size: int,
    ) -> None:
        asked.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "date", "server"):
                asked.send_header(name, value)
        asked.send_header("content-length", str(size))
        asked.send_header("connection", "close")
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(content)
        asked.close_connection = True


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that lost its patience is no news."""


@contextmanager
def door(service: ObjectService) -> Iterator[Door]:
    """A door before the service that a test may shut; closed for good afterwards."""
    made = Door(service)

    class Asked(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            made.answer(self)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    with _Threads(("127.0.0.1", 0), Asked) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
