"""Judges of objects and motions that are told where to look.

One names the object in the piece of a composed frame that the path points at; one names the
motion from the path alone. Both are trained on the simulator's drawings with seeds of their
own and never see the generator. A judge of whole frames needs far more training for these two.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.compositor import Composed, Layers, position
from generator.training.paths import draw_path
from generator.training.scenes import random_scene
from generator.training.simulator import draw_layers
from generator.world import MOTIONS, OBJECTS, SPRITE_REACH, Scene

SIDE, WIDTH, HEIGHT = 48, 320, 180
SEED = 78
PIECES, PIECE_STEPS = 2_000, 700
PATHS, PATH_STEPS = 12_000, 1_000
MOMENTS = (0.25, 0.5, 0.75)


def piece(layers: Layers, moment: float) -> NDArray[np.uint8]:
    """What is where the path points, background included: uint8[48,48,3]."""
    x, y, size = position(layers.path, moment)[:3]
    whole = Composed(layers=layers, width=WIDTH, height=HEIGHT, frame_count=1)
    frame = whole.moment(moment)
    reach = SPRITE_REACH * float(np.exp(np.clip(size, -3, 0.3))) * HEIGHT / 2
    scale = SIDE / (2 * reach)
    left, top = WIDTH / 2 + x * HEIGHT / 2 - reach, HEIGHT / 2 - y * HEIGHT / 2 - reach
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    cut: NDArray[np.uint8] = cv2.warpAffine(
        frame, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    return cut


class ObjectJudge(nn.Module):
    """Names the object in pieces uint8[B,48,48,3]."""

    def __init__(self) -> None:
        super().__init__()
        steps = itertools.pairwise((3, 24, 48, 96))
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps)
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in (24, 48, 96))
        self.out = nn.Sequential(nn.Linear(96 * 36, 128), nn.ReLU(), nn.Linear(128, 16))

    def forward(self, pieces: Tensor) -> Tensor:
        x = pieces.float().permute(0, 3, 1, 2) / 127.5 - 1
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(layer(x)))
        out: Tensor = self.out(x.flatten(1))
        return out


def _taught(
    judge: nn.Module, shown: Tensor, words: Tensor, steps: int, noise: float
) -> nn.Module:
    random = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(0, len(shown), (64,), generator=random)
        batch = shown[rows].float()
        batch = batch + torch.randn(batch.shape, generator=random) * noise
        loss = F.cross_entropy(judge(batch), words[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return judge.eval()


def train_object_judge() -> nn.Module:
    """About two minutes, most of it drawing."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    scenes = [random_scene(rng, held=bool(rng.random() < 0.125)) for _ in range(PIECES)]
    shown = np.stack(
        [
            piece(draw_layers(scene, SEED * 1_000_000 + k), float(rng.choice(MOMENTS)))
            for k, scene in enumerate(scenes)
        ]
    )
    words = torch.tensor([OBJECTS.index(scene.object) for scene in scenes])
    return _taught(ObjectJudge(), torch.from_numpy(shown), words, PIECE_STEPS, 8.0)


def train_motion_judge() -> nn.Module:
    """Less than a minute."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng((SEED, 1))
    scenes = [random_scene(rng, held=bool(rng.random() < 0.125)) for _ in range(PATHS)]
    shown = np.stack([draw_path(scene, 4.0, rng) for scene in scenes])[..., :4]
    words = torch.tensor([MOTIONS.index(scene.motion) for scene in scenes])
    judge = nn.Sequential(
        nn.Flatten(),
        nn.Linear(96, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, len(MOTIONS)),
    )
    return _taught(judge, torch.from_numpy(shown), words, PATH_STEPS, 0.03)


@torch.no_grad()
def layer_scores(
    judges: tuple[nn.Module, nn.Module], clips: Sequence[Layers], scenes: Sequence[Scene]
) -> dict[str, float]:
    """The share of clips whose object, and whose motion, the judges name as the scene does."""
    objects, motions = judges
    pieces = np.stack([[piece(one, moment) for moment in MOMENTS] for one in clips])
    logits = objects(torch.from_numpy(pieces).flatten(0, 1)).reshape(len(clips), 3, -1).mean(1)
    paths = torch.from_numpy(np.stack([one.path for one in clips])[..., :4])
    named = logits.argmax(1), motions(paths).argmax(1)
    meant = (
        torch.tensor([OBJECTS.index(scene.object) for scene in scenes]),
        torch.tensor([MOTIONS.index(scene.motion) for scene in scenes]),
    )
    right = [(a == b).float().mean() for a, b in zip(named, meant, strict=True)]
    return {"object": float(right[0]), "motion": float(right[1])}
