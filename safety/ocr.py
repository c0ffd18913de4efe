"""The reader of text in pictures: PP-OCRv6 small, a detector and a recogniser.

Latin letters with their accents, Greek capitals, Chinese and Japanese are read; Cyrillic,
Arabic, Hangul, Hebrew, Thai and Indic letters are found, not read (see the cards in
``safety/weights/ocr_detector`` and ``ocr_recogniser``). Weights are compared with the cards
before they are loaded, on first use or by ``load``; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from safety.cards import WeightsMissing
from safety.ocr_boxes import TextBox, cut_out, text_boxes
from safety.ocr_letters import (
    LINE_HEIGHT,
    Reading,
    alphabet,
    decoded,
    line_input,
    line_width,
)
from safety.ocr_page import Line, Page
from safety.onnx_session import VerifiedSession
from safety.sampling import Frame

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

WEIGHTS = Path(__file__).parent / "weights"
DETECTOR_FOLDER = WEIGHTS / "ocr_detector"
RECOGNISER_FOLDER = WEIGHTS / "ocr_recogniser"
DETECTOR_LABEL = "ppocrv6_det_small@3.10.0"
RECOGNISER_LABEL = "ppocrv6_rec_small@3.10.0"

SEARCH_PIXELS = 736 * 416
"""How large a picture is searched: a 16:9 picture with a long side of 736 pixels."""

SEARCH_STEP = 32
MAX_ENLARGEMENT = 2.0

READ_COLUMNS = 10_000
"""How much is read of one picture at most, in columns of the recogniser; about a second."""

LEGIBLE = 1 / 30
"""The height of a box of letters, as a share of the shorter side, from which viewers read it.

Smaller text is read as well while there is room, but a picture counts as read without it.
"""

LARGE = 1 / 3
"""The share of the shorter side above which a shape is taken for unreadable letters only when
it is ``LINE`` times as long as high: a ball of the embedded model, or a glow, fills a third of
the picture and more, and looks like a word of up to 3.3 times its height.
"""

SURE = 0.7
"""The mean certainty of its letters from which what a line says is judged."""

BELIEVED = 0.8
"""The certainty from which nothing else is expected in the line.

Letters that it does not know the recogniser takes for others with 0.7 to 0.8; of 414 readable
lines, half of them turned, small and compressed, one was below.
"""

CERTAIN = 0.9
"""The certainty from which nobody looks at a line upside down, mirrored or turned as well."""

TURNED = 0.9
"""What a reading of a turned line weighs against one of the line as it is."""

DENSE = 0.4
"""The least number of letters in a stretch as wide as the line is high.

The recogniser passes over letters that it does not know: a line of them comes out short.
"""

WORD = 2.0
WORD_CERTAINTY = 0.7
"""What is as long as this against its height, and as certainly made of letters, is text even
if nobody can read it. Eyes, wheels and windows are found as well, but rarely so; the legs of
the embedded model's cats up to 1.85. Shorter words in letters that cannot be read pass.
"""

LINE = 3.5
"""From this length against its height even a large shape is a line of letters."""

MIN_SQUEEZE = 0.7
TALL = 1.5
EDGE = cv2.BORDER_REPLICATE


@dataclass(frozen=True)
class _Opened:
    detector: InferenceSession
    recogniser: InferenceSession
    letters: Sequence[str]


class TextReader:
    """Reads what pictures say. ``threads`` is how many threads ONNX Runtime computes with."""

    name = "ppocrv6_small@3.10.0"

    def __init__(
        self,
        *,
        threads: int = 1,
        detector: Path = DETECTOR_FOLDER,
        recogniser: Path = RECOGNISER_FOLDER,
        columns: int = READ_COLUMNS,
    ) -> None:
        self._detector = VerifiedSession(
            label=DETECTOR_LABEL,
            card_folder=detector,
            folder=lambda: detector,
            filename="ppocrv6_det_small.onnx",
            threads=threads,
        )
        self._recogniser = VerifiedSession(
            label=RECOGNISER_LABEL,
            card_folder=recogniser,
            folder=lambda: recogniser,
            filename="ppocrv6_rec_small.onnx",
            threads=threads,
        )
        self._columns = columns
        self._lock = Lock()
        self._opened: _Opened | None = None

    def load(self) -> None:
        """Verifies and opens the weights now; raises WeightsMissing when that fails."""
        self._open()

    def read(self, frame: Frame) -> Page:
        """What one picture (uint8[H,W,3], RGB) says.

        Its cost is bounded: the largest boxes are read first, and those for which no room is
        left are told. Raises WeightsMissing, RuntimeError for a failed model.
        """
        opened = self._open()
        legible, large = (share * min(frame.shape[:2]) for share in (LEGIBLE, LARGE))
        boxes = sorted(self._found(frame, opened), key=lambda box: box.letter, reverse=True)
        squeeze = self._squeeze(boxes)
        lines: list[Line] = []
        unread: list[TextBox] = []
        left_out: list[TextBox] = []
        room = self._columns
        for box in boxes:
            reading, spent = self._read(cut_out(frame, box), squeeze, room, opened)
            room -= spent
            if reading is None:
                left_out.append(box)
                continue
            read = _is_read(reading, box)
            if read:
                lines.append(Line(text=reading.text, certainty=reading.certainty, box=box))
            believed = read and reading.certainty >= BELIEVED
            if not believed and _is_text(box, large=large):
                unread.append(box)
        return Page(
            lines=tuple(lines),
            unread=tuple(box for box in unread if box.letter >= legible),
            left_out=tuple(box for box in left_out if box.letter >= legible),
        )

    def _squeeze(self, boxes: Sequence[TextBox]) -> float:
        """How narrow the lines are read, so that as many as possible are."""
        wanted = sum(LINE_HEIGHT * _stretches(box) for box in boxes)
        return max(MIN_SQUEEZE, min(1.0, self._columns / max(wanted, 1.0)))

    def _found(self, frame: Frame, opened: _Opened) -> Sequence[TextBox]:
        tensor = opened.detector.get_inputs()[0].name
        likely = opened.detector.run(None, {tensor: search_input(frame)})[0]
        if likely.ndim != 4 or likely.shape[:2] != (1, 1):
            raise RuntimeError("The detector does not answer with one map.")
        if not np.isfinite(likely).all():
            raise RuntimeError("The detector answers with something else than numbers.")
        height, width = frame.shape[:2]
        return text_boxes(likely[0, 0], size=(height, width))

    def _read(
        self, cut: NDArray[np.uint8], squeeze: float, room: int, opened: _Opened
    ) -> tuple[Reading | None, int]:
        """The best reading of all ways to hold the line, and the columns that it took.

        None when there was no room for any.
        """
        best: Reading | None = None
        most = 0.0
        spent = 0
        for turn, view in enumerate(_views(cut)):
            cost = line_width(view, squeeze=squeeze)
            if spent + cost > room:
                break
            spent += cost
            tensor = opened.recogniser.get_inputs()[0].name
            row = line_input(view, squeeze=squeeze)
            rows = opened.recogniser.run(None, {tensor: row})[0]
            if not np.isfinite(rows).all():
                raise RuntimeError("The recogniser answers with something else than numbers.")
            reading = decoded(rows[0], opened.letters)
            weight = reading.certainty * len(reading.text) ** 0.5
            if best is None or weight * (TURNED if turn else 1.0) > most:
                best, most = reading, weight
            if reading.certainty >= CERTAIN and len(reading.text) >= 2:
                break
        return best, spent

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                recogniser = self._recogniser.open()
                listed = recogniser.get_modelmeta().custom_metadata_map.get("character", "")
                try:
                    letters = alphabet(listed)
                except ValueError as error:
                    raise WeightsMissing("The recogniser has no alphabet.") from error
                self._opened = _Opened(self._detector.open(), recogniser, letters)
            return self._opened


def search_input(frame: Frame) -> NDArray[np.float32]:
    """float32[1,3,h,w]: the whole picture, BGR in -1..1, sides in steps of 32 pixels."""
    height, width = frame.shape[:2]
    scale = min(MAX_ENLARGEMENT, (SEARCH_PIXELS / (height * width)) ** 0.5)
    rows, columns = (
        max(SEARCH_STEP, round(side * scale / SEARCH_STEP) * SEARCH_STEP)
        for side in (height, width)
    )
    sized = cv2.resize(frame, (columns, rows)).astype(np.float32)
    scaled = sized[..., ::-1] / 127.5 - 1.0
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _views(cut: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The ways in which a line may be held, the likeliest first."""
    height, width = cut.shape[:2]
    if height < TALL * width:
        yield cut
        yield np.rot90(cut, 2)
        yield cut[:, ::-1]
        return
    yield laid_out(cut)
    yield np.rot90(cut)
    yield np.rot90(cut, -1)


def laid_out(cut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A column of upright letters, uint8[h,w,3], as a row of them.

    The letters are parted where the column is calmest, at about the height of its width.
    """
    height, width = cut.shape[:2]
    count = max(1, round(height / width))
    calm = cut.astype(np.float32).std(axis=(1, 2))
    reach = max(1, width // 4)
    edges = [0]
    for number in range(1, count):
        middle = round(number * height / count)
        low = max(edges[-1] + 1, middle - reach)
        high = max(low + 1, min(height, middle + reach))
        edges.append(low + int(calm[low:high].argmin()))
    edges.append(height)
    side = max(below - above for above, below in pairwise(edges))
    row = [
        cv2.copyMakeBorder(cut[above:below], 0, side - (below - above), 0, 0, EDGE)
        for above, below in pairwise(edges)
    ]
    return np.concatenate(row, axis=1)


def _is_read(reading: Reading, box: TextBox) -> bool:
    letters = sum(not char.isspace() for char in reading.text)
    return reading.certainty >= SURE and letters >= DENSE * _stretches(box)


def _is_text(box: TextBox, *, large: float) -> bool:
    least = WORD if box.letter <= large else LINE
    return box.certainty >= WORD_CERTAINTY and _stretches(box) >= least


def _stretches(box: TextBox) -> float:
    return max(box.width, box.height) / box.letter
