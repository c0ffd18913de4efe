"""Builds the training set: clips rendered, captioned, encoded, and kept as arrays on disk."""

from __future__ import annotations

import json
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from generator.codec import LATENT_CHANNELS, PATCH, PatchCodec, fit_codec, to_patches
from generator.text import sentence_vectors
from generator.training.captions import caption
from generator.training.simulator import random_scene, render
from generator.world import CANVAS_HEIGHT, CANVAS_SLICES, CANVAS_WIDTH, Scene

GRID = (CANVAS_SLICES // PATCH[0], CANVAS_HEIGHT // PATCH[1], CANVAS_WIDTH // PATCH[2])
CAPTIONS_PER_CLIP = 3
CODEC_CLIPS = 240
SHARD = 250


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Latents float16[N,32,8,12,20], object coverage uint8[N,8,12,20] (255 = covered),
    sentence vectors float16[N,3,512] of each clip's captions."""

    latents: NDArray[np.float16]
    coverage: NDArray[np.uint8]
    sentences: NDArray[np.float16]


def clip_scene(index: int, seed: int) -> Scene:
    """The scene of training clip `index`; never a held-out triple."""
    return random_scene(np.random.default_rng((seed, index)), held=False)


def clip_seed(index: int, seed: int) -> int:
    """The render seed of training clip `index`."""
    return seed * 10_000_000 + index


def as_video(frames: NDArray[np.uint8]) -> torch.Tensor:
    """uint8[T,H,W,3] → float[1,3,T,H,W] in −1..1."""
    video = torch.from_numpy(frames.astype(np.float32) / 127.5 - 1)
    return video.permute(3, 0, 1, 2)[None].contiguous()


def _encode_shard(start: int, stop: int, seed: int, codec_dir: str) -> str:
    torch.set_num_threads(1)
    codec = PatchCodec.from_pretrained(codec_dir, low_cpu_mem_usage=False)
    latents = np.empty((stop - start, LATENT_CHANNELS, *GRID), np.float16)
    coverage = np.empty((stop - start, *GRID), np.uint8)
    for row, index in enumerate(range(start, stop)):
        drawn = render(clip_scene(index, seed), clip_seed(index, seed))
        with torch.no_grad():
            latents[row] = codec.encode(as_video(drawn.frames))[0].numpy()
        t, h, w = GRID
        blocks = drawn.mask.reshape(t, PATCH[0], h, PATCH[1], w, PATCH[2])
        coverage[row] = blocks.max(axis=(1, 3, 5))
    path = Path(codec_dir).parent / f"shard-{start:06d}.npz"
    np.savez(path, latents=latents, coverage=coverage)
    return str(path)


def build(folder: Path, clips: int, seed: int, workers: int) -> None:
    """Writes codec/, latents.npy, coverage.npy and sentences.npy; skips what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    codec_dir = folder / "codec"
    if not codec_dir.exists():
        rows = []
        for index in range(CODEC_CLIPS):
            drawn = render(clip_scene(index, seed + 1), clip_seed(index, seed + 1))
            cut = to_patches(as_video(drawn.frames)).reshape(
                -1, 3 * PATCH[0] * PATCH[1] * PATCH[2]
            )
            rows.append(cut[torch.randperm(len(cut), generator=torch.manual_seed(index))[:600]])
        fit_codec(torch.cat(rows)).save_pretrained(codec_dir)
    if not (folder / "latents.npy").exists():
        starts = range(0, clips, SHARD)
        with ProcessPoolExecutor(workers) as pool:
            shards = list(
                pool.map(
                    _encode_shard,
                    starts,
                    [min(s + SHARD, clips) for s in starts],
                    [seed] * len(starts),
                    [str(codec_dir)] * len(starts),
                )
            )
        parts = [np.load(path) for path in shards]
        np.save(folder / "coverage.npy", np.concatenate([p["coverage"] for p in parts]))
        np.save(folder / "latents.npy", np.concatenate([p["latents"] for p in parts]))
        for path in shards:
            Path(path).unlink()
    if not (folder / "sentences.npy").exists():
        rng = random.Random(seed)
        texts = [
            caption(clip_scene(index, seed), rng).text
            for index in range(clips)
            for _ in range(CAPTIONS_PER_CLIP)
        ]
        vectors = sentence_vectors(texts).astype(np.float16)
        np.save(folder / "sentences.npy", vectors.reshape(clips, CAPTIONS_PER_CLIP, -1))
    (folder / "dataset.json").write_text(json.dumps({"clips": clips, "seed": seed}))


def load(folder: Path) -> TrainingSet:
    """Reads what `build` wrote into memory."""
    return TrainingSet(
        latents=np.load(folder / "latents.npy"),
        coverage=np.load(folder / "coverage.npy"),
        sentences=np.load(folder / "sentences.npy"),
    )
