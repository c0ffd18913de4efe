"""Reads that must find nothing: no mark, another key, cut, turned, shuffled."""

from __future__ import annotations

import io
import time
from typing import Final

import cv2
import numpy as np

from tests.bench.watermark import attacks_codec as codec
from tests.bench.watermark.cells import NAME, Row, Shelf, others, rng_for, store
from tests.bench.watermark.clips import CLIPS
from tests.bench.watermark.footage import Clip
from watermark.keys import WatermarkKey
from watermark.spread import SpreadWatermarker

KEPT_FRAMES: Final = 48
KEPT_HEIGHT: Final = 360
SIZES: Final = ((256, 144), (320, 180), (256, 256), (426, 240), (480, 270))


def material(name: str, bench: SpreadWatermarker, shelf: Shelf, *, marked: bool) -> Clip:
    """Two seconds of a clip at 360 lines or fewer, unmarked or marked and published."""
    path = shelf.folder / "nulls" / f"{name}-{'marked' if marked else 'plain'}.npy"
    if not path.exists():
        clip = (
            codec.decoded(shelf.published(CLIPS[name], bench)) if marked else CLIPS[name].draw()
        )
        scale = min(1.0, KEPT_HEIGHT / clip.shape[1])
        size = (round(clip.shape[2] * scale), round(clip.shape[1] * scale))
        small = [cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in clip[:KEPT_FRAMES]]
        file = io.BytesIO()
        np.save(file, np.stack(small))
        store(path, file.getvalue())
    return np.asarray(np.load(path, mmap_mode="r"))


def null(
    index: int, names: list[str], keys: int, bench: SpreadWatermarker, shelf: Shelf
) -> Row:
    """One null read, wholly determined by its number.

    Half of them are clips of this benchmark marked with the benchmark's key, half are not
    marked at all. Each is read with a key of its own that marked nothing, so that the same
    footage gives a fresh chance every time, beside a registry of 999 random ids. The reader
    tries the self-contained mode first, so one call covers both; every eighth clip is also
    read without a registry.
    """
    rng = rng_for("null", str(index))
    name = names[int(rng.integers(len(names)))]
    marked = bool(index % 2)
    source = material(name, bench, shelf, marked=marked)
    clip = _excerpt(source, rng)
    fresh = [WatermarkKey(id=f"null-{k}", secret=rng.bytes(32)) for k in range(keys)]
    marker = SpreadWatermarker(fresh, NAME)
    began = time.process_time()
    read = marker.extract([clip], fps=24.0, candidates=others())
    seconds = time.process_time() - began
    alone = marker.extract([clip], fps=24.0) if index % 8 == 0 else read
    return {
        "index": index,
        "clip": name,
        "marked": marked,
        "keys": keys,
        "certain": bool(read.certain or alone.certain),
        "mode": read.mode,
        "log10_p": round(min(read.log10_p, alone.log10_p), 2),
        "pilot": round(max(read.pilot_score, alone.pilot_score), 3),
        "seconds": round(seconds, 2),
    }


def _excerpt(source: Clip, rng: np.random.Generator) -> Clip:
    """Twelve to 24 frames of a random part, cut, scaled, mirrored, shuffled or re-encoded."""
    count = int(rng.integers(12, 25))
    first = int(rng.integers(max(1, len(source) - count)))
    part = source[first : first + count]
    share = rng.uniform(0.5, 1.0, 2)
    height, width = (max(128, int(s * k)) for s, k in zip(part.shape[1:3], share, strict=True))
    height, width = min(height, part.shape[1]), min(width, part.shape[2])
    top = int(rng.integers(part.shape[1] - height + 1))
    left = int(rng.integers(part.shape[2] - width + 1))
    cut = part[:, top : top + height, left : left + width]
    if rng.random() < 0.3:
        cut = cut[:, :, ::-1]
    if rng.random() < 0.3:
        cut = cut[rng.permutation(len(cut))]
    size = SIZES[int(rng.integers(len(SIZES)))]
    small = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in cut])
    if rng.random() < 0.5:
        return codec.transcoded(small, 24.0, int(rng.integers(20, 36)), preset="veryfast")
    return small


def summary(rows: list[Row]) -> Row:
    """What the null reads come to."""
    if not rows:
        return {"reads": 0}
    pilots = np.array([row["pilot"] for row in rows])
    least = sorted(row["log10_p"] for row in rows)
    calls = len(rows) + sum(row["index"] % 8 == 0 for row in rows)
    return {
        "reads": calls,
        "clips": len(rows),
        "keys_tried": sum(row["keys"] for row in rows),
        "certain": sum(row["certain"] for row in rows),
        "found_something": sum(row["mode"] != "none" for row in rows),
        "least_log10_p": least[:5],
        "pilot_quantiles": {
            str(q): round(float(np.quantile(pilots, q)), 3)
            for q in (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0)
        },
        "seconds_each": round(float(np.mean([row["seconds"] for row in rows])), 2),
    }
