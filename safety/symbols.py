"""Hate symbols and the banner of terror in pictures: two small networks of our own.

The *finder* looks over the picture at several sizes and says where a symbol may be. The
*reader* looks closely at those places and says which it is. Both were trained from nothing but
drawn shapes (``safety/training/frames/train_symbols.py``); the card in
``safety/weights/symbols`` says what was measured and what they miss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from safety.onnx_session import VerifiedSession
from safety.pictures import PictureScores
from safety.sampling import Frame, Frames, check_frames
from safety.verdict import Category

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SYMBOLS_FOLDER = Path(__file__).parent / "weights" / "symbols"

CLASSES = (
    "other",
    "tilted_hooked_cross",
    "hooked_cross",
    "sig_runes",
    "ring_cross",
    "sun_wheel",
    "banner",
)
"""What the reader tells apart, in the order of its output. Stored in reports: append only."""

CATEGORY_OF: Mapping[str, Category] = {
    "tilted_hooked_cross": Category.HATE,
    "hooked_cross": Category.HATE,
    "sig_runes": Category.HATE,
    "ring_cross": Category.HATE,
    "sun_wheel": Category.HATE,
    "banner": Category.EXTREMISM_TERROR,
}

CROP_SIDE = 48
CROP_MARGIN = 1.5
"""The reader sees a square this many times as long as the symbol."""

STRIDE = 8
TYPICAL_EXTENT = 24.0
"""The finder's cell and the symbol size that its size output counts from, in pixels."""

FIRST_SIDE = 540
LONGEST_SIDE = 1280
LAST_SIDE = 24
BORDER = 16
MAX_PLACES = 16
FIND_AT = -1.0
"""The finder's logit from which the reader looks."""

LOOK_AGAIN_AT = 0.3
LOOKS = (1.0, 1.18)
"""How much wider than usual each look of the reader is."""

HELD, SURE = 0.6, 0.9
HOLD_AT: Mapping[str, float] = {
    "tilted_hooked_cross": 0.5,
    "hooked_cross": 0.45,
    "sig_runes": 0.8,
    "ring_cross": 0.8,
    "sun_wheel": 0.8,
    "banner": 0.8,
}
"""The reader's chance that becomes the score ``HELD``, by the symbol it names. Chosen on the
material for training with fresh seeds: about the highest of 200 harmless pictures."""

SURE_AT = 0.98
"""The reader's chance of this very symbol that becomes the score ``SURE``."""

MAY_BE_SURE = frozenset({"tilted_hooked_cross", "sun_wheel", "sig_runes"})
CEILING = 0.89
"""The highest score of all others: also the sign of a religion, a target, a plain flag."""


@dataclass(frozen=True, kw_only=True)
class SymbolPlace:
    """One symbol in one picture: its class, score, and where, in pixels of the picture."""

    symbol: str
    score: float
    x: float
    y: float
    extent: float


class SymbolJudge:
    """Looks for hate symbols; scores ``hate`` and ``extremism_terror``.

    The score of a category is that of its clearest symbol. Upright hooked crosses, ring crosses
    and the banner stay below ``SURE``: an upright hooked cross is also a sign of Hindus,
    Buddhists and Jains, so a person must look. ``threads`` is how many threads may compute.
    """

    name = "symbols@1.0.0"
    categories = frozenset({Category.HATE, Category.EXTREMISM_TERROR})

    def __init__(self, *, threads: int = 1, folder: Path = SYMBOLS_FOLDER) -> None:
        self._finder = _session(self.name, folder, "finder.onnx", threads)
        self._reader = _session(self.name, folder, "reader.onnx", threads)

    def load(self) -> None:
        """Verifies and opens the weights now; raises WeightsMissing when that fails."""
        self._finder.open()
        self._reader.open()

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB), scores in 0..1.

        Raises WeightsMissing, ValueError for a wrong array, RuntimeError for a failed model.
        """
        check_frames(frames)
        return tuple(PictureScores(scores=_scores(self.places(frame))) for frame in frames)

    def places(self, frame: Frame) -> tuple[SymbolPlace, ...]:
        """Everything in ``frame`` (uint8[H,W,3], RGB) that may be a symbol, surest first.

        ``score`` is NaN where the model gave no number. Raises as ``score`` does.
        """
        places = self._candidates(frame)
        if not places:
            return ()
        found = [self._read(frame, place) for place in places]
        return tuple(sorted(found, key=lambda place: -np.nan_to_num(place.score, nan=2)))

    def _candidates(self, frame: Frame) -> list[NDArray[np.float64]]:
        """Up to MAX_PLACES rows of logit, x, y, extent, without what is told twice."""
        session = self._finder.open()
        rows = [_peaks(_answer(session, level), scale) for level, scale in _levels(frame)]
        kept: list[NDArray[np.float64]] = []
        for row in sorted(np.concatenate(rows), key=lambda row: -row[0]):
            if not any(_same_place(row, other) for other in kept):
                kept.append(row)
            if len(kept) == MAX_PLACES:
                break
        return kept

    def answers(
        self, frame: Frame, *, x: float, y: float, extent: float
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Raw: the finder's best place in ``frame``, the reader's logits for the given one."""
        best = self._candidates(frame)[0]
        logits = _answer(self._reader.open(), _crop(frame, x, y, extent))[0]
        return tuple(map(float, best)), tuple(map(float, logits))

    def _read(self, frame: Frame, place: NDArray[np.float64]) -> SymbolPlace:
        _, x, y, extent = (float(number) for number in place)
        session = self._reader.open()
        looks = []
        for wider in LOOKS:
            looks.append(_softmax(_answer(session, _crop(frame, x, y, extent * wider))[0]))
            if 1 - looks[0][0] < LOOK_AGAIN_AT:
                break
        chances = np.mean(looks, axis=0)
        symbol = CLASSES[1 + int(np.argmax(chances[1:]))]
        score = _calibrated(symbol, float(chances[1:].sum()), float(chances[1:].max()))
        return SymbolPlace(symbol=symbol, score=score, x=x, y=y, extent=extent)


def _session(label: str, folder: Path, filename: str, threads: int) -> VerifiedSession:
    return VerifiedSession(
        label=label,
        card_folder=folder,
        folder=lambda: folder,
        filename=filename,
        threads=threads,
    )


def _answer(session: InferenceSession, picture: Frame) -> NDArray[np.float32]:
    """The model's output for one picture, RGB in 0..1; raises RuntimeError for none."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
    planes /= np.float32(255)
    answer = np.asarray(session.run(None, {"pictures": planes})[0])
    if answer.dtype == np.float32 and len(answer) == 1:
        return answer
    raise RuntimeError("The model did not answer with numbers.")


def _levels(frame: Frame) -> Iterator[tuple[Frame, float]]:
    """The picture at halving sizes within a border, and how large a pixel of the first is."""
    high, wide = frame.shape[:2]
    scale = min(1.0, FIRST_SIDE / min(high, wide), LONGEST_SIDE / max(high, wide))
    level = frame
    while True:
        size = (max(1, round(wide * scale)), max(1, round(high * scale)))
        level = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_AREA), np.uint8)
        right, below = -(size[0] + 2 * BORDER) % STRIDE, -(size[1] + 2 * BORDER) % STRIDE
        framed = cv2.copyMakeBorder(
            level, BORDER, BORDER + below, BORDER, BORDER + right, cv2.BORDER_REPLICATE
        )
        yield np.asarray(framed, np.uint8), scale
        scale /= 2
        if min(high, wide) * scale < LAST_SIDE:
            return


def _peaks(answer: NDArray[np.float32], scale: float) -> NDArray[np.float64]:
    """float64[N,4]: logit, x, y, extent in pixels of the whole picture; NaN is a peak too."""
    if answer.ndim != 4 or answer.shape[1] != 4:
        raise RuntimeError("The finder does not answer with four planes.")
    logit, size, dx, dy = answer[0]
    if not np.isfinite(answer).all():
        raise RuntimeError("The finder's answer is not a number.")
    peak = (logit == cv2.dilate(logit, np.ones((3, 3)))) & (logit > FIND_AT)
    rows, columns = peak.nonzero()
    x = ((columns + 0.5 + dx[peak]) * STRIDE - BORDER) / scale
    y = ((rows + 0.5 + dy[peak]) * STRIDE - BORDER) / scale
    extent = TYPICAL_EXTENT * np.exp2(np.clip(size[peak], -2.0, 2.0)) / scale
    return np.column_stack([logit[peak], x, y, extent]).astype(np.float64)


def _same_place(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    apart = float(np.hypot(one[1] - other[1], one[2] - other[2]))
    ratio = float(one[3] / other[3])
    return bool(apart < 0.35 * min(one[3], other[3]) and 0.6 < ratio < 1.66)


def _crop(frame: Frame, x: float, y: float, extent: float) -> Frame:
    """uint8[CROP_SIDE,CROP_SIDE,3]: the place with what is around it."""
    side = max(4, round(extent * CROP_MARGIN))
    left, top = round(x - side / 2), round(y - side / 2)
    high, wide = frame.shape[:2]
    rows = np.clip(np.arange(top, top + side), 0, high - 1)
    columns = np.clip(np.arange(left, left + side), 0, wide - 1)
    cut = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    beyond = (
        max(0, min(-top, side - 1)),
        max(0, min(top + side - high, side - 1)),
        max(0, min(-left, side - 1)),
        max(0, min(left + side - wide, side - 1)),
    )
    if any(beyond):
        cut = cv2.copyMakeBorder(cut, *beyond, cv2.BORDER_REPLICATE)
    target = (CROP_SIDE, CROP_SIDE)
    return np.asarray(cv2.resize(cut, target, interpolation=cv2.INTER_AREA), np.uint8)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    if logits.shape != (len(CLASSES),):
        raise RuntimeError("The reader does not answer with its classes.")
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum(), np.float64)


def _calibrated(symbol: str, any_symbol: float, this_one: float) -> float:
    """The score of a place; NaN stays NaN."""
    if symbol in MAY_BE_SURE and this_one >= SURE_AT:
        return float(np.interp(this_one, (SURE_AT, 1.0), (SURE, 1.0)))
    return float(np.interp(any_symbol, (0.0, HOLD_AT[symbol], 1.0), (0.0, HELD, CEILING)))


def _scores(found: Sequence[SymbolPlace]) -> Mapping[Category, float]:
    scores = dict.fromkeys(SymbolJudge.categories, 0.0)
    for place in found:
        category = CATEGORY_OF[place.symbol]
        # Once NaN, a category stays NaN.
        if not math.isnan(scores[category]) and not place.score <= scores[category]:
            scores[category] = place.score
    return scores
