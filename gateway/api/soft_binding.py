"""The C2PA Soft Binding Resolution API 2.4: from a mark or a look to a manifest, for anybody.

It answers with the specification's shapes, errors included, and serves no route that writes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.addresses import spend
from gateway.api.body import read_body
from gateway.api.verify import examine, examine_upload
from gateway.errors import Error, InvalidRequest, NotPermitted
from gateway.provenance.manifest import SPEC_VERSION
from gateway.references import NotFetched
from gateway.soft_bindings import MAX_RESULTS, MAX_VALUE_CHARS, Found, UnsupportedAsset

PREFIX = "/c2pa/v1"
WELL_KNOWN = "/.well-known/c2pa-soft-binding-resolution"
BY_CONTENT = f"{PREFIX}/matches/byContent"
CAPABILITIES = ("queryByBinding", "queryByContent", "fetchManifests")
BY_REFERENCE = "queryByReference"
DEFAULT_RESULTS = 10
MAX_ALGORITHM_CHARS = 300
VIDEOS_ONLY = "Send a video: our marks are in moving pictures."
MANIFEST_TYPE = "application/c2pa"

_ERROR = {
    "description": "What is wrong, as a sentence",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": {"type": "string"}}}
        }
    },
}


def _failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return dict.fromkeys(sorted({*statuses, 413, 429, 500}), _ERROR)


router = APIRouter(tags=["soft binding resolution"], dependencies=[Depends(spend)])

MaxResults = Annotated[int, Query(alias="maxResults", ge=1)]
Name = Annotated[str, Query(max_length=MAX_ALGORITHM_CHARS)]
OptionalName = Annotated[str | None, Query(max_length=MAX_ALGORITHM_CHARS)]
HintName = Annotated[str | None, Query(alias="hintAlg", max_length=MAX_ALGORITHM_CHARS)]
HintValue = Annotated[str | None, Query(alias="hintValue", max_length=MAX_VALUE_CHARS)]


class _TooLongToAsk(InvalidRequest):
    status = 414


class _Reference(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    referenceUrl: str
    assetLength: int = Field(ge=1)
    assetType: str | None = None
    region: list[Any] = Field(default_factory=list)


class _Binding(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    alg: str
    value: str


@router.get(f"{PREFIX}/matches/byBinding", responses=_failures(400, 414))
def by_binding(
    request: Request, alg: Name, value: str, max_results: MaxResults = DEFAULT_RESULTS
) -> dict[str, Any]:
    """The manifests that a watermark's or a fingerprint's value (base64) leads to."""
    if len(value) > MAX_VALUE_CHARS:
        raise _TooLongToAsk("The value is too long for an address; send it in a body.")
    found = request.app.state.gateway.soft_bindings.by_value(alg, value)
    return _matches(found, max_results)


@router.post(f"{PREFIX}/matches/byBinding", responses=_failures(400))
async def by_long_binding(
    request: Request, max_results: MaxResults = DEFAULT_RESULTS
) -> dict[str, Any]:
    """The same, for a value that is too long for an address."""
    asked = await read_body(request, _Binding)
    resolve = request.app.state.gateway.soft_bindings.by_value
    found = await to_thread.run_sync(resolve, asked.alg, asked.value)
    return _matches(found, max_results)


@router.post(BY_CONTENT, responses=_failures(400, 415))
async def by_content(
    request: Request,
    alg: OptionalName = None,
    hint_alg: HintName = None,
    hint_value: HintValue = None,
    max_results: MaxResults = DEFAULT_RESULTS,
) -> dict[str, Any]:
    """The manifests that a video leads to: by its mark, its look, or else by the hint.

    The file is examined as ``/v1/verify`` does, and not kept.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.startswith("video/") and kind != "application/octet-stream":
        raise UnsupportedAsset(VIDEOS_ONLY)
    resolver = request.app.state.gateway.soft_bindings
    resolver.demand_sound(alg, hint_alg, hint_value)
    report = await examine_upload(request)
    found = await to_thread.run_sync(resolver.by_report, report, alg, hint_alg, hint_value)
    return _matches(found, max_results)


@router.post(f"{PREFIX}/matches/byReference", responses=_failures(400, 403, 502))
async def by_reference(
    request: Request,
    alg: OptionalName = None,
    hint_alg: HintName = None,
    hint_value: HintValue = None,
    max_results: MaxResults = DEFAULT_RESULTS,
) -> dict[str, Any]:
    """The same for a video at a public https address, if this instance fetches any."""
    state = request.app.state
    if not state.gateway.settings.soft_binding.by_reference:
        raise NotPermitted("This service does not fetch files from addresses.")
    asked = await read_body(request, _Reference)
    if not (asked.assetType or "video/").startswith("video/"):
        raise InvalidRequest(VIDEOS_ONLY, param="assetType")
    if asked.region:
        raise InvalidRequest("This service looks at whole files.", param="region")
    resolver = state.gateway.soft_bindings
    resolver.demand_sound(alg, hint_alg, hint_value)

    async def bring(_: Request, path: Path) -> None:
        fetch = state.references.fetch
        act = partial(fetch, asked.referenceUrl, path, length=asked.assetLength)
        await to_thread.run_sync(act, limiter=state.reference_threads)

    report = await examine(request, bring)
    found = await to_thread.run_sync(resolver.by_report, report, alg, hint_alg, hint_value)
    return _matches(found, max_results)


@router.get(
    f"{PREFIX}/manifests/{{manifest_id}}",
    response_class=Response,
    responses={**_failures(404), 200: {"content": {MANIFEST_TYPE: {}}}},
)
def fetch_manifest(request: Request, manifest_id: str) -> Response:
    """The manifest store of a released clip; a file that lost its own is told by it again."""
    store = request.app.state.gateway.soft_bindings.manifest(manifest_id)
    return Response(store, media_type=MANIFEST_TYPE)


@router.get(f"{PREFIX}/services/supportedAlgorithms", responses=_failures())
def supported_algorithms(request: Request) -> dict[str, Any]:
    """The names of our watermark and of our fingerprint."""
    known = request.app.state.gateway.soft_bindings
    return {
        "watermarks": [{"alg": known.watermark}],
        "fingerprints": [{"alg": known.fingerprint}],
    }


@router.get(f"{PREFIX}/services/capabilities", responses=_failures())
def capabilities(request: Request) -> dict[str, Any]:
    """What may be asked here."""
    fetches = request.app.state.gateway.settings.soft_binding.by_reference
    return {
        "c2paSpecificationVersion": SPEC_VERSION,
        "supportedCapabilities": [*CAPABILITIES, *([BY_REFERENCE] if fetches else [])],
    }


@router.get(f"{PREFIX}/services/status", responses=_failures())
async def status(request: Request) -> dict[str, Any]:
    """Whether the parts that are needed answer."""
    state = request.app.state
    checks = await to_thread.run_sync(state.readiness, limiter=state.readiness_threads)
    lasting = "ok" if all(check.ok for check in checks) else "degraded"
    up = all(check.ok for check in checks if check.needed)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"status": lasting if up else "down", "timestamp": now.replace("+00:00", "Z")}


@router.get(WELL_KNOWN, responses=_failures())
def well_known(request: Request) -> dict[str, Any]:
    """Where this service is, by the address under which clips are verified."""
    base = request.app.state.gateway.settings.provenance.detector_url
    return {
        "apiEndpoint": urljoin(base, PREFIX),
        "c2paSpecificationVersion": SPEC_VERSION,
        "capabilitiesEndpoint": urljoin(base, f"{PREFIX}/services/capabilities"),
        "statusEndpoint": urljoin(base, f"{PREFIX}/services/status"),
    }


def is_public(path: str) -> bool:
    """Whether a path belongs to this API."""
    return path == WELL_KNOWN or path.startswith(f"{PREFIX}/")


def error_answer(request: Request, error: Error) -> Response | None:
    """An error in the shape of the specification, for the routes of this API."""
    if not is_public(request.url.path):
        return None
    # The specification knows one answer for what is our fault, and one for a file elsewhere.
    code = error.status if error.status < 500 or isinstance(error, NotFetched) else 500
    return JSONResponse({"error": error.message}, status_code=code, headers=error.headers)


def _matches(found: tuple[Found, ...], most: int) -> dict[str, Any]:
    return {
        "matches": [
            {"manifestId": one.manifest_id}
            if one.similarity is None
            else {
                "manifestId": one.manifest_id,
                "similarityScore": round(100 * min(1.0, one.similarity)),
            }
            for one in found[: min(most, MAX_RESULTS)]
        ]
    }
