"""Measures the log: appends per second, proofs and the full check on a long log.

    python -m tests.bench.audit [--entries 100000] [--appends 1500]

Absolute figures depend on the machine and its disk (each append is a durable commit), so the
appends are also given as a ratio to bare durable commits in the same run, and proofs and the
check also in processor time. "load" is the machine's, other work included.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

import sqlalchemy as sa

from gateway.audit.books import check_database
from gateway.audit.entry import Event, EventKind, leaf
from gateway.audit.keys import KeyFile
from gateway.audit.log import SqlAuditLog
from gateway.audit.sequencer import Sequencer
from gateway.db import Database
from gateway.schema import migrate
from gateway.tables import AuditOutbox

OUT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "audit.json"
THREADS = 8
PROOFS = 300
TARGETS = {"appends_per_second": 500.0, "proof_p99_ms": 50.0}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def event(number: int) -> Event:
    return Event(
        id=f"video_{number:032x}:mark:video.marked",
        kind=EventKind.VIDEO_MARKED,
        subject=f"video_{number:032x}",
        tenant="tnt_0123456789abcdef",
        facts={"clip_id": f"{number:016x}", "sha256": f"{number:064x}", "size_bytes": number},
    )


def bare_commits(database: Database, count: int) -> float:
    """Durable commits per second of one small row each, from as many threads."""
    with database.write() as session:
        session.execute(sa.text("CREATE TABLE bare (leaf BLOB)"))

    def work() -> None:
        for _ in range(count // THREADS):
            with database.write() as session:
                session.execute(sa.text("INSERT INTO bare VALUES (zeroblob(300))"))

    return count / timed(work)


def appends(database: Database, log: SqlAuditLog, count: int) -> tuple[float, float]:
    """Appends per second from 8 threads, one commit each, and the seconds until cover."""
    sequencer = Sequencer(log)
    sequencer.start()
    numbers = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            with database.write() as session:
                log.record(session, event(number))

    rate = count / timed(work)
    with database.write() as session:
        log.record(session, event(count))
    start = time.perf_counter()
    sequencer.wait_until_covered(event(count).id, timeout=60)
    waited = time.perf_counter() - start
    sequencer.stop()
    return rate, waited


def timed(work: object) -> float:
    assert callable(work)
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def fill(database: Database, log: SqlAuditLog, first: int, last: int) -> float:
    """Entries per second through the sequencer alone."""
    start = time.perf_counter()
    for batch in range(first, last, 5_000):
        numbers = range(batch, min(batch + 5_000, last))
        waiting = [{"event_id": event(n).id, "leaf": leaf(event(n), now())} for n in numbers]
        with database.write() as session:
            session.execute(sa.insert(AuditOutbox), waiting)
        while log.sequence():
            pass
    return (last - first) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--appends", type=int, default=1_500)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/log.db"
        migrate(url)
        database = Database(url)
        key = KeyFile.load_or_create(Path(folder) / "keys")
        log = SqlAuditLog(database, key, now)
        bare = bare_commits(database, chosen.appends)
        burning = time.process_time()
        rate, cover = appends(database, log, chosen.appends)
        append_cpu = (time.process_time() - burning) / chosen.appends * 1_000
        filled = fill(database, log, chosen.appends + 1, chosen.entries)
        times = []
        burnt = time.process_time()
        dice = random.Random(7)
        for _ in range(PROOFS):
            wanted = event(dice.randrange(chosen.entries)).id
            start = time.perf_counter()
            log.inclusion(wanted).verify(key.verifier)
            times.append((time.perf_counter() - start) * 1_000)
        burnt = (time.process_time() - burnt) / PROOFS * 1_000
        start, burning = time.perf_counter(), time.process_time()
        report = check_database(database, key.verifier, now=now())
        checked, checked_cpu = time.perf_counter() - start, time.process_time() - burning
        database.dispose()
    assert report.ok, report.faults[:3]
    assert report.entries == chosen.entries
    times.sort()
    result = {
        "entries": chosen.entries,
        "appends_per_second": round(rate, 1),
        "bare_commits_per_second": round(bare, 1),
        "appends_to_bare_commits": round(rate / bare, 3),
        "append_cpu_ms": round(append_cpu, 2),
        "cover_seconds": round(cover, 3),
        "fill_per_second": round(filled, 1),
        "proof_p50_ms": round(statistics.median(times), 2),
        "proof_p99_ms": round(times[int(len(times) * 0.99)], 2),
        "proof_cpu_ms": round(burnt, 2),
        "check_seconds": round(checked, 2),
        "check_cpu_seconds": round(checked_cpu, 2),
        "load": round(os.getloadavg()[0], 1),
    }
    for name, value in result.items():
        print(f"{name:28} {value}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    good = rate >= TARGETS["appends_per_second"]
    good = good and result["proof_p99_ms"] <= TARGETS["proof_p99_ms"]
    verdict = "ok" if good else "below target"
    print(f"audit bench: {verdict} at load {result['load']}")


if __name__ == "__main__":
    main()
