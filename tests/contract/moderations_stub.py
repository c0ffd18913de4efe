"""A moderations service on this machine, which answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

THIRTEEN = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def result(**scores: Any) -> dict[str, Any]:
    """A result with 0.01 for every category but those given, / written as __."""
    given = {name.replace("__", "/").replace("_", "-"): value for name, value in scores.items()}
    all_scores = {**dict.fromkeys(THIRTEEN, 0.01), **given}
    return {
        "flagged": False,
        "categories": dict.fromkeys(THIRTEEN, False),
        "category_scores": all_scores,
    }


@dataclass
class Stub:
    """``answer`` turns inputs into results; ``body`` replaces the whole answer. ``statuses``
    are given to the first requests in turn; ``delay`` comes before each answer."""

    url: str = ""
    body: bytes | None = None
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    def results(self, inputs: Sequence[str]) -> list[dict[str, Any]]:
        """A text that holds "murder" is violent, everything else is harmless."""
        return [result(violence=0.97) if "murder" in text else result() for text in inputs]

    def content(self, inputs: Sequence[str]) -> bytes:
        """The body of a 200."""
        if self.body is not None:
            return self.body
        answer = {"id": "modr-1", "model": "stub-1", "results": self.results(inputs)}
        return json.dumps(answer).encode()


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """The stub, listening on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stub.asked.append({"path": self.path, **asked})
            stub.authorizations.append(self.headers["authorization"])
            time.sleep(stub.delay)
            status = stub.statuses.pop(0) if stub.statuses else 200
            content = stub.content(asked["input"]) if status == 200 else b"never mind"
            # The caller may have given up in the meantime.
            with suppress(OSError):
                self.send_response(status)
                for name, value in stub.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                step = 20 if stub.drip else len(content) or 1
                for start in range(0, len(content), step):
                    self.wfile.write(content[start : start + step])
                    time.sleep(stub.drip)

        def log_message(self, *_: Any) -> None:
            """Says nothing: the tests read what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
