"""The fit of a picture: how a frame is shown to a model so that nothing is cut off.

Many image processors cut a square out of the middle. What stands at the side of a wide frame
would never be judged, so each processor is tried out before it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from safety.adapters.faults import GuardRefused
from safety.sampling import Frame

MAX_SIDE = 1536
"""Longer sides are made smaller first: no model of today reads more, and memory is bounded."""

MIN_SIDE = 32
MAX_ASPECT = 4.0
"""A frame that is longer and narrower is squeezed to this."""

RIM = 1 / 14
"""How much is added on each side of a framed picture: a processor may cut to seven eighths."""

_GREY, _WHITE = 96, 255
_BAND = 1 / 32
_CLEARLY = 0.25
_SHAPES = ((192, 342), (342, 192), (160, 640))

Picture = Image.Image
Fit = Callable[[Picture], Picture]


def picture_of(frame: Frame) -> Picture:
    """The frame (uint8[H,W,3], RGB) as a picture with sides of MIN_SIDE to MAX_SIDE."""
    size = size_of(frame.shape[1], frame.shape[0])
    picture = Image.fromarray(np.ascontiguousarray(frame))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)


def size_of(width: int, height: int) -> tuple[int, int]:
    """The width and height at which a frame of this size is shown."""
    scale = min(1.0, MAX_SIDE / max(width, height))
    wide, high = (max(round(side * scale), MIN_SIDE) for side in (width, height))
    shortest = math.ceil(max(wide, high) / MAX_ASPECT)
    return max(wide, shortest), max(high, shortest)


def plain(picture: Picture) -> Picture:
    """The picture as it is."""
    return picture


def squared(picture: Picture) -> Picture:
    """The picture squeezed into a square of its shorter side."""
    side = min(picture.size)
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def framed(picture: Picture) -> Picture:
    """``squared``, with its own edges repeated around it."""
    square = squared(picture)
    rim = int(np.ceil(square.width * RIM))
    return Image.fromarray(np.pad(np.asarray(square), ((rim, rim), (rim, rim), (0, 0)), "edge"))


def fit_for(pixels: Callable[[Picture], NDArray[np.float32]]) -> Fit:
    """The first of ``plain``, ``squared``, ``framed`` under which ``pixels`` sees every edge.

    ``pixels`` turns a picture into the numbers that the model is given. Raises GuardRefused
    when it is blind to an edge under all of them.
    """
    for fit in (plain, squared, framed):
        if all(_sees(pixels, fit, edges) for edges in _probes()):
            return fit
    raise GuardRefused("The processor of the model cuts off the edges of a picture.")


def _sees(
    pixels: Callable[[Picture], NDArray[np.float32]], fit: Fit, edges: Sequence[Picture]
) -> bool:
    """Whether each of the pictures with an edge looks clearly unlike the grey one."""
    grey, white, *others = [pixels(fit(picture)) for picture in edges]
    if any(other.shape != grey.shape for other in (white, *others)):
        return False
    most = np.abs(white - grey).max()
    return all(np.abs(other - grey).max() > most * _CLEARLY for other in others)


def _probes() -> Iterator[tuple[Picture, ...]]:
    """For wide and high shapes: a grey picture, a white one, four with one white edge each."""
    for height, width in _SHAPES:
        grey = np.full((height, width, 3), _GREY, np.uint8)
        high, wide = int(height * _BAND), int(width * _BAND)
        bands = (np.s_[:high], np.s_[-high:], np.s_[:, :wide], np.s_[:, -wide:])
        found = [grey, np.full_like(grey, _WHITE)]
        for band in bands:
            edged = grey.copy()
            edged[band] = _WHITE
            found.append(edged)
        yield tuple(Image.fromarray(each) for each in found)
