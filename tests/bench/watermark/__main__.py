"""Measures the watermark: python -m tests.bench.watermark [--clips a,b] [--attacks x,y].

Runs every clip × attack in two processes, keeps what is done under .cache (a stopped run goes
on where it was), prints tables, and with --write keeps them in docs/. Names are patterns:
--clips 'bikes*' --attacks 'crf*,rotate5'. --clips none leaves the cells out.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
from pathlib import Path

from tests.bench.watermark import nulls, plot, table
from tests.bench.watermark.attacks import ATTACKS
from tests.bench.watermark.cells import Row, Shelf, rng_for
from tests.bench.watermark.clips import CLIPS, Trial
from tests.bench.watermark.peers import PEER_CLIPS, SCHEMES
from tests.bench.watermark.runner import CACHE, Setting, State, Task, fingerprint, run

RESULT = Path("docs/benchmarks/watermark.json")
PLOT = Path("docs/images/watermark-attacks.svg")
LOOKS = (
    "clip",
    "size",
    "psnr",
    "ssim",
    "xpsnr",
    "flat_rms",
    "embed_fps",
    "embed_times_real",
    "decode_seconds",
    "read_seconds",
    "read_by_decode",
)


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", default="", help="patterns of clips, commas between")
    parser.add_argument("--attacks", default="", help="patterns of attacks")
    parser.add_argument("--set", default="", choices=["", "tune", "report"])
    parser.add_argument("--crf", type=int, help="H.264 quality after single attacks")
    parser.add_argument("--registry", action="store_true", help="read with it every time")
    parser.add_argument("--flat", type=float, help="another flat-area strength")
    parser.add_argument("--psnr", type=float, help="another target PSNR")
    parser.add_argument("--looks", action="store_true", help="figures and sheets of clips")
    parser.add_argument("--peers", action="store_true", help="other watermarks beside ours")
    parser.add_argument("--nulls", type=int, default=0, help="so many null reads")
    parser.add_argument("--null-keys", type=int, default=1, help="keys in each null read")
    parser.add_argument("--budget", type=float, default=1e6, help="minutes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--keep",
        default="",
        metavar="NAME",
        help="for work on the reader: reuse marked and attacked clips kept under this name",
    )
    parser.add_argument("--write", action="store_true", help="keep results in docs/")
    parser.add_argument("--list", action="store_true", help="name clips and attacks")
    asked = parser.parse_args()
    if asked.keep and (asked.write or asked.looks):
        parser.error("--keep may hold clips of another embedder: not with --write or --looks.")
    return asked


def chosen(name: str, patterns: str) -> bool:
    """Whether a name matches one of the patterns; no patterns match all."""
    return not patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns.split(","))


def tasks_for(asked: argparse.Namespace, trials: list[Trial]) -> list[Task]:
    """Looks first, then cells in a fixed random order, so that a stopped run is a sample."""
    looks = [Task(part="looks", clip=t.name) for t in trials] if asked.looks else []
    cells = [
        Task(part="cell", clip=t.name, attack=a.name, crf=asked.crf, registry=asked.registry)
        for t in trials
        for a in ATTACKS.values()
        if chosen(a.name, asked.attacks) and a.applies(t.height, t.width)
    ]
    if not asked.clips:
        cells.sort(key=lambda task: rng_for(task.clip, task.attack).random())
    beside = [
        Task(part="peer", clip=clip, attack=scheme)
        for clip in (PEER_CLIPS if asked.peers else ())
        for scheme in SCHEMES
    ]
    reads = [
        Task(part="null", index=index, keys=asked.null_keys) for index in range(asked.nulls)
    ]
    return [*looks, *cells, *beside, *reads]


def told(task: Task, rows: list[Row]) -> None:
    """Prints a result as it comes."""
    for row in rows:
        if task.part == "cell":
            print(table.line(row), flush=True)
        elif task.part != "null" or row["certain"] or task.index % 500 == 0:
            print(" ".join(f"{k} {v}" for k, v in row.items()), flush=True)


def main() -> None:
    """Runs what was asked for and shows it."""
    asked = arguments()
    trials = [
        t for t in CLIPS.values() if chosen(t.name, asked.clips) and asked.set in {"", t.use}
    ]
    if asked.list:
        for t in trials:
            size = f"{t.width}x{t.height}"
            print(f"{t.name:16} {t.kind:9} {t.use:7} {t.rank:9} {size:9} {t.seconds} s")
        for a in ATTACKS.values():
            print(f"{a.name:25} {a.family:12} {a.goal}")
        return
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # the workers inherit it
    given = {"flat_rms": asked.flat, "target_psnr_db": asked.psnr}
    options = {name: value for name, value in given.items() if value is not None}
    cache = CACHE / fingerprint(options)
    shelf = Shelf(folder=cache)
    if asked.keep:
        shelf = Shelf(folder=CACHE / "kept" / asked.keep, keeps_attacked=True)
    # Results of kept clips never mix with others: another embedder may have marked them.
    state = State(cache / (f"kept-{asked.keep}.jsonl" if asked.keep else "state.jsonl"))
    tasks = tasks_for(asked, trials)
    print(f"{len(tasks)} tasks, {len(state.rows(tasks))} rows known in {cache}", flush=True)
    came = run(
        tasks,
        state,
        Setting(fingerprint=cache.name, cache=cache, shelf=shelf, options=options),
        workers=asked.workers,
        minutes=asked.budget,
        told=told,
    )
    parts = {
        part: state.rows([task for task in tasks if task.part == part])
        for part in ("looks", "cell", "peer", "null")
    }
    show(parts, came.left, came.failed)
    null = nulls.summary(parts["null"])
    if asked.write:
        head = {
            "fingerprint": cache.name,
            "tasks_left": came.left,
            "goals": table.by_goal(parts["cell"]),
            "registry": table.registry_gain(parts["cell"]),
            "nulls": null,
            "looks": parts["looks"],
            "peers": parts["peer"],
        }
        table.write(RESULT, head, parts["cell"])
        plot.plot(parts["cell"], PLOT)
    print(table.plain(parts["cell"], null))


def show(parts: dict[str, list[Row]], left: int, failed: int) -> None:
    """Prints the tables."""
    if parts["looks"]:
        print("\n" + table.markdown(parts["looks"], LOOKS))
    if parts["cell"]:
        print("\nExact / with the registry, by rank of clip:\n")
        print(table.by_attack(parts["cell"]))
        goals = table.by_goal(parts["cell"])
        print("\n" + table.markdown(goals, goals[0]))
        print("\nregistry:", table.registry_gain(parts["cell"]))
    if parts["peer"]:
        print("\nThe same second of each clip (ours 64 bits, the others 32):\n")
        print(table.peers(parts["peer"]))
    if parts["null"]:
        print("\nnulls:", nulls.summary(parts["null"]))
    if left or failed:
        print(f"\n{left} tasks are left ({failed} failed); the same command goes on with them.")


if __name__ == "__main__":
    main()
