"""Changes of colour, filters and noise, and things drawn over the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.bench.watermark.footage import Clip, Picture


def each(clip: Clip, change: Callable[[Picture], NDArray[np.generic]]) -> Clip:
    """Applies a change to every frame."""
    return np.stack([np.asarray(change(frame), dtype=np.uint8) for frame in clip])


def curved(clip: Clip, curve: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Clip:
    """Maps every value 0..1 through a curve."""
    table = np.clip(np.rint(curve(np.arange(256) / 255) * 255), 0, 255).astype(np.uint8)
    return table[clip]


def brightness(clip: Clip, factor: float) -> Clip:
    """Multiplies the light."""
    return curved(clip, lambda v: v * factor)


def contrast(clip: Clip, factor: float) -> Clip:
    """Spreads the values about the clip's mean grey."""
    mean = float(np.mean(clip[:: max(1, len(clip) // 8)])) / 255
    return curved(clip, lambda v: (v - mean) * factor + mean)


def gamma(clip: Clip, power: float) -> Clip:
    """Bends the tone curve."""
    return curved(clip, lambda v: v**power)


def saturation(clip: Clip, factor: float) -> Clip:
    """Scales the distance from grey (BT.601 luma)."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    mixing = factor * np.eye(3, dtype=np.float32) + (1 - factor) * weights[None, :]
    return each(clip, lambda f: cv2.transform(f, mixing))


def hue(clip: Clip, turn: float) -> Clip:
    """Turns the colour circle by a share of a full turn."""
    shift = round(turn * 180)

    def turned(frame: Picture) -> Picture:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int32) + shift) % 180
        return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.uint8)

    return each(clip, turned)


def blurred(clip: Clip, size: int = 9) -> Clip:
    """A Gaussian of so many taps, its width as OpenCV derives it (9 taps: σ 1.7)."""
    return each(clip, lambda f: cv2.GaussianBlur(f, (size, size), 0))


def noisy(clip: Clip, sigma: float, rng: np.random.Generator) -> Clip:
    """Adds independent Gaussian noise of so many grey levels."""

    def added(frame: Picture) -> NDArray[np.float32]:
        noise = rng.standard_normal(frame.shape, dtype=np.float32) * sigma
        return np.clip(np.rint(frame + noise), 0, 255)

    return each(clip, added)


def median(clip: Clip, size: int = 5) -> Clip:
    """A median filter."""
    return each(clip, lambda f: cv2.medianBlur(f, size))


def sharpened(clip: Clip) -> Clip:
    """An unsharp mask of full strength."""
    return each(
        clip, lambda f: cv2.addWeighted(f, 2.0, cv2.GaussianBlur(f, (0, 0), 2), -1.0, 0)
    )


def denoised(clip: Clip) -> Clip:
    """A bilateral filter in space, then a short mean in time where little changes."""
    smooth = each(clip, lambda f: cv2.bilateralFilter(f, 7, 25, 3))
    out = smooth.copy()
    for index in range(1, len(clip) - 1):
        near = smooth[index - 1 : index + 2].astype(np.int16)
        mean = near.mean(axis=0)
        still = np.ptp(near, axis=0).max(axis=-1, keepdims=True) < 16
        out[index] = np.where(still, np.rint(mean), smooth[index]).astype(np.uint8)
    return out


def regenerated(clip: Clip) -> Clip:
    """Draws the clip anew from the latents of a small autoencoder.

    360 lines at most, smoothed, through a linear 32-channel codec of 2×4×4 patches
    (3 : 1, principal components of drawn scenes, `patch_codec.npz`), latents rounded to
    halves, then enlarged to the old size. It leaves 34 dB of a soft clip (bikes-480), 28 dB
    of a sharp one (coffee-720). A stand-in: no network with texture priors of its own is at
    hand.
    """
    with np.load(Path(__file__).with_name("patch_codec.npz")) as kept:
        mean, down, up = (kept[name].astype(np.float32) for name in ("mean", "down", "up"))
    height, width = clip.shape[1:3]
    scale = min(1.0, 360 / min(height, width)) * 0.75
    rows, columns = (4 * max(1, round(side * scale / 4)) for side in (height, width))
    small = each(
        np.stack([cv2.resize(f, (columns, rows), interpolation=cv2.INTER_AREA) for f in clip]),
        lambda f: cv2.bilateralFilter(f, 5, 20, 2),
    )
    even = np.concatenate([small, small[-1:]])[: 2 * ((len(small) + 1) // 2)]
    out = np.empty((len(even), height, width, 3), dtype=np.uint8)
    for first in range(0, len(even), 2):
        pair = even[first : first + 2].astype(np.float32) / 127.5 - 1
        # [2,H,W,3] → one row of 96 numbers (channel, frame, row, column) per patch.
        cut = pair.reshape(2, rows // 4, 4, columns // 4, 4, 3).transpose(1, 3, 5, 0, 2, 4)
        latents = np.rint((cut.reshape(*cut.shape[:2], 96) - mean) @ down * 2) / 2
        back = (latents @ up + mean).reshape(cut.shape).transpose(3, 0, 4, 1, 5, 2)
        frames = np.clip(np.rint((back.reshape(pair.shape) + 1) * 127.5), 0, 255)
        for index, frame in enumerate(frames.astype(np.uint8)):
            out[first + index] = cv2.resize(
                frame, (width, height), interpolation=cv2.INTER_CUBIC
            )
    return out[: len(clip)]


def logo(clip: Clip) -> Clip:
    """A half-transparent badge with letters in the upper right corner."""
    height, width = clip.shape[1:3]
    radius = max(8, height // 12)
    at = (width - 2 * radius, 2 * radius)

    def drawn(frame: Picture) -> Picture:
        over = frame.copy()
        cv2.circle(over, at, radius, (220, 40, 60), -1, cv2.LINE_AA)
        out = cv2.addWeighted(over, 0.7, frame, 0.3, 0)
        place = (at[0] - radius * 3 // 4, at[1] + radius // 4)
        size = radius / 28
        cv2.putText(out, "CLIP", place, cv2.FONT_HERSHEY_DUPLEX, size, (255, 255, 255), 1, 16)
        return np.asarray(out, dtype=np.uint8)

    return each(clip, drawn)


def subtitles(clip: Clip, fps: float) -> Clip:
    """Two lines of outlined text at the bottom, other words every second."""
    words = ("and then she said", "look at the light", "over there, far away", "it is nothing")
    height, width = clip.shape[1:3]
    size = min(height, width * 0.8) / 480
    out = clip.copy()
    for index, frame in enumerate(out):
        beat = int(index / fps)
        for row in range(2):
            text = words[(beat + row) % len(words)]
            (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size, 2)
            at = ((width - wide) // 2, round(height * (0.86 + 0.09 * row)))
            for colour, line in (((0, 0, 0), 5), ((255, 255, 255), 2)):
                cv2.putText(frame, text, at, cv2.FONT_HERSHEY_DUPLEX, size, colour, line, 16)
    return out


def emoji(clip: Clip, rng: np.random.Generator) -> Clip:
    """Six yellow faces at random places, about a tenth of the area."""
    height, width = clip.shape[1:3]
    radius = int((0.1 * height * width / 6 / np.pi) ** 0.5)
    places = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(6)]
    out = clip.copy()
    for frame in out:
        for x, y in places:
            cv2.circle(frame, (x, y), radius, (255, 210, 60), -1, cv2.LINE_AA)
            for side in (-1, 1):
                eye = (x + side * radius // 3, y - radius // 4)
                cv2.circle(frame, eye, max(1, radius // 8), (60, 40, 20), -1, cv2.LINE_AA)
            mouth = (radius // 2, radius // 3)
            cv2.ellipse(frame, (x, y + radius // 8), mouth, 0, 15, 165, (60, 40, 20), 2, 16)
    return out


def screen(clip: Clip, rng: np.random.Generator) -> Clip:
    """The look of a filmed screen: moiré, tone curve, a little blur, sensor noise.

    The screen's own grid, a period of about 2.4 pixels seen at a slight angle, beats with the
    camera's pixels; the tilt of the camera is a matter for `attacks_geometry.skewed`.
    """
    height, width = clip.shape[1:3]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, period = rng.uniform(0.02, 0.12), rng.uniform(2.2, 2.6)
    along = np.cos(angle) * x + np.sin(angle) * y
    across = np.cos(angle) * y - np.sin(angle) * x
    grid = 1 + 0.06 * np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period)
    slow = 1 + 0.04 * np.sin(2 * np.pi * (along / 61 + across / 83))
    pattern = (grid * slow).astype(np.float32)[..., None]

    def filmed(frame: Picture) -> NDArray[np.float32]:
        light = 255 * (frame.astype(np.float32) / 255) ** 1.15 * pattern
        soft = cv2.GaussianBlur(light, (0, 0), 0.7)
        noise = rng.standard_normal(frame.shape, dtype=np.float32) * 3
        return np.asarray(np.clip(np.rint(soft + noise), 0, 255), dtype=np.float32)

    return each(clip, filmed)
