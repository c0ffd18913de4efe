"""Canonical JSON (RFC 8785) for values without fractions: one value, one byte string.

Written with the standard library alone, so that the offline checker needs nothing else.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

# RFC 8785 §3.2.2.3 with RFC 7493 §2.2: beyond this a double is not exact.
MAX_INTEGER = 2**53 - 1


def dumps(value: object) -> bytes:
    """The canonical bytes of a value made of dict, list, tuple, str, int, bool and None.

    Raises ValueError for anything else: fractions, integers beyond ±(2^53 - 1), keys that
    are not text, and text with lone surrogates.
    """
    text = json.dumps(
        _ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    # RFC 8785 §3.2.4: UTF-8. A lone surrogate has none; UnicodeEncodeError is a ValueError.
    return text.encode("utf-8")


def loads(written: bytes) -> Any:
    """The value of canonical bytes. Raises ValueError when they are not canonical."""
    try:
        value = json.loads(written.decode("utf-8"), parse_float=_refuse, parse_constant=_refuse)
        if dumps(value) == written:
            return value
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault
    raise ValueError("the same value has other canonical bytes")


def _ordered(value: object) -> object:
    # RFC 8785 §3.2.3: members sorted by the UTF-16 code units of their names.
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("a member name is not text")
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return {name: _ordered(value[name]) for name in names}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) <= MAX_INTEGER:
        return value
    raise ValueError("the value has no exact canonical form")


def _refuse(_text: str) -> NoReturn:
    raise ValueError("fractions are not allowed")
