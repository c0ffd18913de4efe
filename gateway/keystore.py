"""The keystore: random secrets of one instance, made on first use and never replaced."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from gateway.errors import ConfigurationFault
from gateway.provenance.keyfiles import exclusive, read_secret, write_secret

WATERMARK_FILE = "watermark.json"
WATERMARK_BYTES = 32
VERSION = 1


def random_secret(folder: Path, name: str, size: int, *, in_use: bool) -> bytes:
    """The secret of that name, ``size`` random bytes. Raises ConfigurationFault.

    ``in_use`` says that something depends on it already: then a missing file is a fault,
    since a new secret would silently disown what the old one made.
    """
    path = folder / name
    with exclusive(folder):
        if not path.exists():
            _demand_new(name, in_use=in_use)
            write_secret(path, secrets.token_bytes(size))
    content = read_secret(path)
    if len(content) != size:
        raise ConfigurationFault(f"The key file {name} is damaged.")
    return content


def watermark_secrets(folder: Path, *, in_use: bool) -> tuple[tuple[str, bytes], ...]:
    """Id and secret of each watermark key, newest first. The first one embeds, all read.

    ``in_use``: see ``random_secret``. Raises ConfigurationFault when the file is damaged or
    empty: a clip marked under a key that nobody has could not be recognised again.
    """
    path = folder / WATERMARK_FILE
    with exclusive(folder):
        if not path.exists():
            _demand_new(WATERMARK_FILE, in_use=in_use)
            key = {"id": secrets.token_hex(4), "secret": secrets.token_hex(WATERMARK_BYTES)}
            write_secret(path, json.dumps({"version": VERSION, "keys": [key]}).encode())
    try:
        plain = json.loads(read_secret(path))
        if plain["version"] != VERSION:
            raise ValueError("unknown version")
        keys = tuple((str(key["id"]), bytes.fromhex(key["secret"])) for key in plain["keys"])
    except (KeyError, TypeError, ValueError) as fault:
        raise ConfigurationFault("The file of watermark keys is damaged.") from fault
    if not keys or len({name for name, _ in keys}) < len(keys):
        raise ConfigurationFault("The watermark keys are missing or share an id.")
    return keys


def _demand_new(name: str, *, in_use: bool) -> None:
    if in_use:
        raise ConfigurationFault(
            f"The key file {name} is missing, and clips or keys depend on it. Restore it."
        )
