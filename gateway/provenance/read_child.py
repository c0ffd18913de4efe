"""The reading process: ``python -m gateway.provenance.read_child``, one file in, JSON out.

Started with limits by the parent (``gateway.media.sandbox``), since the file comes from
strangers. Exit status 0 and one JSON object on standard output, or it could not be checked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.provenance.credentials import Credentials
from gateway.provenance.reading import CredentialReader

MAX_ANSWER_BYTES = 1024 * 1024
USAGE_FAULT = 2


def arguments(
    file: Path,
    *,
    anchors: Path,
    tsa_anchors: Path,
    organisation: str | None = None,
    foreign_anchors: Path | None = None,
    foreign_tsa_anchors: Path | None = None,
    mime: str = "video/mp4",
) -> tuple[str, ...]:
    """Give the arguments that follow the interpreter, for the parent to run."""
    optional = {
        "--organisation": organisation,
        "--foreign-anchors": foreign_anchors,
        "--foreign-tsa-anchors": foreign_tsa_anchors,
    }
    return (
        "-m",
        "gateway.provenance.read_child",
        f"--anchors={anchors}",
        f"--tsa-anchors={tsa_anchors}",
        f"--mime={mime}",
        *(f"{name}={value}" for name, value in optional.items() if value is not None),
        "--",
        str(file),
    )


def parse_answer(output: bytes) -> Credentials:
    """Read what the process printed.

    Raises StageUnavailable when it is damaged: the process was stopped or went wrong.
    """
    try:
        values = json.loads(output[: MAX_ANSWER_BYTES + 1])
    except (ValueError, RecursionError):
        values = None
    return Credentials.from_dict(values if isinstance(values, dict) else {})


def main(argv: Sequence[str] | None = None) -> int:
    """Read one file and print its credentials as one line of JSON."""
    parser = argparse.ArgumentParser(prog="read_child", allow_abbrev=False)
    parser.add_argument("--anchors", type=Path, required=True)
    parser.add_argument("--tsa-anchors", type=Path, required=True)
    parser.add_argument("--foreign-anchors", type=Path)
    parser.add_argument("--foreign-tsa-anchors", type=Path)
    parser.add_argument("--organisation")
    parser.add_argument("--mime", default="video/mp4")
    parser.add_argument("file", type=Path)
    given = parser.parse_args(argv)
    reader = CredentialReader(
        anchors_pem=_pem(given.anchors),
        tsa_anchors_pem=_pem(given.tsa_anchors),
        organisation=given.organisation,
        foreign_anchors_pem=_pem(given.foreign_anchors),
        foreign_tsa_anchors_pem=_pem(given.foreign_tsa_anchors),
    )
    found = reader.read(given.file, mime=given.mime)
    sys.stdout.write(json.dumps(found.to_dict()) + "\n")
    return 0


def _pem(path: Path | None) -> str:
    return path.read_text(encoding="utf-8") if path is not None else ""


if __name__ == "__main__":
    raise SystemExit(main())
