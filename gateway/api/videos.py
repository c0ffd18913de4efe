"""Videos: create, look up, list, fetch, delete, in the shape that OpenAI clients speak."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.api.access import Creator, IdempotencyKey
from gateway.api.body import read_body
from gateway.api.envelope import (
    DELETE_FAILURES,
    FETCH_FAILURES,
    LOOKUP_FAILURES,
    SUBMIT_FAILURES,
    failures,
)
from gateway.clips import DEFAULT_PAGE, MAX_PAGE
from gateway.errors import Conflict, InvalidRequest, Withdrawn
from gateway.tables import Video
from gateway.wish import Wish
from gateway.withdrawal import why_withdrawn

router = APIRouter(prefix="/v1/videos", tags=["videos"])

POLL_AFTER_MS = "1000"
STATUS = {
    "queued": "queued",
    "in_progress": "in_progress",
    "held": "in_progress",
    "refused": "failed",
    "failed": "failed",
    "released": "completed",
    "withdrawn": "failed",
}
# RFC 9110 §14.1.2, up to eight ranges; an absent header is the empty text.
RANGES = re.compile(r"(bytes=(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+)){0,7})?", re.ASCII)
# RFC 9110 §8.8.3; a weak tag compares like a strong one in If-None-Match (§13.1.2).
KNOWN_TAGS = re.compile(r'"[^"]*"')
MEDIA_TYPES = {"video": "video/mp4", "thumbnail": "image/jpeg"}


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a whole number")
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        raise ValueError("must be a whole number")
    return value


# A form sends digits as text; true and 4.0 are no lengths.
WholeNumber = Annotated[int, BeforeValidator(_whole)]


class VideoCreate(BaseModel):
    """The body of a create request, as JSON or as form fields."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(description="What the clip shows")
    negative_prompt: str = Field(default="", description="What the clip must not show")
    title: str = Field(default="", description="What you call the clip; judged, not drawn")
    project: str | None = Field(
        default=None, description="Whose records of consent and licence apply"
    )
    rewrite_of: str | None = Field(
        default=None, description="Reference of a refusal whose offered wording this is"
    )
    model: str | None = Field(default=None, description="See GET /v1/models")
    seconds: WholeNumber | None = Field(
        default=None, description='Length; "4" and 4 are both fine'
    )
    size: str | None = Field(default=None, description="WxH in pixels, see the model's card")
    seed: WholeNumber | None = Field(default=None, description="Same seed, same clip")


class GatewayInfo(BaseModel):
    """What the OpenAI shape has no field for."""

    state: str = Field(
        description="queued, in_progress, held, refused, failed, released or withdrawn"
    )
    stage: str = Field(description="The stage under way or the last that ran")
    seed: int
    negative_prompt: str
    title: str
    project: str | None
    rewrite_of: str | None
    review: dict[str, str] | None = Field(description="Set while a person must decide")
    clip_id: str | None = Field(description="The watermark's payload, once released")


class VideoObject(BaseModel):
    """A video job."""

    id: str
    object: Literal["video"] = "video"
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    model: str
    progress: int
    prompt: str
    remixed_from_video_id: str | None = None
    seconds: str
    size: str
    status: str
    error: dict[str, Any] | None
    gateway: GatewayInfo


class VideoList(BaseModel):
    """A page of videos; the next page is ``after=last_id``."""

    object: Literal["list"] = "list"
    data: list[VideoObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(BaseModel):
    """What a delete answers."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": VideoCreate.model_json_schema()}
            for kind in ("application/json", "multipart/form-data")
        },
    }
}


@router.post(
    "",
    response_model=VideoObject,
    responses=failures(*SUBMIT_FAILURES, Conflict),
    openapi_extra=_BODY,
)
async def create_video(
    caller: Creator, request: Request, idempotency_key: IdempotencyKey = None
) -> VideoObject:
    """Ask for a clip. A refused prompt is answered 400 with code ``moderation_blocked``."""
    body = await read_body(request, VideoCreate)
    wish = Wish(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        title=body.title,
        project=body.project,
        rewrite_of=body.rewrite_of,
        model=body.model,
        seconds=body.seconds,
        size=body.size,
        seed=body.seed,
        idempotency_key=idempotency_key,
    )
    row = await run_in_threadpool(request.app.state.gateway.clips.submit, caller, wish)
    return as_object(row)


@router.get("", response_model=VideoList, responses=failures(*LOOKUP_FAILURES))
def list_videos(
    caller: Creator,
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    order: Literal["asc", "desc"] = "desc",
) -> VideoList:
    """Your clips, newest first unless ``order=asc``."""
    rows, more = request.app.state.gateway.clips.page(
        caller, after=after, limit=limit, ascending=order == "asc"
    )
    return VideoList(
        data=[as_object(row) for row in rows],
        first_id=rows[0].id if rows else None,
        last_id=rows[-1].id if rows else None,
        has_more=more,
    )


@router.get("/{video_id}", response_model=VideoObject, responses=failures(*LOOKUP_FAILURES))
def get_video(caller: Creator, request: Request, video_id: str) -> JSONResponse:
    """One clip's state."""
    row = request.app.state.gateway.clips.get(caller, video_id)
    return JSONResponse(
        as_object(row).model_dump(), headers={"openai-poll-after-ms": POLL_AFTER_MS}
    )


@router.delete("/{video_id}", response_model=VideoDeleted, responses=failures(*DELETE_FAILURES))
def delete_video(caller: Creator, request: Request, video_id: str) -> VideoDeleted:
    """Delete a clip, or stop it while it is being made."""
    request.app.state.gateway.clips.delete(caller, video_id)
    return VideoDeleted(id=video_id)


@router.head("/{video_id}/content", include_in_schema=False)
@router.get(
    "/{video_id}/content",
    response_class=FileResponse,
    responses={
        200: {"content": {"video/mp4": {}, "image/jpeg": {}}, "description": "The bytes"},
        206: {"description": "A range of the bytes"},
        304: {"description": "The bytes are those that the If-None-Match header names"},
        416: {"description": "The range is outside the file"},
        **failures(*FETCH_FAILURES),
    },
)
def get_content(
    caller: Creator,
    request: Request,
    video_id: str,
    variant: Literal["video", "thumbnail"] = "video",
) -> Response:
    """The released file, or a still. Answers byte ranges; the tag is the file's SHA-256."""
    gateway = request.app.state.gateway
    if not RANGES.fullmatch(request.headers.get("range", "")):
        raise InvalidRequest("The Range header is not bytes=FIRST-LAST.", param="range")
    ref = gateway.clips.content(caller, video_id, variant=variant)
    headers = {"cache-control": "private, no-store", "etag": f'"{ref.sha256}"'}
    if headers["etag"] in KNOWN_TAGS.findall(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return FileResponse(
        gateway.released.local_path(ref),
        media_type=MEDIA_TYPES[variant],
        filename=f"{video_id}.{ref.suffix}",
        headers=headers,
    )


def as_object(row: Video) -> VideoObject:
    """A row in the shape that clients read."""
    refusal = row.refusal if row.state in ("refused", "failed") else None
    if row.withdrawn is not None:
        refusal = {"code": Withdrawn.code, "message": why_withdrawn(row.withdrawn)}
    state = row.state if row.withdrawn is None else "withdrawn"
    return VideoObject(
        id=row.id,
        created_at=int(row.created_at.timestamp()),
        completed_at=int(row.completed_at.timestamp()) if row.completed_at else None,
        model=row.model,
        progress=row.progress,
        prompt=row.prompt,
        remixed_from_video_id=row.remixed_from,
        seconds=str(row.seconds),
        size=f"{row.width}x{row.height}",
        status=STATUS[state],
        error=refusal,
        gateway=GatewayInfo(
            state=state,
            stage=row.stage,
            seed=row.seed,
            negative_prompt=row.negative_prompt,
            title=row.title,
            project=row.project,
            rewrite_of=row.rewrite_of,
            review={"state": "pending"} if row.state == "held" else None,
            clip_id=row.clip_id if row.state == "released" else None,
        ),
    )
