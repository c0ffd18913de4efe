"""Commands that run or inspect the instance: migrate, serve, work, doctor."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from typing import Annotated, Any

import typer

from gateway.app import Gateway
from gateway.cli.common import (
    AsJson,
    DataDir,
    Exit,
    errors_as_exits,
    gateway_for,
    opened,
    out,
    print_json,
    tell,
)
from gateway.doctor import moderators, readiness, weights
from gateway.jobs import Share
from gateway.settings import Metrics

WAKE_SECONDS = 0.5

MetricsPort = Annotated[
    int | None,
    typer.Option(
        help="Port for Prometheus; 0: none.",
        min=0,
        max=65535,
        show_default="[metrics] of the settings",
    ),
]


def migrate(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Create the database, or bring it to this release. Safe to repeat."""
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        gateway.make_folder()
        revision = gateway.migrate()
        gateway.close()
    tell({"revision": revision}, f"The database is at {revision}.", as_json=as_json)


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on.", min=1, max=65535)
    ] = None,
    worker: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option(help="Also make clips in this process.")
    ] = True,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
) -> None:
    """Run the API, the pages and one worker in this process."""
    import uvicorn

    from gateway.server import create_app

    with errors_as_exits(as_json=False):
        gateway = _watched(gateway_for(context, data_dir), metrics_port)
        gateway.prepare()
        settings = gateway.settings
        address, number = host or settings.host, port or settings.port
        shown = f"[{address}]" if ":" in address else address
        out.print(f"Cinegate listens on http://{shown}:{number}", markup=False)
        out.print(f"everything is kept in {settings.data_dir.resolve()}", markup=False)
        uvicorn.run(
            create_app(gateway, worker=worker),
            host=address,
            port=number,
            log_level="warning",
            access_log=False,
            server_header=False,
        )


def work(
    context: typer.Context,
    share: Annotated[
        Share,
        typer.Option(
            "--only",
            help="all of a clip; 'model': what needs the model; 'gates': what comes after.",
        ),
    ] = Share.ALL,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
) -> None:
    """Run a worker alone; stop it with Ctrl-C or SIGTERM."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    with errors_as_exits(as_json=False):
        gateway = _watched(gateway_for(context, data_dir), metrics_port)
        with gateway.running(worker=True, share=share):
            out.print("The worker waits for clips.")
            # In short waits: a signal that another thread took wakes nobody here.
            while not asked.wait(WAKE_SECONDS):
                pass


def _watched(gateway: Gateway, port: int | None) -> Gateway:
    """The instance with its metrics at this port, if one was given."""
    if port is not None:
        metrics = Metrics(host=gateway.settings.metrics.host, port=port)
        gateway.settings = gateway.settings.model_copy(update={"metrics": metrics})
    return gateway


def doctor(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Say what is configured, which weights are in use, and what is missing."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        report = _examine(gateway)
    ready = all(check["ok"] for check in report["checks"])
    if as_json:
        print_json({"ready": ready, **report})
    else:
        for check in report["checks"]:
            out.print(f"{'ok ' if check['ok'] else 'NO '} {check['part']:<10} ", end="")
            out.print(check["problem"] or "", markup=False)
        for part in ("settings", "weights", "signing"):
            out.print(f"\n{part}")
            for name, value in report[part].items():
                out.print(f"  {name:<44} {value}", markup=False)
    if not ready:
        raise typer.Exit(Exit.NOT_READY)


def _examine(gateway: Gateway) -> dict[str, Any]:
    settings = gateway.settings
    asked = (*readiness(gateway), *moderators(gateway))
    checks = [{**asdict(check), "ok": check.ok} for check in asked]
    broken = {check["part"] for check in checks if not check["ok"]}
    report: dict[str, Any] = {
        "checks": checks,
        "settings": {
            "environment": settings.environment,
            "data_dir": str(settings.data_dir.resolve()),
            "database": "sqlite" if settings.database.startswith("sqlite") else "postgresql",
            "storage": settings.storage.kind,
            "default_model": settings.model,
            "algorithm": settings.watermark.algorithm,
            "organisation": settings.provenance.organisation,
        },
        "weights": weights(gateway) if not broken & {"prompts", "frames", "models"} else {},
        "signing": {},
    }
    if "policy" not in broken:
        report["settings"]["policy"] = f"{gateway.policy.version} {gateway.policy.hash}"
    if "signing" not in broken:
        report["signing"] = {
            "certificate": settings.provenance.pki,
            "days_left": round(gateway.signature.identity.days_left(gateway.clock())),
            "time_stamps": settings.provenance.tsa_url or "local authority (development)",
        }
    return report
