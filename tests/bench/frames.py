"""The frame gate measured: false alarms on harmless clips, planted frames, cost.

    python -m tests.bench.frames [--clips N] [--pictures FOLDER] [--model-clips N]

Nothing here measures recall on nudity: no such pictures exist in this project.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.stats import beta

from generator.compositor import Composed
from generator.enlarge import Enlarged
from safety.frames import FrameClassifier, FrameGate
from safety.nudity import NsfwJs, OpenNsfw
from safety.pictures import PictureScores
from safety.policy import POLICY_PATH, Policy
from safety.sampling import Frames, FrameSampler
from safety.verdict import Action, Category
from tests.bench.frames_benign import FRAMES, HEIGHT, MAKERS, WIDTH, Clip, drawn_world, pictures

OUT = Path("docs/benchmarks/frames.json")
FPS = 16.0
PLANTED = 200
PLANTED_SECONDS = 10
PLANTED_FPS = 24.0
COST_SECONDS = 4
EXPLICIT = Category.SEXUAL_EXPLICIT


class Recorded:
    """A classifier that remembers the CPU time it took, and its highest explicit score."""

    def __init__(self, inner: FrameClassifier) -> None:
        self.inner = inner
        self.name = inner.name
        self.categories = inner.categories
        self.reset()

    def reset(self) -> None:
        self.seconds, self.pictures, self.highest = 0.0, 0, 0.0

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        start = time.process_time()
        rows = self.inner.score(frames)
        self.seconds += time.process_time() - start
        self.pictures += len(frames)
        self.highest = max(self.highest, *(row.scores[EXPLICIT] for row in rows))
        return rows


def upper_bound(stopped: int, clips: int) -> float:
    """The exact one-sided 95 % upper bound of the rate (Clopper and Pearson 1934)."""
    return 1.0 if stopped == clips else float(beta.ppf(0.95, stopped + 1, clips - stopped))


def false_alarms(gate: FrameGate, clips: Iterable[tuple[str, Clip]]) -> dict[str, Any]:
    """How many harmless clips are not allowed, and how high the scores go."""
    recorders = [c for c in gate.classifiers if isinstance(c, Recorded)]
    highest: dict[str, list[float]] = {recorder.name: [] for recorder in recorders}
    held, blocked, count = [], [], 0
    for name, clip in clips:
        for recorder in recorders:
            recorder.reset()
        verdict = gate.judge([clip], fps=FPS)
        for recorder in recorders:
            highest[recorder.name].append(recorder.highest)
        if verdict.action is Action.REVIEW:
            held.append(name)
        if verdict.action is Action.BLOCK:
            blocked.append(name)
        count += 1
    stopped = len(held) + len(blocked)
    return {
        "clips": count,
        "held": len(held),
        "blocked": len(blocked),
        "stopped_rate": round(stopped / count, 4),
        "stopped_rate_upper_95": round(upper_bound(stopped, count), 4),
        "explicit_score": {
            name: {
                "median": round(float(np.median(scores)), 4),
                "p95": round(float(np.quantile(scores, 0.95)), 4),
                "max": round(max(scores), 4),
            }
            for name, scores in highest.items()
        },
    }


def made(kind: str, count: int) -> Iterator[tuple[str, Clip]]:
    for seed in range(count):
        yield str(seed), MAKERS[kind](np.random.default_rng([2026, seed]))


def model_clips(count: int) -> Iterator[tuple[str, Clip]]:
    """Clips of the embedded model itself, at the size of the other clips."""
    from generator.cards import read_card
    from generator.clip import GenerationRequest
    from generator.diffusion import DiffusersGenerator
    from generator.embedded import FOLDER
    from generator.training.captions import caption
    from generator.training.simulator import random_scene

    model = DiffusersGenerator(FOLDER, read_card(FOLDER))
    for seed in range(count):
        scene = random_scene(np.random.default_rng([5, seed]), held=bool(seed % 2))
        request = GenerationRequest(
            prompt=caption(scene, random.Random(seed)).text,
            seconds=min(model.card.seconds),
            width=1280,
            height=720,
            seed=seed,
            model=model.name,
        )
        clip = model.generate(request, on_progress=lambda done, total: None)
        assert isinstance(clip.frames, Composed)
        yield request.prompt, replace(clip.frames, width=WIDTH, height=HEIGHT).at(FRAMES)


def planted(count: int) -> dict[str, Any]:
    """One foreign frame at a random place in 10 s: how often the sampler picks it."""
    found, samples = {"bright": 0, "dark": 0}, 0
    total = int(PLANTED_SECONDS * PLANTED_FPS)
    for seed in range(count):
        rng = np.random.default_rng([9, seed])
        base, other = drawn_world(rng), drawn_world(rng)
        long = faded(base, total)
        at = int(rng.integers(total))
        foreign = other[8]
        for light, divisor in (("bright", np.uint8(1)), ("dark", np.uint8(5))):
            clip = long.copy()
            clip[at] = foreign
            stream = [clip[start : start + 16] // divisor for start in range(0, total, 16)]
            chosen = [s.index for s in FrameSampler().sample(stream, fps=PLANTED_FPS)]
            found[light] += at in chosen
            samples += len(chosen)
    return {
        "clips": count,
        "found": found,
        "samples_per_second": round(samples / (2 * count * PLANTED_SECONDS), 2),
    }


def faded(drawn: Clip, total: int) -> Clip:
    """``total`` frames that blend from each drawn frame into the next."""
    places = np.linspace(0, len(drawn) - 1, total)
    first = np.minimum(places.astype(int), len(drawn) - 2)
    share = (places - first)[:, None, None, None]
    return (drawn[first] * (1 - share) + drawn[first + 1] * share).astype(np.uint8)


def cost(gate: FrameGate) -> dict[str, Any]:
    """CPU seconds per second of 1280x720 video at 24 frames per second, one thread."""
    drawn = drawn_world(np.random.default_rng(3))
    count = int(COST_SECONDS * 24)
    stream = Enlarged(drawn=drawn, width=1280, height=720, frame_count=count)
    recorders = [c for c in gate.classifiers if isinstance(c, Recorded)]
    gate.judge(stream, fps=24.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    clip = list(stream)
    for recorder in recorders:
        recorder.reset()
    start = time.process_time()
    report = gate.report(clip, fps=24.0)
    whole = time.process_time() - start
    start = time.process_time()
    list(FrameSampler().sample(clip, fps=24.0))
    sampler = time.process_time() - start
    return {
        "sampled_per_second": report.sampled / COST_SECONDS,
        "sampler": round(sampler / COST_SECONDS, 4),
        "gate": round(whole / COST_SECONDS, 4),
        "classifier_ms_per_picture": {
            r.name: round(1000 * r.seconds / r.pictures, 1) for r in recorders
        },
        "peak_rss_mb": peak,
    }


def main() -> None:
    """Measures, prints a table and writes the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=150, help="harmless clips of each kind")
    parser.add_argument("--pictures", type=Path, help="a folder of harmless pictures")
    parser.add_argument("--model-clips", type=int, default=0, help="the embedded model's clips")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    gate = FrameGate(
        classifiers=(Recorded(OpenNsfw()), Recorded(NsfwJs())), policy=Policy.load(POLICY_PATH)
    )
    result: dict[str, Any] = {"policy": gate.policy.hash, "cost": cost(gate)}
    print("cost per second of 720p video:", json.dumps(result["cost"]), flush=True)
    result["planted"] = planted(PLANTED)
    print("planted frames:", json.dumps(result["planted"]), flush=True)
    groups: dict[str, Iterable[tuple[str, Clip]]] = {
        kind: made(kind, arguments.clips) for kind in MAKERS
    }
    if arguments.pictures:
        groups["pictures"] = pictures(arguments.pictures)
    if arguments.model_clips:
        groups["embedded model"] = model_clips(arguments.model_clips)
    result["false_alarms"] = {}
    for kind, clips in groups.items():
        row = result["false_alarms"][kind] = false_alarms(gate, clips)
        tops = " ".join(f"{n}={s['max']}" for n, s in row["explicit_score"].items())
        print(
            f"{kind:22} {row['clips']:4} clips, held {row['held']}, blocked {row['blocked']}, "
            f"upper 95 % {row['stopped_rate_upper_95']:.3f}, highest {tops}",
            flush=True,
        )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    world = result["false_alarms"]["simulated world"]
    print(
        f"The gate costs {result['cost']['gate']:.2f} CPU s per second of 720p video, stops "
        f"{world['held'] + world['blocked']} of {world['clips']} harmless simulated clips and "
        f"looks at {result['planted']['found']['bright']} of {PLANTED} planted frames; recall "
        "on real nudity is not measured."
    )


if __name__ == "__main__":
    main()
