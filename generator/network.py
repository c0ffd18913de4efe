"""The embedded model's network: a small video U-Net that predicts the flow of latents.

Rectified flow (Liu et al. 2022); FiLM conditioning (Perez et al. 2018); full space-time
attention with query-key normalisation over the coarse grid.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

# Inside the network tensors are [B,T,H,W,C]: layer norms are then contiguous and a
# convolution sees them, through `permute`, as channels-last without a copy.


def sinusoids(sigma: Tensor, width: int) -> Tensor:
    """Features float[B,width] of noise levels float[B] in 0..1."""
    frequencies = torch.exp(torch.linspace(0, math.log(200), width // 2, device=sigma.device))
    angles = sigma[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1).to(sigma.dtype)


class Conv(nn.Module):
    """A convolution over [B,T,H,W,C]; three taps in time if `temporal`."""

    def __init__(
        self, c_in: int, c_out: int, *, temporal: bool = False, stride: int = 1
    ) -> None:
        super().__init__()
        taps = 3 if temporal else 1
        self.conv = nn.Conv3d(
            c_in,
            c_out,
            (taps, 3, 3),
            stride=(1, stride, stride),
            padding=(taps // 2, 1, 1),
        )
        self.conv.weight.data = self.conv.weight.data.contiguous(
            memory_format=torch.channels_last_3d
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
        return out.contiguous()


class Block(nn.Module):
    """Norm → SiLU → conv → norm → FiLM → SiLU → conv, plus the input."""

    def __init__(self, width: int, embedding: int, *, temporal: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.conv1 = Conv(width, width)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(embedding, 2 * width)
        self.conv2 = Conv(width, width, temporal=temporal)
        nn.init.zeros_(self.conv2.conv.weight)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(embedding)[:, None, None, None].chunk(2, dim=-1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        out: Tensor = x + self.conv2(F.silu(h))
        return out


class SpaceTimeAttention(nn.Module):
    """Every position of every slice attends to all others: what lets an object travel."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.gain = nn.Parameter(torch.full((heads, 1, 1), 4.0))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        b, t, h, w, c = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, t * h * w, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = F.normalize(q, dim=-1) * (2 * self.gain), F.normalize(k, dim=-1)
        weights = torch.softmax(q @ k.transpose(-1, -2).contiguous(), dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(b, t, h, w, c)
        out: Tensor = x + self.out(mixed)
        return out


class SceneUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Predicts noise − data for noisy latents float[B,32,T,12,20], T ≤ 8.

    `sigma` is the noise level float[B] in 0..1; `condition` is what `TextHead` reads from the
    prompt, float[B,36]; `first` says which slice pair of a clip the first latent slice is.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        channels: int = 32,
        condition: int = 36,
        fine: int = 48,
        coarse: int = 128,
        embedding: int = 256,
        heads: int = 4,
        slices: int = 8,
        height: int = 12,
        width: int = 20,
    ) -> None:
        super().__init__()
        self.level = nn.Sequential(
            nn.Linear(64, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.text = nn.Sequential(
            nn.Linear(condition, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.place_fine = nn.Parameter(torch.randn(1, 1, height, width, fine) * 0.1)
        self.place = nn.Parameter(torch.randn(1, 1, height // 2, width // 2, coarse) * 0.1)
        self.time = nn.Parameter(torch.randn(1, slices, 1, 1, coarse) * 0.1)
        self.enter = Conv(channels, fine)
        self.fine_down = Block(fine, embedding, temporal=False)
        self.shrink = Conv(fine, coarse, stride=2)
        self.blocks = nn.ModuleList(
            Block(coarse, embedding, temporal=k in (0, 2)) for k in range(4)
        )
        self.attentions = nn.ModuleList(SpaceTimeAttention(coarse, heads) for _ in range(2))
        self.grow = nn.Linear(coarse, 4 * fine)
        self.join = nn.Linear(2 * fine, fine)
        self.fine_up = nn.ModuleList(Block(fine, embedding, temporal=k == 0) for k in range(2))
        self.norm = nn.LayerNorm(fine)
        self.leave = Conv(fine, channels)
        nn.init.zeros_(self.leave.conv.weight)

    def forward(
        self, latents: Tensor, sigma: Tensor, condition: Tensor, first: Tensor | None = None
    ) -> Tensor:
        e = F.silu(self.level(sinusoids(sigma, 64)) + self.text(condition))
        x = self.enter(latents.permute(0, 2, 3, 4, 1).contiguous()) + self.place_fine
        x = self.fine_down(x, e)
        y = self.shrink(x)
        count = y.shape[1]
        time = self.time[:, :count] if first is None else self.time[0][first][:, None]
        y = y + self.place + time
        y = self.blocks[0](y, e)
        y = self.attentions[0](y)
        y = self.blocks[1](y, e)
        y = self.blocks[2](y, e)
        y = self.attentions[1](y)
        y = self.blocks[3](y, e)
        b, t, h, w, _ = y.shape
        y = self.grow(y).reshape(b, t, h, w, 2, 2, -1).permute(0, 1, 2, 4, 3, 5, 6)
        x = self.join(torch.cat([x, y.reshape(b, t, 2 * h, 2 * w, -1)], dim=-1))
        for block in self.fine_up:
            x = block(x, e)
        out: Tensor = self.leave(F.silu(self.norm(x)))
        return out.permute(0, 4, 1, 2, 3)
