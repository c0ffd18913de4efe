"""A launcher that confines itself: ``python -m gateway.media.limited LIMITS COMMAND …``."""

from __future__ import annotations

import os
import sys

from gateway.media.limits import ProcessLimits, confine


def main(arguments: list[str]) -> None:
    """Confine this process by the JSON in the first argument and become the command."""
    limits, command = ProcessLimits.from_json(arguments[0]), arguments[1:]
    confine(limits)
    os.execve(command[0], command, dict(os.environ))  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
