"""Untrusted pictures, opened only in a confined process that is never believed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.media.limits import PictureLimits
from gateway.media.sandbox import SENTENCES as MEDIA_SENTENCES
from gateway.media.sandbox import Unreadable, run_limited

SENTENCES = {
    "empty": "The file is empty.",
    "too_large": "The picture is larger than what we examine.",
    "too_small": "The picture is too small to examine.",
    "not_picture": "The file is not a picture that we can read (PNG, JPEG or WebP).",
    "animated": "The picture moves; we take exactly one still picture.",
    "broken": "The file is damaged: its picture could not be decoded.",
    "unsupported": "The picture holds something that we do not examine.",
    "limit": MEDIA_SENTENCES["limit"],
}
MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
MAX_HEADER = 400


@dataclass(frozen=True, kw_only=True)
class StillPicture:
    """A decoded picture: ``pixels`` uint8[H,W,3] RGB, turned the way it is shown.

    What is see-through lies over middle grey; what is larger than the limit is shrunk. The
    pixels are all that is left of the file: they are what is judged, and what may be used.
    ``format`` is png, jpeg or webp by the file's content; ``shown`` is its own width and
    height.
    """

    pixels: npt.NDArray[np.uint8]
    format: str
    shown: tuple[int, int]

    @property
    def mime(self) -> str:
        """The media type of the file that it came in."""
        return MIME[self.format]


def looks_like_picture(path: Path) -> bool:
    """Whether a file begins like a picture. Decides only who looks; False if nobody can."""
    try:
        with path.open("rb") as source:
            head = source.read(12)
    except OSError:
        return False
    return head.startswith(MAGIC[:2]) or (head.startswith(MAGIC[2]) and head[8:] == b"WEBP")


def decode_picture(path: Path, limits: PictureLimits | None = None) -> StillPicture:
    """The picture in a file from outside.

    Raises Unreadable with one of the reasons in SENTENCES, or "timeout".
    """
    limits = limits or PictureLimits()
    try:
        size = path.stat().st_size
    except OSError as fault:
        raise Unreadable("not_media", "The file could not be opened.") from fault
    if size == 0:
        raise _unreadable("empty")
    if size > limits.max_bytes:
        raise _unreadable("too_large")
    command = [sys.executable, "-I", "-B", "-m", "gateway.media.picture_child"]
    done = run_limited([*command, limits.to_json()], limits=limits.process, stdin=path)
    if done.returncode != 0:
        raise _unreadable("broken")
    return parse_answer(done.stdout, limits)


def parse_answer(output: bytes, limits: PictureLimits) -> StillPicture:
    """The picture in what the process printed. Raises Unreadable for a fault or a lie."""
    header, newline, pixels = output.partition(b"\n")
    if not newline or len(header) > MAX_HEADER:
        raise _unreadable("broken")
    return _picture(_told(header), pixels, limits)


def _told(header: bytes) -> dict[str, Any]:
    try:
        told = json.loads(header)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise _unreadable("broken")
    if told.get("kind") == "picture":
        return told
    reason = told.get("reason")
    raise _unreadable(reason if isinstance(reason, str) and reason in SENTENCES else "broken")


def _picture(told: dict[str, Any], pixels: bytes, limits: PictureLimits) -> StillPicture:
    width, height = (_side(told.get(name), limits.kept_side) for name in ("width", "height"))
    kind, shown = told.get("format"), told.get("shown")
    if not isinstance(kind, str) or kind not in MIME:
        raise _unreadable("broken")
    if not isinstance(shown, list) or len(shown) != 2 or len(pixels) != width * height * 3:
        raise _unreadable("broken")
    return StillPicture(
        pixels=np.frombuffer(pixels, np.uint8).reshape(height, width, 3),
        format=kind,
        shown=(_side(shown[0], limits.max_side), _side(shown[1], limits.max_side)),
    )


def _side(value: object, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise _unreadable("broken")


def _unreadable(reason: str) -> Unreadable:
    return Unreadable(reason, SENTENCES[reason])
