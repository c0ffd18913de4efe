"""The entry point: puts the commands together."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import (
    audit,
    backups,
    clips,
    demo,
    faces,
    hashes,
    jobs,
    judges,
    keys,
    marks,
    names,
    people,
    policy,
    records,
    reports,
    service,
    tenants,
)

app = typer.Typer(
    name="cinegate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Cinegate puts moderation, a watermark, signed credentials and an audit log in front "
        "of a text-to-video model.\n\n"
        "Start with 'cinegate demo', or: cinegate generate 'a red balloon over the sea' "
        "-o clip.mp4; cinegate verify clip.mp4; cinegate serve.\n\n"
        "Everything that is kept lies in one folder: --data-dir, or CINEGATE_DATA_DIR."
    ),
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - the library calls it so
    if wanted:
        typer.echo(f"cinegate {version('cinegate')}")
        raise typer.Exit


@app.callback()
def shared(
    context: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="The folder of this instance.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A gateway.toml.", envvar="CINEGATE_CONFIG")
    ] = None,
    verbose: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option("--verbose", "-v", help="Show log lines on standard error.")
    ] = False,
    show_version: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """Keep the options that stand before the command's name."""
    del show_version
    context.obj = {"data_dir": data_dir, "config": config, "verbose": verbose}


app.command()(clips.generate)
app.command()(clips.verify)
app.command()(reports.report)
app.command()(clips.withdraw)
app.command()(judges.moderate)
app.command()(judges.classify)
app.add_typer(marks.app, name="watermark")
app.add_typer(keys.app, name="keys")
app.add_typer(tenants.app, name="tenants")
app.add_typer(names.app, name="names")
app.add_typer(records.app, name="records")
app.add_typer(faces.app, name="faces")
app.add_typer(hashes.app, name="hashes")
app.add_typer(people.app, name="people")
app.add_typer(jobs.app, name="jobs")
app.add_typer(audit.app, name="audit")
app.add_typer(policy.app, name="policy")
app.command()(service.migrate)
app.command()(service.serve)
app.command()(service.work)
app.command()(service.doctor)
app.command()(backups.backup)
app.command()(backups.restore)
app.command()(demo.demo)


def main() -> None:
    """Run the command line."""
    app()
