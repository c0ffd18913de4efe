"""A small TorchScript model with the interface of VideoSeal's files, made without training.

It really marks and really reads: each bit has a pattern of 64 × 64 cells, orthogonal to all
others; their signed sum is added to the luma, a little stronger when the key frame is bright,
and held for `step_size` frames. `fault` makes it misbehave in one way, `late` only on pictures
larger than the probe on loading.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch
from torch.nn import functional as F

from watermark.learned.weights import PinnedWeights

SIDE = 64


class TinySeal(torch.nn.Module):
    def __init__(self, bits: int, step: int, mode: str, fault: str, *, late: bool) -> None:
        super().__init__()
        torch.manual_seed(7)
        rows = torch.ones(1, 1)
        while len(rows) < SIDE * SIDE:
            rows = torch.cat([torch.cat([rows, rows], 1), torch.cat([rows, -rows], 1)])
        chosen = rows[torch.randperm(len(rows))[:bits]]
        cover = torch.randint(0, 2, (SIDE * SIDE,)) * 2.0 - 1.0
        self.register_buffer("patterns", chosen * cover)
        self.side = SIDE
        self.step_size = step
        self.video_mode = mode
        self.fault = fault
        self.late = late

    def wrong(self, imgs: torch.Tensor) -> str:
        if self.late and imgs.shape[-1] <= self.side:
            return ""
        return self.fault

    @torch.jit.export
    def embed(
        self, imgs: torch.Tensor, msgs: torch.Tensor, is_video: bool = False
    ) -> torch.Tensor:
        fault = self.wrong(imgs)
        if fault == "embed raises":
            raise RuntimeError("out of memory")
        step = self.step_size if is_video else 1
        keys = imgs[::step].mean(dim=[1, 2, 3])
        signed = (2.0 * msgs - 1.0) @ self.patterns / float(self.patterns.shape[0]) ** 0.5
        tile = signed.reshape(1, 1, self.side, self.side) * (3.0 / 255.0)
        delta = F.interpolate(tile, size=imgs.shape[-2:], mode="bilinear")
        gain = (0.8 + 0.4 * keys).repeat_interleave(step)[: imgs.shape[0]]
        marked = imgs + delta * gain.reshape(-1, 1, 1, 1)
        if fault == "embed answers NaN":
            marked = marked * float("nan")
        if fault == "embed darkens":
            marked = marked * 0.5
        if fault == "embed shrinks":
            marked = marked[:, :, ::2]
        return torch.clamp(marked, 0, 1)

    @torch.jit.export
    def detect(self, imgs: torch.Tensor, is_video: bool = False) -> torch.Tensor:
        fault = self.wrong(imgs)
        small = F.adaptive_avg_pool2d(imgs.mean(dim=1, keepdim=True), [self.side, self.side])
        ground = F.avg_pool2d(small, 5, 1, 2, count_include_pad=False)
        detail = torch.clamp(small - ground, -0.03, 0.03).flatten(1)
        logits = detail @ self.patterns.t() * (8.0 * 255.0 / (self.side * self.side))
        if fault == "detect turns 56 bits":
            logits = torch.cat([-logits[:, :56], logits[:, 56:]], dim=1)
        if fault == "detect answers NaN":
            logits = logits * float("nan")
        if fault == "detect answers infinity":
            logits = logits * float("inf")
        if fault == "detect raises":
            raise RuntimeError("out of memory")
        if fault == "detect answers flat":
            return logits.flatten()
        answer = torch.cat([torch.zeros(imgs.shape[0], 1), logits], dim=1)
        if fault == "detect answers maps":
            return answer.reshape(imgs.shape[0], -1, 1, 1).repeat(1, 1, 4, 4)
        return answer


def save_tiny(
    folder: Path,
    *,
    bits: int = 256,
    step: int = 4,
    mode: str = "repeat",
    fault: str = "",
    late: bool = False,
) -> PinnedWeights:
    """Writes the model below `folder` and pins it."""
    path = folder / f"tiny-{bits}-{step}-{mode}-{fault.replace(' ', '-')}-{late}.jit"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(TinySeal(bits, step, mode, fault, late=late).eval()).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PinnedWeights(path=path, sha256=digest, bits=bits)
