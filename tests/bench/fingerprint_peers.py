"""The other fingerprints of the comparison: hashes of whole frames, and ISCC's video code."""

from __future__ import annotations

import importlib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.bench.watermark.footage import Clip

PDQ_FRAMES: Final = 8
PDQ_SURE: Final = 31
"""The distance that PDQ's authors call a match, of 256 bits."""
_FREQUENCIES: Final = np.array(
    [[np.cos(np.pi / 64 * (x + 0.5) * k) for x in range(64)] for k in range(1, 17)]
)


def pdq(clip: Clip, *, turned: bool) -> NDArray[np.uint8]:
    """256-bit hashes of eight frames, uint8[n, 32]; of their eight turns and flips if asked.

    After the description of PDQ (Facebook, "The TMK+PDQF video-hashing algorithm and the PDQ
    image-hashing algorithm", 2019): 64 × 64 luma, 16 × 16 low frequencies of the cosine
    transform without the mean, compared with their median. The first step is an area average
    here, not two box filters.
    """
    count = min(PDQ_FRAMES, len(clip))
    hashes = []
    for index in ((np.arange(count) + 0.5) * len(clip) / count).astype(int):
        grey = cv2.cvtColor(np.ascontiguousarray(clip[index]), cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
        for quarter in range(4 if turned else 1):
            for view in (small, small[:, ::-1])[: 2 if turned else 1]:
                values = _FREQUENCIES @ np.rot90(view, quarter) @ _FREQUENCIES.T
                hashes.append(np.packbits(values > np.median(values)))
    return np.array(hashes)


def pdq_distance(copy: NDArray[np.uint8], clip: NDArray[np.uint8]) -> int:
    """The least distance between any two hashes, of 256."""
    a, b = copy.view(np.uint64), clip.view(np.uint64)
    return int(np.bitwise_count(a[:, None] ^ b[None]).sum(axis=2).min())


def iscc(video: bytes, ffmpeg: Path) -> NDArray[np.uint8]:
    """ISCC's video code (ISO 24138) at 256 bits, of the MPEG-7 signature that ffmpeg makes."""
    core = importlib.import_module("iscc_core")
    with tempfile.TemporaryDirectory() as folder:
        film, marks = Path(folder) / "clip", Path(folder) / "marks.xml"
        film.write_bytes(video)
        subprocess.run(
            [ffmpeg, "-v", "error", "-threads", "1", "-i", film, "-vf",
             f"signature=format=xml:filename={marks}", "-f", "null", "-"],
            check=True, capture_output=True,
        )  # fmt: skip
        found = re.findall(r"<FrameSignature>([^<]*)<", marks.read_text())
    frames = sorted({tuple(int(value) for value in one.split()) for one in found})
    return np.frombuffer(core.soft_hash_video_v0(frames, bits=256), dtype=np.uint8)
