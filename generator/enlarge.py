"""Brings the few small frames a model draws to the size and rate of the finished clip.

What is done here is interpolation, not generation: larger frames show nothing new, and the
frames between two drawn ones are both drawn frames moved along the optical flow (DIS, Kroeger
et al. 2016) and blended. Each model's card says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.clip import MAX_CHUNK, Frames

# Flow is estimated on frames enlarged to about this height.
FLOW_HEIGHT = 270
_Image = NDArray[np.uint8]
_Field = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Enlarged:
    """A clip of `frame_count` frames, made afresh from `drawn` uint8[F,h,w,3] on each pass.

    Holds the drawn frames and at most one chunk. If `frame_count` is the number of drawn
    frames, nothing is put between them.
    """

    drawn: Frames
    width: int
    height: int
    frame_count: int

    def __iter__(self) -> Iterator[Frames]:
        """Yields uint8[T,height,width,3] RGB, T ≤ 16."""
        chunk: list[_Image] = []
        for frame in self._frames():
            chunk.append(frame)
            if len(chunk) == MAX_CHUNK:
                yield np.stack(chunk)
                chunk = []
        if chunk:
            yield np.stack(chunk)

    def _frames(self) -> Iterator[_Image]:
        if self.frame_count == len(self.drawn):
            yield from (_resize(frame, self.width, self.height) for frame in self.drawn)
            return
        last = len(self.drawn) - 1
        between: _Between | None = None
        for index in range(self.frame_count):
            place = index * last / max(1, self.frame_count - 1)
            left = min(int(place), max(0, last - 1))
            if between is None or between.left != left:
                right = min(left + 1, last)
                between = _Between(
                    left, self.drawn[left], self.drawn[right], self.width, self.height
                )
            yield between.at(place - left)


class _Between:
    """The movement from one drawn frame to the next."""

    def __init__(
        self, left: int, before: _Image, after: _Image, width: int, height: int
    ) -> None:
        self.left = left
        self._before = _resize(before, width, height)
        self._after = _resize(after, width, height)
        small = (round(FLOW_HEIGHT * width / height), FLOW_HEIGHT)
        one, two = (_resize(image, *small) for image in (before, after))
        self._forth = _flow(one, two, width, height)
        self._back = _flow(two, one, width, height)
        columns = np.arange(width, dtype=np.float32)
        rows = np.arange(height, dtype=np.float32)
        self._x, self._y = np.meshgrid(columns, rows)

    def at(self, part: float) -> _Image:
        """The frame `part` (0..1) of the way; the ends are the drawn frames themselves."""
        if part <= 1e-6:
            return self._before
        if part >= 1 - 1e-6:
            return self._after
        import cv2

        one = self._moved(self._before, self._forth, part)
        two = self._moved(self._after, self._back, 1 - part)
        mixed: _Image = cv2.addWeighted(one, 1 - part, two, part, 0)
        return mixed

    def _moved(self, image: _Image, flow: _Field, part: float) -> _Image:
        import cv2

        moved: _Image = cv2.remap(
            image,
            self._x - np.float32(part) * flow[..., 0],
            self._y - np.float32(part) * flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return moved


def _flow(one: _Image, two: _Image, width: int, height: int) -> _Field:
    """Where the pixels of `one` are in `two`, in pixels of the finished size."""
    import cv2

    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (one, two)]
    flow = cv2.GaussianBlur(finder.calc(grey[0], grey[1], None), (0, 0), 3)
    large = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    scale = np.array([width / one.shape[1], height / one.shape[0]], np.float32)
    out: _Field = large * scale
    return out


def _resize(image: _Image, width: int, height: int) -> _Image:
    import cv2

    if image.shape[:2] == (height, width):
        return image
    shrinks = width < image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    out: _Image = cv2.resize(image, (width, height), interpolation=method)
    return out


__all__ = ["Enlarged"]
