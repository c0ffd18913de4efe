"""The training of the symbol detector: two small networks from nothing but drawn scenes.

    python -m safety.training.frames.train_symbols DATA OUT [--stages STAGE ...]

DATA holds ``pictures_train/``, ``emoji_train/`` and ``icons_train.*`` (see
``symbols_samples.read_material``); OUT gets ``finder.onnx`` and ``reader.onnx``. The first
network looks over the whole picture and says where a symbol may be; the second looks closely at
those places and says what it is. The stages: ``finder`` and ``reader`` train them; ``harden``
trains the reader again with what fools both in scenes without symbols. The shipped reader had
``--epochs 6`` in its first round. Needs torch and onnx. The same data, seed and number of
threads give the same networks up to rounding.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from safety.symbols import CLASSES, CROP_MARGIN, CROP_SIDE, STRIDE, TYPICAL_EXTENT
from safety.training.frames.symbols_onnx import write_onnx
from safety.training.frames.symbols_samples import (
    SCENE_SIDE,
    Material,
    background,
    crop,
    lookalike,
    put_emoji,
    read_material,
    scene,
)
from safety.training.frames.symbols_styles import damaged, place

BATCH = 64
OTHER_SHARE = 0.55
MOST_MINED = 10_000
STAGES = ("finder", "reader", "harden")


def layer(inward: int, outward: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(
        inward, outward, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(outward), nn.ReLU())


def finder() -> nn.Sequential:
    """float32[N,3,H,W] in 0..1 → float32[N,4,H/8,W/8]: logit, log2 size, offset x and y."""
    return nn.Sequential(
        layer(3, 16, stride=2),
        layer(16, 24, stride=2),
        layer(24, 40),
        layer(40, 56, stride=2),
        layer(56, 56, dilation=2),
        layer(56, 56, dilation=2),
        layer(56, 56),
        nn.Conv2d(56, 4, 1),
    )


def reader() -> nn.Sequential:
    """float32[N,3,48,48] in 0..1 → logits float32[N,classes]."""
    return nn.Sequential(
        layer(3, 16),
        layer(16, 32, stride=2),
        layer(32, 48, stride=2),
        layer(48, 48),
        layer(48, 80, stride=2),
        layer(80, 80),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(80 * 9, len(CLASSES)),
    )


def finder_targets(symbols: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """float32[N,5,cells,cells]: 1/0, weight, log2 size, offsets in cells."""
    cells = SCENE_SIDE // STRIDE
    middle = (np.arange(cells) + 0.5) * STRIDE
    out = np.zeros((len(symbols), 5, cells, cells), np.float32)
    out[:, 1] = 1
    for number, found in enumerate(symbols):
        for x, y, extent in found:
            dx, dy = x - middle[None, :], y - middle[:, None]
            away = np.maximum(np.abs(dx), np.abs(dy))
            near, around = max(4.1, 0.2 * extent), max(8.2, 0.4 * extent)
            out[number, 1][away < around] = 0
            inside = away < near
            out[number, 0][inside] = 1
            out[number, 1][inside] = 1
            out[number, 2][inside] = np.log2(extent / TYPICAL_EXTENT)
            out[number, 3][inside] = (np.broadcast_to(dx, away.shape) / STRIDE)[inside]
            out[number, 4][inside] = (np.broadcast_to(dy, away.shape) / STRIDE)[inside]
    return out


def finder_loss(answer: Tensor, target: Tensor) -> Tensor:
    truth, weight = target[:, 0], target[:, 1]
    plain = functional.binary_cross_entropy_with_logits(answer[:, 0], truth, reduction="none")
    missed = torch.abs(truth - torch.sigmoid(answer[:, 0]))
    found = (plain * missed * weight * (1 + 3 * truth)).sum() / truth.sum().clamp(min=1)
    place_error = functional.smooth_l1_loss(answer[:, 1:], target[:, 2:], reduction="none")
    return found + (place_error * truth[:, None]).sum() / truth.sum().clamp(min=1)


def as_input(pictures: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """The batch with its colours exchanged and inverted at random."""
    batch = torch.from_numpy(pictures[..., rng.permutation(3)].astype(np.float32) / 255)
    if rng.random() < 0.3:
        batch = 1 - batch
    return batch.permute(0, 3, 1, 2)


def fit(
    network: nn.Module,
    pictures: NDArray[np.uint8],
    targets: NDArray[np.float32] | NDArray[np.int64],
    *,
    epochs: int,
    rate: float,
    seed: int,
) -> None:
    """Trains with AdamW on a one-cycle schedule and prints the loss of each epoch."""
    rng = np.random.default_rng(seed)
    steps = epochs * (len(pictures) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.15)
    # As pictures lie in memory: half as long on a CPU.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    for epoch in range(epochs):
        start, total = time.monotonic(), 0.0
        order = rng.permutation(len(pictures))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[begin : begin + BATCH]
            answer = network(as_input(pictures[rows], rng))
            target = torch.from_numpy(targets[rows])
            if target.ndim == 1:
                loss = functional.cross_entropy(answer, target, label_smoothing=0.02)
            else:
                loss = finder_loss(answer, target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        seconds = time.monotonic() - start
        print(
            f"epoch {epoch}: {total / (len(order) // BATCH):.4f} ({seconds:.0f} s)", flush=True
        )
    network.eval()


def harmless_scene(rng: np.random.Generator, material: Material) -> NDArray[np.uint8]:
    """A scene full of things that are no symbols."""
    picture = background(rng, SCENE_SIDE, material)
    for _ in range(int(rng.integers(0, 4))):
        extent = float(rng.uniform(13, 44))
        x, y = rng.uniform(0, SCENE_SIDE, 2)
        if rng.random() < 0.35:
            put_emoji(picture, rng, material, extent)
        else:
            style = str(rng.choice(material.styles))
            place(picture, lookalike(rng, material), rng, x=x, y=y, extent=extent, style=style)
    return damaged(picture, rng)


def mined(
    first: nn.Module, second: nn.Module, material: Material, count: int, seed: int
) -> NDArray[np.uint8]:
    """Crops of harmless scenes where the finder answers and the reader is least sure."""
    rng = np.random.default_rng([seed, 77])
    crops: list[NDArray[np.uint8]] = []
    with torch.no_grad():
        for _ in range(0, count, BATCH):
            batch = np.stack([harmless_scene(rng, material) for _ in range(BATCH)])
            inputs = torch.from_numpy(batch.astype(np.float32) / 255).permute(0, 3, 1, 2)
            answer = first(inputs).numpy()
            for picture, (logit, size, dx, dy) in zip(batch, answer, strict=True):
                peak = logit == cv2.dilate(logit, np.ones((3, 3)))
                for row, column in np.argwhere(peak & (logit > -3.0)):
                    extent = TYPICAL_EXTENT * 2.0 ** float(size[row, column])
                    x = (column + 0.5 + dx[row, column]) * STRIDE
                    y = (row + 0.5 + dy[row, column]) * STRIDE
                    side = max(12, round(extent * CROP_MARGIN))
                    cut = cv2.getRectSubPix(picture, (side, side), (float(x), float(y)))
                    crops.append(
                        np.asarray(cv2.resize(cut, (CROP_SIDE, CROP_SIDE), interpolation=3))
                    )
        found = np.stack(crops)
        scores = []
        for begin in range(0, len(found), 256):
            part = torch.from_numpy(found[begin : begin + 256].astype(np.float32) / 255)
            scores.append(torch.softmax(second(part.permute(0, 3, 1, 2)), 1)[:, 0].numpy())
    hardest = np.argsort(np.concatenate(scores))[:MOST_MINED]
    print(f"mined {len(hardest)} of {len(found)} places", flush=True)
    return found[hardest]


def train_finder(material: Material, options: argparse.Namespace) -> None:
    rng = np.random.default_rng([options.seed, 1])
    scenes = [scene(rng, material) for _ in range(options.scenes)]
    pictures = np.stack([one.picture for one in scenes])
    targets = finder_targets([one.symbols for one in scenes])
    print(f"{len(scenes)} scenes drawn", flush=True)
    network = finder()
    fit(network, pictures, targets, epochs=options.epochs, rate=4e-3, seed=options.seed)
    keep(network, options.out, "finder", side=None)


def train_reader(material: Material, options: argparse.Namespace) -> None:
    drawn = options.out / "crops.npz"
    if not drawn.exists():
        rng = np.random.default_rng([options.seed, 2])
        others = rng.random(options.crops) < OTHER_SHARE
        some = rng.integers(1, len(CLASSES), options.crops)
        labels = np.where(others, 0, some).astype(np.int64)
        crops = np.stack([crop(rng, material, int(label)) for label in labels])
        np.savez(drawn, crops=crops, labels=labels)
        print(f"{len(crops)} crops drawn", flush=True)
    with np.load(drawn) as kept:
        crops, labels = kept["crops"], kept["labels"]
    network = reader()
    fit(network, crops, labels, epochs=options.epochs, rate=3e-3, seed=options.seed)
    keep(network, options.out, "reader", side=CROP_SIDE)


def harden(material: Material, options: argparse.Namespace) -> None:
    """The second round of the reader, with the places that fooled the first."""
    first, second = finder(), reader()
    for network, name in ((first, "finder"), (second, "reader")):
        state = torch.load(options.out / f"{name}.pt", weights_only=True)
        network.load_state_dict(state)
        network.eval()
    hard = mined(first, second, material, options.mined_scenes, options.seed)
    np.save(options.out / "hard.npy", hard)
    with np.load(options.out / "crops.npz") as drawn:
        crops = np.concatenate([drawn["crops"], hard, hard])
        labels = np.concatenate([drawn["labels"], np.zeros(2 * len(hard), np.int64)])
    fit(
        second,
        crops,
        labels,
        epochs=max(2, options.epochs // 2),
        rate=1.5e-3,
        seed=options.seed,
    )
    keep(second, options.out, "reader", side=CROP_SIDE)


def keep(network: nn.Sequential, out: Path, name: str, *, side: int | None) -> None:
    torch.save(network.state_dict(), out / f"{name}.pt")
    write_onnx(network, out / f"{name}.onnx", side=side)


def main() -> None:
    """Trains both networks with the material named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("material", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fonts", type=Path, nargs="*", default=[])
    parser.add_argument("--scenes", type=int, default=12_000)
    parser.add_argument("--crops", type=int, default=32_000)
    parser.add_argument("--mined-scenes", type=int, default=4_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--stages", nargs="*", default=STAGES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    material = read_material(options.material, "train", options.fonts)
    options.out.mkdir(parents=True, exist_ok=True)

    stages = {
        "finder": train_finder,
        "reader": train_reader,
        "harden": harden,
    }
    for stage in options.stages:
        stages[stage](material, options)


if __name__ == "__main__":
    main()
