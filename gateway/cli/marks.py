"""Commands about the watermark: write one into a file, read one from a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.common import (
    AsJson,
    DataDir,
    errors_as_exits,
    gateway_for,
    out,
    print_json,
)
from gateway.errors import InvalidRequest
from watermark.payload import Payload, PayloadError
from watermark.reading import Reading

app = typer.Typer(help="Write and read the invisible watermark.", no_args_is_help=True)


@app.command()
def embed(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A video file.", exists=True, dir_okay=False)],
    target: Annotated[Path, typer.Argument(help="Where to write the marked MP4.")],
    payload: Annotated[str, typer.Option(help="16 hexadecimal digits.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Write a payload into the frames of a video, with this gateway's key.

    The result is a test copy: it is not signed and not in the log, so verification will say
    that the evidence disagrees.
    """
    with errors_as_exits(as_json=as_json):
        try:
            wanted = Payload.from_hex(payload.lower())
        except PayloadError as fault:
            raise InvalidRequest("A payload is 16 hexadecimal digits.") from fault
        gateway = gateway_for(context, data_dir)
        with gateway.opened(), gateway.untrusted(source, whole=True) as video:
            fps = max(1, round(video.info.fps))
            frames = gateway.watermarker.embed(video.chunks, wanted, fps=fps)
            gateway.codec.encode(frames, target, fps=fps)
            with gateway.untrusted(target, whole=True) as written:
                reading = gateway.watermarker.extract(written.chunks, fps=fps)
    answer = {"path": str(target), "read_back": as_plain(reading)}
    if as_json:
        print_json(answer)
    else:
        found = reading.certain and reading.payload == wanted
        out.print(f"{target}: {'read back' if found else 'NOT readable'} after encoding")


@app.command()
def read(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A video file.", exists=True, dir_okay=False)],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Look for this gateway's watermark in a video. Finding none says nothing about it."""
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        with gateway.opened(), gateway.untrusted(file) as video:
            reading = gateway.watermarker.extract(video.chunks, fps=float(video.info.fps))
    plain = as_plain(reading)
    if as_json:
        print_json(plain)
    elif reading.payload is None:
        out.print("no watermark of this gateway found")
    else:
        certainty = "certain" if reading.certain else "NOT certain"
        out.print(f"{plain['payload']}  {certainty}  log10 p {reading.log10_p:.1f}")


def as_plain(reading: Reading) -> dict[str, Any]:
    """A reading as JSON values."""
    plain = asdict(reading)
    plain["payload"] = None if reading.payload is None else reading.payload.hex
    return plain
