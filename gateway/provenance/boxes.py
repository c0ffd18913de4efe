"""A count of an MP4's boxes, before a parser whose time grows with their square sees them.

Measured with c2pa 0.38.1 on one core: 10,000 empty boxes (80 kB) take 1.5 s, 20,000 take 5 s,
100,000 more than 30 s, at the top or nested alike.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

MAX_BOXES = 10_000
# Boxes that hold boxes (ISO/IEC 14496-12), and how many bytes stand before the first one.
_CONTAINERS = {
    **dict.fromkeys(
        (
            b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"tref",
            b"treg", b"mvex", b"moof", b"traf", b"mfra", b"sinf", b"schi", b"iprp", b"ipco",
            b"grpl", b"strk", b"strd", b"hnti", b"hinf", b"meco", b"paen", b"fiin",
        ),
        0,
    ),
    b"meta": 4,
}  # fmt: skip


def too_many_boxes(stream: BinaryIO, *, most: int = MAX_BOXES) -> bool:
    """Say whether the file has more than ``most`` boxes, reading headers only.

    Leaves the position anywhere. A damaged size ends the walk of its level: what is damaged is
    for the parser to say.
    """
    levels = [(0, stream.seek(0, 2))]
    seen = 0
    while levels:
        at, end = levels.pop()
        while at + 8 <= end:
            seen += 1
            if seen > most:
                return True
            stream.seek(at)
            header = stream.read(16)
            if len(header) < 8:
                break
            size, kind = struct.unpack(">I4s", header[:8])
            start = at + 8
            if size == 1 and len(header) == 16:
                size, start = struct.unpack(">Q", header[8:])[0], at + 16
            after = end if size == 0 else at + size
            if after <= at or after < start:
                break
            if kind in _CONTAINERS:
                levels.append((start + _CONTAINERS[kind], min(after, end)))
            at = after
    return False
