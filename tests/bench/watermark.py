"""Measures the watermark: what survives, how it looks, what it costs, what nulls read.

python -m tests.bench.watermark [--only NAME] [--required] [--flat 0.5] [--nulls 200]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from tests.bench.watermark_attacks import REPORTED, REQUIRED, published
from tests.bench.watermark_clips import FPS, Clip, Trial, trials
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.spread import SpreadWatermarker

NAME = "org.example.bench.wm.1"
RESULT = Path("docs/benchmarks/watermark.json")
Row = dict[str, object]


def chunks(clip: Clip, size: int = 8) -> list[Clip]:
    """Cuts a clip as a stream would bring it."""
    return [clip[first : first + size] for first in range(0, len(clip), size)]


def quality(clip: Clip, marked: Clip) -> dict[str, float]:
    """PSNR and SSIM, and the rms of the luma change where the clip is flat."""
    steps = range(0, len(clip), 12)
    error = np.mean([np.mean((clip[i].astype(float) - marked[i]) ** 2) for i in steps])
    similar, flat = [], []
    for i in steps:
        one, two = (
            cv2.cvtColor(c[i], cv2.COLOR_RGB2GRAY).astype(np.float32) for c in (clip, marked)
        )
        similar.append(_ssim(one, two))
        detail = np.sqrt(cv2.blur((one - cv2.GaussianBlur(one, (0, 0), 2.5)) ** 2, (15, 15)))
        change = (two - one)[detail < 1.0]
        if change.size > 1000:
            flat.append(float(change.std()))
    return {
        "psnr": round(float(10 * np.log10(255**2 / max(error, 1e-9))), 2),
        "ssim": round(float(np.mean(similar)), 4),
        "flat_rms": round(float(np.mean(flat)), 3) if flat else float("nan"),
    }


def _ssim(one: np.ndarray, two: np.ndarray) -> float:
    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    a, b = mean(one), mean(two)
    va, vb, cov = mean(one * one) - a * a, mean(two * two) - b * b, mean(one * two) - a * b
    c1, c2 = 6.5025, 58.5225
    score = (2 * a * b + c1) * (2 * cov + c2) / ((a * a + b * b + c1) * (va + vb + c2))
    return float(score.mean())


def measure(trial: Trial, marker: SpreadWatermarker, names: list[str]) -> list[Row]:
    """Marks one clip, damages it in every way, reads it each time."""
    rng = np.random.default_rng(int.from_bytes(trial.name.encode(), "big") % 2**32)
    clip = trial.draw()
    payload = Payload(clip_id=int(rng.integers(2**63)))
    began = time.process_time()
    marked = np.concatenate(list(marker.embed(iter(chunks(clip)), payload, fps=FPS)))
    seconds = time.process_time() - began
    looks = {**quality(clip, marked), "embed_fps": round(len(clip) / seconds, 1)}
    first = published(marked)
    looks["published_psnr"] = quality(clip, first)["psnr"]
    looks["published_flat_rms"] = quality(published(clip), first)["flat_rms"]
    rows: list[Row] = []
    for name in names:
        damaged = {**REQUIRED, **REPORTED}[name](first, rng)
        began = time.process_time()
        read = marker.extract(iter(chunks(damaged)), fps=FPS)
        spent = time.process_time() - began
        named = marker.extract(iter(chunks(damaged)), fps=FPS, candidates=(payload,))
        rows.append(
            {
                "clip": trial.name,
                "kind": trial.kind,
                "attack": name,
                "exact": read.payload == payload and read.certain,
                "wrong": read.certain and read.payload != payload,
                "registry": named.payload == payload and named.certain,
                "log10_p": round(read.log10_p, 1),
                "pilot": round(read.pilot_score, 1),
                "seconds": round(spent, 2),
                **looks,
            }
        )
    return rows


def nulls(marker: SpreadWatermarker, count: int) -> dict[str, float]:
    """Reads unmarked noise-like short clips; returns the strongest reading seen."""
    rng = np.random.default_rng(0)
    worst, certain, best = 0.0, 0, 0.0
    for _ in range(count):
        small = rng.integers(0, 256, (2, int(rng.integers(8, 60)), int(rng.integers(8, 60)), 3))
        clip = np.stack([cv2.resize(f.astype(np.uint8), (320, 180)) for f in small])
        read = marker.extract([clip], fps=FPS)
        certain += read.certain
        worst, best = min(worst, read.log10_p), max(best, read.pilot_score)
    return {"reads": count, "certain": certain, "worst_log10_p": worst, "best_pilot": best}


def _keep(rows: list[Row], null: dict[str, float]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"rows": rows, "nulls": null}, indent=1) + "\n")


def _verdict(row: Row) -> str:
    if row["wrong"]:
        return "WRONG"
    return "ok" if row["exact"] else "registry" if row["registry"] else "--"


def main() -> None:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--attacks", default="")
    parser.add_argument("--required", action="store_true")
    parser.add_argument("--flat", type=float)
    parser.add_argument("--nulls", type=int, default=100)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    key = WatermarkKey(id="bench", secret=b"a secret that is used for measurement only")
    options = {} if asked.flat is None else {"flat_rms": asked.flat}
    marker = SpreadWatermarker([key], NAME, **options)
    names = [*REQUIRED] if asked.required else [*REQUIRED, *REPORTED]
    if asked.attacks:
        names = asked.attacks.split(",")
    rows: list[Row] = []
    for trial in trials():
        if not any(part in trial.name for part in asked.only.split(",")):
            continue
        found = measure(trial, marker, names)
        rows += found
        if asked.write:
            _keep(rows, {})
        one = found[0]
        print(
            f"{trial.name:13} psnr {one['psnr']} ssim {one['ssim']} flat {one['flat_rms']}"
            f" (published {one['published_flat_rms']}) embed {one['embed_fps']}/s",
            flush=True,
        )
        marks = [
            f"{r['attack']} {_verdict(r)} {r['log10_p']:.0f}/{r['pilot']}/{r['seconds']}s"
            for r in found
        ]
        print("   ", " | ".join(marks), flush=True)
    null = nulls(marker, asked.nulls) if asked.nulls else {}
    table: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        table[str(row["attack"])].append(row)
    for name, group in table.items():
        exact = sum(bool(r["exact"]) for r in group)
        registry = sum(bool(r["registry"]) for r in group)
        print(
            f"{name:18} exact {exact:3}/{len(group)}  with registry {registry:3}/{len(group)}"
        )
    if asked.write:
        _keep(rows, null)
    required = [r for r in rows if r["attack"] in REQUIRED]
    exact = sum(bool(r["exact"]) for r in required)
    wrong = sum(bool(r["wrong"]) for r in rows)
    print(f"nulls: {null}")
    print(
        f"Exact after the required attacks: {exact} of {len(required)};"
        f" wrong payloads held to be certain: {wrong} of {len(rows)};"
        f" nulls read as certain: {null.get('certain', 0)} of {null.get('reads', 0)}."
    )


if __name__ == "__main__":
    main()
