"""Commands about people: invite them to the console, give them a role, let them go."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.common import AsJson, DataDir, opened, out, print_json, tell
from gateway.cli.who import By, operator
from gateway.people import INVITE_HOURS, Role

app = typer.Typer(help="Who works at the console, and in which role.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name with which they sign in.")]
AsRole = Annotated[Role, typer.Option("--role", help="What they are here for.")]
HERE = "http://127.0.0.1:8400"


@app.command()
def invite(
    context: typer.Context,
    name: Name,
    role: AsRole,
    tenant: Annotated[
        str | None,
        typer.Option(help="The tenant whose requests they make, on which they never rule."),
    ] = None,
    url: Annotated[str, typer.Option(help="Where the console is.")] = HERE,
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Make a link with which somebody joins. It is shown once.

    For somebody who is here already: a new link, for a new password and authenticator.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        made = gateway.people.invite(name, role, by=operator(by), tenant=tenant)
    link = f"{url.rstrip('/')}/account/join/{made.token}"
    if as_json:
        print_json({"id": made.person.id, "link": link, "until": made.until.isoformat()})
        return
    out.print(link, markup=False, soft_wrap=True)
    out.print(
        f"Send it to {made.person.name} alone. It is good for {INVITE_HOURS} hours, once."
    )


@app.command("list")
def list_people(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show everybody, the first to come first."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        everybody = gateway.people.list()
    rows = [
        {
            "id": each.person.id,
            "name": each.person.name,
            "role": each.person.role.value,
            "state": "left" if each.ended_at else "here" if each.joined else "invited",
        }
        for each in everybody
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        line = f"{row['id']}  {row['role']:<17} {row['state']:<8} {row['name']}"
        out.print(line, markup=False)
    if not rows:
        out.print("Nobody yet: cinegate people invite NAME --role administrator")


@app.command()
def assign(
    context: typer.Context,
    name: Name,
    role: AsRole,
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Give somebody another role; it holds at once."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        person = gateway.people.assign(name, role, by=operator(by))
    told = {"id": person.id, "role": person.role.value}
    tell(told, f"{person.name} is now here as {person.role.value}.", as_json=as_json)


@app.command()
def end(
    context: typer.Context,
    name: Name,
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Let somebody go: signed out everywhere, at once."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        person = gateway.people.end(name, by=operator(by))
    tell({"id": person.id}, f"{person.name} has left.", as_json=as_json)
