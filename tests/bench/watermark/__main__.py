"""Measures the watermark: python -m tests.bench.watermark [--clips a,b] [--attacks x,y]."""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
from pathlib import Path

import cv2

from tests.bench.watermark.attacks import ATTACKS, Attack
from tests.bench.watermark.cells import NAME, Row, key, measure, published
from tests.bench.watermark.clips import CLIPS, Trial
from watermark.spread import SpreadWatermarker

CACHE = Path(".cache/bench/watermark")


def sources() -> str:
    """A name for the watermark's present sources."""
    digest = hashlib.sha256()
    for path in sorted(Path("watermark").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def chosen(names: str, patterns: str) -> bool:
    """Whether a name matches one of the patterns, which commas divide; none allow all."""
    return not patterns or any(fnmatch.fnmatch(names, p) for p in patterns.split(","))


def line(row: Row) -> str:
    """One cell for people."""
    verdict = "WRONG" if row["wrong"] else "exact" if row["exact"] else "--"
    verdict = "registry" if verdict == "--" and row["registry"] else verdict
    named = row["registry_log10_p"]
    beside = "" if named is None else f" registry {named:6.1f}"
    return (
        f"{row['clip']:15} {row['attack']:24} {verdict:8} p {row['log10_p']:6.1f}{beside}"
        f" pilot {row['pilot']:6.1f} {row['seconds']:6.2f}s"
    )


def main() -> None:
    """Prints a row per clip and attack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", default="")
    parser.add_argument("--attacks", default="")
    parser.add_argument("--set", default="", choices=["", "tune", "report"])
    parser.add_argument("--crf", type=int)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--registry", action="store_true")
    parser.add_argument("--flat", type=float)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    trials: list[Trial] = [
        t for t in CLIPS.values() if chosen(t.name, asked.clips) and asked.set in {"", t.use}
    ]
    attacks: list[Attack] = [a for a in ATTACKS.values() if chosen(a.name, asked.attacks)]
    if asked.list:
        for t in trials:
            print(
                f"{t.name:16} {t.kind:9} {t.use:7} {t.rank:9} {t.width}x{t.height} {t.seconds}s"
            )
        for a in attacks:
            print(f"{a.name:24} {a.family:12} {a.goal}")
        return
    options = {} if asked.flat is None else {"flat_rms": asked.flat}
    marker = SpreadWatermarker([key()], NAME, **options)
    cache = CACHE / (sources() + (f"-flat{asked.flat}" if asked.flat is not None else ""))
    rows: list[Row] = []
    for trial in trials:
        video = published(trial, marker, cache)
        for attack in attacks:
            if not attack.applies(trial.height, trial.width):
                continue
            row = measure(
                trial, attack, video, marker, crf=asked.crf, always_registry=asked.registry
            )
            rows.append(row)
            print(line(row), flush=True)
    exact, named, wrong = (sum(r[k] for r in rows) for k in ("exact", "registry", "wrong"))
    print(
        f"Exact {exact}, with the registry {named} of {len(rows)}; wrong and certain {wrong}."
    )


if __name__ == "__main__":
    main()
