"""Text in pictures: what it costs, what is read, what is stopped by mistake and by right.

    python -m tests.bench.picture_text [--rows N]

Texts are drawn with DejaVu and Liberation (Pillow) or, where those have no letters, with the
fonts inside OpenCV, over photographs, clouds, bricks and stripes. "Typed" is the same text
given to the same moderators as a prompt, in the categories of the judge.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import textwrap
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from safety.circumstances import Audience
from safety.ocr import TextReader
from safety.picture_text import WORDS_HARM, PictureTextJudge
from safety.policy import POLICY_PATH, Policy
from safety.rules import RuleBook, RuleModerator
from safety.text_model import UseModerator
from safety.training.prompts.grammar import Grammar
from tests.bench.frames_benign import MAKERS

CAPTIONS = Path(__file__).with_name("picture_text_captions.toml")
OUT = Path("docs/benchmarks/picture_text.json")
WIDTH, HEIGHT = 1280, 720
FONT_FOLDER = Path("/usr/share/fonts/truetype")
FONTS = (
    "dejavu/DejaVuSans.ttf",
    "dejavu/DejaVuSans-Bold.ttf",
    "dejavu/DejaVuSerif.ttf",
    "dejavu/DejaVuSansMono.ttf",
    "liberation/LiberationSans-Regular.ttf",
    "liberation/LiberationSerif-Italic.ttf",
    "liberation/LiberationSansNarrow-Bold.ttf",
)
READ = ("en", "fr", "de", "es", "it", "pt", "nl", "pl", "tr", "zh", "ja")
DRAWN_BY_OPENCV = ("zh", "ja", "ko")
WRAP = {"zh": 14, "ja": 14, "ko": 16}

Frame = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One text, how it was come by, its language, and whether it must be stopped."""

    text: str
    lang: str
    kind: str


# --- texts -------------------------------------------------------------------------------


def captions(section: str) -> list[Row]:
    listed: Mapping[str, Sequence[str]] = tomllib.loads(CAPTIONS.read_text("utf-8"))[section]
    return [Row(text=t, lang=lang, kind=section) for lang, ts in listed.items() for t in ts]


def sentences(kind: str, number: int) -> list[Row]:
    """Sentences that the heads were trained with: harmful ones in the judge's categories."""
    rows = [
        row
        for row in Grammar(5).rows({"*": 1})
        if row.kind == kind
        and row.lang in READ
        and len(row.text) <= 110
        and (kind == "near" or row.positive & WORDS_HARM)
    ]
    chosen = random.Random(1).sample(rows, min(number, len(rows)))
    return [Row(text=row.text, lang=row.lang, kind=kind) for row in chosen]


def rule_terms(number: int) -> list[Row]:
    """The shortest texts that a rule of the judge's categories stops, by its own terms."""
    book = RuleBook.load()
    moderator = RuleModerator(book=book)
    found: dict[str, Row] = {}
    for rule in book.rules:
        if rule.category not in WORDS_HARM:
            continue
        for turn in range(4):
            words = [book.groups[options[turn % len(options)]] for options in rule.needs]
            text = " ".join(terms[turn % len(terms)] for terms in words)
            drawable = all(ord(char) < 0x250 for char in text)
            if drawable and moderator.score([text])[0].scores[rule.category] >= 0.6:
                found[text] = Row(text=text, lang="en", kind="rule")
    rows = list(found.values())
    return random.Random(2).sample(rows, min(number, len(rows)))


# --- pictures ----------------------------------------------------------------------------


def background(rng: np.random.Generator) -> Frame:
    """uint8[720,1280,3]: a photograph, clouds, bricks, stripes or noise; nothing with text."""
    kind = int(rng.integers(6))
    if kind < 2:
        photo = load_sample_images().images[kind]
        top, left = rng.integers(0, 150), rng.integers(0, 200)
        return np.asarray(
            cv2.resize(photo[top : top + 247, left : left + 440], (WIDTH, HEIGHT)), np.uint8
        )
    soft = rng.integers(0, 256, (*rng.integers(2, 9, 2), 3)).astype(np.uint8)
    field = cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(float)
    if kind == 3:
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        mortar = (y % 60 < 4) | ((x + (y // 60 % 2) * 70) % 140 < 4)
        field = np.where(mortar[..., None], field * 0.6, field)
    if kind == 4:
        wave = np.sin(np.linspace(0, rng.uniform(60, 200), WIDTH))
        field += 25 * wave[None, :, None]
    if kind == 5:
        field += rng.normal(0, 18, field.shape)
    return field.clip(0, 255).astype(np.uint8)


def drawn(row: Row, rng: np.random.Generator) -> Frame:
    """The text over a background, outlined as subtitles are, or on a sign."""
    frame = background(rng)
    size = int(rng.integers(28, 57))
    ink, edge = ((255, 255, 255), (0, 0, 0)) if rng.random() < 0.6 else ((0, 0, 0), (255,) * 3)
    if row.lang in DRAWN_BY_OPENCV or any(ord(c) > 0x2E80 for c in row.text):
        layer = frame.copy()
        lines = textwrap.wrap(row.text, WRAP.get(row.lang, 16))
        x, y = int(rng.integers(30, 120)), int(rng.integers(80, 300))
        face = cv2.FontFace("uni")
        for number, line in enumerate(lines):
            place = (x, y + int(number * size * 1.4))
            for dx, dy in ((-2, 0), (2, 0), (0, -2), (0, 2)):
                cv2.putText(layer, line, (place[0] + dx, place[1] + dy), edge, face, size, 500)
            cv2.putText(layer, line, place, ink, face, size, 500)
        return layer
    image = Image.fromarray(frame)
    fonts = FONTS[:1] if row.lang == "ar" else FONTS
    font = ImageFont.truetype(str(FONT_FOLDER / fonts[rng.integers(len(fonts))]), size)
    text = "\n".join(textwrap.wrap(row.text, max(12, int(1100 / (size * 0.62)))))
    pen = ImageDraw.Draw(image)
    _, _, right, bottom = pen.multiline_textbbox((0, 0), text, font=font, stroke_width=3)
    x = int(rng.integers(20, max(21, int(WIDTH - right - 20))))
    y = int(rng.integers(20, max(21, int(HEIGHT - bottom - 20))))
    if rng.random() < 0.4:
        pen.rectangle((x - 12, y - 8, x + right + 12, y + bottom + 8), fill=edge)
        pen.multiline_text((x, y), text, font=font, fill=ink)
    else:
        pen.multiline_text((x, y), text, font=font, fill=ink, stroke_width=3, stroke_fill=edge)
    return np.asarray(image)


def worn(frame: Frame, rng: np.random.Generator) -> Frame:
    """The frame turned by up to 4 degrees, at 854x480, after H.264 at a poor quality."""
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), float(rng.uniform(-4, 4)), 0.92)
    turned = cv2.warpAffine(frame, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(turned, (854, 480), interpolation=cv2.INTER_AREA)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "32", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 854, 480, "yuv420p"
        stream.thread_count = 1
        for _ in range(3):
            for packet in stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    buffer.seek(0)
    with av.open(buffer) as read:
        frames = [frame.to_ndarray(format="rgb24") for frame in read.decode(video=0)]
    return np.asarray(frames[-1], np.uint8)


# --- measuring ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Whether a rule speaks ("stopped"), or else something is missing ("held")."""

    stopped: bool
    held: bool


class Bench:
    def __init__(self) -> None:
        policy = Policy.load(POLICY_PATH)
        prompts = {c: policy.rules[c].prompt for c in WORDS_HARM}
        self.limits = {c: p[Audience.PUBLIC].review for c, p in prompts.items() if p}
        moderators = (RuleModerator(book=RuleBook.load()), UseModerator())
        self.reader = TextReader()
        self.judge = PictureTextJudge(reader=self.reader, moderators=moderators)
        self.judge.load()

    def typed(self, row: Row) -> Outcome:
        scores: dict[str, float] = {}
        complete = set(WORDS_HARM)
        for moderator in self.judge.moderators:
            said = moderator.score([row.text])[0]
            complete -= (moderator.promises & WORDS_HARM) - said.scores.keys()
            found = [*said.scores.items(), *((n.category, n.score) for n in said.named)]
            for category, score in found:
                scores[category] = max(scores.get(category, 0.0), score)
        stopped = any(scores.get(c, 0.0) >= self.limits[c] for c in WORDS_HARM)
        return Outcome(stopped=stopped, held=not stopped and complete != WORDS_HARM)

    def shown(self, frame: Frame) -> Outcome:
        row = self.judge.score(frame[None])[0]
        found = [*row.scores.items(), *((n.category, n.score) for n in row.named)]
        stopped = any(score >= self.limits[category] for category, score in found)
        return Outcome(stopped=stopped, held=not stopped and row.scores.keys() != WORDS_HARM)

    def table(self, name: str, rows: Sequence[Row], seed: int) -> dict[str, object]:
        tally: dict[str, list[Outcome]] = defaultdict(list)
        for number, row in enumerate(rows):
            rng = np.random.default_rng((seed, number))
            frame = drawn(row, rng)
            tally["typed"].append(self.typed(row))
            tally["clean"].append(self.shown(frame))
            tally["worn"].append(self.shown(worn(frame, rng)))
        found: dict[str, object] = {"texts": len(rows)}
        for way, outcomes in tally.items():
            stopped = sum(o.stopped for o in outcomes) / len(rows)
            held = sum(o.held for o in outcomes) / len(rows)
            found[way] = {"stopped": round(stopped, 4), "held": round(held, 4)}
        parts = "   ".join(
            f"{way} {sum(o.stopped for o in os)}+{sum(o.held for o in os)}"
            for way, os in tally.items()
        )
        print(f"{name:34} {len(rows):4}   {parts}", flush=True)
        return found

    def textless(self) -> dict[str, object]:
        """Pictures without text: how many are said to have some, or are held."""
        frames = list(textless_frames())
        said = held = 0
        for frame in frames:
            row = self.judge.score(frame[None])[0]
            said += bool(row.notes)
            held += row.scores.keys() != WORDS_HARM
        print(f"{'no text':34} {len(frames):4}   said to have text {said}, held {held}")
        return {"pictures": len(frames), "said_to_have_text": said, "held": held}

    def cost(self) -> dict[str, float]:
        rng = np.random.default_rng(7)
        caption = Row(text="We have to leave before the storm.", lang="en", kind="cost")
        bare = [background(rng) for _ in range(5)]
        kinds = {
            "no text": bare,
            "caption": [drawn(caption, rng) for _ in range(5)],
            "page": [page(24)] * 3,
            "wall of words": [page(19)] * 3,
        }
        found = {}
        for name, frames in kinds.items():
            spent = []
            for frame in frames:
                start = time.process_time()
                self.reader.read(frame)
                spent.append(1000 * (time.process_time() - start))
            found[name] = round(statistics.median(spent))
            print(f"{name:34} {found[name]:5} ms per 1280x720 picture, one thread")
        return found


def textless_frames() -> Iterator[Frame]:
    rng = np.random.default_rng(11)
    for _ in range(60):
        yield background(rng)
    for maker in MAKERS.values():
        for _ in range(10):
            yield np.asarray(maker(rng)[0], np.uint8)


def page(size: int) -> Frame:
    """A page filled with lines of ``size`` pixels."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (240, 238, 230))
    font = ImageFont.truetype(str(FONT_FOLDER / FONTS[2]), size)
    words = "the quick brown fox walks along the river and sings to the moon at night "
    for top in range(10, HEIGHT - size, int(size * 1.5)):
        start = top % 30
        text = (words * 4)[start : start + int(1180 / (size * 0.55))]
        ImageDraw.Draw(image).text((40, top), text, font=font, fill=(20, 20, 20))
    return np.asarray(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=120, help="sentences of each kind")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    bench = Bench()
    result: dict[str, object] = {"cost_ms": bench.cost(), "no_text": bench.textless()}
    print("texts: stopped+held when typed, drawn, and drawn, turned, scaled and compressed")
    listed = {
        "harmless captions": captions("read"),
        "harmless, language unknown": captions("foreign"),
        "harmless, letters unknown": captions("unread"),
        "harmless sentences": sentences("near", asked.rows),
        "harmful sentences": sentences("positive", asked.rows),
        "harmful terms of the rules": rule_terms(asked.rows),
    }
    for seed, (name, rows) in enumerate(listed.items()):
        result[name.replace(", ", "_").replace(" ", "_")] = bench.table(name, rows, seed)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"picture text measured; written to {OUT}")


if __name__ == "__main__":
    main()
