"""The logo matcher measured on made-up logos: recall by size and compression, and mistakes.

    python -m tests.bench.logos [--logos N] [--pictures FOLDER]

No real brand is used: every logo is drawn from its seed. The pictures under them are drawn, and
come from a folder when one is given.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from safety.logos import Logo, LogoMatcher

OUT = Path("docs/benchmarks/logos.json")
HEIGHT, WIDTH = 720, 1280
FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSerif-Bold.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf",
)
SYLLABLES = ("ba", "ko", "mi", "ren", "tul", "sa", "vor", "ne", "quil", "da", "zo", "pha", "ix")
SIZES = (0.08, 0.12, 0.2, 0.35, 0.5)
Picture = NDArray[np.uint8]


def made_logo(seed: int) -> bytes:
    """The PNG of an invented logo: a mark of a few shapes, mostly with an invented word."""
    rng = np.random.default_rng([31, seed])
    canvas = Image.new("RGBA", (400, 400))
    draw = ImageDraw.Draw(canvas)
    colours = [tuple(int(c) for c in rng.integers(0, 200, 3)) for _ in range(3)]
    for _ in range(int(rng.integers(3, 7))):
        x, y = rng.uniform(60, 340, 2)
        a, b = rng.uniform(20, 110, 2)
        fill = colours[int(rng.integers(3))]
        kind = rng.integers(4)
        box = (x - a, y - b, x + a, y + b)
        if kind == 0:
            draw.ellipse(box, fill=fill)
        elif kind == 1:
            draw.rectangle(box, fill=fill)
        elif kind == 2:
            points = rng.uniform(40, 360, (int(rng.integers(3, 7)), 2))
            draw.polygon([tuple(p) for p in points], fill=fill)
        else:
            start = float(rng.uniform(0, 360))
            draw.arc(box, start, start + float(rng.uniform(90, 300)), fill=fill, width=18)
    if rng.random() < 0.8:
        word = "".join(rng.choice(SYLLABLES, int(rng.integers(2, 4)))).capitalize()
        font = _font(FONTS[int(rng.integers(len(FONTS)))], 70)
        draw.text((200, 360), word, font=font, fill=colours[0], anchor="mm")
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _font(path: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of the system, or the one that comes with Pillow where there is none."""
    try:
        return ImageFont.truetype(path, size)
    except OSError:
        return ImageFont.load_default(size)


def pictures(folder: Path | None) -> Iterator[tuple[str, Picture]]:
    """Pictures at 720p, cut to 16:9: what logos are put on, and harmless ones."""
    for seed in range(4):
        rng = np.random.default_rng([5, seed])
        coarse = rng.integers(0, 256, (9 * 2**seed, 16 * 2**seed, 3)).astype(np.uint8)
        yield f"soft-{seed}", fitted(coarse)
    for path in sorted(folder.iterdir()) if folder else ():
        with Image.open(path) as picture:
            yield path.stem, fitted(np.asarray(picture.convert("RGB"), np.uint8))


def fitted(pixels: Picture) -> Picture:
    high, wide = pixels.shape[:2]
    cut = min(wide / 16, high / 9)
    w, h = int(cut * 16), int(cut * 9)
    top, left = (high - h) // 2, (wide - w) // 2
    inside = pixels[top : top + h, left : left + w]
    return np.asarray(cv2.resize(inside, (WIDTH, HEIGHT), interpolation=3), np.uint8)


def with_logo(
    picture: Picture,
    png: bytes,
    rng: np.random.Generator,
    *,
    size: float,
    turn: float,
    plate: bool = True,
) -> Picture:
    """``picture`` with the logo somewhere, ``size`` of its height long, seen at an angle.

    On a light ``plate`` as on a sign or a label, or laid straight onto the picture.
    """
    with Image.open(io.BytesIO(png)) as opened:
        logo = np.asarray(opened.convert("RGBA"), np.float32)
    if plate:
        logo[..., :3] = logo[..., :3] * logo[..., 3:] / 255 + 250 * (1 - logo[..., 3:] / 255)
        logo[..., 3] = 255
    length = size * HEIGHT
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + rng.normal(0, 0.05, (4, 2))
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    room = length * 0.75
    middle = rng.uniform((room, room), (WIDTH - room, max(room + 1, HEIGHT - room)))
    target = square @ np.array([[c, s], [-s, c]]) * length / 2 + middle
    source = np.array([[0, 0], [400, 0], [400, 400], [0, 400]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    # Many pixels become one: blur first, or the picture has jagged edges.
    blurred = cv2.GaussianBlur(logo, (0, 0), max(0.1, 0.35 * 400 / length))
    warped = cv2.warpPerspective(blurred, matrix, (WIDTH, HEIGHT))
    alpha = warped[..., 3:] / 255
    return np.asarray(picture + alpha * (warped[..., :3] - picture), np.uint8)


def compressed(picture: Picture, crf: int) -> Picture:
    """The third frame of a still clip in H.264."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.thread_count = 1
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        *_, last = container.decode(video=0)
        return np.asarray(last.to_ndarray(format="rgb24"), np.uint8)


def recall(matcher: LogoMatcher, pngs: list[bytes], grounds: list[Picture]) -> dict[str, Any]:
    """How often the right logo is named, by size, turn and compression; and wrong ones."""
    table: dict[str, Any] = {}
    wrong = looks = 0

    def found(label: str, **how: Any) -> None:
        nonlocal wrong, looks
        crf, plate = how.get("crf"), how.get("plate", True)
        right = sure = 0
        for number, png in enumerate(pngs):
            rng = np.random.default_rng([8, number, len(table)])
            turn = how.get("turn")
            angle = float(rng.uniform(-180, 180)) if turn is None else turn
            ground = grounds[number % len(grounds)]
            picture = with_logo(ground, png, rng, size=how["size"], turn=angle, plate=plate)
            if crf is not None:
                picture = compressed(picture, crf)
            places = matcher.places(picture)
            right += any(place.subject == f"made-{number}" for place in places)
            sure += any(p.subject == f"made-{number}" and p.score >= 0.9 for p in places)
            wrong += sum(place.subject != f"made-{number}" for place in places)
            looks += 1
        table[label] = {"held": round(right / len(pngs), 3), "sure": round(sure / len(pngs), 3)}

    for size in SIZES:
        found(f"size {size:.0%} of height", size=size)
    for size in (0.2, 0.5):
        found(f"size {size:.0%}, without a plate", size=size, plate=False)
    for turn in (0.0, 20.0, 90.0):
        found(f"size 20%, turned {turn:.0f} degrees", size=0.2, turn=turn)
    for crf in (28, 35):
        found(f"size 20%, H.264 CRF {crf}", size=0.2, crf=crf)
    return {"recall": table, "wrong_names": wrong, "pictures_with_a_logo": looks}


def main() -> None:
    """Measures and writes docs/benchmarks/logos.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--logos", type=int, default=24)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pngs = [made_logo(seed) for seed in range(options.logos)]
    logos = [Logo.parse(f"made-{n}", png) for n, png in enumerate(pngs)]
    matcher = LogoMatcher(logos)
    grounds = [picture for _, picture in pictures(options.pictures)]
    result = recall(matcher, pngs, grounds)

    harmless = grounds
    others = [
        with_logo(
            grounds[seed % len(grounds)],
            made_logo(10_000 + seed),
            np.random.default_rng([9, seed]),
            size=0.35,
            turn=0.0,
        )
        for seed in range(options.logos)
    ]
    result["harmless_pictures"] = len(harmless)
    result["names_in_harmless_pictures"] = sum(len(matcher.places(p)) for p in harmless)
    result["pictures_with_other_logos"] = len(others)
    result["names_in_pictures_with_other_logos"] = sum(len(matcher.places(p)) for p in others)
    result["ms_per_720p_picture"] = {
        f"{count} logos": round(_milliseconds(LogoMatcher(logos[:count]), harmless[:8]), 1)
        for count in (1, len(logos))
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    for label, row in result["recall"].items():
        print(f"{label:34} {row['held']:.3f} {row['sure']:.3f}")
    print({key: value for key, value in result.items() if key != "recall"})
    print("The logo matcher was measured on invented logos only.")


def _milliseconds(matcher: LogoMatcher, frames: list[Picture]) -> float:
    times = []
    for frame in frames:
        start = time.process_time()
        matcher.places(frame)
        times.append(time.process_time() - start)
    return 1000 * float(np.median(times))


if __name__ == "__main__":
    main()
