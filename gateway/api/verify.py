"""Verify: anybody may ask where a file comes from. Nothing that is sent is kept."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from gateway.api.envelope import VERIFY_FAILURES, failures
from gateway.errors import InvalidRequest, RateLimited, UnreadableClip
from gateway.signed_reports import MEDIA_TYPE
from gateway.verify import Finding, Report

router = APIRouter(prefix="/v1/verify", tags=["verify"])
keys = APIRouter(tags=["verify"])

JWKS = "/.well-known/jwks.json"
TEXT = {"type": "string"}

MAX_AT_ONCE = 2
WAIT_SECONDS = 30.0
UPLOAD_SECONDS = 300.0
UPLOADS = "uploads"
COPY_BYTES = 1024 * 1024

FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "video/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


SIGNED = {"description": "The report, signed", "content": {MEDIA_TYPE: {"schema": TEXT}}}


@router.post(
    "",
    response_model=dict[str, Any],
    responses={**failures(*VERIFY_FAILURES), 200: SIGNED},
    openapi_extra=FILE_BODY,
)
async def verify_file(request: Request) -> Response | dict[str, Any]:
    """What the file's credentials, watermark and our log say. No account is needed.

    With ``Accept: application/jose`` the answer is the report as a JSON Web Signature under a
    key of ``/.well-known/jwks.json``, to be shown to others. A file that cannot be examined is
    answered 422 ``unreadable_clip`` with the finding ``could_not_check``, which says nothing
    about where it comes from.
    """
    report = await examine_upload(request)
    if report.finding is Finding.COULD_NOT_CHECK and report.unreadable is not None:
        raise UnreadableClip(report.sentence, param="file", extra=report.to_dict())
    if request.headers.get("accept", "").strip().lower() == MEDIA_TYPE:
        signed = request.app.state.gateway.report_key.sign(report)
        return Response(signed, media_type=MEDIA_TYPE)
    return report.to_dict()


@keys.get(JWKS)
def report_keys(request: Request) -> dict[str, Any]:
    """The keys that sign reports, as a JWK Set (RFC 7517)."""
    jwks: dict[str, Any] = request.app.state.gateway.report_key.jwks
    return jwks


async def examine_upload(request: Request) -> Report:
    """Examine the file in the body of a request."""
    return await examine(request, _save)


async def examine(
    request: Request, bring: Callable[[Request, Path], Awaitable[None]]
) -> Report:
    """Have a file brought to a private folder, examine it, and remove it on every path.

    Only the examination takes one of the few places: a sender who is slow holds up nobody.
    """
    gateway = request.app.state.gateway
    gate: asyncio.Semaphore = request.app.state.verifications
    folder = gateway.settings.work_dir / f"{UPLOADS}-{os.getpid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "upload"
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                await bring(request, path)
        except TimeoutError as fault:
            raise InvalidRequest("The upload took too long.", param="file") from fault
        try:
            await asyncio.wait_for(gate.acquire(), WAIT_SECONDS)
        except TimeoutError as fault:
            raise RateLimited("Too many files are being checked; try again soon.") from fault
        try:
            report: Report = await run_in_threadpool(gateway.verifier.verify, path)
            gateway.telemetry.file_verified(str(report.finding))
            return report
        finally:
            gate.release()


def remove_abandoned_uploads(work_dir: Path) -> None:
    """Remove the uploads of server processes that no longer exist: nothing is kept."""
    for folder in work_dir.glob(f"{UPLOADS}-*"):
        pid = folder.name.rpartition("-")[2]
        if not (pid.isdigit() and Path("/proc", pid).exists() and int(pid) != os.getpid()):
            shutil.rmtree(folder, ignore_errors=True)


async def _save(request: Request, path: Path) -> None:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    size = 0
    if kind.startswith("video/") or kind == "application/octet-stream":
        with path.open("wb") as out:
            async for block in request.stream():
                size += out.write(block)
    elif kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=4) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise InvalidRequest("Send the video as the form field 'file'.", param="file")
            with path.open("wb") as out:
                while block := await upload.read(COPY_BYTES):
                    size += out.write(block)
    else:
        raise InvalidRequest("Send multipart/form-data with a 'file', or the video itself.")
    if size == 0:
        raise InvalidRequest("The file is empty.", param="file")
