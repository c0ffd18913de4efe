"""The server: the HTTP service over an instance, API and pages together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.concurrency import contextmanager_in_threadpool

from gateway.api import (
    moderations,
    provenance_checks,
    public_log,
    remix,
    service,
    soft_binding,
    verify,
    videos,
)
from gateway.api.addresses import AddressRates
from gateway.api.envelope import install_error_handlers, responder
from gateway.api.guard import Guard
from gateway.api.open_door import OpenDoor
from gateway.api.traffic import Traffic
from gateway.app import Gateway
from gateway.doctor import probes
from gateway.readiness import Readiness
from gateway.references import References
from gateway.web import pages

UPLOAD_PATHS = ("/v1/verify", "/verify", provenance_checks.PATH, soft_binding.BY_CONTENT)
FORM_OVERHEAD_BYTES = 65_536
READINESS_THREADS = 4


def create_app(gateway: Gateway, *, worker: bool = True) -> FastAPI:
    """The HTTP service over an instance: API and pages, with a worker unless told not to."""
    limits = gateway.settings.limits

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # In a thread: the parts block, and the job engine refuses to start on an event loop.
        async with contextmanager_in_threadpool(gateway.running(worker=worker)):
            verify.remove_abandoned_uploads(gateway.settings.work_dir)
            app.state.gateway = gateway
            app.state.readiness = Readiness(probes(gateway))
            app.state.readiness_threads = CapacityLimiter(READINESS_THREADS)
            app.state.address_rates = AddressRates(
                per_minute=limits.public_per_minute, burst=limits.public_burst
            )
            app.state.references = References(max_bytes=limits.max_upload_bytes)
            app.state.reference_threads = CapacityLimiter(verify.MAX_AT_ONCE)
            app.state.verifications = asyncio.Semaphore(verify.MAX_AT_ONCE)
            yield

    app = FastAPI(
        title="Cinegate",
        summary="A gateway that moderates, marks, signs and logs AI-made video",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for module in (
        videos,
        remix,
        moderations,
        verify,
        provenance_checks,
        soft_binding,
        service,
    ):
        app.include_router(module.router)
    app.include_router(verify.keys)
    app.include_router(public_log.router)
    pages.install(app)
    respond = responder(
        lambda request, error: (
            soft_binding.error_answer(request, error) or pages.error_page(request, error)
        )
    )
    install_error_handlers(app, respond)
    app.add_middleware(
        Guard,
        respond=respond,
        limit=lambda path: (
            limits.max_upload_bytes + FORM_OVERHEAD_BYTES
            if path in UPLOAD_PATHS
            else limits.max_body_bytes
        ),
    )
    app.add_middleware(
        OpenDoor, public=lambda path: soft_binding.is_public(path) or public_log.is_public(path)
    )
    app.add_middleware(Traffic, observer=gateway.telemetry, tracing=gateway.tracing)
    return app
