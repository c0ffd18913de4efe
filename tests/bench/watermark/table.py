"""The results as tables for people, a compact file, and one plain line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.watermark.attacks import ATTACKS
from tests.bench.watermark.cells import Row

GOALS: Final = ("99", "95", "80", "90-registry", "reported")
RANKS: Final = ("detailed", "hard", "other")
COLUMNS: Final = (
    "clip",
    "attack",
    "rank",
    "use",
    "goal",
    "crf",
    "exact",
    "registry",
    "wrong",
    "bits",
    "log10_p",
    "registry_log10_p",
    "pilot",
    "seconds",
)


def line(row: Row) -> str:
    """One cell on one line."""
    verdict = "WRONG" if row["wrong"] else "exact" if row["exact"] else "--"
    verdict = "registry" if verdict == "--" and row["registry"] else verdict
    named = row["registry_log10_p"]
    beside = " " * 16 if named is None else f" registry {named:6.1f}"
    return (
        f"{row['clip']:15} {row['attack']:24} {row['goal']:11} {verdict:8}"
        f" p {row['log10_p']:6.1f}{beside} pilot {row['pilot']:6.1f} {row['seconds']:6.2f}s"
    )


def share(rows: Sequence[Row], field: str) -> float | None:
    """The share of rows in which a field holds, in percent; None without rows."""
    return round(100 * sum(bool(r[field]) for r in rows) / len(rows), 1) if rows else None


def by_attack(rows: Sequence[Row]) -> str:
    """A markdown table: exact / with the registry, of so many clips, for each rank."""
    out = [
        "| attack | goal | " + " | ".join(RANKS) + " | bits |",
        "|---|---|" + "---|" * (len(RANKS) + 1),
    ]
    for attack in ATTACKS.values():
        mine = [row for row in rows if row["attack"] == attack.name]
        if not mine:
            continue
        parts = []
        for rank in RANKS:
            some = [row for row in mine if row["rank"] == rank]
            exact, named = (sum(bool(r[f]) for r in some) for f in ("exact", "registry"))
            parts.append(f"{exact} / {named} of {len(some)}" if some else "–")
        bits = sum(row["bits"] for row in mine) / len(mine)
        out.append(f"| {attack.name} | {attack.goal} | {' | '.join(parts)} | {bits:.3f} |")
    return "\n".join(out)


def by_goal(rows: Sequence[Row]) -> list[Row]:
    """Rates for each goal, rank and half of the clips, with what the registry adds."""
    out: list[Row] = []
    for use in ("tune", "report"):
        for rank in RANKS:
            for goal in GOALS:
                some = [
                    r for r in rows if (r["use"], r["rank"], r["goal"]) == (use, rank, goal)
                ]
                if not some:
                    continue
                field = "registry" if goal == "90-registry" else "exact"
                wanted = None if goal == "reported" else float(goal.split("-")[0])
                rate = share(some, field)
                out.append(
                    {
                        "use": use,
                        "rank": rank,
                        "goal": goal,
                        "cells": len(some),
                        "exact": share(some, "exact"),
                        "registry": share(some, "registry"),
                        "met": None if wanted is None or rate is None else rate >= wanted,
                    }
                )
    return out


def markdown(rows: Sequence[Row], columns: Iterable[str]) -> str:
    """Rows as a markdown table of these columns."""
    names = list(columns)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = ["–" if row.get(n) is None else str(row[n]) for n in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def registry_gain(rows: Sequence[Row]) -> Row:
    """What the registry adds where the self-contained read is below 95 %, and what it costs."""
    weak = []
    for attack in ATTACKS:
        for rank in RANKS:
            some = [r for r in rows if r["attack"] == attack and r["rank"] == rank]
            alone = share(some, "exact")
            if alone is not None and alone < 95:
                weak += some
    exact, named = share(weak, "exact"), share(weak, "registry")
    return {
        "cells": len(weak),
        "exact": exact,
        "registry": named,
        "gain_points": None if exact is None or named is None else round(named - exact, 1),
        "lost_by_registry": sum(bool(r["exact"]) and not r["registry"] for r in rows),
    }


def peers(rows: Sequence[Row]) -> str:
    """Exact recovery and bit accuracy of each scheme for each attack, on the same seconds."""
    schemes = list(dict.fromkeys(row["scheme"] for row in rows))
    out = [
        "| attack | " + " | ".join(f"{s} exact, bits" for s in schemes) + " |",
        "|---|" + "---|" * len(schemes),
    ]
    for attack in dict.fromkeys(row["attack"] for row in rows):
        parts = []
        for scheme in schemes:
            some = [r for r in rows if (r["scheme"], r["attack"]) == (scheme, attack)]
            bits = sum(r["bits"] for r in some) / max(1, len(some))
            parts.append(f"{sum(r['exact'] for r in some)} of {len(some)}, {bits:.3f}")
        out.append(f"| {attack} | {' | '.join(parts)} |")
    return "\n".join(out)


def plain(rows: Sequence[Row], null: Row) -> str:
    """The last line: rates by goal, wrong payloads, nulls."""
    held = [r for r in rows if r["use"] == "report"]
    named = "clips never tuned on" if held else "clips that may be tuned on"
    parts = []
    for goal in GOALS[:-1]:
        some = [r for r in held or rows if r["goal"] == goal]
        field = "registry" if goal == "90-registry" else "exact"
        if some:
            parts.append(f"goal {goal} %: {share(some, field)} % of {len(some)}")
    wrong = sum(bool(r["wrong"]) for r in rows)
    return (
        f"On {named}, {'; '.join(parts) or 'no cell has a goal'}."
        f" Wrong payloads held to be certain: {wrong} of {len(rows)};"
        f" nulls: {null.get('certain', 0)} of {null.get('reads', 0)}."
    )


def write(path: Path, content: dict[str, Any], cells: Sequence[Row]) -> None:
    """Writes the file: a head, then one line for each cell in the order of `columns`."""
    order = {name: i for i, name in enumerate(ATTACKS)}
    ranked = sorted(cells, key=lambda r: (r["clip"], order[r["attack"]]))
    rows = ",\n".join(json.dumps([_short(r[c]) for c in COLUMNS]) for r in ranked)
    head = json.dumps({**content, "columns": COLUMNS}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head[:-2]},\n "cells": [\n{rows}\n]\n}}\n')


def _short(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return round(value, 3) if isinstance(value, float) else value
