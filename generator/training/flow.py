"""The training every layer's network gets: rectified flow, Muon and AdamW, a moving average.

Every step's random numbers come from the seed and the step's number alone, so an interrupted
run and an uninterrupted one are the same run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.text import CLASSES, silent_condition
from generator.training.muon import Muon

SAVE_EVERY_SECONDS = 180
TEXT_DROPOUT = 0.1
WORD_DROPOUT = (0.06, 0.1, 0.12, 0.1)  # object, colour, motion, background
VAGUENESS = 0.06  # at most this share of a condition is spread over all words
WARM_UP = 60
DECAY_SHARE = 0.4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a layer's training does; `centre` is the mean logit of the noise level."""

    steps: int
    batch: int
    rate: float = 2.5e-3
    centre: float = 0.2
    seed: int = 1

    def rate_at(self, step: int) -> float:
        """Learning rate: a short rise, a plateau, a straight decay to zero at the end."""
        left = (self.steps - step) / (DECAY_SHARE * self.steps)
        return self.rate * min(1.0, (step + 1) / WARM_UP, max(left, 0.01))


@dataclass(frozen=True, kw_only=True)
class LayerSet:
    """Latents float16[N,channels,...] of a layer, the words of their scenes uint8[N,4] and,
    optionally, weights float16[N,...] of positions and extra condition numbers [N,k]."""

    latents: NDArray[np.float16]
    words: NDArray[np.uint8]
    weights: NDArray[np.float16] | None = None
    extra: NDArray[np.float16] | None = None


def conditions(words: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Conditions float[N,47] as the text head gives them, some words left unsaid."""
    count = len(words)
    silent = rng.random(count) < TEXT_DROPOUT
    parts = []
    for k, size in enumerate(CLASSES):
        unsaid = silent | (rng.random(count) < WORD_DROPOUT[k])
        said = np.eye(size, dtype=np.float32)[np.where(unsaid, 0, words[:, k] + 1)]
        vague = (rng.random((count, 1)) * VAGUENESS).astype(np.float32)
        parts.append(said * (1 - vague) + vague / np.float32(size))
    out = torch.from_numpy(np.concatenate(parts, axis=1))
    return torch.where(torch.from_numpy(silent)[:, None], silent_condition(), out)


def batch_loss(network: nn.Module, data: LayerSet, plan: Plan, step: int) -> Tensor:
    """The flow-matching loss of one step, drawn from (seed, step) alone."""
    rng = np.random.default_rng((plan.seed, step))
    noise_source = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
    count = plan.batch
    rows = rng.integers(len(data.latents), size=count)
    clean = torch.from_numpy(data.latents[rows].astype(np.float32))
    condition = conditions(data.words[rows], rng)
    if data.extra is not None:
        more = torch.from_numpy(data.extra[rows].astype(np.float32))
        condition = torch.cat([condition, more], dim=1)
    sigma = torch.sigmoid(torch.from_numpy(rng.normal(plan.centre, 1, count)).float())
    uniform = torch.from_numpy(rng.random(count)).float()
    sigma = torch.where(torch.from_numpy(rng.random(count) < 0.1), uniform, sigma)
    noise = torch.randn(clean.shape, generator=noise_source)
    s = sigma.view(-1, *[1] * (clean.ndim - 1))
    predicted = network((1 - s) * clean + s * noise, sigma, condition)
    error = (predicted - (noise - clean)).square().mean(dim=1)
    if data.weights is None:
        plain: Tensor = error.mean()
        return plain
    weight = torch.from_numpy(data.weights[rows].astype(np.float32))
    loss: Tensor = (error * weight).sum() / weight.sum()
    return loss


def optimisers(network: nn.Module) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the matrices inside blocks and attentions, AdamW for everything else."""
    inner = [
        p
        for name, p in network.named_parameters()
        if p.ndim >= 2
        and ("blocks" in name or "fine_" in name or "attentions" in name)
        and not any(word in name for word in ("film", "gain", "place"))
    ]
    known = {id(p) for p in inner}
    outer = [p for p in network.parameters() if id(p) not in known]
    return (
        Muon(inner, lr=1e-3),
        torch.optim.AdamW(outer, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01),
    )


class Average:
    """An exponential moving average of the weights, with a short memory at first."""

    def __init__(self, network: nn.Module) -> None:
        self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the network's weights."""
        keep = min(0.997, (step + 1) / (step + 20))
        for name, value in network.state_dict().items():
            self.weights[name].lerp_(value, 1 - keep)


def run(network: nn.Module, data: LayerSet, plan: Plan, folder: Path) -> None:
    """Trains until the plan's last step; writes folder/state.pt now and then and at the end."""
    folder.mkdir(parents=True, exist_ok=True)
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
    saved_at, losses = time.monotonic(), []
    while step < plan.steps:
        rate = plan.rate_at(step)
        for optimiser in pair:
            for group in optimiser.param_groups:
                group["lr"] = rate
        loss = batch_loss(network, data, plan, step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in pair:
            optimiser.step()
            optimiser.zero_grad()
        average.update(network, step)
        losses.append(float(loss.detach()))
        step += 1
        if step % 20 == 0 or step == plan.steps:
            stamp = f"{time.process_time():.0f},{step},{np.mean(losses):.4f},{rate:.6f}"
            with (folder / "loss.csv").open("a") as log:
                log.write(stamp + "\n")
            losses = []
        if step == plan.steps or time.monotonic() - saved_at > SAVE_EVERY_SECONDS:
            save(state_path, network, average, pair, step)
            saved_at = time.monotonic()


def save(
    path: Path,
    network: nn.Module,
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
