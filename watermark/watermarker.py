"""The seam for marking algorithms: marks a stream of frames, reads a mark back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from watermark.payload import Payload
from watermark.reading import Reading

Frames: TypeAlias = NDArray[np.uint8]
"""A chunk of a clip: uint8[T, H, W, 3], RGB, all chunks of a clip of one height and width."""


class FramesRefused(ValueError):
    """Frames that cannot be marked: not uint8[T, H, W, 3], too small, or of changing size."""


class Watermarker(Protocol):
    """An invisible mark that carries a payload through re-encoding, scaling and cropping."""

    @property
    def name(self) -> str:
        """The algorithm's name as manifests and the audit log record it."""
        ...

    def embed(
        self, chunks: Iterable[Frames], payload: Payload, *, fps: float
    ) -> Iterator[Frames]:
        """Yields the marked frames, chunk for chunk, same shapes.

        The pixels depend on the frames, the payload and the key only, never on how the clip
        was cut into chunks. Memory does not grow with the clip. Raises `FramesRefused` for
        what cannot be marked. Does not promise that the mark survives: read it back from
        the encoded bytes.
        """
        ...

    def extract(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        candidates: Collection[Payload] = (),
    ) -> Reading:
        """Reads the mark of a clip or an excerpt; never raises on odd frames.

        With candidates, a mark too weak to be decoded by itself is compared with each of
        theirs. Errors of the iterable itself (a decoder that fails) pass through.
        """
        ...
