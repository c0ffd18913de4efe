"""The CSV file of an operator's protected names: one row a name, aliases parted by ``|``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from gateway.errors import InvalidRequest
from safety.gazetteer import GazetteerInvalid, ProtectedName, subject_of
from safety.verdict import Category

COLUMNS = ("category", "id", "name", "aliases", "certain", "neutral")
REQUIRED = frozenset({"category", "name"})
MAX_FILE_BYTES = 8 * 1024 * 1024
_CERTAIN = {"yes": True, "no": False, "": True}


def read_names(path: Path) -> tuple[ProtectedName, ...]:
    """The names of a file. ``id`` is made from the name where it is empty.

    Raises InvalidRequest, naming the line, for anything that is not of this form; OSError when
    the file cannot be read.
    """
    content = path.read_bytes()
    if len(content) > MAX_FILE_BYTES:
        raise InvalidRequest("The file is too large.", param="file")
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = set(rows.fieldnames or ())
        if not REQUIRED <= columns <= set(COLUMNS):
            raise InvalidRequest(f"The columns are {', '.join(COLUMNS)}.", param="file")
        return tuple(_name(row, rows.line_num) for row in rows)
    except (UnicodeDecodeError, csv.Error) as fault:
        raise InvalidRequest("The file is not CSV in UTF-8.", param="file") from fault


def write_names(names: Iterable[ProtectedName]) -> str:
    """The names as such a file, which ``read_names`` reads back."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name in names:
        writer.writerow(
            (
                name.category.value,
                name.subject,
                name.name,
                "|".join(name.aliases),
                "yes" if name.certain else "no",
                name.neutral,
            )
        )
    return text.getvalue()


def _name(row: dict[str, str | None], line: int) -> ProtectedName:
    try:
        told = {column: (row.get(column) or "").strip() for column in COLUMNS}
        if None in row:
            raise GazetteerInvalid("it has more fields than columns")
        return ProtectedName(
            category=Category(told["category"]),
            subject=told["id"] or subject_of(told["name"]),
            name=told["name"],
            aliases=tuple(a.strip() for a in told["aliases"].split("|") if a.strip()),
            certain=_CERTAIN[told["certain"]],
            neutral=told["neutral"],
        )
    except (KeyError, ValueError) as fault:
        raise InvalidRequest(f"Line {line} is not a name: {fault}", param="file") from fault
