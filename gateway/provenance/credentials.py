"""Credentials: what was read from a file's manifest, without the library that read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from gateway.errors import StageUnavailable

State = Literal["absent", "trusted", "valid", "invalid", "unreadable"]
STATES: tuple[State, ...] = get_args(State)
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A manifest as it was found. Only ``ours`` says that this service signed it.

    ``absent``: no manifest. ``trusted``: hashes and signature hold and the chain leads to an
    installed anchor. ``valid``: they hold, but nobody vouches for the signer; any forger gets
    that far. ``invalid``: something does not hold, ``failures`` says what. ``unreadable``: we
    could not check, which says nothing about the file.

    ``trusted`` fixes pictures and sound, not the file's bytes: a ``free`` box may come or go.
    Texts come from the file: cleaned of control characters and cut, and otherwise whatever the
    signer wrote. ``signed_at`` is set only by a time stamp whose authority is trusted.
    ``digital_source_types`` and ``actions`` are in the order of the active manifest.
    """

    state: State
    ours: bool = False
    signer: str | None = None
    issuer: str | None = None
    generator: str | None = None
    signed_at: datetime | None = None
    digital_source_types: tuple[str, ...] = ()
    soft_bindings: tuple[tuple[str, str], ...] = ()
    manifest_id: str | None = None
    failures: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.state not in STATES or (self.ours and self.state != "trusted"):
            raise StageUnavailable("Credentials that are not trusted cannot be ours.")

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values, with a version number first."""
        return {
            "version": FORMAT_VERSION,
            "state": self.state,
            "ours": self.ours,
            "signer": self.signer,
            "issuer": self.issuer,
            "generator": self.generator,
            "signed_at": self.signed_at.isoformat() if self.signed_at else None,
            "digital_source_types": list(self.digital_source_types),
            "soft_bindings": [list(pair) for pair in self.soft_bindings],
            "manifest_id": self.manifest_id,
            "failures": list(self.failures),
            "actions": list(self.actions),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Credentials:
        """Read ``to_dict`` back; the values may come from a process that went wrong.

        Raises StageUnavailable when anything is missing, unknown or of another type.
        """
        try:
            return _from_dict(values)
        except (KeyError, TypeError, ValueError) as fault:
            raise StageUnavailable("The reading of the credentials is damaged.") from fault


def _from_dict(values: Mapping[str, Any]) -> Credentials:
    known = {"version", *Credentials.__dataclass_fields__}
    if set(values) != known or values["version"] != FORMAT_VERSION:
        raise ValueError("unknown fields or version")
    if not isinstance(values["ours"], bool):
        raise TypeError("ours")
    signed_at = _text(values["signed_at"])
    moment = datetime.fromisoformat(signed_at) if signed_at is not None else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError("signed_at")
    pairs = tuple(_texts(pair) for pair in values["soft_bindings"])
    return Credentials(
        state=values["state"],
        ours=values["ours"],
        signer=_text(values["signer"]),
        issuer=_text(values["issuer"]),
        generator=_text(values["generator"]),
        signed_at=moment,
        digital_source_types=_texts(values["digital_source_types"]),
        soft_bindings=tuple((alg, value) for alg, value in pairs),
        manifest_id=_text(values["manifest_id"]),
        failures=_texts(values["failures"]),
        actions=_texts(values["actions"]),
    )


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError("not a text")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise TypeError("not a list of texts")
