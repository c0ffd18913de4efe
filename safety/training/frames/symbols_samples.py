"""Samples for the symbol detector: small scenes with symbols, and close crops with a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from safety.symbols import CLASSES, CROP_MARGIN, CROP_SIDE
from safety.training.frames.symbols import SYMBOLS, Drawing, Rng, blank, scribble
from safety.training.frames.symbols_lookalikes import LOOKALIKES, fitted, glyph, on_a_disc
from safety.training.frames.symbols_styles import (
    HELD_BACK,
    STYLES,
    Picture,
    clouds,
    damaged,
    place,
)

SCENE_SIDE = 96
SCENE_EXTENTS = (13.0, 44.0)
CROP_EXTENTS = (15.0, 96.0)


@dataclass(frozen=True, kw_only=True)
class Material:
    """What pictures are made from: photographs, emoji (RGBA), fonts; and which styles."""

    pictures: tuple[Picture, ...]
    emoji: tuple[NDArray[np.uint8], ...]
    fonts: tuple[tuple[Path, tuple[int, ...]], ...]
    styles: tuple[str, ...]


def read_material(folder: Path, part: str, extra_fonts: Sequence[Path] = ()) -> Material:
    """The material of ``part`` ("train" or "test") in ``folder``.

    ``pictures_PART/`` and ``emoji_PART/`` hold pictures, ``icons_PART.*`` is a font of icons.
    """
    pictures = []
    for path in sorted((folder / f"pictures_{part}").iterdir()):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"), np.uint8)
        shorter = min(pixels.shape[:2])
        scale = 720 / shorter if shorter > 720 else 1.0
        pictures.append(
            np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=3), np.uint8)
        )
    emoji = []
    for path in sorted((folder / f"emoji_{part}").iterdir()):
        with Image.open(path) as picture:
            emoji.append(np.asarray(picture.convert("RGBA"), np.uint8))
    fonts = [next(folder.glob(f"icons_{part}.*")), *extra_fonts]
    return Material(
        pictures=tuple(pictures),
        emoji=tuple(emoji),
        fonts=tuple((font, _characters(font)) for font in fonts),
        styles=tuple(STYLES if part == "train" else HELD_BACK),
    )


def _characters(font: Path) -> tuple[int, ...]:
    """The code points that ``font`` draws, without the hooked crosses themselves."""
    face = ImageFont.truetype(str(font), 24, layout_engine=ImageFont.Layout.BASIC)
    missing = bytes(face.getmask("\U0010fffd"))
    hooked = {0x534D, 0x5350, *range(0x0FD5, 0x0FD9)}
    ranges = ((0x21, 0x2FF), (0x370, 0x600), (0x1E00, 0x2C00), (0xE000, 0xF900))
    wide = ((0xF0000, 0xF2000),)
    return tuple(
        code
        for start, stop in (*ranges, *wide)
        for code in range(start, stop)
        if code not in hooked and bytes(face.getmask(chr(code))) not in (missing, b"")
    )


def background(rng: Rng, side: int, material: Material) -> Picture:
    """uint8[side,side,3]: a piece of a photograph, or flat, soft, striped, tiled, written."""
    kind = rng.random()
    if kind < 0.55:
        picture = material.pictures[int(rng.integers(len(material.pictures)))]
        take = int(min(picture.shape[0], picture.shape[1], side * rng.uniform(0.6, 5)))
        top = int(rng.integers(picture.shape[0] - take + 1))
        left = int(rng.integers(picture.shape[1] - take + 1))
        cut = picture[top : top + take, left : left + take]
        piece = cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        if rng.random() < 0.3:
            piece = piece[:, :, rng.permutation(3)]
        return np.ascontiguousarray(piece)
    colours = rng.uniform(0, 255, (2, 3))
    if kind < 0.7:
        mix = np.full((side, side), rng.random())
    elif kind < 0.82:
        mix = clouds(rng, side, int(rng.integers(2, 12))).astype(np.float64)
    elif kind < 0.94:
        y, x = np.mgrid[0:side, 0:side]
        pitch = rng.uniform(3, 30, 2)
        columns, rows = (x / pitch[0]).astype(int) % 2, (y / pitch[1]).astype(int) % 2
        how = rng.integers(3)
        mix = (columns ^ rows if how == 0 else columns if how == 1 else columns & rows) * 1.0
    else:
        page = blank()
        for row in np.arange(-0.9, 0.95, rng.uniform(0.1, 0.4)):
            scribble(page, rng, (-0.9, float(row)), (0.9, float(row)), 0.15, 0.03)
        mix = cv2.resize(page, (side, side), interpolation=cv2.INTER_AREA) / 255.0
    field = colours[0] + mix[..., None] * (colours[1] - colours[0])
    return np.asarray(field.clip(0, 255), np.uint8)


def lookalike(rng: Rng, material: Material) -> Drawing:
    """Something drawn that is no hate symbol."""
    if rng.random() < 0.3:
        font, characters = material.fonts[int(rng.integers(len(material.fonts)))]
        return on_a_disc(glyph(rng, font, characters), rng)
    names = list(LOOKALIKES)
    weights = np.array([3.0 if name == "wrong_hooks" else 1.0 for name in names])
    name = str(rng.choice(names, p=weights / weights.sum()))
    return on_a_disc(LOOKALIKES[name](rng), rng)


def put_emoji(picture: Picture, rng: Rng, material: Material, extent: float) -> None:
    """An emoji (flags of countries among them) somewhere in the picture."""
    emoji = material.emoji[int(rng.integers(len(material.emoji)))]
    scale = extent / max(emoji.shape[:2])
    small = cv2.resize(emoji, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    room = (picture.shape[0] - small.shape[0], picture.shape[1] - small.shape[1])
    if min(room) < 0:
        return
    top, left = int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
    where = picture[top : top + small.shape[0], left : left + small.shape[1]]
    alpha = small[:, :, 3:] / 255.0
    where[:] = (where + alpha * (small[:, :, :3] - where.astype(float))).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A small picture and its symbols, float32[N,3] of x, y, extent in pixels."""

    picture: Picture
    symbols: NDArray[np.float32]


def scene(rng: Rng, material: Material, side: int = SCENE_SIDE) -> Scene:
    """A background with none, one or two symbols and look-alikes among other things."""
    picture = background(rng, side, material)
    taken: list[tuple[float, float, float]] = []
    symbols = []
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        low, high = np.log(SCENE_EXTENTS)
        extent = float(np.exp(rng.uniform(low, high)))
        half = extent / 2
        x, y = rng.uniform(half * 0.9, side - half * 0.9, 2)
        if any(np.hypot(x - a, y - b) < half + c for a, b, c in taken):
            continue
        taken.append((float(x), float(y), half * 1.3))
        style = str(rng.choice(material.styles))
        kind = rng.random()
        if kind < 0.55:
            drawing = SYMBOLS[str(rng.choice(list(SYMBOLS)))](rng)
            at = place(picture, drawing, rng, x=x, y=y, extent=extent, style=style)
            if at.extent:
                symbols.append((at.x, at.y, at.extent))
        elif kind < 0.9:
            place(picture, lookalike(rng, material), rng, x=x, y=y, extent=extent, style=style)
        else:
            put_emoji(picture, rng, material, extent)
    found = np.array(symbols, np.float32).reshape(-1, 3)
    return Scene(picture=damaged(picture, rng), symbols=found)


def crop(rng: Rng, material: Material, label: int) -> Picture:
    """uint8[CROP_SIDE,CROP_SIDE,3]: what the second look gets for class ``label``."""
    low, high = np.log(CROP_EXTENTS)
    extent = float(np.exp(rng.uniform(low, high)))
    side = max(16, round(extent * CROP_MARGIN * float(np.exp(rng.uniform(-0.2, 0.22)))))
    picture = background(rng, side, material)
    x, y = side / 2 + rng.uniform(-0.1, 0.1, 2) * extent
    style = str(rng.choice(material.styles))
    name = CLASSES[label]
    if name != "other":
        place(picture, SYMBOLS[name](rng), rng, x=x, y=y, extent=extent, style=style)
    else:
        kind = rng.random()
        if kind < 0.78:
            drawing = lookalike(rng, material)
            place(picture, drawing, rng, x=x, y=y, extent=extent, style=style)
        elif kind < 0.9:
            put_emoji(picture, rng, material, extent)
        elif kind < 0.95:
            # A part of a symbol is no symbol.
            drawing = SYMBOLS[str(rng.choice(list(SYMBOLS)))](rng)
            shift = extent * rng.uniform(0.75, 1.1) * rng.choice([-1, 1])
            place(picture, drawing, rng, x=x + shift, y=y, extent=extent * 1.4, style=style)
    sized = cv2.resize(picture, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_AREA)
    return damaged(np.asarray(sized, np.uint8), rng)


__all__ = [
    "SCENE_SIDE",
    "Material",
    "Scene",
    "background",
    "crop",
    "fitted",
    "lookalike",
    "read_material",
    "scene",
]
