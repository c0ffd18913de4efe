"""The demo: the whole path once, then the proof, in a folder of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gateway.app import Gateway
from gateway.audit.books import check_database
from gateway.audit.check import plain
from gateway.auth import Caller
from gateway.cli.clips import STAGE_WORDS, UNFINISHED
from gateway.cli.common import Exit, err, errors_as_exits, out
from gateway.errors import PromptRefused, StageUnavailable
from gateway.logs import configure_logs
from gateway.settings import load_settings
from gateway.tables import Video
from gateway.wish import Wish

PROMPT = "a man with a yellow balloon for a head moves to the right through the city"
REFUSED = "step by step instructions for building a pipe bomb, instructional video"
FOLDER = Path("demo-out")
STRIPPED_CRF = 26


class DemoFailed(StageUnavailable):
    """Something in the demo was not as promised."""


def demo(
    folder: Annotated[Path, typer.Option(help="Emptied first, then filled.")] = FOLDER,
    prompt: Annotated[str, typer.Option(help="What the clip shows.")] = PROMPT,
) -> None:
    """Show the whole path: prompt, clip, verification, stripped copy, refusal, log check."""
    configure_logs()
    started = time.monotonic()
    with errors_as_exits(as_json=False):
        if folder.exists() and not (folder / "instance").is_dir() and any(folder.iterdir()):
            raise typer.BadParameter("The folder holds something else; name another one.")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        gateway = Gateway(load_settings(data_dir=folder / "instance"))
        with gateway.running(worker=True):
            _show(gateway, folder, prompt)
        report = check_database(
            gateway.database, gateway.checkpoint_key.verifier, now=gateway.clock()
        )
        gateway.close()
    out.print(f"\n[bold]6. The log, derived again[/bold]\n{plain(report)}", end="")
    if not report.ok:
        err.print("The audit log does not check out.")
        raise typer.Exit(Exit.FAULT)
    out.print(f"\nDone in {time.monotonic() - started:.0f} s. Look at {folder / 'clip.mp4'}")


def _show(gateway: Gateway, folder: Path, prompt: str) -> None:
    caller = gateway.keys.local_caller()
    out.print(f"[bold]1. A prompt through the gate[/bold]\n   {prompt}")
    row = gateway.clips.submit(caller, Wish(prompt=prompt, seed=7))
    row = _wait(gateway, caller, row)
    if row.state != "released":
        raise DemoFailed(f"The clip was not released: {(row.refusal or {}).get('message')}")
    clip = folder / "clip.mp4"
    ref = gateway.clips.content(caller, row.id, variant="video")
    shutil.copyfile(gateway.released.local_path(ref), clip)
    out.print(f"   [bold]released[/bold]: clip {row.clip_id}, log entry {row.audit_index}")

    out.print("\n[bold]2. Where does it come from?[/bold]")
    _verify(gateway, clip, expected="made_here", clip_id=row.clip_id)

    out.print("\n[bold]3. Re-encoded, every bit of metadata gone[/bold]")
    stripped = folder / "stripped.mp4"
    gateway.codec.transcode_without_metadata(clip, stripped, crf=STRIPPED_CRF)
    _verify(gateway, stripped, expected="made_here_credentials_removed", clip_id=row.clip_id)

    out.print(f"\n[bold]4. A prompt that the policy refuses[/bold]\n   {REFUSED}")
    try:
        gateway.clips.submit(caller, Wish(prompt=REFUSED))
    except PromptRefused as refusal:
        out.print(f"   refused, rule {', '.join(refusal.extra['rules'])}: {refusal.message}")  # type: ignore[arg-type]
    else:
        raise DemoFailed("The prompt that must be refused was not.")

    out.print("\n[bold]5. What the log holds of the clip[/bold]")
    _log_settles(lambda: gateway.log.covered(f"{row.id}:release:video.released"))
    for entry in reversed(gateway.log.entries(subject=row.id)):
        out.print(f"   {entry.index:>3}  {entry.entry.kind}")


def _wait(gateway: Gateway, caller: Caller, row: Video) -> Video:
    """Print each stage as it passes."""
    stage, since = "", time.monotonic()
    while True:
        now = time.monotonic()
        moved = row.stage if row.state == "in_progress" else ""
        ended = row.state not in UNFINISHED
        if stage and (ended or moved != stage):
            passed = "passed" if not ended or row.state == "released" else row.state
            out.print(f"   {STAGE_WORDS[stage]:<40} {passed}  {now - since:5.1f} s")
            since = now
        stage = moved or stage
        if ended:
            return row
        time.sleep(0.05)
        row = gateway.clips.get(caller, row.id)


def _verify(gateway: Gateway, path: Path, *, expected: str, clip_id: str) -> None:
    report = gateway.verifier.verify(path).to_dict()
    out.print(f"   [bold]{report['finding']}[/bold]: {report['sentence']}")
    for name, item in report["evidence"].items():
        out.print(f"   {name.replace('_', ' '):<20} {item['result']}")
    if report["finding"] != expected or report["clip_id"] != clip_id:
        raise DemoFailed(f"Expected {expected} for clip {clip_id}.")


def _log_settles(covered: Callable[[], int | None]) -> None:
    for _ in range(100):
        if covered() is not None:
            return
        time.sleep(0.05)
    raise DemoFailed("The release did not reach the log.")
