"""The moderator that asks an OpenAI-compatible moderations service.

Every prompt is sent to that service, with each of its normal forms where it looks disguised:
it is used only where an operator configured it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safety.adapters.faults import ServiceFailed
from safety.adapters.label_map import STOP_FLOOR, LabelMap
from safety.adapters.readings import TOO_LONG_NOTE, pieces, readings
from safety.moderation import PromptScores
from safety.verdict import Category

if TYPE_CHECKING:
    import httpx

MAX_INPUTS = 32
MAX_INPUT_CHARS = 4_000
OVERLAP_CHARS = 200
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_TRIES = 3
PAUSE_SECONDS = 0.25
MAX_KEY_BYTES = 4096
RETRIED = frozenset({429, 500, 502, 503, 504})

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class ServiceKey:
    """Where the key of the service lies: a file or an environment variable; none if neither.

    It is read anew for every call, so that it can be changed; it is never kept, shown or
    logged.
    """

    file: Path | None = None
    variable: str | None = None

    def read(self) -> str | None:
        """The key; raises ServiceFailed when it is named but cannot be used."""
        if self.file is not None:
            try:
                content = self.file.read_bytes()
            except OSError:
                raise ServiceFailed("The key file of the service cannot be read.") from None
            if len(content) > MAX_KEY_BYTES:
                raise ServiceFailed("The key file of the service is too large.")
            key = content.decode("latin-1").strip()
        elif self.variable is not None:
            key = os.environ.get(self.variable, "").strip()
        else:
            return None
        if not key or not all(33 <= ord(char) <= 126 for char in key):
            raise ServiceFailed("The key of the service is missing or is no key.")
        return key


@dataclass(frozen=True, kw_only=True)
class ModerationsService:
    """Scores prompts by POST ``{url}/moderations``; ``labels`` says what its categories mean.

    ``url`` is https, or http to this machine, or anything when ``plain_http`` says so. One
    call takes at most ``timeout`` seconds, all tries together. Redirects and proxy variables
    are not followed: prompts go to that address only. Raises ServiceFailed when the service
    does not answer, answers for another number of texts, leaves out a mapped category, or
    gives a number that is not in 0..1; a category that it flags counts at least STOP_FLOOR.
    """

    url: str
    model: str
    key: ServiceKey = field(default_factory=ServiceKey)
    labels: LabelMap = field(default_factory=lambda: LabelMap.builtin("openai"))
    timeout: float = 10.0
    plain_http: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        local = parts.scheme == "http" and (parts.hostname in _LOOPBACK or self.plain_http)
        if not parts.hostname or not (parts.scheme == "https" or local):
            raise ServiceFailed("The address of the service is not https.")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ServiceFailed("The address of the service holds more than host and path.")

    @property
    def name(self) -> str:
        """The host, the model asked for, and the digest of the label map."""
        return f"{urlsplit(self.url).hostname}@{self.model}+{self.labels.digest}"

    @property
    def promises(self) -> frozenset[Category]:
        return self.labels.categories

    def score(self, prompts: Sequence[str]) -> Sequence[PromptScores]:
        plans = [
            [
                p
                for reading in readings(prompt)
                for p in pieces(reading, MAX_INPUT_CHARS, OVERLAP_CHARS)
            ]
            for prompt in prompts
        ]
        # A blank text tells nothing, and services refuse it.
        texts = list(dict.fromkeys(text for plan in plans for text in plan if text.strip()))
        table = self._judged(texts) if texts else {}
        return [self._answer(plan, table) for plan in plans]

    def _answer(
        self, plan: Sequence[str], table: Mapping[str, dict[Category, float]]
    ) -> PromptScores:
        if not plan:
            return PromptScores(scores={}, notes=(TOO_LONG_NOTE,))
        clean = dict.fromkeys(self.labels.categories, 0.0)
        rows = [table[text] if text.strip() else clean for text in plan]
        return PromptScores(
            scores={c: max(row[c] for row in rows) for c in self.labels.categories}
        )

    # --- asking -----------------------------------------------------------------------

    def _judged(self, texts: Sequence[str]) -> dict[str, dict[Category, float]]:
        import httpx

        key = self.key.read()
        deadline = time.monotonic() + self.timeout
        table: dict[str, dict[Category, float]] = {}
        with httpx.Client(trust_env=False, follow_redirects=False) as client:
            for start in range(0, len(texts), MAX_INPUTS):
                batch = texts[start : start + MAX_INPUTS]
                request = client.build_request(
                    "POST",
                    f"{self.url.rstrip('/')}/moderations",
                    json={"model": self.model, "input": batch},
                    headers={} if key is None else {"authorization": f"Bearer {key}"},
                )
                content = _fetched(client, request, deadline)
                table.update(zip(batch, self._read(content, len(batch)), strict=True))
        return table

    # --- reading ----------------------------------------------------------------------

    def _read(self, content: bytes, count: int) -> list[dict[Category, float]]:
        try:
            answer = _Answer.model_validate_json(content)
        except ValidationError:
            # Not chained: the answer may repeat the prompt.
            raise ServiceFailed("The service gave an answer of another shape.") from None
        if len(answer.results) != count:
            raise ServiceFailed("The service judged another number of texts than it was given.")
        return [self._row(result) for result in answer.results]

    def _row(self, result: _Result) -> dict[Category, float]:
        row = dict.fromkeys(self.labels.categories, 0.0)
        for label, target in self.labels.targets.items():
            score = result.category_scores.get(label)
            if score is None or not (math.isfinite(score) and 0.0 <= score <= 1.0):
                raise ServiceFailed(
                    "The service left out a category, or its score is no score."
                )
            if result.categories is not None and result.categories.get(label, False):
                score = max(score, STOP_FLOOR)
            for category in target.categories:
                row[category] = max(row[category], score)
        return row


def _fetched(client: httpx.Client, request: httpx.Request, deadline: float) -> bytes:
    """The body of a 200; tries again on connection faults, 429 and 5xx while time is left."""
    import httpx

    problem = "The service did not answer in time."
    for attempt in range(MAX_TRIES):
        pause = PAUSE_SECONDS * attempt
        left = deadline - time.monotonic() - pause
        if left <= 0:
            break
        time.sleep(pause)
        request.extensions["timeout"] = httpx.Timeout(left).as_dict()
        try:
            response = client.send(request, stream=True)
            try:
                if response.status_code == httpx.codes.OK:
                    return _body(response, deadline)
                problem = f"The service answered with status {response.status_code}."
                if response.status_code not in RETRIED:
                    break
            finally:
                response.close()
        except httpx.ConnectError:
            problem = "The service cannot be reached."
        except (httpx.HTTPError, httpx.InvalidURL):
            problem = "The service did not answer in time, or broke off."
            break
    # Not chained: the client's errors hold the request with its key.
    raise ServiceFailed(problem) from None


def _body(response: httpx.Response, deadline: float) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise ServiceFailed("The answer of the service is too large.")
        if time.monotonic() > deadline:
            raise ServiceFailed("The service did not answer in time.")
    return bytes(content)


_Number = Annotated[float, Field(strict=True)]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)

    category_scores: dict[str, _Number | None]
    categories: dict[str, Annotated[bool, Field(strict=True)] | None] | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)

    results: list[_Result]
