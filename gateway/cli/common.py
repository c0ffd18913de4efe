"""What every command shares: options, exit codes, output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from gateway.app import Gateway
from gateway.errors import ConfigurationFault, Error, PromptRefused
from gateway.logs import configure_logs
from gateway.settings import Settings, load_settings

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


class Exit(IntEnum):
    """Exit codes. 2 is the command line's own: a wrong option or a missing argument."""

    OK = 0
    FAULT = 1
    REFUSED = 3
    HELD = 4
    FAILED = 5
    BAD_INPUT = 6
    NOT_READY = 7


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The folder of this instance.",
        show_default="CINEGATE_DATA_DIR or var/cinegate",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def settings_for(context: typer.Context, data_dir: Path | None) -> Settings:
    """The settings under the options given before or after the command's name."""
    shared = context.find_root().obj or {}
    return load_settings(
        data_dir=data_dir or shared.get("data_dir"), config=shared.get("config")
    )


def gateway_for(context: typer.Context, data_dir: Path | None) -> Gateway:
    """The instance that the options name."""
    configure_logs(verbose=bool((context.find_root().obj or {}).get("verbose")))
    return Gateway(settings_for(context, data_dir))


def print_json(document: object) -> None:
    """Print a document as JSON on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def tell(document: object, sentence: str, *, as_json: bool) -> None:
    """Print what was done, as JSON or as a sentence."""
    if as_json:
        print_json(document)
    else:
        out.print(sentence, markup=False)


def stop(exit_with: Exit, message: str, *, as_json: bool, **extra: Any) -> NoReturn:
    """End with a code and one clear sentence, or with the error envelope as JSON."""
    if as_json:
        print_json({"error": {**extra, "message": message}})
    else:
        err.print(f"[bold]{_plain(message)}[/bold]")
        for rule in extra.get("rules", ()):
            err.print(f"  rule {_plain(str(rule))}")
    raise typer.Exit(exit_with)


@contextmanager
def errors_as_exits(*, as_json: bool) -> Iterator[None]:
    """Turn every error of ours into a sentence and an exit code."""
    try:
        yield
    except PromptRefused as fault:
        shown = {"code": fault.code, **fault.extra}
        stop(Exit.REFUSED, fault.message, as_json=as_json, **shown)
    except ConfigurationFault as fault:
        stop(Exit.NOT_READY, fault.message, as_json=as_json, code=fault.code)
    except Error as fault:
        exit_with = Exit.BAD_INPUT if fault.status < 500 else Exit.FAILED
        stop(exit_with, fault.message, as_json=as_json, code=fault.code, param=fault.param)
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        stop(Exit.NOT_READY, f"A file or folder cannot be used: {reason}.", as_json=as_json)


def _plain(text: str) -> str:
    """Keep the console from reading brackets in a text as markup."""
    return text.replace("[", "\\[")


@contextmanager
def opened(
    context: typer.Context, data_dir: Path | None, *, as_json: bool
) -> Iterator[Gateway]:
    """The instance that the options name, ready to be asked; its errors end the command."""
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        with gateway.opened():
            yield gateway
