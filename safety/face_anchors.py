"""The answer of the face detector as boxes and points: its anchors, and their merging.

The 896 anchors are those of MediaPipe's BlazeFace for pictures of 256 x 256: two per cell of a
grid of 16 pixels, six per cell of a grid of 32 (Bazarevsky et al. 2019, arXiv:1907.05047).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 256
GRIDS = ((16, 2), (32, 6))
"""Stride in pixels and anchors per cell, in the order of the model's output."""

COLUMNS = 17
LIKE = 0.3
"""Two boxes that share this much of their union are one face."""

Points = NDArray[np.float64]


class Detection(NamedTuple):
    """One face: a score in 0..1, its square box, and six points as float64[6,2].

    ``box`` is float64[4]: left, top, right, bottom. The points are the right eye, the left eye
    (of the person), the tip of the nose, the middle of the mouth, and both ears. All in pixels.
    """

    score: float
    box: Points
    points: Points

    def moved(self, matrix: Points) -> Detection:
        """The detection after a similarity transform (float64[2,3]); the box stays upright."""
        points = self.points @ matrix[:, :2].T + matrix[:, 2]
        centre = (self.box[:2] + self.box[2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
        half = self.side * np.sqrt(abs(np.linalg.det(matrix[:, :2]))) / 2
        return Detection(self.score, np.concatenate([centre - half, centre + half]), points)

    @property
    def side(self) -> float:
        """The length of the box in pixels."""
        return float((self.box[2:] - self.box[:2]).mean())

    @property
    def centre(self) -> Points:
        return np.asarray((self.box[:2] + self.box[2:]) / 2)


def anchors() -> Points:
    """float64[896,2]: the centres x, y in pixels of the model's picture."""
    centres = []
    for stride, per_cell in GRIDS:
        cells = (np.arange(SIDE // stride) + 0.5) * stride
        y, x = np.meshgrid(cells, cells, indexing="ij")
        centres.append(np.stack([x.ravel(), y.ravel()], 1).repeat(per_cell, 0))
    return np.concatenate(centres)


def detections(answer: NDArray[np.float32], *, least: float) -> list[Detection]:
    """The faces in one answer (float32[896*17]) with a score of at least ``least``, best first.

    Each is the mean, weighted by score, of all anchors that saw it. Raises RuntimeError for an
    answer of another shape or one that is not a number.
    """
    if answer.shape != (len(_ANCHORS) * COLUMNS,) or not np.isfinite(answer).all():
        raise RuntimeError("The face detector did not answer with numbers for its anchors.")
    rows = answer.reshape(-1, COLUMNS).astype(np.float64)
    scores = 1 / (1 + np.exp(-rows[:, 0].clip(-60, 60)))
    kept = scores >= least
    scores, rows, centres = scores[kept], rows[kept], _ANCHORS[kept]
    half = np.abs(rows[:, 3:5]) / 2
    middle = centres + rows[:, 1:3]
    boxes = np.concatenate([middle - half, middle + half], 1)
    points = rows[:, 5:].reshape(-1, 6, 2) + centres[:, None]
    return merged([Detection(*one) for one in zip(scores.tolist(), boxes, points, strict=True)])


def merged(found: list[Detection]) -> list[Detection]:
    """The faces among ``found``, each told once with the highest score, best first."""
    left = sorted(found, key=lambda each: -each.score)
    faces = []
    while left:
        best = left[0]
        same = [each for each in left if shared(best.box, each.box) >= LIKE]
        same = same or [best]
        weights = np.array([each.score for each in same])
        box = np.average([each.box for each in same], axis=0, weights=weights)
        points = np.average([each.points for each in same], axis=0, weights=weights)
        faces.append(Detection(best.score, box, points))
        taken = {id(each) for each in same}
        left = [each for each in left if id(each) not in taken]
    return faces


def shared(one: Points, other: Points) -> float:
    """How much of their union two boxes share, 0..1."""
    size = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = float(size.clip(0).prod())
    union = float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()) - common
    return common / union if union > 0 else 0.0


_ANCHORS = anchors()
