"""Trains the embedded model: `python -m generator.training.train --out DIR`.

Run it again with the same DIR to continue: every step's random numbers come from the seed and
the step's number alone, so an interrupted run and an uninterrupted one are the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from generator.network import SceneUNet
from generator.text import TextHead, silent_condition
from generator.training import dataset
from generator.training.head import train_head
from generator.training.muon import Muon

SAVE_EVERY_SECONDS = 240
OBJECT_WEIGHT = 2.0  # added to cells that show the object
TEXT_DROPOUT = 0.1
WARM_UP = 60
SLICES_EVERY = 4
DECAY_SHARE = 0.38
NETWORK_SHAPE = {"fine": 64, "coarse": 160}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does.

    Stage A sees single slices, stage B clips with every fourth step slices, stage C, from step
    `finish_from`, clips only and mostly noisy ones, where it is decided what is where when.
    """

    slice_steps: int
    clip_steps: int
    finish_from: int
    slice_batch: int = 64
    clip_batch: int = 8
    rate: float = 2.5e-3
    seed: int = 1

    @property
    def steps(self) -> int:
        """Steps of both stages together."""
        return self.slice_steps + self.clip_steps

    def slices_at(self, step: int) -> bool:
        """Whether a step sees single slices (cheap, many pictures) or whole clips."""
        if step >= self.finish_from:
            return False
        return step < self.slice_steps or (step - self.slice_steps) % SLICES_EVERY == 0

    def rate_at(self, step: int) -> float:
        """Learning rate: a short rise, a plateau, a straight decay to zero at the end."""
        left = (self.steps - step) / (DECAY_SHARE * self.steps)
        return self.rate * min(1.0, (step + 1) / WARM_UP, max(left, 0.01))


def optimisers(network: SceneUNet) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the matrices inside blocks and attentions, AdamW for everything else."""
    inner = [
        p
        for name, p in network.named_parameters()
        if p.ndim >= 2
        and ("blocks" in name or "fine_" in name or "attentions" in name)
        and "film" not in name
        and "gain" not in name
    ]
    known = {id(p) for p in inner}
    outer = [p for p in network.parameters() if id(p) not in known]
    return (
        Muon(inner, lr=1e-3),
        torch.optim.AdamW(outer, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01),
    )


def batch_loss(
    network: SceneUNet, data: dataset.TrainingSet, conditions: Tensor, plan: Plan, step: int
) -> Tensor:
    """The weighted flow-matching loss of one step, drawn from (seed, step) alone."""
    rng = np.random.default_rng((plan.seed, step))
    noise_source = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
    slices = plan.slices_at(step)
    count = plan.slice_batch if slices else plan.clip_batch
    rows = rng.integers(len(data.latents), size=count)
    if slices:
        times = rng.integers(data.latents.shape[2], size=count)
        clean = torch.from_numpy(data.latents[rows, :, times][:, :, None].astype(np.float32))
        coverage = data.coverage[rows, times][:, None]
        first = torch.from_numpy(times)
    else:
        clean = torch.from_numpy(data.latents[rows].astype(np.float32))
        coverage = data.coverage[rows]
        first = None
    condition = conditions[rows, rng.integers(conditions.shape[1], size=count)]
    silent = torch.from_numpy(rng.random(count) < TEXT_DROPOUT)
    condition = torch.where(silent[:, None], silent_condition(), condition)
    finishing = step >= plan.finish_from
    centre = 0.0 if slices else 0.9 if finishing else 0.5
    sigma = torch.sigmoid(torch.from_numpy(rng.normal(centre, 1, count)).float())
    uniform = torch.from_numpy(rng.random(count)).float()
    sigma = torch.where(torch.from_numpy(rng.random(count) < 0.1), uniform, sigma)
    noise = torch.randn(clean.shape, generator=noise_source)
    s = sigma[:, None, None, None, None]
    predicted = network((1 - s) * clean + s * noise, sigma, condition, first)
    error = (predicted - (noise - clean)).square().mean(dim=1)
    covered = torch.from_numpy(coverage.astype(np.float32) / 255)
    # Weighting while it is open where the object is would draw it in several places.
    weight = 1 + OBJECT_WEIGHT * covered * (s[:, 0] < (0.6 if finishing else 0.8))
    loss: Tensor = (error * weight).sum() / weight.sum()
    return loss


class Average:
    """An exponential moving average of the weights, with a short memory at first."""

    def __init__(self, network: nn.Module) -> None:
        self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the network's weights."""
        keep = min(0.998, (step + 1) / (step + 20))
        for name, value in network.state_dict().items():
            self.weights[name].lerp_(value, 1 - keep)


def prepare(folder: Path, clips: int, seed: int, workers: int) -> TextHead:
    """Makes the data set and the text head unless an earlier run did."""
    dataset.build(folder, clips, seed, workers)
    if not (folder / "head").exists():
        head, scores = train_head(seed)
        head.save_pretrained(folder / "head")
        (folder / "head-scores.json").write_text(json.dumps(scores))
        print("text head on held-out captions:", scores, flush=True)
    return TextHead.from_pretrained(folder / "head", low_cpu_mem_usage=False)  # type: ignore[no-any-return]


def run(folder: Path, plan: Plan, clips: int, workers: int) -> None:
    """Trains until the plan's last step; writes state.pt now and then and at the end."""
    torch.set_num_threads(1)
    head = prepare(folder, clips, plan.seed, workers)
    data = dataset.load(folder)
    with torch.no_grad():
        flat = torch.from_numpy(data.sentences.astype(np.float32)).flatten(0, 1)
        conditions = head(flat).reshape(*data.sentences.shape[:2], -1)
    torch.manual_seed(plan.seed)
    network = SceneUNet(**NETWORK_SHAPE)
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters", flush=True)
    pair = optimisers(network)
    average = Average(network)
    step = 0
    state_path = folder / "state.pt"
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        network.load_state_dict(state["network"])
        average.weights = state["average"]
        for optimiser, saved in zip(pair, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        step = int(state["step"])
    log = (folder / "loss.csv").open("a", buffering=1)
    saved_at, losses = time.monotonic(), []
    while step < plan.steps:
        rate = plan.rate_at(step)
        for optimiser in pair:
            for group in optimiser.param_groups:
                group["lr"] = rate
        loss = batch_loss(network, data, conditions, plan, step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in pair:
            optimiser.step()
            optimiser.zero_grad()
        average.update(network, step)
        losses.append(float(loss.detach()))
        step += 1
        if step % 20 == 0:
            stamp = f"{time.time():.0f},{step},{np.mean(losses):.4f},{rate:.6f}"
            log.write(stamp + "\n")
            print(stamp, flush=True)
            losses = []
        if step == plan.steps or time.monotonic() - saved_at > SAVE_EVERY_SECONDS:
            save(state_path, network, average, pair, step)
            saved_at = time.monotonic()


def save(
    path: Path,
    network: SceneUNet,
    average: Average,
    pair: tuple[torch.optim.Optimizer, ...],
    step: int,
) -> None:
    """Replaces the checkpoint in one move, so that a crash never leaves half of one."""
    fresh = path.with_suffix(".new")
    torch.save(
        {
            "network": network.state_dict(),
            "average": average.weights,
            "optimisers": [optimiser.state_dict() for optimiser in pair],
            "step": step,
        },
        fresh,
    )
    fresh.replace(path)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=9_000)
    parser.add_argument("--slice-steps", type=int, default=400)
    parser.add_argument("--clip-steps", type=int, default=2_000)
    parser.add_argument("--finish-from", type=int, default=1809)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    plan = Plan(
        slice_steps=options.slice_steps,
        clip_steps=options.clip_steps,
        finish_from=options.finish_from,
        seed=options.seed,
    )
    run(options.out, plan, options.clips, options.workers)


if __name__ == "__main__":
    main()
