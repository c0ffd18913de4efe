"""Frames and what is known about a video file, without any codec."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]  # [T, H, W, 3] RGB, 1 ≤ T ≤ CHUNK_FRAMES

CHUNK_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """A file that was written whole; ``size`` is in bytes."""

    frames: int
    seconds: float
    size: int


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file says about its picture. ``frames`` is 0 where the container does not say."""

    width: int
    height: int
    fps: Fraction
    frames: int
    seconds: float
    codec: str


def check_chunk(chunk: Frames, *, size: tuple[int, int] | None = None) -> None:
    """Accept a chunk of frames, of the given (width, height) if one is named.

    Raises ValueError for another dtype, another size, no frames, or more than CHUNK_FRAMES:
    a fault of the calling code.
    """
    if (
        chunk.dtype == np.uint8
        and chunk.ndim == 4
        and chunk.shape[3] == 3
        and 1 <= chunk.shape[0] <= CHUNK_FRAMES
        and (size is None or (chunk.shape[2], chunk.shape[1]) == size)
    ):
        return
    raise ValueError(
        f"A chunk must be uint8[1..{CHUNK_FRAMES}, height, width, 3] of one size,"
        f" not {chunk.dtype}{list(chunk.shape)}."
    )
