"""Exports a training run as the folder the gateway loads.

`python -m generator.training.export --run DIR --out generator/weights/embedded`
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from generator.cards import CARD_NAME
from generator.codec import PathCodec, PictureCodec
from generator.embedded import SceneVideoPipeline
from generator.text import TextHead
from generator.training.train import LAYERS

SHIFT = 2.0


def assemble(run: Path) -> tuple[SceneVideoPipeline, dict[str, int]]:
    """Builds the pipeline from a run's averaged weights; with each layer's step."""
    parts: dict[str, Any] = {}
    steps = {}
    for name, layer in LAYERS.items():
        state = torch.load(run / name / "state.pt", weights_only=True)
        network = layer.network()
        network.load_state_dict(state["average"])
        codec = PathCodec if name == "path" else PictureCodec
        parts[f"{name}_network"] = network.eval()
        parts[f"{name}_codec"] = codec.from_pretrained(
            run / name / "codec", low_cpu_mem_usage=False
        )
        steps[name] = int(state["step"])
    pipeline = SceneVideoPipeline(
        text_head=TextHead.from_pretrained(run / "head", low_cpu_mem_usage=False),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        **parts,
    )
    return pipeline, steps


def export(run: Path, out: Path) -> None:
    """Writes half-precision weights and a card that names their hashes."""
    pipeline, steps = assemble(run)
    shutil.rmtree(out, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    lines = []
    everything = hashlib.sha256()
    for path in sorted(out.rglob("*.safetensors")):
        path.chmod(0o644)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        everything.update(digest.encode())
        lines.append(f'"{path.relative_to(out).as_posix()}" = "{digest}"')
    prose = (Path(__file__).parent / CARD_NAME).read_text(encoding="utf-8")
    revision = f'revision = "{everything.hexdigest()[:12]}"'
    card = "\n".join([revision, prose.rstrip(), "", "[weights]", *lines, ""])
    (out / CARD_NAME).write_text(card, encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"exported steps {steps}, {size / 1e6:.1f} MB, {revision}")


def main() -> None:
    """Reads the command line and exports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    export(options.run, options.out)


if __name__ == "__main__":
    main()
