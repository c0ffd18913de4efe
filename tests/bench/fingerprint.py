"""Measures the fingerprint: who is found again after which damage, beside other methods.

`python -m tests.bench.fingerprint` damages 46 clips in 30 ways, looks each copy up among the
46 and then among a million, and writes docs/benchmarks/fingerprint.json. Needs the material
of tests/bench/requirements.txt. With `--ffmpeg` (a binary that has the `signature` filter) and
iscc-core installed, ISCC's video code is measured on the same copies. Cells are kept in the
folder `--cache`, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.bench import fingerprint_clips as clips
from tests.bench import fingerprint_peers as peers
from tests.bench.fingerprint_scale import at_scale
from tests.bench.watermark import attacks_codec as codec
from tests.bench.watermark.attacks import ATTACKS
from watermark.fingerprint.agreement import agreement
from watermark.fingerprint.maker import fingerprint, query
from watermark.fingerprint.match import CREDIBLE_LOG10_P
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import Fingerprint

FOR_ISCC: Final = frozenset(
    {"crf30", "crf40", "240p", "crop75", "crop30", "aspect120", "rotate10", "hflip", "gray",
     "logo", "1s", "screen"}
)  # fmt: skip
OUT: Final = Path("docs/benchmarks/fingerprint.json")
CHOSEN: Final = (
    "published", "crf30", "crf40", "h265-40", "gif", "240p", "crop75", "crop50", "crop30",
    "aspect120", "rotate10", "rotate90", "hflip", "perspective", "letterbox", "pip", "dark50",
    "gray", "logo", "subtitles", "emoji", "blur9", "noise10", "speed125", "reversed", "1s",
    "concat", "480p+crf35+logo", "9:16+subtitles+crf30", "screen",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What each method makes of one clip."""

    query: Query
    cpu: float
    pdq: NDArray[np.uint8]
    iscc: NDArray[np.uint8] | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A released clip's record, what the peers keep of it, and its damaged copies."""

    record: Fingerprint
    cpu: float
    pdq: NDArray[np.uint8]
    iscc: NDArray[np.uint8] | None
    copies: dict[str, Marks]


def measure(trial: clips.Trial, ffmpeg: Path | None) -> Measured:
    """Publishes a clip, damages it in every way, and takes everybody's marks."""
    video = codec.published(trial.draw(), clips.FPS)
    released = codec.decoded(video)
    start = time.process_time()
    record = fingerprint([released], fps=clips.FPS)
    cpu = time.process_time() - start
    copies = {}
    for name in CHOSEN:
        rng = np.random.default_rng(
            [zlib.crc32(name.encode()), zlib.crc32(trial.name.encode())]
        )
        damaged, rate = ATTACKS[name].video(released, clips.FPS, rng)
        if not isinstance(damaged, bytes):
            damaged = codec.encoded(damaged, rate, "libx264", 12)
        copy = codec.decoded(damaged)
        start = time.process_time()
        asked = query([copy], fps=rate)
        copies[name] = Marks(
            query=asked,
            cpu=time.process_time() - start,
            pdq=peers.pdq(copy, turned=True),
            iscc=peers.iscc(damaged, ffmpeg) if ffmpeg and name in FOR_ISCC else None,
        )
    return Measured(
        record=record,
        cpu=cpu,
        pdq=peers.pdq(released, turned=False),
        iscc=peers.iscc(video, ffmpeg) if ffmpeg else None,
        copies=copies,
    )


def all_measured(
    trials: tuple[clips.Trial, ...], ffmpeg: Path | None, cache: Path
) -> dict[str, Measured]:
    """Every trial, from the cache where it is there."""
    cache.mkdir(parents=True, exist_ok=True)
    out = {}
    for trial in trials:
        path = cache / f"{trial.name}.pickle"
        if not path.exists():
            path.write_bytes(pickle.dumps(measure(trial, ffmpeg)))
            print(f"  {trial.name}", flush=True)
        out[trial.name] = pickle.loads(path.read_bytes())
    return out


def compared(
    trials: tuple[clips.Trial, ...], measured: dict[str, Measured]
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Recall per attack and method among the clips, and what unrelated clips give."""
    family = {trial.name: trial.family for trial in trials}
    rows: dict[str, dict[str, list[bool]]] = {}
    nulls: dict[str, list[float]] = {"unrelated": [], "scenes": []}
    near: dict[str, list[int]] = {"pdq": [], "iscc": []}
    for name, one in measured.items():
        if not one.record.enough_detail:
            continue
        for attack, copy in one.copies.items():
            row = rows.setdefault(attack, {})
            ours, pdqs, isccs = {}, {}, {}
            sides = (copy.query.points, copy.query.points.mirrored())
            for other, clip in measured.items():
                if clip.record.enough_detail:
                    found = [agreement(side, clip.record.points).log10_p for side in sides]
                    ours[other] = min(found)
                pdqs[other] = peers.pdq_distance(copy.pdq, clip.pdq)
                if copy.iscc is not None and clip.iscc is not None:
                    isccs[other] = int(np.bitwise_count(copy.iscc ^ clip.iscc).sum())
                if other != name and other in ours:
                    if family[other] != family[name]:
                        nulls["unrelated"].append(ours[other])
                        near["pdq"].append(pdqs[other])
                        near["iscc"].append(isccs.get(other, 256))
                    elif family[name] == "scenes":
                        nulls["scenes"].append(ours[other])
            row.setdefault("local_first", []).append(min(ours, key=ours.__getitem__) == name)
            row.setdefault("local_1e-12", []).append(ours[name] <= -12)
            row.setdefault("pdq_first", []).append(min(pdqs, key=pdqs.__getitem__) == name)
            row.setdefault("pdq_31", []).append(pdqs[name] <= peers.PDQ_SURE)
            if isccs:
                row.setdefault("iscc_first", []).append(
                    min(isccs, key=isccs.__getitem__) == name
                )
    recall = {
        attack: {method: round(float(np.mean(hits)), 4) for method, hits in row.items()}
        for attack, row in rows.items()
    }
    return recall, _chance(nulls, near)


def _chance(nulls: dict[str, list[float]], near: dict[str, list[int]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, values in nulls.items():
        array = np.array(values)
        result[name] = {
            "comparisons": len(array),
            "least_log10_p": round(float(array.min()), 2) if len(array) else None,
            "share_at_or_below": {
                f"1e{-bound}": float((array <= -bound).mean()) if len(array) else None
                for bound in range(1, 13)
            },
        }
    result["pdq_unrelated_at_31"] = float(np.mean(np.array(near["pdq"]) <= peers.PDQ_SURE))
    result["pdq_unrelated_least"] = min(near["pdq"], default=None)
    result["iscc_unrelated_least"] = min(near["iscc"], default=None)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ffmpeg", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/fingerprint-bench"))
    parser.add_argument("--clips", type=int, default=1_000_000)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    trials = clips.trials()
    measured = all_measured(trials, chosen.ffmpeg, chosen.cache)
    recall, chance = compared(trials, measured)
    good = {name: one for name, one in measured.items() if one.record.enough_detail}
    large = at_scale(
        {name: one.record for name, one in good.items()},
        {
            (name, attack): copy.query
            for name, one in good.items()
            for attack, copy in one.copies.items()
        },
        chosen.clips,
    )
    result = {
        "clips": len(trials),
        "too_little_detail": sorted(set(measured) - set(good)),
        "record_bytes_max": max(len(one.record.to_bytes()) for one in measured.values()),
        "record_cpu_s": round(float(np.mean([one.cpu for one in good.values()])), 3),
        "query_cpu_s": round(
            float(np.mean([c.cpu for one in good.values() for c in one.copies.values()])), 3
        ),
        "credible_log10_p": CREDIBLE_LOG10_P,
        "recall_among_clips": recall,
        "chance": chance,
        "at_scale": large,
    }
    methods = sorted({method for row in recall.values() for method in row})
    print(f"{'attack':24}" + "".join(f"{m:>13}" for m in (*methods, "1e6 @16", "1e6 credible")))
    for attack, row in recall.items():
        cells = [row.get(method, float("nan")) for method in methods]
        cells += [large["recall"][attack]["at_16"], large["recall"][attack]["credible"]]
        print(f"{attack:24}" + "".join(f"{100 * cell:13.1f}" for cell in cells))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    total = float(np.mean([row["at_16"] for row in large["recall"].values()]))
    print(
        f"fingerprint bench: {100 * total:.1f} % found among {chosen.clips} clips, "
        f"search {large['search_ms_median']} ms (95 %: {large['search_ms_p95']} ms)"
    )


if __name__ == "__main__":
    main()
