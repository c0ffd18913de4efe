"""Trains the embedded model: `python -m generator.training.train --out DIR`.

Four parts in turn: the text head, then the networks of sprites, backdrops and paths. Run it
again with the same DIR to continue where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from generator.network import PathNetwork, PictureUNet
from generator.training import dataset
from generator.training.flow import LayerSet, Plan, run
from generator.training.head import train_head
from generator.world import BACKDROP_HEIGHT, BACKDROP_WIDTH, SPRITE_SIZE


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's network, its training set, and how long it is trained."""

    network: Callable[[], nn.Module]
    examples: Callable[[Path, int, int], LayerSet]
    plan: Plan


def _sprite_network() -> nn.Module:
    side = SPRITE_SIZE // dataset.SPRITE_PATCH
    net: nn.Module = PictureUNet(
        channels=dataset.SPRITE_CHANNELS, fine=64, coarse=160, height=side, width=side
    )
    return net


def _backdrop_network() -> nn.Module:
    net: nn.Module = PictureUNet(
        channels=dataset.BACKDROP_CHANNELS,
        fine=64,
        coarse=160,
        height=BACKDROP_HEIGHT // dataset.BACKDROP_PATCH,
        width=BACKDROP_WIDTH // dataset.BACKDROP_PATCH,
    )
    return net


def _path_network() -> nn.Module:
    net: nn.Module = PathNetwork()
    return net


LAYERS = {
    "sprite": Layer(
        network=_sprite_network, examples=dataset.sprites, plan=Plan(steps=2_000, batch=40)
    ),
    "backdrop": Layer(
        network=_backdrop_network,
        examples=dataset.backdrops,
        plan=Plan(steps=620, batch=40, centre=0.4),
    ),
    "path": Layer(
        network=_path_network,
        examples=dataset.paths,
        plan=Plan(steps=1_200, batch=256, rate=2e-3, centre=0.0),
    ),
}


def train(folder: Path, seed: int, workers: int, *, share: float = 1.0) -> None:
    """Trains whatever is not trained yet; `share` of the usual steps, for trials."""
    torch.set_num_threads(1)
    if not (folder / "head").exists():
        head, scores = train_head(seed)
        head.save_pretrained(folder / "head")
        (folder / "head-scores.json").write_text(json.dumps(scores))
        print("text head on held-out captions:", scores, flush=True)
    for name, layer in LAYERS.items():
        examples = layer.examples(folder / name, seed, workers)
        plan = replace(layer.plan, seed=seed, steps=max(1, round(layer.plan.steps * share)))
        torch.manual_seed(seed)
        network = layer.network()
        count = sum(p.numel() for p in network.parameters())
        print(f"{name}: {count:,} parameters, {plan.steps} steps", flush=True)
        run(network, examples, plan, folder / name)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw examples")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual steps")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    train(options.out, options.seed, options.workers, share=options.share)


if __name__ == "__main__":
    main()
