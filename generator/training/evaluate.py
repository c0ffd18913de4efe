"""Measures whether drawn clips show what was asked: `python -m generator.training.evaluate`.

The judges are networks trained on the simulator's clips alone; they never see the generator.
Every table prints the ceiling (real clips, and real clips through the codec) and the floor
(the same drawn clips judged against other prompts, and a network with random weights).
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.embedded import FOLDER, SceneVideoOutput, SceneVideoPipeline, register
from generator.network import SceneUNet
from generator.text import CLASSES
from generator.training.captions import caption
from generator.training.dataset import as_video
from generator.training.simulator import random_scene, render
from generator.world import ATTRIBUTES, CROP_HEIGHT, CROP_TOP, Scene

JUDGE_CLIPS = 3_000
JUDGE_STEPS = 900
JUDGE_SEED = 77
LOOKS = (0, 3, 6, 9, 12, 15)  # the slices a judge sees


class Judge(nn.Module):
    """Names a clip's object, colour, motion and background from six of its frames."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3 * len(LOOKS) + 1, 48, 64, 96, 128)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in widths[1:])
        self.head = nn.Linear(2 * widths[-1], sum(size - 1 for size in CLASSES))

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        """uint8[B,16,45,80,3] → float logits [B,n] per attribute."""
        looks = clips[:, LOOKS].float() / 127.5 - 1
        x = looks.permute(0, 1, 4, 2, 3).flatten(1, 2)
        rows = (
            torch.linspace(-1, 1, x.shape[2])
            .view(1, 1, -1, 1)
            .expand(len(x), 1, -1, x.shape[3])
        )
        x = torch.cat([x, rows], dim=1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(layer(x)))
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        out: tuple[Tensor, ...] = self.head(pooled).split([size - 1 for size in CLASSES], dim=1)
        return out


def cropped(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cuts canvas frames [16,48,80,3] to what the pipeline shows, [16,45,80,3]."""
    return frames[:, CROP_TOP : CROP_TOP + CROP_HEIGHT]


def train_judge(seed: int) -> Judge:
    """Trains one judge on its own clips, noised and blurred now and then."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, held=bool(rng.random() < 0.125)) for _ in range(JUDGE_CLIPS)]
    clips = torch.from_numpy(
        np.stack(
            [cropped(render(s, seed * 1_000_000 + k).frames) for k, s in enumerate(scenes)]
        )
    )
    labels = torch.tensor([s.indices() for s in scenes])
    judge = Judge()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=JUDGE_STEPS)
    for _ in range(JUDGE_STEPS):
        rows = torch.randint(0, len(clips), (32,))
        shown = clips[rows].float()
        shown = (shown + torch.randn_like(shown) * 12 * torch.rand(32, 1, 1, 1, 1)).clamp(
            0, 255
        )
        loss = torch.stack(
            [F.cross_entropy(part, labels[rows, k]) for k, part in enumerate(judge(shown))]
        ).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return judge.eval()


@torch.no_grad()
def scores(judge: Judge, clips: NDArray[np.uint8], scenes: list[Scene]) -> dict[str, float]:
    """The share of clips in which the judge sees what the scene says, per attribute."""
    named = torch.stack([part.argmax(1) for part in judge(torch.from_numpy(clips))], dim=1)
    right = named == torch.tensor([scene.indices() for scene in scenes])
    out = {name: float(right[:, k].float().mean()) for k, name in enumerate(ATTRIBUTES)}
    return out | {"all four": float(right.all(1).float().mean())}


def drawn(
    pipeline: SceneVideoPipeline, prompts: list[str], guidance: float, steps: int
) -> NDArray[np.uint8]:
    """Draws one clip per prompt, eight at a time, seeds counted from 0."""
    clips = []
    for start in range(0, len(prompts), 8):
        out = pipeline(
            prompts[start : start + 8],
            guidance_scale=guidance,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(start),
        )
        assert isinstance(out, SceneVideoOutput)
        clips.append(np.rint(np.asarray(out.frames) * 255).astype(np.uint8))
    return np.concatenate(clips)


def evaluate(
    pipeline: SceneVideoPipeline, judge: Judge, count: int, guidance: float, steps: int
) -> dict[str, dict[str, float]]:
    """The whole table for `count` complete prompts of held-out triples."""
    rng, words = np.random.default_rng(5), random.Random(5)
    scenes = [random_scene(rng, held=True) for _ in range(count)]
    prompts = [caption(scene, words, complete=True).text for scene in scenes]
    real = [render(scene, 900_000_000 + k).frames for k, scene in enumerate(scenes)]
    with torch.no_grad():
        codec = pipeline.codec
        coded = [codec.decode(codec.encode(as_video(frames)))[0] for frames in real]
    coded_frames = [
        ((video.permute(1, 2, 3, 0) + 1) * 127.5).clamp(0, 255).round().byte().numpy()
        for video in coded
    ]
    made = drawn(pipeline, prompts, guidance, steps)
    trained = pipeline.network
    torch.manual_seed(0)
    pipeline.register_modules(network=_random_like(trained))
    noise = drawn(pipeline, prompts, guidance, 4)
    pipeline.register_modules(network=trained)
    return {
        "real clips": scores(judge, np.stack([cropped(f) for f in real]), scenes),
        "codec": scores(judge, np.stack([cropped(f) for f in coded_frames]), scenes),
        "generator": scores(judge, made, scenes),
        "other prompts": scores(judge, made, scenes[1:] + scenes[:1]),
        "random weights": scores(judge, noise, scenes),
    }


def _random_like(network: SceneUNet) -> SceneUNet:
    """A network of the same shape whose every matrix is random, none left at zero."""
    fresh: SceneUNet = SceneUNet(
        **{k: v for k, v in network.config.items() if not k.startswith("_")}
    )
    for parameter in fresh.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    fresh.eval()
    return fresh


def main() -> None:
    """Reads the command line, prints the table, and writes it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=FOLDER)
    parser.add_argument("--judge", type=Path, required=True, help="where the judge is kept")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=18)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.judge.exists():
        judge = Judge()
        judge.load_state_dict(torch.load(options.judge, weights_only=True))
        judge.eval()
    else:
        judge = train_judge(JUDGE_SEED)
        options.judge.parent.mkdir(parents=True, exist_ok=True)
        torch.save(judge.state_dict(), options.judge)
    register()
    pipeline = SceneVideoPipeline.from_pretrained(
        options.weights, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    table = evaluate(pipeline, judge, options.prompts, options.guidance, options.steps)
    columns = [*ATTRIBUTES, "all four"]
    print(" " * 16 + "".join(f"{name:>12}" for name in columns))
    for row, values in table.items():
        print(f"{row:16}" + "".join(f"{values[name]:12.2f}" for name in columns))
    if options.json:
        options.json.write_text(
            json.dumps({"prompts": options.prompts, "table": table}, indent=1)
        )


if __name__ == "__main__":
    main()
