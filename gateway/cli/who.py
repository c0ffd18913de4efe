"""Who runs a command: what the record says of it."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

By = Annotated[
    str, typer.Option(help="Who does this.", show_default="the user of this machine")
]


def operator(by: str) -> str:
    """The name given, else the user of this machine, else "operator"."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"
