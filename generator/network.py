"""The embedded model's networks: each predicts the flow of one layer's latents.

Rectified flow (Liu et al. 2022); FiLM conditioning (Perez et al. 2018); a U-Net with
attention and query-key normalisation over its coarse grid for pictures, a residual
perceptron for paths.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from generator.text import CONDITION_WIDTH

# Inside the U-Net tensors are [B,H,W,C]: layer norms are then contiguous and a convolution
# sees them, through `permute`, as channels-last without a copy.


def sinusoids(sigma: Tensor, width: int) -> Tensor:
    """Features float[B,width] of noise levels float[B] in 0..1."""
    frequencies = torch.exp(torch.linspace(0, math.log(200), width // 2, device=sigma.device))
    angles = sigma[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1).to(sigma.dtype)


class Embedding(nn.Module):
    """Noise level and condition as one vector per clip."""

    def __init__(self, condition: int, width: int) -> None:
        super().__init__()
        self.level = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Sequential(
            nn.Linear(condition, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, sigma: Tensor, condition: Tensor) -> Tensor:
        return F.silu(self.level(sinusoids(sigma, 64)) + self.text(condition))


class Conv(nn.Module):
    """A 3×3 convolution over [B,H,W,C]."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)
        self.conv.weight.data = self.conv.weight.data.contiguous(
            memory_format=torch.channels_last
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out.contiguous()


class Block(nn.Module):
    """Norm → SiLU → conv → norm → FiLM → SiLU → conv, plus the input."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.conv1 = Conv(width, width)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(embedding, 2 * width)
        self.conv2 = Conv(width, width)
        nn.init.zeros_(self.conv2.conv.weight)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(embedding)[:, None, None].chunk(2, dim=-1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        out: Tensor = x + self.conv2(F.silu(h))
        return out


class Attention(nn.Module):
    """Every position of the coarse grid attends to all others."""

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
        b, h, w, c = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, h * w, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = F.normalize(q, dim=-1) * (2 * self.gain), F.normalize(k, dim=-1)
        weights = torch.softmax(q @ k.transpose(-1, -2).contiguous(), dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(b, h, w, c)
        out: Tensor = x + self.out(mixed)
        return out


class PictureUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Predicts noise − data for noisy latents float[B,channels,height,width] of a picture.

    `sigma` is the noise level float[B] in 0..1; `condition` is what `TextHead` reads from the
    prompt, float[B,47].
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        channels: int = 48,
        condition: int = CONDITION_WIDTH,
        fine: int = 64,
        coarse: int = 160,
        embedding: int = 256,
        heads: int = 4,
        height: int = 16,
        width: int = 16,
    ) -> None:
        super().__init__()
        self.told = Embedding(condition, embedding)
        self.place_fine = nn.Parameter(torch.randn(1, height, width, fine) * 0.1)
        self.place = nn.Parameter(torch.randn(1, height // 2, width // 2, coarse) * 0.1)
        self.enter = Conv(channels, fine)
        self.fine_down = Block(fine, embedding)
        self.shrink = Conv(fine, coarse, stride=2)
        self.blocks = nn.ModuleList(Block(coarse, embedding) for _ in range(4))
        self.attentions = nn.ModuleList(Attention(coarse, heads) for _ in range(2))
        self.grow = nn.Linear(coarse, 4 * fine)
        self.join = nn.Linear(2 * fine, fine)
        self.fine_up = nn.ModuleList(Block(fine, embedding) for _ in range(2))
        self.norm = nn.LayerNorm(fine)
        self.leave = Conv(fine, channels)
        nn.init.zeros_(self.leave.conv.weight)

    def forward(self, latents: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        e = self.told(sigma, condition)
        x = self.enter(latents.permute(0, 2, 3, 1).contiguous()) + self.place_fine
        x = self.fine_down(x, e)
        y = self.shrink(x) + self.place
        y = self.blocks[0](y, e)
        y = self.attentions[0](y)
        y = self.blocks[1](y, e)
        y = self.blocks[2](y, e)
        y = self.attentions[1](y)
        y = self.blocks[3](y, e)
        b, h, w, _ = y.shape
        y = self.grow(y).reshape(b, h, w, 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
        x = self.join(torch.cat([x, y.reshape(b, 2 * h, 2 * w, -1)], dim=-1))
        for block in self.fine_up:
            x = block(x, e)
        out: Tensor = self.leave(F.silu(self.norm(x)))
        return out.permute(0, 3, 1, 2)


class Residual(nn.Module):
    """Norm → FiLM → linear → SiLU → linear, plus the input."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(embedding, 2 * width)
        self.rise = nn.Linear(width, 2 * width)
        self.fall = nn.Linear(2 * width, width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        nn.init.zeros_(self.fall.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.film(embedding).chunk(2, dim=-1)
        h = torch.addcmul(shift, self.norm(x), 1 + scale)
        out: Tensor = x + self.fall(F.silu(self.rise(h)))
        return out


class PathNetwork(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Predicts noise − data for noisy latents float[B,channels] of a path.

    The condition float[B,48] is the pictures' with one number more: log2(seconds) − 2.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        channels: int = 32,
        condition: int = CONDITION_WIDTH + 1,
        width: int = 256,
        depth: int = 4,
        embedding: int = 256,
    ) -> None:
        super().__init__()
        self.told = Embedding(condition, embedding)
        self.enter = nn.Linear(channels, width)
        self.blocks = nn.ModuleList(Residual(width, embedding) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, latents: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        e = self.told(sigma, condition)
        x = self.enter(latents)
        for block in self.blocks:
            x = block(x, e)
        out: Tensor = self.leave(self.norm(x))
        return out


__all__ = ["PathNetwork", "PictureUNet"]
