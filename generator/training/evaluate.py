"""Measures whether drawn clips show what was asked: `python -m generator.training.evaluate`.

Every table prints the ceiling (real clips, and real clips whose layers went through the
codecs) and the floor (the same drawn clips judged against other prompts, and networks with
random weights). The Fréchet distance compares the drawn clips with the simulator's, beside
what a second sample of the simulator gives.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from generator.compositor import Composed, Layers
from generator.embedded import FOLDER, SceneVideoOutput, SceneVideoPipeline, register
from generator.training.captions import caption
from generator.training.judge import (
    HEIGHT,
    LOOKS,
    WIDTH,
    Judge,
    frechet,
    known_judge,
    scores,
    seen,
)
from generator.training.layer_judges import (
    layer_scores,
    train_motion_judge,
    train_object_judge,
)
from generator.training.simulator import draw_layers, random_scene
from generator.world import ATTRIBUTES, Scene

NETWORKS = ("sprite_network", "backdrop_network", "path_network")
REAL_SEED, OTHER_SEED = 900_000_000, 910_000_000
BATCH = 16
RANDOM_STEPS = 4


def asked(count: int, seed: int = 5) -> tuple[list[Scene], list[str]]:
    """Scenes of held-out triples and complete captions for them, in four languages."""
    rng, words = np.random.default_rng(seed), random.Random(seed)
    scenes = [random_scene(rng, held=True) for _ in range(count)]
    return scenes, [caption(scene, words, complete=True).text for scene in scenes]


def looks(layers: Layers) -> NDArray[np.uint8]:
    """What a judge sees of a clip: uint8[8,90,160,3]."""
    return Composed(layers=layers, width=WIDTH, height=HEIGHT, frame_count=LOOKS).at(LOOKS)


def drawn(
    pipeline: SceneVideoPipeline, prompts: list[str], guidance: float, steps: int
) -> list[Layers]:
    """Draws one four-second clip per prompt, sixteen at a time, seeds counted from 0."""
    out: list[Layers] = []
    for start in range(0, len(prompts), BATCH):
        made = pipeline(
            prompts[start : start + BATCH],
            guidance_scale=guidance,
            num_inference_steps=steps,
            output_type="layers",
            generator=torch.Generator().manual_seed(start),
        )
        assert isinstance(made, SceneVideoOutput)
        assert isinstance(made.frames, list)
        out += made.frames
    return out


@torch.no_grad()
def coded(pipeline: SceneVideoPipeline, layers: Layers) -> Layers:
    """The layers after a way through the codecs and back."""

    def through(codec: Any, layer: NDArray[np.float32]) -> NDArray[np.float32]:
        back = codec.decode(codec.encode(torch.from_numpy(layer)[None]))[0]
        out: NDArray[np.float32] = back.numpy()
        return out

    return Layers(
        sprite=through(pipeline.sprite_codec, layers.sprite),
        backdrop=through(pipeline.backdrop_codec, layers.backdrop),
        path=through(pipeline.path_codec, layers.path),
    )


def evaluate(
    pipeline: SceneVideoPipeline, judge: Judge, count: int, guidance: float, steps: int
) -> dict[str, dict[str, float]]:
    """The whole table for `count` complete prompts of held-out triples."""
    scenes, prompts = asked(count)
    real_layers = [draw_layers(scene, REAL_SEED + k) for k, scene in enumerate(scenes)]
    other = [draw_layers(scene, OTHER_SEED + k) for k, scene in enumerate(scenes)]
    made = drawn(pipeline, prompts, guidance, steps)
    trained = {name: getattr(pipeline, name) for name in NETWORKS}
    torch.manual_seed(0)
    pipeline.register_modules(**{name: random_like(net) for name, net in trained.items()})
    noise = drawn(pipeline, prompts, guidance, RANDOM_STEPS)
    pipeline.register_modules(**trained)
    told = train_object_judge(), train_motion_judge()
    target = seen(judge, np.stack([looks(one) for one in real_layers]))
    rows = {
        "real clips": (real_layers, scenes),
        "real, other seeds": (other, scenes),
        "layers and codecs": ([coded(pipeline, one) for one in real_layers], scenes),
        "embedded model": (made, scenes),
        "other prompts": (made, scenes[1:] + scenes[:1]),
        "random weights": (noise, scenes),
    }
    table = {}
    for name, (clips, meant) in rows.items():
        frames = np.stack([looks(one) for one in clips])
        whole = scores(judge, frames, meant)
        table[name] = layer_scores(told, clips, meant) | {
            "colour": whole["colour"],
            "background": whole["background"],
            "distance": round(frechet(seen(judge, frames), target), 3),
        }
    return table


def random_like(network: Any) -> nn.Module:
    """A network of the same shape whose every matrix is random, none left at zero."""
    settings = {k: v for k, v in network.config.items() if not k.startswith("_")}
    fresh: nn.Module = type(network)(**settings)
    for parameter in fresh.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return fresh.eval()


def main() -> None:
    """Reads the command line, prints the table, and writes it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=FOLDER)
    parser.add_argument("--judge", type=Path, required=True, help="where the judge is kept")
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, help="the file whose table is renewed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    judge = known_judge(options.judge)
    register()
    pipeline = SceneVideoPipeline.from_pretrained(
        options.weights, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    table = evaluate(pipeline, judge, options.prompts, options.guidance, options.steps)
    columns = [*ATTRIBUTES, "distance"]
    print(" " * 20 + "".join(f"{name:>12}" for name in columns))
    for row, values in table.items():
        print(f"{row:20}" + "".join(f"{values[name]:12.3f}" for name in columns))
    model = table["embedded model"]
    errors = {
        name: round(math.sqrt(model[name] * (1 - model[name]) / options.prompts), 3)
        for name in ATTRIBUTES
    }
    print("standard errors of the embedded model:", errors)
    if options.json:
        kept = json.loads(options.json.read_text()) if options.json.exists() else {}
        kept["obedience"] = {
            "prompts": options.prompts,
            "guidance": options.guidance,
            "steps": options.steps,
            "table": table,
            "standard_errors": errors,
        }
        options.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
