"""Commands about signed reports: check one that somebody shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.common import AsJson, DataDir, opened, out, print_json
from gateway.errors import ConfigurationFault, InvalidRequest
from gateway.signed_reports import read_signed


def report(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A signed report.", exists=True, dir_okay=False)],
    keys: Annotated[
        Path | None,
        typer.Option(
            help="The issuer's keys (its /.well-known/jwks.json); ours if not given.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="The file that it should be about.", exists=True, dir_okay=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Check a signed report, and say what it says.

    The signature shows who made the report, and that nobody changed it; with --video also
    that it is about this file, byte for byte. Exit code 6 when it does not hold.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        jwks = gateway.report_key.jwks if keys is None else _jwks(keys)
        plain = read_signed(_text(file), jwks)
        if video is not None and plain["report"].get("content_sha256") != _sha256(video):
            raise InvalidRequest("The report is about another file.", param="video")
    if as_json:
        print_json(plain)
        return
    issuer = plain["issuer"]
    _tell("Signed by", issuer.get("organisation"), issuer.get("url"))
    tell_report(plain["report"])
    _tell("checked at", plain["report"].get("checked_at"))


def tell_report(plain: Mapping[str, Any]) -> None:
    """A report for people; another's may hold what a terminal obeys."""
    _tell(plain["finding"], plain["sentence"])
    if plain.get("clip_id"):
        _tell("clip", plain["clip_id"])
    for name, item in plain.get("evidence", {}).items():
        _tell(f"  {name.replace('_', ' '):<20}", f"{item['result']:<18}", item["meaning"])


def _tell(*words: object) -> None:
    line = " ".join(str(word) for word in words)
    shown = "".join(char if char.isprintable() else "?" for char in line)
    out.print(shown, markup=False, highlight=False)


def write_text(path: Path, text: str) -> None:
    """Write a small file. Raises ConfigurationFault."""
    try:
        path.write_text(text, encoding="ascii")
    except OSError as fault:
        raise ConfigurationFault(f"{path.name} cannot be written.") from fault


def _text(path: Path) -> str:
    return path.read_bytes().decode("ascii", errors="replace")


def _jwks(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    except (ValueError, RecursionError):
        pass
    raise InvalidRequest("This is not a set of keys.", param="keys")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
