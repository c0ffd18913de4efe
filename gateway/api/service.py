"""The service itself: its models, whether it lives, whether it can say yes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.api.access import Creator
from gateway.api.envelope import CALLER_FAILURES, failures
from generator.cards import ModelCard

router = APIRouter(tags=["service"])


@router.get("/v1/models", responses=failures(*CALLER_FAILURES))
def list_models(caller: Creator, request: Request) -> dict[str, Any]:
    """The models that may be asked for, each with its card."""
    del caller
    cards = request.app.state.gateway.cards
    return {
        "object": "list",
        "data": [
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "cinegate" if card.demonstration else "operator",
                "card": card_as_dict(card),
            }
            for name, card in sorted(cards.items())
        ],
    }


def card_as_dict(card: ModelCard) -> dict[str, Any]:
    """Everything a card says, sizes as ``WxH`` and weights as file → SHA-256."""
    plain = asdict(card)
    del plain["sampling"]
    return plain | {
        "sizes": [str(size) for size in card.sizes],
        "weights": {entry.file: entry.sha256 for entry in card.weights},
    }


@router.get("/healthz")
async def health() -> dict[str, str]:
    """The process answers. Says nothing about its parts."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "A part is not ready"}})
async def ready(request: Request) -> JSONResponse:
    """Whether every part that must say yes is able to; answers in seconds, whatever hangs.

    ``degraded``: a part is away without which this service still answers, and must not be
    taken out of rotation.
    """
    state = request.app.state
    # Not with the threads of other requests: a database that hangs keeps all of those.
    checks = await to_thread.run_sync(state.readiness, limiter=state.readiness_threads)
    ok = all(check.ok for check in checks if check.needed)
    body = {
        "status": "ready" if ok else "not_ready",
        "degraded": not all(check.ok for check in checks),
        "checks": {check.part: "ok" if check.ok else check.problem for check in checks},
    }
    return JSONResponse(body, status_code=200 if ok else 503)
