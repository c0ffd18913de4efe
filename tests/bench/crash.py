"""Kills and freezes workers for a long time: `python -m tests.bench.crash`.

On SQLite and on PostgreSQL, two workers at a time on the real database, engine, leases, record,
log and stores; the model, judges and marks are the quick ones of the tests. About half of the
kills hit a write (before, inside or after its transaction), the others a random time; some
workers are frozen for longer than their lease and wake up again. Afterwards every request must
have ended once, as it had to; every released file carry its marks; nothing be left in a store;
and the log be complete.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

from gateway.jobs import migrate_engine
from gateway.schema import migrate
from tests.crash_kit import Site
from tests.postgres import PostgresServer
from tests.storm import storm

ROUND = 50  # kills between two full checks


def run(url: str, folder: Path, kills: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Storms of ROUND kills each on one database; stops at the first fault."""
    migrate(url)
    migrate_engine(url)
    happened: Counter[str] = Counter()
    faults: list[str] = []
    site = Site(url, folder)
    try:
        for turn in range(-(-kills // ROUND)):
            started = time.monotonic()
            happened += storm(site, kills=min(ROUND, kills - turn * ROUND), seed=seed + turn)
            faults = site.faults()
            print(dict(happened), f"{time.monotonic() - started:.0f} s", faults, flush=True)
            if faults:
                break
        happened.update(f"ended as {state}" for state in site.states().values())
    finally:
        site.close()
    return happened, faults


def main() -> None:
    """Runs both databases; prints what happened and what did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="on each database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = {}
    with tempfile.TemporaryDirectory(prefix="crash") as root:
        folder = Path(root)
        server = PostgresServer()
        with server.database() as name:
            for kind, url in (
                ("sqlite", f"sqlite:///{folder / 'crash.db'}"),
                ("postgresql", server.url(name)),
            ):
                if options.only not in (None, kind):
                    continue
                home = folder / kind
                home.mkdir()
                happened, faults = run(url, home, options.kills, options.seed)
                table[kind] = {"happened": dict(happened), "faults": faults}
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")
    for kind, row in table.items():
        print(kind, json.dumps(row))
    count = sum(
        row["happened"].get("killed", 0) + row["happened"].get("killed at a write", 0)  # type: ignore[attr-defined]
        for row in table.values()
    )
    broken = sum(len(row["faults"]) for row in table.values())
    print(f"{count} workers killed; {broken} things did not hold.")


if __name__ == "__main__":
    main()
