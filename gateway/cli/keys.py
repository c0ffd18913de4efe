"""Commands about API keys: create, list, revoke."""

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

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What to call the key.")] = "default",
    tenant: Annotated[
        str | None, typer.Option(help="A tenant to share; a new one if not given.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Make a key. It is shown once; only a keyed hash of it is kept."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        made = gateway.keys.create(name=name, tenant=tenant)
    if as_json:
        print_json({"id": made.id, "key": made.key})
    else:
        out.print(f"{made.key}", markup=False)
        out.print("Keep it now: it is not shown again.")


@app.command("list")
def list_keys(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show every key, without its secret."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        keys = gateway.keys.list()
    if as_json:
        print_json([asdict(key) for key in keys])
        return
    for key in keys:
        state = "revoked" if key.revoked_at else "live"
        out.print(f"{key.id}  {state:<8} {key.tenant:<20} {key.name}", markup=False)
    if not keys:
        out.print("There are no keys yet: cinegate keys create")


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="The id, as 'keys list' shows it.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Make a key useless from now on."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        gateway.keys.revoke(key_id)
    tell({"id": key_id, "revoked": True}, f"{key_id} is revoked.", as_json=as_json)
