"""Stills: single frames of our own clips as JPEG, to be looked at or to stay veiled."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from gateway.media.frames import Frames

if TYPE_CHECKING:
    from PIL import Image

LONGEST_SIDE = 960
QUALITY = 85
# So few pixels across that nothing can be made out, whatever is done to the file.
VEILED_SIDE = 16


def frames_at(chunks: Iterable[Frames], wanted: Collection[int]) -> dict[int, Frames]:
    """The frames of these indices, each uint8[H, W, 3] RGB; those beyond the end are absent.

    Reads no further than the last one.
    """
    found: dict[int, Frames] = {}
    last, first = max(wanted, default=-1), 0
    for chunk in chunks:
        for index in range(first, first + len(chunk)):
            if index in wanted:
                found[index] = chunk[index - first].copy()
        first += len(chunk)
        if first > last:
            break
    return found


def shown(frame: Frames) -> bytes:
    """A frame, uint8[H, W, 3] RGB, as JPEG of at most LONGEST_SIDE."""
    from PIL import Image

    picture = Image.fromarray(frame)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return _jpeg(picture)


def veiled(frame: Frames) -> bytes:
    """The same in grey and of so few pixels that it only tells light from dark."""
    from PIL import Image

    picture = Image.fromarray(frame).convert("L")
    size = picture.size
    picture.thumbnail((VEILED_SIDE, VEILED_SIDE))
    scale = LONGEST_SIDE / 3 / max(size)
    wide, high = (max(1, round(side * scale)) for side in size)
    return _jpeg(picture.resize((wide, high), Image.Resampling.BICUBIC))


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
