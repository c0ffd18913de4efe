"""A picture of exact recovery by attack, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from tests.bench.watermark.attacks import ATTACKS
from tests.bench.watermark.cells import Row
from tests.bench.watermark.table import share

ROW: Final = 15
LEFT: Final = 190
WIDE: Final = 250
GAP: Final = 40
GROUPS: Final = (
    ("detailed", "natural and textured, ≥ 480 lines"),
    ("hard", "flat, dark, or 256²"),
)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draws a bar per attack and group: dark for the mark alone, light with the registry."""
    names = [a for a in ATTACKS if any(r["attack"] == a for r in rows)]
    width, height = LEFT + len(GROUPS) * (WIDE + GAP), 56 + ROW * len(names) + 24
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            ' font-family="sans-serif" font-size="11" role="img">'
        ),
        "<title>Exact recovery of the watermark by attack</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for column, (rank, title) in enumerate(GROUPS):
        left = LEFT + column * (WIDE + GAP)
        out.append(f'<text x="{left}" y="18" font-weight="bold">{title}</text>')
        for tick in (0, 50, 100):
            x = left + WIDE * tick / 100
            out.append(
                f'<line x1="{x}" y1="40" x2="{x}" y2="{height - 24}" stroke="#ccc"/>'
                f'<text x="{x}" y="34" text-anchor="middle" fill="#555">{tick} %</text>'
            )
        for index, name in enumerate(names):
            y = 44 + ROW * index
            some = [r for r in rows if r["attack"] == name and r["rank"] == rank]
            exact, named = share(some, "exact"), share(some, "registry")
            if exact is None or named is None:
                out.append(f'<text x="{left + 3}" y="{y + 10}" fill="#999">–</text>')
                continue
            for value, colour in ((named, "#a9c6e8"), (exact, "#1f5fa8")):
                long = round(WIDE * value / 100, 1)
                out.append(
                    f'<rect x="{left}" y="{y + 2}" width="{long}" height="10" fill="{colour}"/>'
                )
    for index, name in enumerate(names):
        y = 44 + ROW * index + 11
        out.append(f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{escape(name)}</text>')
    out.append(
        f'<text x="{LEFT}" y="{height - 8}" fill="#555">dark: the mark alone; light: with a'
        " registry of 1,000 ids</text></svg>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(out) + "\n")
