"""Runs the benchmark's tasks in two processes, keeps what is done, and stops in time."""

from __future__ import annotations

import ast
import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2

from tests.bench.watermark import attacks_codec as codec
from tests.bench.watermark.attacks import ATTACKS
from tests.bench.watermark.cells import NAME, Row, Shelf, chunks, key, mark, measure, store
from tests.bench.watermark.clips import CLIPS
from tests.bench.watermark.looks import looks, sheet
from tests.bench.watermark.nulls import null
from tests.bench.watermark.peers import compare
from watermark.spread import SpreadWatermarker

CACHE: Final = Path(".cache/bench/watermark")
ROOT: Final = Path(__file__).parents[3]
MATERIAL: Final = ("clips", "drawing", "footage", "attacks", "cells", "peers", "nulls")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to do: the looks of a clip, a cell, a peer on a clip, or a null read."""

    part: str
    clip: str = ""
    attack: str = ""
    index: int = 0
    crf: int | None = None
    registry: bool = False
    keys: int = 1

    @property
    def name(self) -> str:
        """What identifies the result in the state file."""
        crf = "" if self.crf is None else f"@{self.crf}"
        keys = "" if self.keys == 1 else f"×{self.keys}"
        return f"{self.part}|{self.clip}|{self.attack}{crf}|{self.index}{keys}"


def fingerprint(options: dict[str, float]) -> str:
    """A name for what the results depend on; comments and docstrings do not count.

    Everything that `watermark.spread` imports of its package, and the material and attacks
    of the benchmark.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    ours = sorted(Path(__file__).parent.glob("*.py"))
    used = [p for p in ours if p.stem.split("_")[0] in MATERIAL]
    for path in [*sorted(_imported("watermark.spread")), *used]:
        digest.update(_meaning(path).encode())
    return digest.hexdigest()[:12]


def _imported(module: str) -> set[Path]:
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = ROOT.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("watermark"):
                waiting.append(str(node.module))
                waiting += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _meaning(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                part
                for part in node.body
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
    return ast.dump(tree)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the workers need: where things are, the marker's options, the shelf."""

    fingerprint: str
    cache: Path
    shelf: Shelf
    options: dict[str, float]


class Bench:
    """What a worker holds: the marker, and the shelf of what is made once."""

    def __init__(self, setting: Setting) -> None:
        self.cache, self.shelf = setting.cache, setting.shelf
        self.marker = SpreadWatermarker([key()], NAME, **setting.options)

    def do(self, task: Task) -> list[Row]:
        """Does one task."""
        if task.part == "looks":
            return [self.looks(task.clip)]
        if task.part == "cell":
            row = measure(
                CLIPS[task.clip],
                ATTACKS[task.attack],
                self.marker,
                self.shelf,
                crf=task.crf,
                always_registry=task.registry,
            )
            return [row]
        if task.part == "peer":
            return compare(task.attack, task.clip, self.marker, self.shelf)
        if task.part == "null":
            return [null(task.index, [*CLIPS], task.keys, self.marker, self.shelf)]
        raise ValueError(task.part)

    def looks(self, name: str) -> Row:
        """Marks and publishes a clip; how it looks, and what marking and reading cost.

        Costs are CPU seconds of one thread. Reading is of the published file's frames, as
        decoded; decoding is of the same file to RGB.
        """
        trial = CLIPS[name]
        clip = trial.draw()
        made = mark(trial, clip, self.marker)
        video = codec.published(made.clip, trial.fps)
        store(self.shelf.folder / "published" / f"{name}.mp4", video)
        sheet(clip, made.clip, self.cache / "sheets" / f"{name}.png")
        began = time.process_time()
        frames = codec.decoded(video)
        decoding = time.process_time() - began
        began = time.process_time()
        self.marker.extract(iter(chunks(frames)), fps=trial.fps)
        reading = time.process_time() - began
        rate = len(clip) / max(1e-6, made.seconds)
        return {
            "clip": name,
            "kind": trial.kind,
            "use": trial.use,
            "size": f"{trial.width}x{trial.height}",
            **looks(clip, made.clip),
            "embed_fps": round(rate, 1),
            "embed_times_real": round(rate / trial.fps, 2),
            "decode_seconds": round(decoding, 2),
            "read_seconds": round(reading, 2),
            "read_by_decode": round(reading / max(1e-6, decoding), 2),
        }


_bench: dict[str, Bench] = {}


def _begin(setting: Setting) -> None:
    if fingerprint(setting.options) != setting.fingerprint:
        raise RuntimeError("The sources were changed while the benchmark started.")
    cv2.setNumThreads(1)
    _bench["it"] = Bench(setting)


def _work(task: Task) -> list[Row]:
    return _bench["it"].do(task)


class State:
    """The file of results: one JSON line per task that is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, list[Row]] = {}
        if path.exists():
            text = path.read_text()
            if text and not text.endswith("\n"):
                path.write_text(text + "\n")
            for line in text.splitlines():
                try:
                    kept = json.loads(line)
                except ValueError:  # a line that a killed run left half written
                    continue
                self.done[kept["task"]] = kept["rows"]

    def keep(self, task: Task, rows: list[Row]) -> None:
        """Appends a result."""
        self.done[task.name] = rows
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"task": task.name, "rows": rows}) + "\n")

    def rows(self, tasks: Sequence[Task]) -> list[Row]:
        """The results of the tasks that are done."""
        return [row for task in tasks for row in self.done.get(task.name, [])]


@dataclass(kw_only=True)
class Run:
    """How far a run came."""

    left: int = 0
    failed: int = 0


def run(
    tasks: Sequence[Task],
    state: State,
    setting: Setting,
    *,
    workers: int,
    minutes: float,
    told: Callable[[Task, list[Row]], None],
) -> Run:
    """Does what is not done yet, in the order given, until the time is used up.

    What has begun is finished. A task that fails is told about, not kept, and tried again by
    the next run.
    """
    until = time.monotonic() + 60 * minutes
    out = Run()
    open_tasks = [task for task in tasks if task.name not in state.done]
    for task, rows in _results(open_tasks, setting, workers, until):
        if isinstance(rows, Exception):
            out.failed += 1
            print(f"{task.name} failed: {type(rows).__name__}: {rows}", flush=True)
            continue
        state.keep(task, rows)
        told(task, rows)
    out.left = sum(task.name not in state.done for task in tasks)
    return out


def _results(
    tasks: Sequence[Task], setting: Setting, workers: int, until: float
) -> Iterator[tuple[Task, list[Row] | Exception]]:
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(setting,)
    ) as pool:
        waiting = iter(tasks)
        running: dict[Future[Any], Task] = {}
        while True:
            while len(running) < workers and time.monotonic() < until:
                task = next(waiting, None)
                if task is None:
                    break
                running[pool.submit(_work, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                error = future.exception()
                if error is None:
                    yield task, future.result()
                elif isinstance(error, Exception) and not isinstance(error, BrokenExecutor):
                    yield task, error
                else:
                    raise error
