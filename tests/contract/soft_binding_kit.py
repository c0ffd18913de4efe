"""What the tests of the Soft Binding Resolution API share: a server on a studio."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fastapi.testclient import TestClient

from gateway.registry import SqlRegistry
from gateway.seams import UNOBSERVED
from gateway.server import create_app
from gateway.settings import Limits, Settings, SoftBindingApi
from gateway.soft_bindings import SoftBindings
from gateway.tracing import Tracing
from tests.contract.provenance_kit import ALGORITHM
from tests.contract.studio_kit import Studio

LIMITS = {"public_burst": 10_000, "public_per_minute": 60_000, "max_upload_bytes": 300_000}


class Door:
    """What the routes of this API ask of a gateway."""

    def __init__(self, studio: Studio, *, by_reference: bool = False, **limits: Any) -> None:
        self.settings = Settings(
            data_dir=studio.shop.folder,
            limits=Limits(**{**LIMITS, **limits}),
            soft_binding=SoftBindingApi(by_reference=by_reference),
        )
        self.telemetry = UNOBSERVED
        self.tracing = Tracing()
        self.verifier = studio.verifier
        self.soft_bindings = SoftBindings(
            algorithm=ALGORITHM,
            registry=SqlRegistry(studio.room.database),
            log=studio.room.log,
            looks=studio.looks,
            released=studio.shelf,
        )

    @contextlib.contextmanager
    def running(self, *, worker: bool) -> Iterator[Door]:
        del worker
        yield self


@contextlib.contextmanager
def opened(door: Door) -> Iterator[TestClient]:
    app = create_app(door, worker=False)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
