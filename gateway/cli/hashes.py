"""Commands about hash lists: pictures that are known already, and must not be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.app import Gateway
from gateway.cli.common import AsJson, DataDir, errors_as_exits, opened, out, print_json, tell
from gateway.cli.hash_files import one_hash, read_hashes
from gateway.cli.who import By, operator
from gateway.hash_lists import Loaded, OwnList
from gateway.media.picture import decode_picture
from safety.hash_list import Listed
from safety.pdq import MATCH_DISTANCE
from safety.verdict import Category, Stage

app = typer.Typer(
    help="Load lists of known pictures by their PDQ hashes. They are secrets: never shown.",
    no_args_is_help=True,
)
FROM_INPUT = "-"

ListName = Annotated[str, typer.Option("--list", help="What you call the list.")]
NoteOption = Annotated[str, typer.Option(help="Where it is from, and why; for operators.")]


@app.command("list")
def list_lists(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show the lists in force, without their hashes."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        rows = [_as_json(own, gateway) for own in gateway.hash_lists.list()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        line = f"{row['row']:<22} {row['list']:<24} {row['category']:<20} {row['size']:>8}"
        out.print(f"{line}  {row['judged_in']}", markup=False)
    if not rows:
        out.print("There are no lists yet: cinegate hashes import")


@app.command()
def add(
    context: typer.Context,
    value: Annotated[
        str, typer.Argument(metavar="HASH", help="64 hex digits, or - to read them.")
    ],
    name: ListName,
    category: Annotated[Category, typer.Option(help="What a match is judged as.")],
    reference: Annotated[str, typer.Option(help="What its source calls it.")] = "",
    note: NoteOption = "",
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Put one hash on a list. With - it is read from standard input: arguments are seen by
    others on the machine, and shells keep them.
    """
    with errors_as_exits(as_json=as_json):
        typed = sys.stdin.readline(1024) if value == FROM_INPUT else value
        entry = one_hash(typed, category, reference)
    with opened(context, data_dir, as_json=as_json) as gateway:
        done = gateway.hash_lists.add(name, entry, note=note, by=operator(by))
        digest = gateway.hash_lists.in_force().digest
    _tell(name, done, digest, as_json=as_json)


@app.command("import")
def bring_in(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Plain lines or CSV.", dir_okay=False)],
    name: ListName,
    category: Annotated[
        Category | None, typer.Option(help="For hashes without one of their own.")
    ] = None,
    note: NoteOption = "",
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Make the hashes of a file the whole list of that name: all of them, or none when a line
    is wrong.

    Plain: 64 hex digits a line. CSV: the columns hash, category, reference, quality, of which
    only hash must be there; a quality below 50 is passed over.
    """
    with errors_as_exits(as_json=as_json):
        read = read_hashes(file, category)
    with opened(context, data_dir, as_json=as_json) as gateway:
        done = gateway.hash_lists.bring_in(name, read.entries, note=note, by=operator(by))
        digest = gateway.hash_lists.in_force().digest
    _tell(name, done, digest, as_json=as_json, skipped=read.skipped)


@app.command()
def remove(
    context: typer.Context,
    row_id: Annotated[str, typer.Argument(help="The row, as 'hashes list' shows it.")],
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """End a list of one category and erase its hashes."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        gateway.hash_lists.remove(row_id, by=operator(by))
    tell({"row": row_id, "removed": True}, f"{row_id} is removed.", as_json=as_json)


@app.command()
def check(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP.", dir_okay=False)],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Say whether a list knows a picture. Nothing is kept, and no hash is shown."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        registry = gateway.hash_lists
        found = registry.in_force().find(decode_picture(image).pixels)
        rows = [_match(listed, registry.reference(listed)) for listed in found.listed]
    undecided = not rows and not found.telling
    answer = {
        "id": image.name,
        "searched": found.searched,
        "matched": rows,
        "quality": found.quality,
        "decided": not undecided,
    }
    if as_json:
        print_json(answer)
        return
    for row in rows:
        named = f" ({row['reference']})" if row["reference"] else ""
        line = f"matched list {row['list']}{named}: {row['category']}"
        out.print(f"{line}, {row['distance']} of at most {MATCH_DISTANCE} bits", markup=False)
    if undecided:
        out.print("The picture has too little structure to be compared: not decided.")
    elif not rows:
        out.print(f"No list knows it; {found.searched} hashes were compared.")


def _match(listed: Listed, reference: str) -> dict[str, Any]:
    return {
        "list": listed.name,
        "category": str(listed.category),
        "distance": listed.distance,
        "reference": reference,
    }


def _tell(name: str, done: Loaded, digest: str, *, as_json: bool, skipped: int = 0) -> None:
    told = {
        "list": name,
        "added": done.added,
        "removed": done.removed,
        "unchanged": done.unchanged,
        "skipped": skipped,
        "hash_lists": digest,
    }
    sentence = (
        f"{name}: {done.added} added, {done.removed} removed, {done.unchanged} as they were,"
        f" {skipped} passed over; lists in force: {digest}"
    )
    tell(told, sentence, as_json=as_json)


def _as_json(own: OwnList, gateway: Gateway) -> dict[str, Any]:
    judged = gateway.policy.rules[own.category].at(Stage.FRAMES) is not None
    return {
        "row": own.id,
        "list": own.name,
        "category": str(own.category),
        "size": own.size,
        "version": own.version,
        "note": own.note,
        "added_by": own.added_by,
        "added_at": own.created_at.isoformat(),
        "judged_in": "images and frames" if judged else "images only",
    }
