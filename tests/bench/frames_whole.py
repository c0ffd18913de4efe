"""The frame gate with every judge: harmless clips, and harm planted in them.

    python -m tests.bench.frames_whole [--clips N] [--jobs N]

Each clip is three seconds of the simulated world at 640x360. It is judged as it is, and three
times more with harm planted at a random place: one frame with the face of an enrolled person
(the enrolled photograph itself, scaled, mirrored and compressed), one frame with words that a
rule stops, and half a second of flashes. The gate is the one that the gateway composes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gateway.app import Gateway
from gateway.enrolled_faces import Enrolling
from gateway.settings import load_settings
from generator.enlarge import Enlarged
from safety.face_embedding import FaceEmbedding
from safety.face_enrolment import Enrolment
from safety.faces import FaceFinder
from safety.verdict import Action, Category
from tests.bench.frames import faded
from tests.bench.frames_benign import Clip, drawn_world
from tests.bench.picture_text import Row, drawn, rule_terms
from tests.contract.test_face_models import packaged

OUT = Path("docs/benchmarks/frames_whole.json")
WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 24, 3
FRAMES = FPS * SECONDS
TERMS = 56

Plant = Callable[[Clip, np.random.Generator], None]


def face(clip: Clip, rng: np.random.Generator) -> None:
    """One frame with the astronaut of scikit-image, 55 to 100 % as high as the picture."""
    side = int(rng.uniform(0.55, 1.0) * HEIGHT)
    photo = cv2.resize(packaged("astronaut.png"), (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        photo = photo[:, ::-1]
    worn = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))])
    seen = cv2.imdecode(worn[1], cv2.IMREAD_COLOR)
    at, left = int(rng.integers(FRAMES)), int(rng.integers(WIDTH - side))
    top = int(rng.integers(HEIGHT - side + 1))
    clip[at, top : top + side, left : left + side] = seen


def words(clip: Clip, rng: np.random.Generator) -> None:
    """One frame with a text that a rule stops, over another ground."""
    terms: Sequence[Row] = rule_terms(TERMS)
    frame = drawn(terms[int(rng.integers(len(terms)))], rng)
    sized = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    clip[int(rng.integers(FRAMES))] = sized


def flashes(clip: Clip, rng: np.random.Generator) -> None:
    """Six white frames in half a second, each between two black ones."""
    start = int(rng.integers(FRAMES - 12))
    for number in range(12):
        clip[start + number] = 235 if number % 2 else 16


PLANTS: dict[str, Plant] = {"face": face, "words": words, "flashes": flashes}


def world(seed: int) -> Clip:
    """uint8[72,360,640,3]: what the embedded model learnt to draw."""
    small = faded(drawn_world(np.random.default_rng([17, seed])), FRAMES)
    whole = Enlarged(drawn=small, width=WIDTH, height=HEIGHT, frame_count=FRAMES)
    return np.concatenate(list(whole))


def judged(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row per clip: what was decided with and without harm, and the processor seconds."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(load_settings(data_dir=Path(folder)))
        with gateway.opened():
            enrolment = Enrolment(finder=FaceFinder(), embedding=FaceEmbedding())
            gateway.enrolled_faces.enrol(
                Enrolling(
                    category=Category.PRIVATE_LIKENESS,
                    subject="enrolled-person",
                    evidence_sha256="0" * 64,
                    evidence_reference="none: a photograph in the public domain",
                    enrolled_by="benchmark",
                ),
                enrolment.templates([packaged("astronaut.png")]),
            )
            return [_row(gateway, seed) for seed in seeds]


def _row(gateway: Gateway, seed: int) -> dict[str, Any]:
    clip = world(seed)
    start = time.process_time()
    row: dict[str, Any] = {"harmless": _decided(gateway, clip)}
    row["cpu_seconds"] = time.process_time() - start
    for number, (kind, plant) in enumerate(PLANTS.items()):
        bad = clip.copy()
        plant(bad, np.random.default_rng([18, seed, number]))
        row[kind] = _decided(gateway, bad)
    return row


def _decided(gateway: Gateway, clip: Clip) -> tuple[str, tuple[str, ...]]:
    chunks = (clip[start : start + 16] for start in range(0, len(clip), 16))
    verdict = gateway.frames.judge(chunks, fps=float(FPS))
    return verdict.action.name.lower(), tuple(r.category.value for r in verdict.reasons)


def main() -> None:
    """Judges, prints a table and writes the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=125, help="each is judged four times")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    parts = [range(n, options.clips, options.jobs) for n in range(options.jobs)]
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        rows = [row for part in pool.map(judged, parts, chunksize=1) for row in part]
    result: dict[str, Any] = {"clips": len(rows), "judgements": {}, "reasons": {}}
    for kind in ("harmless", *PLANTS):
        actions = Counter(row[kind][0] for row in rows)
        reasons = Counter(reason for row in rows for reason in row[kind][1])
        result["judgements"][kind], result["reasons"][kind] = dict(actions), dict(reasons)
        print(f"{kind:10} {dict(actions)} {dict(reasons)}", flush=True)
    cost = float(np.mean([row["cpu_seconds"] for row in rows])) / SECONDS
    result["cpu_seconds_per_second_of_360p"] = round(cost, 3)
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    allowed = sum(row[kind][0] == Action.ALLOW.name.lower() for row in rows for kind in PLANTS)
    stopped = sum(row["harmless"][0] != Action.ALLOW.name.lower() for row in rows)
    print(
        f"Of {len(rows)} harmless clips {stopped} are stopped, of {len(rows) * len(PLANTS)} "
        f"with planted harm {allowed} pass; {cost:.2f} CPU s per second of 360p video."
    )


if __name__ == "__main__":
    main()
