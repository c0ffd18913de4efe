"""Commands about the audit log: check it, show entries, prove one, export all."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.books import check_database
from gateway.audit.check import Stamping, check_export, plain, within_hours
from gateway.audit.export import export
from gateway.audit.rotation import Rotation
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
from gateway.cli.who import By, operator
from gateway.errors import ConfigurationFault

app = typer.Typer(help="Check, show and prove the audit log.", no_args_is_help=True)
DEFAULT_SHOWN = 20


def _hours(within: float | None) -> float | None:
    if within is not None:
        try:
            within_hours(within)
        except ValueError as fault:
            raise typer.BadParameter("a number of hours above 0") from fault
    return within


@app.command()
def check(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Option(help="Check this export instead of the live log.")
    ] = None,
    anchor: Annotated[
        Path | None,
        typer.Option(help="A checkpoint that was kept elsewhere.", exists=True, dir_okay=False),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Hours in which each entry must have been stamped.", callback=_hours),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Derive the whole log again and report every byte that does not fit.

    Exit code 1 when anything does not fit. Without an anchor, a log that was cut back and
    signed again by the holder of its key would not show.
    """
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        kept = anchor.read_bytes().decode("utf-8", errors="replace") if anchor else None
        verifier = gateway.existing_checkpoint_key().verifier
        if within is not None and gateway.stamps is None:
            raise ConfigurationFault("Nobody stamps this log: see [audit] in the settings.")
        reader = None if gateway.stamps is None else gateway.stamps.time_of
        hours = None if within is None else within_hours(within)
        stamping = Stamping(reader, hours)
        if folder is None:
            report = check_database(
                gateway.database,
                verifier,
                now=gateway.clock(),
                anchor=kept,
                stamping=stamping,
            )
        else:
            report = check_export(folder, verifier.text, kept, stamping=stamping)
        gateway.close()
    if as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        out.print(plain(report), end="", markup=False)
    if not report.ok:
        raise typer.Exit(Exit.FAULT)


@app.command()
def show(
    context: typer.Context,
    subject: Annotated[
        str | None, typer.Argument(help="A video, key or request; all when not given.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = DEFAULT_SHOWN,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show entries, newest first."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        entries = gateway.log.entries(subject=subject, limit=limit)
    if as_json:
        print_json([{"index": row.index, **asdict(row.entry)} for row in entries])
        return
    for row in entries:
        out.print(
            f"{row.index:>7}  {row.entry.time}  {row.entry.kind:<18} {row.entry.subject}",
            markup=False,
        )


@app.command()
def prove(
    context: typer.Context,
    event_id: Annotated[
        str, typer.Argument(help="subject:step:kind, as 'show --json' has it.")
    ],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Print the receipt of an entry: the leaf, its path, and the signed checkpoint.

    Anybody who has the log's public key can check it without this gateway.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        gateway.log.sequence()
        receipt = gateway.log.inclusion(event_id)
        entry = receipt.verify(gateway.checkpoint_key.verifier)
        verifier = gateway.checkpoint_key.verifier.text
    if as_json:
        print_json(
            {
                "index": receipt.index,
                "entry": asdict(entry),
                "receipt": receipt.text,
                "verifier_key": verifier,
            }
        )
    else:
        out.print(receipt.text, markup=False)


@app.command("export")
def export_log(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Write the log as static files that 'python -m gateway.audit.check' can verify."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        gateway.log.sequence()
        verifier = gateway.checkpoint_key.verifier
        head = export(gateway.database, verifier, folder)
    if as_json:
        print_json({"entries": head.size, "folder": str(folder), "key": verifier.text})
    else:
        out.print(f"{head.size} entries in {folder}; verifier key:", markup=False)
        out.print(verifier.text, markup=False)


@app.command("rotate-key")
def rotate_key(
    context: typer.Context,
    finish: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option("--finish", help="Retire the old key: the new one signs alone.")
    ] = False,
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Let a new key take over the signing of the log; with --finish, retire the old one.

    In between both keys sign, for as long as people need to learn the new one. Where several
    machines have a copy of the keys, copy the file to each of them after either step.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        rotation = Rotation(gateway.database, gateway.log, gateway.checkpoint_key)
        step = rotation.retire_key if finish else rotation.add_key
        exchanged = step(by=operator(by))
        keys = [key.text for key in gateway.checkpoint_key.verifier.keys]
    if as_json:
        print_json({"retired" if finish else "added": exchanged.text, "keys": keys})
        return
    if finish:
        out.print(f"{exchanged.key_id.hex()} is retired. The log is signed by:", markup=False)
    else:
        out.print("Publish the new key beside the old one. The log is signed by:", markup=False)
    out.print("\n".join(keys), markup=False)


@app.command()
def anchor(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Option(help="Write the checkpoint and its stamp here too.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Have the outside authority stamp the newest checkpoint now.

    A worker does it by itself once a day. Keep the two files where nobody who holds the log's
    key can reach them, and give the checkpoint to 'check --anchor'.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        if gateway.anchors is None:
            raise ConfigurationFault("Nobody stamps this log: see [audit] in the settings.")
        gateway.log.sequence()
        made = gateway.anchors.anchor()
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{made.size}").write_text(made.note, encoding="utf-8")
                (folder / f"{made.size}.tsr").write_bytes(made.reply)
            except OSError as fault:
                raise ConfigurationFault(
                    "The checkpoint is stamped, but could not be written there."
                ) from fault
    time = made.stamp.time.isoformat()
    tell(
        {"size": made.size, "stamped_at": time},
        f"The checkpoint of {made.size} entries was stamped at {time}.",
        as_json=as_json,
    )
