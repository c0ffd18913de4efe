"""The soft-binding value: the watermark's payload as the text a manifest carries.

``"<layout>*<clip id>"``: the layout version of the payload in decimal digits, an asterisk, and
the clip id as sixteen lower-case hexadecimal digits, for example ``"1*00c0ffee00c0ffee"``
(C2PA 2.4 §18.10; the form that TrustMark's published example uses).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import ConfigurationFault, InvalidRequest

LAYOUT_VERSION = 1
MAX_LAYOUT_VERSION = 255
CLIP_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_VALUE = re.compile(r"([1-9][0-9]{0,2})\*([0-9a-f]{16})", re.ASCII)
# The name rule of the C2PA soft-binding algorithm list: a reversed domain, no underscore.
_ALGORITHM = re.compile(
    r"[A-Za-z]{2,63}(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+", re.ASCII
)
FINGERPRINT_KIND = "fp.1"
_KINDS = frozenset({"wm", "watermark", "fp", "fingerprint"})
MAX_ALGORITHM_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The clip that a mark names, and the payload layout it was read with."""

    layout: int
    clip_id: str

    def __str__(self) -> str:
        return format_binding(self.clip_id, layout=self.layout)


def format_binding(clip_id: str, *, layout: int = LAYOUT_VERSION) -> str:
    """Give the text for a clip id of 16 lower-case hexadecimal digits.

    Raises InvalidRequest when the id or the layout (1 to 255) is out of range.
    """
    if not CLIP_ID.fullmatch(clip_id):
        raise InvalidRequest("A clip id is sixteen hexadecimal digits.", param="clip_id")
    if not 1 <= layout <= MAX_LAYOUT_VERSION:
        raise InvalidRequest("The payload layout is out of range.", param="layout")
    return f"{layout}*{clip_id}"


def parse_binding(value: str) -> Binding:
    """Read a text back; exactly the form that ``format_binding`` gives, nothing near it.

    It does not say that the clip exists, nor that the manifest holding the text is true.
    Raises InvalidRequest for everything else.
    """
    match = _VALUE.fullmatch(value)
    if match and 1 <= int(match[1]) <= MAX_LAYOUT_VERSION:
        return Binding(layout=int(match[1]), clip_id=match[2])
    raise InvalidRequest("That is not a soft-binding value of this service.", param="value")


def bound_clips(
    soft_bindings: Iterable[tuple[str, str]], *, algorithm: str
) -> tuple[Binding, ...]:
    """Pick the bindings that name this algorithm and parse; foreign ones are left out."""
    found = []
    for name, value in soft_bindings:
        if name != algorithm:
            continue
        try:
            found.append(parse_binding(value))
        except InvalidRequest:
            continue
    return tuple(found)


def fingerprint_algorithm(algorithm: str) -> str:
    """Give the name of our fingerprints beside a watermark of that name.

    ``org.example.cinegate.wm.1`` → ``org.example.cinegate.fp.1``. The value is the record of
    docs/fingerprint.md in base64. Raises ConfigurationFault as ``owner_prefix`` does.
    """
    return f"{owner_prefix(algorithm)}.{FINGERPRINT_KIND}"


def owner_prefix(algorithm: str) -> str:
    """Give the reversed domain under which our own assertion labels live.

    ``org.example.cinegate.wm.1`` → ``org.example.cinegate``: the final number and the kind of
    mark are dropped. Raises ConfigurationFault when the name breaks the rule of the C2PA
    algorithm list or when no domain of two parts is left.
    """
    if len(algorithm) > MAX_ALGORITHM_CHARS or not _ALGORITHM.fullmatch(algorithm):
        raise ConfigurationFault("watermark.algorithm is not a reversed domain name.")
    parts = algorithm.split(".")
    if parts[-1].isdigit():
        parts.pop()
    if parts[-1] in _KINDS:
        parts.pop()
    if len(parts) < 2 or parts[0] in {"c2pa", "cawg"}:
        raise ConfigurationFault("watermark.algorithm names no domain that you could own.")
    return ".".join(parts)
