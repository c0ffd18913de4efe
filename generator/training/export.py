"""Exports a training run as the folder the gateway loads.

`python -m generator.training.export --run DIR --out generator/weights/embedded`
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from generator.cards import CARD_NAME
from generator.codec import PatchCodec
from generator.embedded import SceneVideoPipeline
from generator.network import SceneUNet
from generator.text import TextHead
from generator.training.train import NETWORK_SHAPE

SHIFT = 2.0


def assemble(run: Path, *, raw: bool = False) -> tuple[SceneVideoPipeline, int]:
    """Builds the pipeline from a run's averaged weights (`raw`: its latest); with its step."""
    state = torch.load(run / "state.pt", weights_only=True)
    network = SceneUNet(**NETWORK_SHAPE)
    network.load_state_dict(state["network" if raw else "average"])
    pipeline = SceneVideoPipeline(
        text_head=TextHead.from_pretrained(run / "head", low_cpu_mem_usage=False),
        network=network.eval(),
        codec=PatchCodec.from_pretrained(run / "codec", low_cpu_mem_usage=False),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
    )
    return pipeline, int(state["step"])


def export(run: Path, out: Path) -> None:
    """Writes half-precision weights and a card that names their hashes."""
    pipeline, step = assemble(run)
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
    print(f"exported step {step}, {size / 1e6:.1f} MB, {revision}")


def main() -> None:
    """Reads the command line and exports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    export(options.run, options.out)


if __name__ == "__main__":
    main()
