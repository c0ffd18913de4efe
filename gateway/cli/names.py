"""Commands about protected names: who may not be shown without a record."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.common import (
    AsJson,
    DataDir,
    errors_as_exits,
    gateway_for,
    opened,
    out,
    print_json,
    tell,
)
from gateway.cli.name_files import read_names, write_names
from gateway.cli.who import By, operator
from gateway.errors import InvalidRequest
from safety.gazetteer import GazetteerInvalid, ProtectedName, subject_of
from safety.normalize import normal_forms, plain
from safety.verdict import Category

app = typer.Typer(
    help="Protect names beside the shipped lists: people, characters, brands, artists.",
    no_args_is_help=True,
)
MAX_SHOWN = 60


class NameList(StrEnum):
    """The lists, by the category whose rule they feed."""

    PUBLIC_FIGURE = Category.PUBLIC_FIGURE.value
    IP_CHARACTER_BRAND = Category.IP_CHARACTER_BRAND.value
    LIVING_ARTIST_STYLE = Category.LIVING_ARTIST_STYLE.value


ListOption = Annotated[NameList, typer.Option("--category", help="The list.")]


@app.command("list")
def list_names(
    context: typer.Context,
    category: Annotated[
        NameList | None, typer.Option("--category", help="Only this list.")
    ] = None,
    shipped: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option("--shipped", help="All names in force, not only your own.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show your own names, or all in force."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        own = gateway.names.list()
        known = gateway.names.in_force().names if shipped else [n.name for n in own]
    rows = {(n.name.category, n.name.subject): n for n in own}
    shown = [n for n in known if category is None or n.category.value == category.value]
    if as_json:
        print_json([_as_json(n, rows.get((n.category, n.subject))) for n in shown])
        return
    for name in shown:
        row = rows.get((name.category, name.subject))
        source = "shipped" if row is None else row.id
        aliases = f"  also: {', '.join(name.aliases)}" if name.aliases else ""
        line = f"{source:<22} {name.category.value:<20} {name.subject:<28} {name.name}{aliases}"
        out.print(line, markup=False)
    if not shown:
        out.print("There are none of your own: cinegate names add")


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name as people write it.")],
    category: ListOption,
    alias: Annotated[list[str] | None, typer.Option(help="Another spelling; repeat.")] = None,
    subject: Annotated[
        str | None, typer.Option("--id", help="Its id; made from the name if not given.")
    ] = None,
    certain: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option(help="False for a name that also means something else.")
    ] = True,
    neutral: Annotated[str, typer.Option(help="What a rewrite may say instead.")] = "",
    note: Annotated[str, typer.Option(help="Why; for operators.")] = "",
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Protect a name from now on, in every process. An id of the shipped lists gets more
    spellings by it.
    """
    with errors_as_exits(as_json=as_json):
        try:
            wanted = ProtectedName(
                category=Category(category.value),
                subject=subject or subject_of(name),
                name=name,
                aliases=tuple(alias or ()),
                certain=certain,
                neutral=neutral,
            )
        except GazetteerInvalid as fault:
            raise InvalidRequest(str(fault), param="name") from fault
        gateway = gateway_for(context, data_dir)
        with gateway.opened():
            row_id = gateway.names.add(wanted, note=note, by=operator(by))
            digest = gateway.names.in_force().digest
    tell(
        {"row": row_id, "id": wanted.subject, "names": digest},
        f"{row_id}  {wanted.subject} is protected; names in force: {digest}",
        as_json=as_json,
    )


@app.command()
def remove(
    context: typer.Context,
    row_id: Annotated[str, typer.Argument(help="The row, as 'names list' shows it.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """End the protection of one of your own names."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        gateway.names.remove(row_id)
    tell({"row": row_id, "removed": True}, f"{row_id} is removed.", as_json=as_json)


@app.command("import")
def bring_in(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A CSV file.", dir_okay=False)],
    note: Annotated[str, typer.Option(help="Why; for operators.")] = "",
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Protect the names of a CSV file: all of them, or none when a line is wrong.

    Columns: category, id, name, aliases (parted by |), certain (yes or no), neutral. A name of
    your own with the same id is replaced; others stay.
    """
    with errors_as_exits(as_json=as_json):
        wanted = read_names(file)
        gateway = gateway_for(context, data_dir)
        with gateway.opened():
            done = gateway.names.bring_in(wanted, note=note, by=operator(by))
    if as_json:
        told = {"added": done.added, "replaced": done.replaced, "unchanged": done.unchanged}
        print_json(told)
    else:
        out.print(
            f"{done.added} added, {done.replaced} replaced, {done.unchanged} as they were."
        )


@app.command("export")
def write_out(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file; standard output if not given."),
    ] = None,
    shipped: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option("--shipped", help="All names in force, not only your own.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Write your own names as CSV, as 'names import' reads it."""
    with errors_as_exits(as_json=False):
        gateway = gateway_for(context, data_dir)
        with gateway.opened():
            registry = gateway.names
            names = registry.in_force().names if shipped else [n.name for n in registry.list()]
        text = write_names(name for name in names if name.living)
        if output is None:
            typer.echo(text, nl=False)
        else:
            output.write_text(text, encoding="utf-8")


@app.command("test")
def try_out(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="A prompt.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show which names are found in a text, under every reading of it. For operators only:
    creators are never told.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        names = gateway.names.in_force()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for form in map(plain, normal_forms(text)):
        for mention in names.mentions(form):
            key = (mention.name.category.value, mention.name.subject)
            told = {
                "category": key[0],
                "id": key[1],
                "as": form[mention.start : mention.end],
                "spelling": "near" if mention.loose else "listed",
            }
            if key not in found or found[key]["spelling"] == "near":
                found[key] = told
    if as_json:
        print_json({"names": names.digest, "found": list(found.values())})
        return
    for row in found.values():
        line = f"{row['category']:<20} {row['id']:<28} {row['spelling']:<7} {row['as']}"
        out.print(line, markup=False)
    if not found:
        out.print("No protected name was found.")


def _as_json(name: ProtectedName, row: Any) -> dict[str, Any]:
    return {
        "row": None if row is None else row.id,
        "category": name.category.value,
        "id": name.subject,
        "name": name.name,
        "aliases": list(name.aliases),
        "certain": name.certain,
        "neutral": name.neutral,
        "note": "" if row is None else row.note,
        "added_by": None if row is None else row.added_by,
    }
