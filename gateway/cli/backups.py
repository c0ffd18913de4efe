"""Commands that copy the instance into a folder and put it back: backup, restore."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.check import plain
from gateway.backup.make import back_up
from gateway.backup.restore import restore as put_back
from gateway.cli.common import (
    AsJson,
    DataDir,
    Exit,
    err,
    errors_as_exits,
    gateway_for,
    out,
    print_json,
)


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Made, for its owner only; must be new.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Copy database, keys and media, also while the gateway runs.

    It holds every secret of the instance: keep it encrypted. gateway.toml and media in
    buckets are not in it. Exit code 1 when a file that should be there was not.
    """
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        made = back_up(gateway, folder)
        gateway.close()
    manifest = made.manifest
    if as_json:
        told = {name: getattr(manifest, name) for name in ("deleted", "missing")}
        print_json({"files": len(manifest.files), "manifest_sha256": made.digest, **told})
    else:
        out.print(f"{len(manifest.files)} files are backed up in {folder}", markup=False)
        out.print(f"manifest SHA-256 {made.digest}  (keep it elsewhere)", markup=False)
        for name in manifest.deleted:
            out.print(f"deleted meanwhile: {name}", markup=False)
        for name in manifest.missing:
            err.print(f"not there or not as stored: {name}", markup=False)
    if manifest.missing:
        raise typer.Exit(Exit.FAULT)


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A backup.", file_okay=False)],
    digest: Annotated[
        str | None, typer.Option(help="The manifest's SHA-256, as 'backup' told it.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Put a backup into an empty data folder and database, then check the log and the files.

    Exit code 1 when the log does not fit or a released clip has no file.
    """
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        done = put_back(gateway, folder, digest=digest)
        gateway.close()
    if as_json:
        print_json({"ok": done.ok, "absent": done.absent, "log": asdict(done.log)})
    else:
        out.print(f"{len(done.manifest.files)} files are restored.")
        for video_id in done.absent:
            err.print(f"released, but its file is not there: {video_id}", markup=False)
        out.print(plain(done.log), end="", markup=False)
        out.print(
            f"This is the instance as it was at {done.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC. "
            "Whether others have seen a newer log: cinegate audit check --anchor FILE.",
            markup=False,
        )
    if not done.ok:
        raise typer.Exit(Exit.FAULT)
