"""The judges: networks that name what a clip shows, trained on the simulator's clips alone.

They never see the generator, its weights or its data. One looks at single frames and names
object, colour and background; one looks at eight frames at once and names the motion.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.text import CLASSES
from generator.training.scenes import random_scene
from generator.training.simulator import render
from generator.world import ATTRIBUTES, Scene

WIDTH, HEIGHT, LOOKS = 160, 90, 8
CLIPS, STEPS, BATCH = 5_000, 500, 24
HELD_SHARE = 0.125
SEED = 77
_SIZES = tuple(size - 1 for size in CLASSES)
_FEATURES = 48


class _Eye(nn.Module):
    """Strided convolutions, pooled to 48 features."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        steps = list(itertools.pairwise((channels + 1, *widths)))
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2 if k < 4 else 1, padding=1)
            for k, (a, b) in enumerate(steps)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in widths)
        self.out = nn.Linear(2 * widths[-1], _FEATURES)

    def forward(self, pictures: Tensor) -> Tensor:
        n, _, h, w = pictures.shape
        rows = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(n, 1, h, w)
        x = torch.cat([pictures, rows], dim=1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(layer(x)))
        return F.relu(self.out(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)))


class Judge(nn.Module):
    """Names object, colour, motion and background of clips uint8[B,8,90,160,3]."""

    def __init__(self) -> None:
        super().__init__()
        self.look = _Eye(3, (24, 48, 96, 128, 128))
        self.watch = _Eye(3 * LOOKS, (48, 64, 96, 128))
        self.names = nn.Linear(_FEATURES, _SIZES[0] + _SIZES[1] + _SIZES[3])
        self.motion = nn.Linear(_FEATURES, _SIZES[2])

    def features(self, clips: Tensor, frames: list[int]) -> tuple[Tensor, Tensor]:
        """What is seen in the given frames, averaged, and in the movement: float[B,48] each."""
        seen = clips.float().permute(0, 1, 4, 2, 3) / 127.5 - 1
        looked: Tensor = self.look(seen[:, frames].flatten(0, 1))
        small = F.avg_pool2d(seen.flatten(1, 2), 2)
        return looked.reshape(len(clips), len(frames), -1).mean(1), self.watch(small)

    def forward(self, clips: Tensor, frames: list[int]) -> tuple[Tensor, ...]:
        """Logits float[B,n] per attribute, in the order of `ATTRIBUTES`."""
        looked, watched = self.features(clips, frames)
        parts = self.names(looked).split((_SIZES[0], _SIZES[1], _SIZES[3]), dim=1)
        return parts[0], parts[1], self.motion(watched), parts[2]


def draw_clips(scenes: list[Scene], first_seed: int) -> NDArray[np.uint8]:
    """Simulator clips uint8[N,8,90,160,3] of the scenes, seeds counted from `first_seed`."""
    return np.stack(
        [
            render(scene, first_seed + k, width=WIDTH, height=HEIGHT, frames=LOOKS).frames
            for k, scene in enumerate(scenes)
        ]
    )


def lesson(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The clips a judge learns from, and the words for them int64[N,4]."""
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, held=bool(rng.random() < HELD_SHARE)) for _ in range(count)]
    words = np.array([scene.indices() for scene in scenes])
    return draw_clips(scenes, seed * 1_000_000), words


def _worn(clips: Tensor, random: torch.Generator) -> Tensor:
    """Clips with noise, another brightness and, now and then, blur: what codecs also do."""
    n = len(clips)
    shown = clips.float()
    light = 0.9 + 0.2 * torch.rand((n, 1, 1, 1, 1), generator=random)
    loud = 10 * torch.rand((n, 1, 1, 1, 1), generator=random)
    shown = shown * light + torch.randn(shown.shape, generator=random) * loud
    if torch.rand(1, generator=random) < 0.3:
        flat = shown.permute(0, 1, 4, 2, 3).flatten(0, 1)
        flat = F.avg_pool2d(flat, 3, stride=1, padding=1, count_include_pad=False)
        shown = flat.reshape(n, -1, *flat.shape[1:]).permute(0, 1, 3, 4, 2)
    return shown.clamp(0, 255)


def train_judge(
    clips: NDArray[np.uint8], words: NDArray[np.int64], steps: int = STEPS, seed: int = SEED
) -> Judge:
    """Trains both judges together."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    judge = Judge()
    labels = torch.from_numpy(words)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2.5e-3, total_steps=steps)
    for step in range(steps):
        rows = torch.randint(0, len(clips), (BATCH,), generator=random)
        shown = _worn(torch.from_numpy(clips[rows.numpy()]), random)
        frame = int(torch.randint(0, LOOKS, (1,), generator=random))
        guesses = judge(shown, [frame, (frame + LOOKS // 2) % LOOKS])
        loss = torch.stack(
            [F.cross_entropy(part, labels[rows, k]) for k, part in enumerate(guesses)]
        ).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(f"judge {step} {float(loss.detach()):.3f}", flush=True)
    return judge.eval()


def known_judge(path: Path) -> Judge:
    """The judge kept at `path`; trained and put there if there is none."""
    judge = Judge()
    if path.exists():
        judge.load_state_dict(torch.load(path, weights_only=True))
        return judge.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = path.with_suffix(".npz")
    if not drawn.exists():
        clips, words = lesson(CLIPS, SEED)
        np.savez(drawn, clips=clips, words=words)
    kept = np.load(drawn)
    judge = train_judge(kept["clips"], kept["words"])
    torch.save(judge.state_dict(), path)
    return judge


@torch.no_grad()
def named(judge: Judge, clips: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the judge sees in each clip: int64[N,4], positions in the words of the world."""
    parts = []
    for start in range(0, len(clips), 32):
        logits = judge(torch.from_numpy(clips[start : start + 32]), list(range(LOOKS)))
        parts.append(torch.stack([part.argmax(1) for part in logits], dim=1))
    out: NDArray[np.int64] = torch.cat(parts).numpy()
    return out


def scores(judge: Judge, clips: NDArray[np.uint8], scenes: list[Scene]) -> dict[str, float]:
    """The share of clips in which the judge sees what the scene says, per attribute."""
    right = named(judge, clips) == np.array([scene.indices() for scene in scenes])
    out = {name: float(right[:, k].mean()) for k, name in enumerate(ATTRIBUTES)}
    return out | {"all four": float(right.all(axis=1).mean())}


@torch.no_grad()
def seen(judge: Judge, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The judge's features float64[N,96] of each clip."""
    parts = []
    for start in range(0, len(clips), 32):
        pair = judge.features(torch.from_numpy(clips[start : start + 32]), list(range(LOOKS)))
        parts.append(torch.cat(pair, dim=1))
    out: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return out


def frechet(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Fréchet distance of two samples' normal approximations (Dowson and Landau 1982)."""
    apart = float(np.square(one.mean(0) - two.mean(0)).sum())
    first, second = np.cov(one, rowvar=False), np.cov(two, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ second @ root)
    return apart + float(
        np.trace(first) + np.trace(second) - 2 * np.sqrt(np.clip(cross, 0, None)).sum()
    )
