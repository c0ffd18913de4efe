"""The linear codecs between layers and latents: whitened principal components.

Linear and exact in both directions but for the components they drop, so they cannot invent
structure: whatever a decoded layer shows, a network drew.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from generator.world import KEYS, PATH_NUMBERS

# What one unit of each path number weighs beside the others (see `PATH_NUMBERS`).
PATH_SCALES = (1.0, 1.2, 1.6, 0.5, 0.5, 0.8, 0.5, 0.5)


class PictureCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Projects square patches of a picture on their leading principal components."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, bands: int = 3, patch: int = 8, channels: int = 48) -> None:
        super().__init__()
        width = bands * patch * patch
        self.mean = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.down = nn.Parameter(torch.zeros(width, channels), requires_grad=False)
        self.up = nn.Parameter(torch.zeros(channels, width), requires_grad=False)

    def to_patches(self, pictures: Tensor) -> Tensor:
        """Cuts float[B,bands,H,W] into float[B,H/patch,W/patch,bands·patch²]."""
        b, c, h, w = pictures.shape
        p = self.config.patch
        cut = pictures.reshape(b, c, h // p, p, w // p, p)
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(b, h // p, w // p, -1)

    def from_patches(self, patches: Tensor) -> Tensor:
        """The inverse of `to_patches`."""
        b, h, w, _ = patches.shape
        p = self.config.patch
        cut = patches.reshape(b, h, w, -1, p, p)
        return cut.permute(0, 3, 1, 4, 2, 5).reshape(b, -1, h * p, w * p)

    def encode(self, pictures: Tensor) -> Tensor:
        """float[B,bands,H,W] in −1..1 → latents float[B,channels,H/patch,W/patch]."""
        z = (self.to_patches(pictures) - self.mean) @ self.down
        return z.permute(0, 3, 1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → float[B,bands,H,W], nominally −1..1, not clipped."""
        return self.from_patches(latents.permute(0, 2, 3, 1) @ self.up + self.mean)


class PathCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Projects whole paths on their leading principal components."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        width = KEYS * len(PATH_NUMBERS)
        self.mean = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.down = nn.Parameter(torch.zeros(width, channels), requires_grad=False)
        self.up = nn.Parameter(torch.zeros(channels, width), requires_grad=False)

    def to_rows(self, paths: Tensor) -> Tensor:
        """float[B,24,8] → float[B,192], each number in its scale."""
        return (paths * paths.new_tensor(PATH_SCALES)).flatten(1)

    def encode(self, paths: Tensor) -> Tensor:
        """float[B,24,8] in the units of `PATH_NUMBERS` → latents float[B,channels]."""
        return (self.to_rows(paths) - self.mean) @ self.down

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → float[B,24,8]."""
        rows = latents @ self.up + self.mean
        paths: Tensor = rows.reshape(len(rows), KEYS, -1) / rows.new_tensor(PATH_SCALES)
        return paths


def fit(codec: PictureCodec | PathCodec, rows: Tensor, *, whiten: float = 0.25) -> None:
    """Fits a codec to float[N,width] rows by the eigenvectors of their covariance.

    Latents are divided by eigenvalue^`whiten` and have unit variance over all.
    """
    exact = rows.double()
    mean = exact.mean(0)
    values, vectors = torch.linalg.eigh((exact - mean).T @ (exact - mean) / len(exact))
    keep = torch.argsort(values, descending=True)[: codec.config.channels]
    values, vectors = values[keep].clamp_min(1e-8), vectors[:, keep]
    signs = vectors.sum(0).sign()
    vectors = vectors * torch.where(signs == 0, torch.ones_like(signs), signs)
    scale = values**whiten
    unit = (values / scale**2).mean().sqrt()
    codec.mean.data = mean.float()
    codec.down.data = (vectors / (scale * unit)).float()
    codec.up.data = (vectors * scale * unit).T.float().contiguous()


__all__ = ["PathCodec", "PictureCodec", "fit"]
