"""How a marked clip looks beside its original: figures, and sheets for people to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.bench.watermark.footage import Clip

SAMPLE: Final = 6
"""One frame in so many is compared."""

AMPLIFIED: Final = 32
FLAT_DETAIL: Final = 1.0
Plane = NDArray[np.float32]

LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def luma(frame: NDArray[np.uint8]) -> Plane:
    """BT.601 luma of one frame, float32[H, W]."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def looks(clip: Clip, marked: Clip, *, every: int = SAMPLE) -> dict[str, float | None]:
    """PSNR over RGB, SSIM and xPSNR over luma, and the rms of the change on flat areas.

    Flat is where less than one grey level of detail lies around; None where there is hardly
    any such area.
    """
    error: list[float] = []
    similar: list[float] = []
    flat: list[float] = []
    weighted: list[float] = []
    for index in range(1, len(clip), every):
        error.append(float(np.mean((clip[index].astype(np.float32) - marked[index]) ** 2)))
        one, two = luma(clip[index]), luma(marked[index])
        similar.append(ssim(one, two))
        weighted.append(_weighted_error(one, luma(clip[index - 1]), two) ** 0.5)
        high = (one - cv2.GaussianBlur(one, (0, 0), 2.5)) ** 2
        # Not `two - one`: rounding luma itself would add 0.4 grey levels to every change.
        exact = (marked[index].astype(np.float32) - clip[index]) @ LUMA
        change = exact[cv2.blur(high, (15, 15)) < FLAT_DETAIL**2]
        if change.size > 0.01 * one.size:
            flat.append(float(np.sqrt(np.mean(change**2))))
    pixels = clip.shape[1] * clip.shape[2]
    return {
        "psnr": round(_decibels(float(np.mean(error))), 2),
        "ssim": round(float(np.mean(similar)), 4),
        "xpsnr": round(_decibels(float(np.mean(weighted)) ** 2 / pixels), 2),
        "flat_rms": round(float(np.mean(flat)), 3) if flat else None,
    }


def _decibels(error: float) -> float:
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def ssim(one: Plane, two: Plane) -> float:
    """The structural similarity of two planes (Wang et al. 2004), Gaussian window, σ 1.5."""

    def mean(x: Plane) -> Plane:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), dtype=np.float32)

    a, b = mean(one), mean(two)
    va, vb, cov = mean(one * one) - a * a, mean(two * two) - b * b, mean(one * two) - a * b
    c1, c2 = 6.5025, 58.5225
    score = (2 * a * b + c1) * (2 * cov + c2) / ((a * a + b * b + c1) * (va + vb + c2))
    return float(score.mean())


_HIGH_PASS: Final = np.array([[-1, -2, -1], [-2, 12, -2], [-1, -2, -1]], dtype=np.float32)


def _weighted_error(one: Plane, before: Plane, two: Plane) -> float:
    """The sum of squared errors of a frame, weighted by the visibility in each block.

    xPSNR after Helmrich et al., ICASSP 2020, "XPSNR: a low-complexity extension of the
    perceptually weighted PSNR" (Fraunhofer HHI), for 8 bits, at most HD and at most 31
    frames per second; without the extra smoothing of weights in very small pictures. The
    caller averages the roots over the frames, as the authors do.
    """
    height, width = one.shape
    ratio = height * width / (3840 * 2160)
    side = max(4, 4 * int(32 * ratio**0.5 + 0.5))
    inner = np.zeros_like(one)
    inner[1:-1, 1:-1] = np.abs(cv2.filter2D(one, cv2.CV_32F, _HIGH_PASS))[1:-1, 1:-1]
    counted = np.zeros_like(one)
    counted[1:-1, 1:-1] = 1
    ones = np.ones_like(one)
    activity = _blocks(inner, side) / np.maximum(_blocks(counted, side), 1)
    activity += 2 * _blocks(np.abs(one - before), side) / _blocks(ones, side)
    weights = 1 / np.maximum(activity, 4.0)
    average = (16 * 2.0**7 / max(1e-5, ratio) ** 0.5) ** 0.5
    return float((_blocks((one - two) ** 2, side) * weights).sum() * average)


def _blocks(plane: Plane, side: int) -> NDArray[np.float64]:
    """Sums over square blocks, smaller ones at the right and lower edges."""
    rows = np.add.reduceat(plane.astype(np.float64), np.arange(0, plane.shape[0], side), 0)
    return np.asarray(np.add.reduceat(rows, np.arange(0, plane.shape[1], side), 1))


def sheet(clip: Clip, marked: Clip, path: Path) -> None:
    """Writes three moments as original | marked | difference × 32 about mid grey."""
    rows = []
    for index in (0, len(clip) // 2, len(clip) - 1):
        change = marked[index].astype(np.int16) - clip[index]
        loud = np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)
        rows.append(np.hstack([clip[index], marked[index], loud]))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
