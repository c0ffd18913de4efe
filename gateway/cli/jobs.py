"""Commands about clips that failed: list them, try them again."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.common import AsJson, DataDir, Exit, opened, out, print_json
from gateway.cli.who import By, operator
from gateway.errors import Error
from gateway.tables import Video

app = typer.Typer(help="Clips that failed: list them, try them again.", no_args_is_help=True)


@app.command()
def failed(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show the clips that failed, the newest first: when, at which stage, why."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        rows = [_shown(row) for row in gateway.retries.failed()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        line = f"{row['video']}  {row['failed_at']}  {row['stage']:<8} {row['reason']}"
        out.print(line, markup=False)
    if not rows:
        out.print("No clip has failed.")


@app.command()
def retry(
    context: typer.Context,
    videos: Annotated[
        list[str] | None, typer.Argument(help="Ids, as 'jobs failed' shows them.")
    ] = None,
    every: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option("--all", help="Every failed clip that may be tried again.")
    ] = False,
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Put failed clips back in the queue. Each goes on from its last recorded stage."""
    if bool(videos) == every:
        raise typer.BadParameter("Name the videos, or give --all.")
    again: list[str] = []
    refused: dict[str, str] = {}
    with opened(context, data_dir, as_json=as_json) as gateway:
        for video in videos or [row.id for row in gateway.retries.failed()]:
            try:
                again.append(gateway.retries.replay(video, by=operator(by)).id)
            except Error as fault:
                refused[video] = fault.message
    if as_json:
        print_json({"queued": again, "refused": refused})
    else:
        for video in again:
            out.print(f"{video}  queued again", markup=False)
        for video, why in refused.items():
            out.print(f"{video}  {why}", markup=False)
    if refused and not again:
        raise typer.Exit(Exit.BAD_INPUT)


def _shown(row: Video) -> dict[str, str | None]:
    return {
        "video": row.id,
        "failed_at": row.completed_at.isoformat(timespec="seconds")
        if row.completed_at
        else None,
        "stage": row.stage,
        "reason": str((row.refusal or {}).get("message", "")),
    }
