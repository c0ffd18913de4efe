"""Remixes: a released clip asked for again with a change; and the doors that stay shut."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import Creator, IdempotencyKey
from gateway.api.body import read_body
from gateway.api.envelope import LOOKUP_FAILURES, SUBMIT_FAILURES, failures
from gateway.api.videos import VideoObject, as_object
from gateway.errors import Conflict, InvalidRequest, NotFound

router = APIRouter(prefix="/v1/videos", tags=["videos"])

TEXT_ONLY = (
    "The models here make clips from text only: they take no video and no character."
    " Create a video, or remix one of yours."
)


class RemixCreate(BaseModel):
    """The body of a remix request."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(description="What changes")


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": RemixCreate.model_json_schema()}},
    }
}


@router.post(
    "/{video_id}/remix",
    response_model=VideoObject,
    responses=failures(*SUBMIT_FAILURES, NotFound, Conflict),
    openapi_extra=_BODY,
)
async def remix_video(
    caller: Creator, request: Request, video_id: str, idempotency_key: IdempotencyKey = None
) -> VideoObject:
    """Ask for a released clip of yours again with a change.

    A new clip is made from the text of the old one and the change; both are judged together.
    """
    body = await read_body(request, RemixCreate)
    clips = request.app.state.gateway.clips
    row = await run_in_threadpool(
        clips.remix, caller, video_id, body.prompt, idempotency_key=idempotency_key
    )
    return as_object(row)


@router.post("/edits", response_model=None, responses=failures(*SUBMIT_FAILURES))
def edit_video(caller: Creator) -> NoReturn:
    """Not offered: no model here takes a video."""
    del caller
    raise InvalidRequest(TEXT_ONLY, param="video")


@router.post("/extensions", response_model=None, responses=failures(*SUBMIT_FAILURES))
def extend_video(caller: Creator) -> NoReturn:
    """Not offered: no model here takes a video."""
    del caller
    raise InvalidRequest(TEXT_ONLY, param="video")


@router.post("/characters", response_model=None, responses=failures(*SUBMIT_FAILURES))
def create_character(caller: Creator) -> NoReturn:
    """Not offered: no model here takes a character."""
    del caller
    raise InvalidRequest(TEXT_ONLY, param="video")


@router.get(
    "/characters/{character_id}", response_model=None, responses=failures(*LOOKUP_FAILURES)
)
def get_character(caller: Creator, character_id: str) -> NoReturn:
    """There are no characters here."""
    del caller, character_id
    raise NotFound("There is no such character.", param="character_id")
