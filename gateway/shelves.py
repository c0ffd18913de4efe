"""The shelves: the two stores of media of an instance, where its settings put them."""

from __future__ import annotations

import configparser
from functools import partial
from pathlib import Path

from gateway.buckets import Bucket, Credentials, Folder, Place
from gateway.copies import Copies
from gateway.errors import ConfigurationFault
from gateway.provenance.keyfiles import read_secret
from gateway.settings import Settings
from gateway.store import Released, Vault

PROFILE = "default"


def vault(settings: Settings) -> Vault:
    """Where raw and intermediate media lie."""
    return Vault(_place(settings, settings.vault_dir, settings.storage.vault_bucket))


def released(settings: Settings) -> Released:
    """Where released clips lie; of a bucket, copies to serve are kept in the data folder."""
    place = _place(settings, settings.released_dir, settings.storage.released_bucket)
    copies = Copies(settings.copies_dir, max_bytes=settings.storage.copies_bytes)
    return Released(place, copies)


def file_credentials(path: Path) -> Credentials:
    """The access key in a file of AWS's form, profile "default", mode 0600.

    Raises ConfigurationFault without a word of its content.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_secret(path).decode("utf-8"))
        told = parser[PROFILE]
        return Credentials(
            key_id=told["aws_access_key_id"],
            secret=told["aws_secret_access_key"],
            token=told.get("aws_session_token"),
        )
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # Not chained: a parser's message quotes the line it stumbled over.
        raise ConfigurationFault(
            f"{path.name} is no credentials file: [{PROFILE}] with aws_access_key_id and "
            "aws_secret_access_key."
        ) from None


def _place(settings: Settings, folder: Path, bucket: str | None) -> Place:
    storage = settings.storage
    if storage.kind == "folder":
        return Folder(folder)
    if bucket is None:
        raise ConfigurationFault("storage.kind = 's3' needs two buckets.")
    from_file = storage.credentials
    return Bucket(
        name=bucket,
        prefix=storage.prefix,
        region=storage.region,
        endpoint=storage.endpoint,
        plain_http=storage.plain_http,
        credentials=None if from_file is None else partial(file_credentials, from_file),
    )
