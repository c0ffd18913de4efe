"""The folder of a model of others: every file in it compared with its card."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

from safety.adapters.faults import GuardRefused
from safety.cards import CARD_NAME

MAX_FILE_BYTES = 64 * 1024**3
WEIGHTS_SUFFIX = ".safetensors"
# Weights that run code when they are read, code itself, and what would fetch another model.
REFUSED_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".pyc", ".so", ".h5", ".msgpack"}
)
REFUSED_NAMES = frozenset({"adapter_config.json"})


def verify_files(folder: Path, files: Mapping[str, str]) -> None:
    """Compares every file of the folder with its SHA-256 in ``files``; raises GuardRefused.

    A file that is not listed is refused too, hidden ones aside, because the library reads by
    name whatever lies there. Promises what was on disk during the call.
    """
    try:
        found = {path.name: path for path in folder.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise GuardRefused("The folder of the model cannot be read.") from error
    found.pop(CARD_NAME, None)
    for name, path in found.items():
        if path.suffix.lower() in REFUSED_SUFFIXES or name in REFUSED_NAMES:
            raise GuardRefused("The folder holds code or weights that are not safetensors.")
        if name not in files or not path.is_file():
            raise GuardRefused("The folder holds something that the card does not list.")
    if not any(name.endswith(WEIGHTS_SUFFIX) for name in files):
        raise GuardRefused("The card lists no weights in the safetensors format.")
    for name, expected in files.items():
        if name not in found:
            raise GuardRefused("A file named on the card is missing.")
        if not hmac.compare_digest(_sha256(found[name]), expected):
            raise GuardRefused("A file of the folder differs from its card.")


def _sha256(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise GuardRefused("A file of the folder is too large.")
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise GuardRefused("A file of the folder cannot be read.") from error
