"""A million fingerprints with the statistics of real ones, and real ones planted among them."""

from __future__ import annotations

import os
import resource
import time
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from watermark.fingerprint.inverted import InvertedIndex
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import ASPECT_UNIT, MAX_POINTS, Fingerprint
from watermark.fingerprint.shelf import Shelf

BATCH: Final = 10_000
PLANTED: Final = "planted "


def synthetic(
    pool: NDArray[np.uint64], count: int, rng: np.random.Generator
) -> NDArray[np.uint64]:
    """Codes that look like real ones: half drawn with the pool's bit means and correlations,
    half real codes with a quarter of their bits turned over.
    """
    bits = np.unpackbits(pool.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    normal = np.sin(np.pi / 2 * np.corrcoef(bits.T.astype(np.float64)))
    values, vectors = np.linalg.eigh(normal)
    shape = (vectors * np.sqrt(np.maximum(values, 1e-3))).astype(np.float32)
    edge = [NormalDist().inv_cdf(1 - min(0.99, max(0.01, float(m)))) for m in bits.mean(axis=0)]
    half = count // 2
    drawn = rng.standard_normal((half, 64), dtype=np.float32) @ shape.T > np.array(edge)
    made = np.packbits(drawn, axis=1).view(">u8").ravel().astype(np.uint64)
    words = rng.integers(0, 2**64, (2, count - half), dtype=np.uint64)
    damaged = rng.choice(pool, count - half) ^ (words[0] & words[1])
    return np.asarray(rng.permutation(np.concatenate([made, damaged])), dtype=np.uint64)


def filled(records: dict[str, Fingerprint], size: int) -> tuple[InvertedIndex, float]:
    """An index of `size` clips, the records among them; and the seconds to list it."""
    rng = np.random.default_rng(1)
    pool = np.concatenate([record.points.codes for record in records.values()])
    pool_places = np.concatenate([record.points.places for record in records.values()])
    codes = np.empty((size, MAX_POINTS), np.uint64)
    places = np.empty((size, MAX_POINTS, 4), np.uint8)
    for start in range(0, size, BATCH):
        rows = min(BATCH, size - start)
        made = synthetic(pool, rows * MAX_POINTS, rng)
        codes[start : start + rows] = made.reshape(rows, MAX_POINTS)
        places[start : start + rows] = rng.choice(pool_places, (rows, MAX_POINTS))
    counts = np.full(size, MAX_POINTS, np.int32)
    aspects = np.full(size, round(16 / 9 * ASPECT_UNIT), np.uint16)
    names: list[str | None] = [f"synthetic {row}" for row in range(size)]
    step = size // len(records)
    for row, (name, record) in zip(range(0, size, step), records.items(), strict=False):
        count = len(record.points)
        codes[row, :count], places[row, :count] = record.points.codes, record.points.places
        counts[row], aspects[row] = count, round(record.points.aspect * ASPECT_UNIT)
        names[row] = PLANTED + name
    start = time.perf_counter()
    shelf = Shelf.over(codes, places, counts, aspects)
    index = InvertedIndex.on(shelf, names)
    return index, time.perf_counter() - start


def at_scale(
    records: dict[str, Fingerprint], queries: dict[tuple[str, str], Query], size: int
) -> dict[str, Any]:
    """Looks every copy up among `size` clips: recall per attack, time, memory."""
    index, seconds = filled(records, size)
    wall, cpu = [], []
    rows: dict[str, list[tuple[bool, bool, bool]]] = {}
    strangers, missed, wrong = [], [], []
    for (name, attack), query in queries.items():
        burning, start = time.process_time(), time.perf_counter()
        found = index.search(query).matches
        wall.append((time.perf_counter() - start) * 1000)
        cpu.append((time.process_time() - burning) * 1000)
        own = [match for match in found if match.clip_id == PLANTED + name]
        first = bool(own) and found[0] is own[0]
        rows.setdefault(attack, []).append((bool(own), first, bool(own) and own[0].credible))
        if not own:
            missed.append(f"{name} {attack}")
        elif not first:
            wrong.append(f"{name} {attack}: {found[0].clip_id.removeprefix(PLANTED)}")
        strangers += [m.log10_p for m in found if not m.clip_id.startswith(PLANTED)]
    recall = {
        attack: dict(
            zip(
                ("at_16", "first", "credible"),
                (round(float(v), 4) for v in np.mean(hits, axis=0)),
                strict=True,
            )
        )
        for attack, hits in rows.items()
    }
    return {
        "clips": size,
        "searches": len(wall),
        "list_seconds": round(seconds, 1),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "search_ms_median": round(float(np.median(wall)), 1),
        "search_ms_p95": round(float(np.quantile(wall, 0.95)), 1),
        "search_cpu_ms_median": round(float(np.median(cpu)), 1),
        "search_cpu_ms_p95": round(float(np.quantile(cpu, 0.95)), 1),
        "load": round(os.getloadavg()[0], 1),
        "synthetic_matches": len(strangers),
        "synthetic_credible": sum(value <= -6 for value in strangers),
        "missed": missed,
        "another_first": wrong,
        "recall": recall,
    }
