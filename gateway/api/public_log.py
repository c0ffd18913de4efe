"""The public log: its newest checkpoint and the hashes of its tree, for anybody.

The layout is that of c2sp.org/tlog-tiles below ``/log``, so that any monitor or witness can
follow the log and prove that it only ever grew. Entries are not served: what is in one is told
by a receipt, to whom it concerns.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response

from gateway.api.addresses import spend
from gateway.api.envelope import failures
from gateway.audit.books import Books
from gateway.audit.folder import CHECKPOINT, VERIFIER_KEY, number_path
from gateway.audit.merkle import HASH_BYTES, TILE_WIDTH
from gateway.errors import NotFound, RateLimited

PREFIX = "/log"
MAX_LEVEL = 7  # 256⁸ entries
MAX_PATH_CHARS = 60
_PATH = re.compile(r"((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
# A tile that is named by its width never changes.
FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
FRESH = {"cache-control": "no-cache"}
PUBLIC_FAILURES = failures(NotFound, RateLimited)

router = APIRouter(prefix=PREFIX, tags=["public log"], dependencies=[Depends(spend)])


def _answers(media_type: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` of a route that does not answer JSON."""
    content = {media_type: {"schema": {"type": "string"}}}
    good = {"description": "As the specification has it", "content": content}
    return {**PUBLIC_FAILURES, 200: good}


@router.get(
    f"/{CHECKPOINT}",
    responses=_answers("text/plain"),
)
def checkpoint(request: Request) -> PlainTextResponse:
    """The newest signed head (c2sp.org/tlog-checkpoint)."""
    head = request.app.state.gateway.log.checkpoint()
    if head is None:
        raise NotFound("The log has no checkpoint yet.")
    return PlainTextResponse(head.note, headers=FRESH)


@router.get(
    f"/{VERIFIER_KEY}",
    responses=_answers("text/plain"),
)
def verifier_key(request: Request) -> PlainTextResponse:
    """The keys that sign the log, one a line, the newest first. Get yours elsewhere too."""
    keys = request.app.state.gateway.checkpoint_key.verifier.keys
    return PlainTextResponse("".join(f"{key.text}\n" for key in keys), headers=FRESH)


@router.get(
    "/tile/{level}/{path:path}",
    responses=_answers("application/octet-stream"),
)
def tile(request: Request, level: str, path: str) -> Response:
    """A tile of hashes, or the first so many of one that is not full."""
    place = _place(level, path)
    if place is None:
        raise NotFound("There is no such tile.")
    depth, index, width = place
    with request.app.state.gateway.database.read() as session:
        hashes = Books(session).tile(depth, index, width)[: width * HASH_BYTES]
    if len(hashes) != width * HASH_BYTES:
        raise NotFound("There is no such tile.")
    return Response(hashes, media_type="application/octet-stream", headers=FOR_EVER)


def _place(level: str, path: str) -> tuple[int, int, int] | None:
    """Level, index and width, of the one spelling that each tile has."""
    found = _PATH.fullmatch(path) if len(path) <= MAX_PATH_CHARS else None
    if found is None or not re.fullmatch(r"[0-9]", level, re.ASCII) or int(level) > MAX_LEVEL:
        return None
    index = int(found[1].replace("/", "").replace("x", ""))
    width = int(found[2] or TILE_WIDTH)
    if width > TILE_WIDTH or index >= 2**62 or number_path(index, width) != path:
        return None
    return int(level), index, width


def is_public(path: str) -> bool:
    """Whether a path belongs to this API."""
    return path.startswith(f"{PREFIX}/")
