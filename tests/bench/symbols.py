"""The symbol judge measured on drawn symbols in styles it never saw, and on harmless pictures.

    python -m tests.bench.symbols MATERIAL [--count N] [--fonts FONT ...]

MATERIAL is the folder of ``safety.training.frames.symbols_samples.read_material``; only its
test part is used. Every surface and distortion here was held back from training, and so were
the photographs, emoji and icons. Nothing is known from this about symbols in real footage.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from safety.symbols import CATEGORY_OF, CLASSES, HELD, SURE, SymbolJudge
from safety.training.frames.symbols import SYMBOLS, Rng
from safety.training.frames.symbols_lookalikes import LOOKALIKES, glyph, meander, strokes
from safety.training.frames.symbols_samples import Material, put_emoji, read_material
from safety.training.frames.symbols_styles import HELD_BACK, Picture, clouds, place
from tests.bench.frames_benign import drawn_world, enlarged
from tests.bench.logos import compressed, fitted

OUT = Path("docs/benchmarks/symbols.json")
HEIGHT, WIDTH = 720, 1280
SIZES = (0.05, 0.1, 0.2, 0.5)


def ground(rng: Rng, material: Material) -> Picture:
    """A held-back photograph at 720p."""
    return fitted(material.pictures[int(rng.integers(len(material.pictures)))])


def shown(rng: Rng, material: Material, name: str, **how: Any) -> Picture:
    """A held-back photograph with a symbol or look-alike ``size`` of its height large."""
    picture = ground(rng, material)
    drawing = {**SYMBOLS, **LOOKALIKES}[name](rng)
    extent = how.get("size", 0.2) * HEIGHT
    room = extent * 0.6
    x = rng.uniform(room, WIDTH - room)
    y = rng.uniform(room, max(room + 1, HEIGHT - room))
    style = how.get("style") or str(rng.choice(list(HELD_BACK)))
    place(picture, drawing, rng, x=x, y=y, extent=extent, style=style, turn=how.get("turn"))
    return picture


def highest(judge: SymbolJudge, picture: Picture, name: str | None = None) -> float:
    """The highest score of any category, or of the category of symbol ``name``."""
    (row,) = judge.score(picture[None])
    return float(max(row.scores.values()) if name is None else row.scores[CATEGORY_OF[name]])


def recall(judge: SymbolJudge, material: Material, count: int) -> dict[str, Any]:
    """Shares held and sure by size, turn, compression, scale, surface and symbol."""
    rows: dict[str, list[tuple[str, str, float]]] = {}

    def measure(
        label: str, after: Callable[[Picture], Picture] = lambda p: p, **how: Any
    ) -> None:
        found = rows.setdefault(label, [])
        for name in CLASSES[1:]:
            for number in range(count):
                # The same drawings in every row, so that rows can be compared.
                rng = np.random.default_rng([3, CLASSES.index(name), number])
                style = list(HELD_BACK)[number % len(HELD_BACK)]
                picture = after(shown(rng, material, name, style=style, **how))
                found.append((name, style, highest(judge, picture, name)))

    for size in SIZES:
        measure(f"size {size:.0%} of height", size=size)
    for turn in (0.0, 15.0, 30.0):
        measure(f"size 20%, camera turned {turn:.0f} degrees", turn=turn)
    for size in (0.1, 0.2):
        for crf in (28, 35):
            measure(
                f"size {size:.0%}, H.264 CRF {crf}",
                lambda p, c=crf: compressed(p, c),
                size=size,
            )
    for high in (360, 1080):
        measure(f"size 20%, at {high}p", lambda p, h=high: scaled(p, h))

    def shares(scores: list[float]) -> dict[str, float]:
        return {
            "held": round(float(np.mean([s >= HELD for s in scores])), 3),
            "sure": round(float(np.mean([s >= SURE for s in scores])), 3),
        }

    every = [row for label in rows if label.startswith("size") for row in rows[label]]
    plain = [row for size in SIZES[1:] for row in rows[f"size {size:.0%} of height"]]
    return {
        "symbols_per_row": count * len(SYMBOLS),
        "by_condition": {
            label: shares([s for *_, s in found]) for label, found in rows.items()
        },
        "by_symbol_at_10_to_50": {
            name: shares([s for n, _, s in plain if n == name]) for name in SYMBOLS
        },
        "by_surface": {
            style: shares([s for _, t, s in every if t == style])
            for style in HELD_BACK
            if any(t == style for _, t, _ in every)
        },
    }


def scaled(picture: Picture, high: int) -> Picture:
    size = (round(high * 16 / 9), high)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def text_page(rng: Rng, fonts: list[Path]) -> Picture:
    """A page of nonsense words in one font."""
    colours = [tuple(int(c) for c in rng.integers(*span, 3)) for span in ((0, 120), (150, 256))]
    if rng.random() < 0.3:
        colours.reverse()
    page = Image.new("RGB", (WIDTH, HEIGHT), colours[1])
    size = int(rng.integers(16, 160))
    font = ImageFont.truetype(str(fonts[int(rng.integers(len(fonts)))]), size)
    letters = list(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$§%&+#?!SSZzsx"
    )
    for y in range(20, HEIGHT, int(size * 1.3)):
        line = "".join(rng.choice([*letters, " ", " ", " "], int(2.2 * WIDTH / size)))
        ImageDraw.Draw(page).text((20, y), line, font=font, fill=colours[0])
    return np.asarray(page, np.uint8)


def pattern(rng: Rng, material: Material) -> Picture:
    """Meanders, tiles of strokes, checks: patterns that fill the picture."""
    make = (meander, strokes)[int(rng.integers(2))]
    tile = make(rng).ink
    pitch = int(rng.integers(40, 300))
    small = cv2.resize(tile, (pitch, pitch), interpolation=cv2.INTER_AREA)
    mix = np.tile(small, (HEIGHT // pitch + 1, WIDTH // pitch + 1))[:HEIGHT, :WIDTH, None] / 255
    one, other = rng.uniform(0, 255, (2, 3))
    shade = 0.8 + 0.4 * cv2.resize(clouds(rng, 64, 4), (WIDTH, HEIGHT))[..., None]
    return np.asarray(((one + mix * (other - one)) * shade).clip(0, 255), np.uint8)


def icons(rng: Rng, material: Material) -> Picture:
    """Forty icons of a held-back font on a photograph."""
    picture = ground(rng, material)
    font, characters = material.fonts[0]
    for x in range(80, WIDTH, 160):
        for y in range(72, HEIGHT, 144):
            drawing = replace(glyph(rng, font, characters), turn=15.0)
            style = str(rng.choice(list(HELD_BACK)))
            place(picture, drawing, rng, x=x, y=y, extent=rng.uniform(40, 120), style=style)
    return picture


def emoji(rng: Rng, material: Material) -> Picture:
    """Thirty emoji and flags on a photograph."""
    picture = ground(rng, material)
    for x in range(0, WIDTH, 213):
        for y in range(0, HEIGHT - 120, 144):
            put_emoji(picture[y : y + 144, x : x + 144], rng, material, rng.uniform(50, 136))
    return picture


def world(rng: Rng) -> Picture:
    """A frame of the world the embedded model draws, at 720p."""
    frame = enlarged(drawn_world(rng), rng)[8]
    return np.asarray(cv2.resize(frame, (WIDTH, HEIGHT), interpolation=3), np.uint8)


def harmless(
    material: Material, fonts: list[Path], count: int
) -> Iterator[tuple[str, str, Picture]]:
    """Kind, name and picture."""
    for number, picture in enumerate(material.pictures):
        yield "photographs and wallpapers", str(number), fitted(picture)
    for seed in range(4 * count):
        rng = np.random.default_rng([4, seed])
        yield "simulated world", str(seed), world(rng)
        yield "text pages", str(seed), text_page(rng, fonts)
        yield "meanders and tiles", str(seed), pattern(rng, material)
        yield "pages of 40 icons", str(seed), icons(rng, material)
        yield "pages of 30 emoji and flags", str(seed), emoji(rng, material)
        for name in LOOKALIKES:
            yield f"one look-alike: {name}", str(seed), shown(rng, material, name)


def false_alarms(
    judge: SymbolJudge, pictures: Iterator[tuple[str, str, Picture]]
) -> dict[str, Any]:
    """Per kind: pictures, held, sure."""
    table: dict[str, Any] = {}
    for kind, _, picture in pictures:
        score = highest(judge, picture)
        row = table.setdefault(kind, {"pictures": 0, "held": 0, "sure": 0})
        row["pictures"] += 1
        row["held"] += score >= HELD
        row["sure"] += score >= SURE
    return table


def main() -> None:
    """Measures and writes docs/benchmarks/symbols.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("material", type=Path)
    parser.add_argument("--count", type=int, default=len(HELD_BACK))
    parser.add_argument("--fonts", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    material = read_material(options.material, "test", options.fonts)
    judge = SymbolJudge()
    judge.load()
    fonts = [font for font, _ in material.fonts[1:]] or [material.fonts[0][0]]
    alarms = false_alarms(judge, harmless(material, fonts, options.count))
    result = {
        "judge": judge.name,
        "recall": recall(judge, material, options.count),
        "false_alarms": alarms,
        "cpu_ms_per_720p_picture": milliseconds(judge, material),
    }
    OUT.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    for label, row in result["recall"]["by_condition"].items():
        print(f"{label:40} held {row['held']:.2f} sure {row['sure']:.2f}")
    for part in ("by_symbol_at_10_to_50", "by_surface"):
        print(result["recall"][part])
    for kind, row in alarms.items():
        print(f"{kind:40} {row}")
    print(result["cpu_ms_per_720p_picture"])
    print("Measured on drawn symbols only; recall in real footage is unknown.")


def milliseconds(judge: SymbolJudge, material: Material) -> dict[str, float]:
    """CPU time of one picture: median and worst of some photographs."""
    times = []
    for picture in material.pictures[:24]:
        frame = fitted(picture)
        start = time.process_time()
        judge.places(frame)
        times.append(1000 * (time.process_time() - start))
    return {"median": round(float(np.median(times)), 1), "worst": round(max(times), 1)}


if __name__ == "__main__":
    main()
