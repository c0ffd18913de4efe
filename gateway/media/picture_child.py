"""The process that decodes an untrusted picture: ``python -m gateway.media.picture_child``.

The file comes in as standard input, the limits as the only argument. It answers on standard
output: a line of JSON and, for a picture, width × height × 3 bytes of RGB. The parent starts
it confined (``gateway.media.sandbox.run_limited``) and believes none of it.

    {"kind": "picture", "format": f, "width": w, "height": h, "shown": [w, h]}
    {"kind": "fault", "reason": r}
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from gateway.media.limits import PictureLimits

FORMATS = ("PNG", "JPEG", "WEBP")
GREY = (128, 128, 128, 255)
# What a JPEG with a second picture inside (depth, gain map) is called; the first one counts.
SEVERAL = "MPO"
DEEP = ("I", "I;16", "I;16B", "I;16L")
FLAT = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
CLEAR = ("LA", "PA", "RGBA")


class Refused(Exception):
    """The picture is not examined; the text is one of the words in ``picture.SENTENCES``."""


def examine(limits: PictureLimits) -> tuple[dict[str, object], bytes]:
    """The picture on standard input: what is told of it, and its pixels."""
    with open(0, "rb", closefd=False) as source:
        try:
            image: Image.Image = Image.open(source, formats=FORMATS)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as fault:
            raise Refused("not_picture") from fault
        _demand_size(image.size, limits)
        if image.format != SEVERAL and getattr(image, "n_frames", 1) != 1:
            raise Refused("animated")
        name = "JPEG" if image.format == SEVERAL else str(image.format)
        image.load()
        shown = ImageOps.exif_transpose(image)
        if min(shown.size) < limits.min_side:
            raise Refused("too_small")
        plain = _fitting(_plain(shown), limits.kept_side)
    told = {
        "kind": "picture",
        "format": name.lower(),
        "width": plain.width,
        "height": plain.height,
        "shown": list(shown.size),
    }
    return told, plain.tobytes()


def _demand_size(size: tuple[int, int], limits: PictureLimits) -> None:
    width, height = size
    if max(size) > limits.max_side or width * height > limits.max_pixels:
        raise Refused("too_large")


def _plain(image: Image.Image) -> Image.Image:
    """The picture in RGB with 8 bits, what is see-through over grey."""
    if image.mode in DEEP:
        # The library would cut what lies above 255 and show white.
        wide = image if image.mode == "I" else image.convert("I")
        return wide.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode in CLEAR or (image.mode in FLAT and "transparency" in image.info):
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, GREY), clear).convert("RGB")
    if image.mode in FLAT:
        return image.convert("RGB")
    raise Refused("unsupported")


def _fitting(image: Image.Image, side: int) -> Image.Image:
    """The picture, no longer than ``side``; each pixel the average of what it stands for."""
    longest = max(image.size)
    if longest <= side:
        return image
    width, height = (max(1, round(length * side / longest)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(1, left) :]


def main(arguments: list[str]) -> int:
    """Examine standard input and answer."""
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # our own limits are asked instead, before any pixel
    pixels = b""
    told: dict[str, Any]
    try:
        told, pixels = examine(PictureLimits.from_json(arguments[0]))
    except Refused as refusal:
        told = {"kind": "fault", "reason": str(refusal)}
    except MemoryError:
        told = {"kind": "fault", "reason": "limit"}
    except Exception:  # noqa: BLE001 - whatever a hostile file provokes is a bad file
        told = {"kind": "fault", "reason": "broken"}
    _write(json.dumps(told).encode() + b"\n" + pixels)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
