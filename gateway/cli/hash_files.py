"""The files of hash lists that operators bring: plain lines, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import InvalidRequest
from gateway.hash_lists import ListedHash
from safety.pdq import MIN_QUALITY, from_hex
from safety.verdict import Category

COLUMNS = ("hash", "category", "reference", "quality")
MAX_FILE_BYTES = 256 * 1024 * 1024
COMMENT = "#"
# A PDQ hash has 128 bits set, or fewer where values are equal; a cryptographic sum, which is
# as long in hex, has 128 by chance only. A list of those would never match anything.
SET_BITS = 128
MIN_SET_BITS = 96
FEW = 8
BALANCED_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class HashFile:
    """What a file holds; ``skipped`` had a quality too low to match by."""

    entries: tuple[ListedHash, ...]
    skipped: int


def read_hashes(path: Path, category: Category | None) -> HashFile:
    """The hashes of a file; those without a category of their own get ``category``.

    Plain: a hash a line, 64 hex digits; blank lines and those that begin with ``#`` are passed
    over. CSV: a first line that names the columns, of which ``hash`` must be there.

    Raises InvalidRequest, naming the line and never the hash, for anything else; OSError when
    the file cannot be read.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InvalidRequest("The file is too large.", param="file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise InvalidRequest("The file is not text in UTF-8.", param="file") from fault
    first = text.partition("\n")[0].strip().lower().split(",")
    try:
        rows = _csv(text) if "hash" in first else _plain(text)
        entries, skipped = [], 0
        for line, told in rows:
            if _quality(told, line) < MIN_QUALITY:
                skipped += 1
            else:
                entries.append(_entry(told, line, category))
    except csv.Error as fault:
        raise InvalidRequest("The file is not CSV.", param="file") from fault
    _require_balance(entries)
    return HashFile(entries=tuple(entries), skipped=skipped)


def one_hash(text: str, category: Category, reference: str = "") -> ListedHash:
    """A hash that was typed. Raises InvalidRequest."""
    try:
        value = from_hex(text.strip())
    except ValueError as fault:
        raise InvalidRequest(str(fault), param="hash") from fault
    if not MIN_SET_BITS <= _set_bits(value) <= SET_BITS:
        raise InvalidRequest(
            "That is not a PDQ hash of a picture with any structure.", param="hash"
        )
    return ListedHash(category=category, hash=value, reference=reference)


def _plain(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith(COMMENT):
            yield number, {"hash": line.strip()}


def _csv(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
    if not {"hash"} <= set(rows.fieldnames) <= set(COLUMNS):
        raise InvalidRequest(f"The columns are {', '.join(COLUMNS)}.", param="file")
    for row in rows:
        if None in row or None in row.values():
            raise InvalidRequest(f"Line {rows.line_num} is not of these columns.", param="file")
        yield rows.line_num, {name: value.strip() for name, value in row.items()}


def _quality(told: dict[str, str], line: int) -> int:
    written = told.get("quality", "")
    if not written:
        return MIN_QUALITY
    if written.isascii() and written.isdigit() and int(written) <= 100:
        return int(written)
    raise InvalidRequest(f"Line {line}: a quality is 0 to 100.", param="file")


def _entry(told: dict[str, str], line: int, otherwise: Category | None) -> ListedHash:
    named = told.get("category", "")
    try:
        category = Category(named) if named else otherwise
    except ValueError as fault:
        raise InvalidRequest(
            f"Line {line}: there is no such category.", param="file"
        ) from fault
    if category is None:
        raise InvalidRequest("Say of which category the hashes are.", param="category")
    try:
        value = from_hex(told["hash"])
    except ValueError as fault:
        raise InvalidRequest(f"Line {line}: {fault}", param="file") from fault
    if _set_bits(value) < MIN_SET_BITS:
        raise InvalidRequest(
            f"Line {line} is the hash of a picture without structure.", param="file"
        )
    return ListedHash(category=category, hash=value, reference=told.get("reference", ""))


def _require_balance(entries: Sequence[ListedHash]) -> None:
    balanced = sum(SET_BITS - 1 <= _set_bits(entry.hash) <= SET_BITS for entry in entries)
    if len(entries) >= FEW and balanced < BALANCED_SHARE * len(entries):
        raise InvalidRequest(
            "These are not PDQ hashes; sums such as SHA-256 look like this.", param="file"
        )


def _set_bits(value: bytes) -> int:
    return int.from_bytes(value).bit_count()
