"""Commands about clips: generate one through the whole gate, verify a file."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.app import Gateway
from gateway.auth import Caller
from gateway.cli.common import (
    AsJson,
    DataDir,
    Exit,
    err,
    errors_as_exits,
    gateway_for,
    opened,
    out,
    print_json,
    stop,
    tell,
)
from gateway.cli.reports import tell_report, write_text
from gateway.cli.who import By, operator
from gateway.tables import Video
from gateway.wish import Wish
from gateway.withdrawal import SENTENCES, Reason

POLL_SECONDS = 0.1
STAGE_WORDS = {
    "approve": "judging the prompt",
    "generate": "drawing the clip",
    "check": "checking the frames",
    "mark": "writing and re-reading the watermark",
    "sign": "signing the credentials",
    "publish": "publishing, re-reading both marks",
}
UNFINISHED = ("queued", "in_progress")


def generate(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What the clip shows.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write the MP4.", dir_okay=False)
    ],
    seconds: Annotated[int | None, typer.Option(help="Length; see the model's card.")] = None,
    size: Annotated[str | None, typer.Option(help="WxH in pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same clip.")] = None,
    model: Annotated[str | None, typer.Option(help="See 'cinegate doctor'.")] = None,
    project: Annotated[
        str | None, typer.Option(help="Whose records of consent and licence apply.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Make a clip: moderate, draw, check, mark, sign, log; then write it to a file.

    Exit codes: 0 released, 3 refused by the policy, 4 held for a person, 5 failed,
    6 a wrong value, 7 the gateway is not ready (keys, weights, folder).
    """
    wish = Wish(
        prompt=prompt, model=model, seconds=seconds, size=size, seed=seed, project=project
    )
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        _require_writable(output)
        with gateway.running(worker=True):
            caller = gateway.keys.local_caller()
            row = _watch(gateway, caller, gateway.clips.submit(caller, wish), quiet=as_json)
            result = _settle(gateway, caller, row, output)
    if row.state != "released":
        refusal = {k: v for k, v in (row.refusal or {}).items() if k != "message"}
        code = {"held": Exit.HELD, "refused": Exit.REFUSED}.get(row.state, Exit.FAILED)
        message = (row.refusal or {}).get("message", "The clip was not released.")
        if row.state == "held":
            message = f"Held for a person to look at. {message}"
        stop(code, message, as_json=as_json, video=row.id, state=row.state, **refusal)
    if as_json:
        print_json(result)
    else:
        out.print(f"released  {output}  clip {row.clip_id}  log entry {row.audit_index}")


def _watch(gateway: Gateway, caller: Caller, row: Video, *, quiet: bool) -> Video:
    """Wait for the end of a job, naming each stage."""
    bar = Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=err,
        transient=err.is_terminal,
        disable=quiet or not err.is_terminal,
    )
    spoken = ""
    with bar:
        task = bar.add_task("waiting", total=100)
        while row.state in UNFINISHED:
            word = STAGE_WORDS[row.stage] if row.state == "in_progress" else "waiting"
            bar.update(task, completed=row.progress, description=word)
            if word != spoken and not quiet and not err.is_terminal:
                err.print(f"  {word}")
            spoken = word
            time.sleep(POLL_SECONDS)
            row = gateway.clips.get(caller, row.id)
    return row


def _settle(gateway: Gateway, caller: Caller, row: Video, output: Path) -> dict[str, Any]:
    """Copy a released clip out and say what it is; nothing is written for any other end."""
    if row.state != "released":
        return {}
    ref = gateway.clips.content(caller, row.id, variant="video")
    with gateway.released.checkout(ref, scratch=gateway.settings.work_dir) as path:
        shutil.copyfile(path, output)
    return {
        "state": row.state,
        "video": row.id,
        "clip_id": row.clip_id,
        "path": str(output),
        "sha256": row.sha256,
        "model": row.model,
        "seed": row.seed,
        "seconds": row.seconds,
        "size": f"{row.width}x{row.height}",
        "manifest_id": row.manifest_id,
        "audit_index": row.audit_index,
    }


def _require_writable(output: Path) -> None:
    if not output.resolve().parent.is_dir():
        raise typer.BadParameter("The folder of the output file does not exist.")


def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A video file.", dir_okay=False)],
    signed: Annotated[
        Path | None, typer.Option(help="Write the signed report here.", dir_okay=False)
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Say where a clip comes from: credentials, watermark and log, checked here.

    The findings: made_here, made_here_credentials_removed, made_elsewhere, recorded_not_ai,
    evidence_disagrees, unknown (we cannot tell; that does not mean it is real), and
    could_not_check, which ends with exit code 6.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        report = gateway.verifier.verify(file)
        if signed is not None:
            write_text(signed, gateway.report_key.sign(report))
    plain = report.to_dict()
    if as_json:
        print_json(plain)
    else:
        tell_report(plain)
    if plain["finding"] == "could_not_check":
        raise typer.Exit(Exit.BAD_INPUT)


def withdraw(
    context: typer.Context,
    video: Annotated[str, typer.Argument(help="The id of the video.")],
    reason: Annotated[Reason, typer.Option(help="Why; everybody may know it.")],
    note: Annotated[str, typer.Option(help="More of it, for the record alone.")] = "",
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Take a released clip back, for good: downloads stop, and verification says so.

    Copies elsewhere cannot be called back, but whoever checks one is told when and why.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        row = gateway.withdrawals.withdraw(video, reason, note=note, by=operator(by))
    tell(
        {"id": row.id, "clip_id": row.clip_id, "withdrawn": str(reason)},
        f"{row.id} is withdrawn. {SENTENCES[reason]}",
        as_json=as_json,
    )
