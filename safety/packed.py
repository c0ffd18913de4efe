"""Texts packed into others: base64 and hexadecimal in layers, markup, unseen characters."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import unquote

MIN_BASE64_CHARS: Final = 16
MAX_LAYERS: Final = 3
MAX_PACKED: Final = 6
"""How many packed texts are read; a prompt with more holds nothing that anybody films."""

_BASE64 = re.compile(rf"(?:[A-Za-z0-9+/_-][\r\n]{{0,2}}){{{MIN_BASE64_CHARS},}}={{0,2}}")
_HEX = re.compile(
    rf"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{{2}}){{{MIN_BASE64_CHARS // 2},}}(?![0-9A-Za-z])"
)
_MARKUP = re.compile(r"</?[A-Za-z][^<>]{0,80}>|<!--.{0,200}?-->", re.DOTALL)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z]{2,12});?")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_TAG_BLOCK: Final = range(0xE0020, 0xE007F)


def without_markup(text: str) -> str:
    """The text with its tags gone and its entities and percent escapes read."""
    if _ENTITY.search(text):
        text = html.unescape(text)
    if len(_ESCAPE.findall(text)) > 1:
        text = unquote(text, errors="replace")
    return _MARKUP.sub("", text) if "<" in text else text


def unpacked(text: str) -> tuple[str, ...]:
    """What lies in the text as base64 or hexadecimal, layer by layer, or in unseen characters.

    At most MAX_PACKED texts. Never raises.
    """
    found: list[str] = []
    if hidden := "".join(chr(ord(c) - 0xE0000) for c in text if ord(c) in _TAG_BLOCK):
        found.append(hidden)
    layer = [text, *found]
    for _ in range(MAX_LAYERS):
        layer = [clear for packed in layer for clear in _clear(packed)][:MAX_PACKED]
        found.extend(clear for clear in layer if " " in clear.strip())
    return tuple(dict.fromkeys(found))[:MAX_PACKED]


def _clear(text: str) -> Iterator[str]:
    for match in _BASE64.finditer(text):
        packed = "".join(match.group().split()).replace("-", "+").replace("_", "/").rstrip("=")
        # A word before it without a space looks like its beginning: try the next places, too.
        for start in range(4):
            part = packed[start:]
            try:
                raw = base64.b64decode(part + "=" * (-len(part) % 4), validate=True)
                clear = raw.decode()
            except (binascii.Error, ValueError):
                continue
            if _is_text(clear):
                yield clear
                break
    for match in _HEX.finditer(text):
        with suppress(ValueError):
            clear = bytes.fromhex(match.group()).decode()
            if _is_text(clear):
                yield clear


def _is_text(clear: str) -> bool:
    printable = all(c.isprintable() or c.isspace() for c in clear)
    return printable and len(clear) >= MIN_BASE64_CHARS // 2
