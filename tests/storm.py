"""Storms: workers of a site that are killed and frozen while clips are made."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from typing import Any

import sqlalchemy as sa

from gateway.db import Database
from tests.crash_kit import ENDS, LEASE_SECONDS, WEIGHTS, Site


def freeze(site: Site, process: Any) -> None:
    """Stop a worker between its writes, and not inside one.

    On SQLite nobody writes until whoever was frozen inside a write wakes up; PostgreSQL ends
    such a transaction (``IDLE_WRITE_MS``).
    """
    while True:
        os.kill(process.pid, signal.SIGSTOP)
        if not site.database.is_sqlite or _writable(site.database):
            return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.01)


def _writable(database: Database) -> bool:
    path = sa.make_url(database.url).database
    with contextlib.closing(sqlite3.connect(str(path), timeout=0.5)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def disturb(site: Site, rng: random.Random) -> str:
    """Kill one worker, or freeze it until its lease is over; return which of the two."""
    alive = [process for process in site.processes if process.is_alive()]
    if not alive:
        return "died by itself"
    victim = rng.choice(alive)
    if rng.random() < 0.15:
        with contextlib.suppress(ProcessLookupError):  # it has just killed itself
            os.kill(victim.pid, signal.SIGSTOP)
            time.sleep(LEASE_SECONDS * rng.uniform(1.1, 2))
            os.kill(victim.pid, signal.SIGCONT)
        return "frozen"
    victim.kill()
    victim.join(30)
    return "killed"


def storm(site: Site, *, kills: int, seed: int, workers: int = 2) -> Counter[str]:
    """Ask for clips and disturb the workers until ``kills`` of them were killed.

    About half kill themselves at a write that is drawn, the others are killed from outside
    at a random time. Ends with two undisturbed workers that bring everything to its end.
    """
    rng = random.Random(seed)
    happened: Counter[str] = Counter()

    def alive() -> list[Any]:
        return [process for process in site.processes if process.is_alive()]

    while happened["killed"] + happened["killed at a write"] < kills:
        waiting = sum(s in ("queued", "in_progress") for s in site.states().values())
        for _ in range(max(0, 4 - waiting)):
            site.ask(rng.choices(list(ENDS), WEIGHTS)[0])
            happened["requests"] += 1
        happened["ruled on"] += site.rule()
        while len(alive()) < workers:
            site.start(die_after=rng.randrange(1, 120) if rng.random() < 0.5 else 0)
        time.sleep(rng.uniform(0, 0.8))
        before = len(alive())
        happened["killed at a write"] += workers - before
        if rng.random() < 0.6:
            happened[disturb(site, rng)] += 1
        site.processes = alive()
    for process in alive():
        process.kill()
        process.join(30)
    for _ in range(workers):
        site.start()
    site.until_ended()
    return happened
