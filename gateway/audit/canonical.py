"""Canonical JSON (RFC 8785) for values without fractions: one value, one byte string.

Written with the standard library alone, so that the offline checker needs nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NoReturn

# RFC 8785 §3.2.2.3 with RFC 7493 §2.2: beyond this a double is not exact.
MAX_INTEGER = 2**53 - 1


def dumps(value: object) -> bytes:
    """The canonical bytes of a value made of dict, list, tuple, str, int, bool and None.

    Raises ValueError for anything else: fractions, integers beyond ±(2^53 - 1), keys that
    are not text, and text with lone surrogates.
    """
    # RFC 8785 §3.2.4: UTF-8. A lone surrogate has none; UnicodeEncodeError is a ValueError.
    return _ENCODER.encode(_ordered(value)).encode("utf-8")


def loads(written: bytes) -> Any:
    """The value of canonical bytes. Raises ValueError when they are not canonical."""
    try:
        value = _DECODER.decode(written.decode("utf-8"))
        if dumps(value) == written:
            return value
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault
    raise ValueError("the same value has other canonical bytes")


def _ordered(value: object) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in _sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if isinstance(value, int) and abs(value) <= MAX_INTEGER:
        return value
    raise ValueError("the value has no exact canonical form")


def _sorted(names: Collection[object]) -> list[str]:
    """Member names by their UTF-16 code units (RFC 8785 §3.2.3)."""
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) != len(names):
        raise ValueError("a member name is not text")
    if all(map(str.isascii, texts)):
        return sorted(texts)
    return sorted(texts, key=lambda text: text.encode("utf-16-be"))


def _refuse(_text: str) -> NoReturn:
    raise ValueError("fractions are not allowed")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)
