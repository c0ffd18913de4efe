"""Builds the training sets: layers drawn, encoded, and kept as arrays on disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from generator.codec import PathCodec, PictureCodec, fit
from generator.training.backdrops import draw_backdrop
from generator.training.flow import LayerSet
from generator.training.paths import SECONDS, draw_path
from generator.training.scenes import random_scene
from generator.training.sprites import draw_sprite
from generator.world import Scene

SPRITES, BACKDROPS, PATHS = 16_000, 5_000, 40_000
SPRITE_PATCH, SPRITE_CHANNELS = 6, 40
BACKDROP_PATCH, BACKDROP_CHANNELS = 12, 32
CODEC_PICTURES = 600
OBJECT_WEIGHT = 1.5  # added to positions that show the object
SHARD = 500

Layer = NDArray[np.float32]


def scene_of(index: int, seed: int) -> Scene:
    """The scene of training example `index`; never a held-out triple."""
    return random_scene(np.random.default_rng((seed, index)), held=False)


def _sprite(index: int, seed: int) -> Layer:
    scene = scene_of(index, seed)
    rng = np.random.default_rng((seed, index, 1))
    return draw_sprite(scene.object, scene.colour, rng)


def _backdrop(index: int, seed: int) -> Layer:
    rng = np.random.default_rng((seed, index, 2))
    return draw_backdrop(scene_of(index, seed).background, rng)


def _path(index: int, seed: int) -> Layer:
    rng = np.random.default_rng((seed, index, 3))
    return draw_path(scene_of(index, seed), path_seconds(index), rng)


def path_seconds(index: int) -> float:
    """How long the clip of training path `index` is."""
    return SECONDS[index % len(SECONDS)]


def _drawn(
    draw: Callable[[int, int], Layer], start: int, stop: int, seed: int
) -> NDArray[np.float16]:
    return np.stack([draw(k, seed) for k in range(start, stop)]).astype(np.float16)


def _all(
    draw: Callable[[int, int], Layer], count: int, seed: int, workers: int
) -> NDArray[np.float16]:
    starts = list(range(0, count, SHARD))
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(_drawn, draw, s, min(s + SHARD, count), seed) for s in starts]
        return np.concatenate([job.result() for job in jobs])


def _encoded(codec: PictureCodec, pictures: NDArray[np.float16]) -> NDArray[np.float16]:
    parts = []
    with torch.no_grad():
        for start in range(0, len(pictures), SHARD):
            part = torch.from_numpy(pictures[start : start + SHARD].astype(np.float32))
            parts.append(codec.encode(part).numpy().astype(np.float16))
    return np.concatenate(parts)


def _words(count: int, seed: int) -> NDArray[np.uint8]:
    return np.array([scene_of(k, seed).indices() for k in range(count)], np.uint8)


def sprites(folder: Path, seed: int, workers: int, count: int = SPRITES) -> LayerSet:
    """The sprites' latents, codec beside them; read back if an earlier run made them."""
    if not (folder / "set.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pictures = _all(_sprite, count, seed, workers)
        codec: PictureCodec = PictureCodec(
            bands=4, patch=SPRITE_PATCH, channels=SPRITE_CHANNELS
        )
        shown = torch.from_numpy(pictures[:CODEC_PICTURES].astype(np.float32))
        fit(codec, codec.to_patches(shown).flatten(0, 2))
        codec.save_pretrained(folder / "codec")
        side = pictures.shape[-1] // SPRITE_PATCH
        cells = pictures[:, 3].reshape(count, side, SPRITE_PATCH, side, SPRITE_PATCH)
        covered = cells.max(axis=(2, 4)) > -0.9
        np.savez(
            folder / "set.npz",
            latents=_encoded(codec, pictures),
            words=_words(count, seed),
            weights=(1 + OBJECT_WEIGHT * covered).astype(np.float16),
        )
    kept = np.load(folder / "set.npz")
    return LayerSet(latents=kept["latents"], words=kept["words"], weights=kept["weights"])


def backdrops(folder: Path, seed: int, workers: int, count: int = BACKDROPS) -> LayerSet:
    """The backdrops' latents, codec beside them."""
    if not (folder / "set.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pictures = _all(_backdrop, count, seed, workers)
        codec: PictureCodec = PictureCodec(
            bands=3, patch=BACKDROP_PATCH, channels=BACKDROP_CHANNELS
        )
        shown = torch.from_numpy(pictures[:CODEC_PICTURES].astype(np.float32))
        fit(codec, codec.to_patches(shown).flatten(0, 2))
        codec.save_pretrained(folder / "codec")
        np.savez(
            folder / "set.npz", latents=_encoded(codec, pictures), words=_words(count, seed)
        )
    kept = np.load(folder / "set.npz")
    return LayerSet(latents=kept["latents"], words=kept["words"])


def paths(folder: Path, seed: int, workers: int, count: int = PATHS) -> LayerSet:
    """The paths' latents, codec beside them; the extra number is log2(seconds) − 2."""
    if not (folder / "set.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        drawn = torch.from_numpy(_all(_path, count, seed, workers).astype(np.float32))
        codec: PathCodec = PathCodec()
        fit(codec, codec.to_rows(drawn))
        codec.save_pretrained(folder / "codec")
        lengths = np.array([[np.log2(path_seconds(k)) - 2] for k in range(count)])
        np.savez(
            folder / "set.npz",
            latents=codec.encode(drawn).numpy().astype(np.float16),
            words=_words(count, seed),
            extra=lengths.astype(np.float16),
        )
    kept = np.load(folder / "set.npz")
    return LayerSet(latents=kept["latents"], words=kept["words"], extra=kept["extra"])
