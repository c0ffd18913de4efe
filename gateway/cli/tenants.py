"""Commands about tenants: how far they are vetted, and where they are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gateway.cli.common import (
    AsJson,
    DataDir,
    opened,
    out,
    print_json,
    tell,
)
from gateway.cli.who import By, operator
from safety.circumstances import Audience

app = typer.Typer(help="Say how far a tenant is vetted, and where it is.", no_args_is_help=True)
ANYWHERE = "any"
Who = Annotated[str, typer.Argument(help="Name or id of the tenant.")]


@app.command("list")
def list_tenants(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show every tenant with its standing."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        tenants = gateway.permissions.tenants()
    if as_json:
        print_json([asdict(tenant) for tenant in tenants])
        return
    for tenant in tenants:
        where = tenant.region or "any region"
        out.print(f"{tenant.id}  {tenant.audience:<9} {where:<11} {tenant.name}", markup=False)
    if not tenants:
        out.print("There are no tenants yet: cinegate keys create")


@app.command()
def vet(
    context: typer.Context,
    tenant: Who,
    audience: Annotated[Audience, typer.Argument(help="How far it is vetted.")],
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Say how far a tenant is vetted; the policy says what follows."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        standing = gateway.permissions.vet(tenant, audience, by=operator(by))
    tell(
        asdict(standing),
        f"{standing.name} is now judged as {standing.audience}.",
        as_json=as_json,
    )


@app.command()
def place(
    context: typer.Context,
    tenant: Who,
    region: Annotated[
        str, typer.Argument(help=f"Two letters of ISO 3166-1, or '{ANYWHERE}': not known.")
    ],
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Say where a tenant is, for windows of the policy that hold in some regions only."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        where = None if region == ANYWHERE else region
        standing = gateway.permissions.place(tenant, where, by=operator(by))
    tell(
        asdict(standing),
        f"{standing.name}: {standing.region or 'in every region'}.",
        as_json=as_json,
    )
