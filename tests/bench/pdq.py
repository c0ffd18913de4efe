"""PDQ: how near an altered picture stays, what it cannot judge, and what asking costs.

    python -m tests.bench.pdq [--hashes N]

Photographs are those that scikit-learn ships; benign frames are those of the frame bench.
Where ``pdqhash`` is installed its hashes are compared as well.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

from safety.hash_list import BLANK_CONTRAST, views
from safety.pdq import HASH_BYTES, MATCH_DISTANCE, HashIndex, picture_hash
from tests.bench.frames_benign import MAKERS

OUT = Path("docs/benchmarks/pdq.json")
CLIPS = 6
TIMES = 9

Picture = NDArray[np.uint8]


def compressed(quality: int, side: float = 1.0) -> Callable[[Picture], Picture]:
    def alter(picture: Picture) -> Picture:
        image = Image.fromarray(picture)
        small = image.resize((int(image.width * side), int(image.height * side)))
        data = io.BytesIO()
        small.save(data, "JPEG", quality=quality)
        return np.asarray(Image.open(data).convert("RGB"))

    return alter


def cropped(share: float) -> Callable[[Picture], Picture]:
    def alter(picture: Picture) -> Picture:
        height, width = (int(side * share / 2) for side in picture.shape[:2])
        return picture[height : picture.shape[0] - height, width : picture.shape[1] - width]

    return alter


def bordered(share: float) -> Callable[[Picture], Picture]:
    def alter(picture: Picture) -> Picture:
        edge = int(picture.shape[0] * share)
        return np.pad(picture, ((edge, edge), (0, 0), (0, 0)))

    return alter


def captioned(picture: Picture) -> Picture:
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((20, image.height - 70), "look at this", "white", font_size=56)
    return np.asarray(image)


def turned(picture: Picture) -> Picture:
    matrix = cv2.getRotationMatrix2D((picture.shape[1] / 2, picture.shape[0] / 2), 3, 1.0)
    whole = cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    return np.asarray(whole, np.uint8)


ALTERED: dict[str, Callable[[Picture], Picture]] = {
    "jpeg 30": compressed(30),
    "jpeg 10": compressed(10),
    "half size, jpeg 50": compressed(50, 0.5),
    "a quarter, jpeg 50": compressed(50, 0.25),
    "blurred by 3 pixels": lambda p: np.asarray(cv2.GaussianBlur(p, (0, 0), 3), np.uint8),
    "half as bright": lambda p: (p // 2).astype(np.uint8),
    "grey": lambda p: p.mean(axis=2, keepdims=True).repeat(3, 2).astype(np.uint8),
    "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
    "on its side": lambda p: np.ascontiguousarray(np.rot90(p)),
    "a line of text": captioned,
    "turned by 3 degrees": turned,
    "cropped by 2 %": cropped(0.02),
    "cropped by 10 %": cropped(0.1),
    "black bars of 10 %": bordered(0.1),
}


def nearest(one: Picture, other: Picture) -> int:
    """The least distance of the first as it is to the second in any position, or unframed."""
    listed = picture_hash(one).symmetries[0]
    asked = np.concatenate([picture_hash(view).symmetries for view in views(other)])
    return int(np.bitwise_count(asked ^ listed).sum(axis=1).min())


def milliseconds(act: Callable[[], object]) -> float:
    act()
    spent = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        act()
        spent.append(time.perf_counter() - begun)
    return round(statistics.median(spent) * 1000, 2)


def robustness(photos: list[Picture]) -> dict[str, list[int]]:
    return {name: [nearest(p, alter(p)) for p in photos] for name, alter in ALTERED.items()}


def benign() -> dict[str, dict[str, float]]:
    """The share of harmless frames whose hash cannot show that they are not listed."""
    found = {}
    for name, maker in MAKERS.items():
        frames = [maker(np.random.default_rng(seed))[seed % 16] for seed in range(CLIPS)]
        hashes = [picture_hash(frame) for frame in frames]
        undecided = [not h.telling and h.contrast >= BLANK_CONTRAST for h in hashes]
        found[name] = {
            "undecided": round(sum(undecided) / len(hashes), 3),
            "median_quality": statistics.median(h.quality for h in hashes),
        }
    return found


def costs(most: int) -> dict[str, Any]:
    draw = np.random.default_rng(1)
    picture = draw.integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    told: dict[str, Any] = {"hash_720p_ms": milliseconds(lambda: picture_hash(picture))}
    for size in (1_000, 10_000, 100_000, 1_000_000):
        if size > most:
            break
        hashes = draw.integers(0, 256, (size, HASH_BYTES), dtype=np.uint8)
        begun = time.perf_counter()
        index = HashIndex(hashes)
        built = time.perf_counter() - begun
        queries = draw.integers(0, 256, (8, HASH_BYTES), dtype=np.uint8)
        told[f"{size} hashes"] = {
            "build_s": round(built, 3),
            "eight_positions_ms": milliseconds(lambda i=index, q=queries: i.near(q)),
        }
    return told


def parity(pictures: list[Picture]) -> dict[str, Any] | None:
    """Distances from the reference implementation, over all positions."""
    try:
        import pdqhash
    except ImportError:
        return None
    bits, quality = [], []
    for picture in pictures:
        expected, worth = pdqhash.compute_dihedral(np.ascontiguousarray(picture))
        found = picture_hash(picture)
        bits += (np.unpackbits(found.symmetries, axis=1) != expected).sum(axis=1).tolist()
        quality.append(abs(found.quality - worth))
    return {
        "pictures": len(pictures),
        "same": sum(one == 0 for one in bits) / len(bits),
        "most_bits": max(bits),
        "most_quality": max(quality),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hashes", type=int, default=1_000_000)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    photos: list[Picture] = list(load_sample_images().images)
    altered = robustness(photos)
    harmless = benign()
    drawn = [maker(np.random.default_rng(3))[0] for maker in MAKERS.values()]
    others = [nearest(a, b) for a in photos for b in (*photos, *drawn) if a is not b]
    told = {
        "altered": altered,
        "others": {"least": min(others), "pairs": len(others)},
        "benign": harmless,
        "cost": costs(given.hashes),
        "parity": parity([*photos, *drawn, *(p[::3, ::2] for p in photos)]),
    }
    for name, distances in altered.items():
        mark = "match" if max(distances) <= MATCH_DISTANCE else "lost"
        print(f"{name:<22} {', '.join(map(str, distances)):<10} {mark}")
    for name, row in harmless.items():
        print(f"{name:<22} undecided {row['undecided']:.2f}, quality {row['median_quality']}")
    print(json.dumps(told["cost"]))
    print("parity", json.dumps(told["parity"]))
    OUT.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    lost = sum(max(row) > MATCH_DISTANCE for row in altered.values())
    kept = len(altered) - lost
    print(
        f"{kept} of {len(altered)} alterations stay within {MATCH_DISTANCE} bits;"
        f" other pictures are at least {min(others)} away."
    )


if __name__ == "__main__":
    main()
