"""What a model said of a clip, second by second, in bounded work per second."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.learned.model import LearnedModel
from watermark.watermarker import Frames

READ_PER_SECOND: Final = 8.0
MIN_SIDE: Final = 16
LIMIT: Final = 2.0
"""No bit of a frame counts for more than this many times the frame's root mean square."""

LEVELS: Final = 5
USUAL_FPS: Final = 24.0
_BATCH: Final = 4


@dataclass(kw_only=True)
class Votes:
    """Sums of votes float64[bits] per second of a clip of `length` seconds.

    `frames` is how many frames the model was asked about.
    """

    seconds: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    frames: int = 0
    length: float = 0.0

    def windows(self) -> tuple[NDArray[np.float64], ...]:
        """The sums worth decoding: all of it, then halves, quarters … overlapping by half.

        An excerpt inside a longer foreign clip drowns in the sum of everything. At most 57.
        """
        rows = [self.seconds[second] for second in sorted(self.seconds)]
        sums: list[NDArray[np.float64]] = []
        size = len(rows)
        for _ in range(LEVELS if rows else 0):
            step = max(1, size // 2)
            starts = [*range(0, len(rows) - size, step), len(rows) - size]
            sums += [np.sum(rows[start : start + size], axis=0) for start in starts]
            if size == 1:
                break
            size = -(-size // 2)
        return tuple(total for total in sums if np.any(total))


def gather(chunks: Iterable[Frames], model: LearnedModel, *, fps: float) -> Votes:
    """Asks the model about up to 8 frames a second, spread evenly, to the end of the clip.

    Frames that are no frames are passed over, and so are answers that are no numbers.
    Memory grows by one vector a second. Raises `ReadingFailed` when the model fails.
    """
    votes = Votes()
    pace = usual(fps)
    rate = min(1.0, READ_PER_SECOND / pace)
    index = -1
    for chunk in chunks:
        if not _sound(chunk):
            continue
        due: list[int] = []
        first = index + 1
        for place in range(len(chunk)):
            index += 1
            if math.floor(index * rate) > math.floor((index - 1) * rate):
                due.append(place)
        for start in range(0, len(due), _BATCH):
            part = due[start : start + _BATCH]
            for place, logits in zip(part, model.logits(chunk[part]), strict=True):
                votes.frames += 1
                _add(votes, int((first + place) / pace), logits)
    votes.length = (index + 1) / pace
    return votes


def usual(fps: float) -> float:
    """The frame rate itself when it is one a clip can have, else 24."""
    return fps if math.isfinite(fps) and 1 <= fps <= 240 else USUAL_FPS


def _add(votes: Votes, second: int, logits: NDArray[np.float64]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        size = float(np.sqrt(np.mean(logits**2)))
    if not (math.isfinite(size) and size > 0):
        return
    # Weak answers count for what they are, loud ones for no more than one frame.
    vote = np.clip(logits / size, -LIMIT, LIMIT) * (size / (1 + size))
    votes.seconds[second] = votes.seconds.get(second, np.zeros(len(vote))) + vote


def _sound(chunk: object) -> bool:
    if not isinstance(chunk, np.ndarray) or chunk.dtype != np.uint8 or chunk.ndim != 4:
        return False
    _, height, width, channels = chunk.shape
    return bool(channels == 3 and min(height, width) >= MIN_SIDE)
