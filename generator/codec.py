"""The linear codec between frames and latents: whitened principal components of patches."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

PATCH = (2, 4, 4)  # slices, rows, columns
LATENT_CHANNELS = 32


def to_patches(video: Tensor) -> Tensor:
    """Cuts float[B,3,T,H,W] into float[B,T/2,H/4,W/4,96]."""
    b, c, t, h, w = video.shape
    pt, ph, pw = PATCH
    cut = video.reshape(b, c, t // pt, pt, h // ph, ph, w // pw, pw)
    return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(b, t // pt, h // ph, w // pw, -1)


def from_patches(patches: Tensor) -> Tensor:
    """The inverse of `to_patches`."""
    b, t, h, w, _ = patches.shape
    pt, ph, pw = PATCH
    cut = patches.reshape(b, t, h, w, 3, pt, ph, pw)
    return cut.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(b, 3, t * pt, h * ph, w * pw)


class PatchCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Projects 2×4×4 patches on their leading principal components, partly whitened.

    Linear and exact in both directions but for the components it drops, so it cannot invent
    structure: whatever a decoded clip shows, the network drew.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: int = LATENT_CHANNELS) -> None:
        super().__init__()
        width = 3 * PATCH[0] * PATCH[1] * PATCH[2]
        self.mean = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.down = nn.Parameter(torch.zeros(width, channels), requires_grad=False)
        self.up = nn.Parameter(torch.zeros(channels, width), requires_grad=False)

    def encode(self, video: Tensor) -> Tensor:
        """float[B,3,T,H,W] in −1..1 → latents float[B,32,T/2,H/4,W/4] of unit scale."""
        z = (to_patches(video) - self.mean) @ self.down
        return z.permute(0, 4, 1, 2, 3)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → float[B,3,T,H,W], nominally −1..1, not clipped."""
        return from_patches(latents.permute(0, 2, 3, 4, 1) @ self.up + self.mean)


def fit_codec(patches: Tensor) -> PatchCodec:
    """Fits the codec to float[N,96] patches by an eigendecomposition of their covariance."""
    codec: PatchCodec = PatchCodec()
    rows = patches.double()
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    keep = torch.argsort(values, descending=True)[:LATENT_CHANNELS]
    values, vectors = values[keep].clamp_min(1e-8), vectors[:, keep]
    signs = vectors.sum(0).sign()
    vectors = vectors * torch.where(signs == 0, torch.ones_like(signs), signs)
    scale = values**0.25
    unit = (values / scale**2).mean().sqrt()
    codec.mean.data = mean.float()
    codec.down.data = (vectors / (scale * unit)).float()
    codec.up.data = (vectors * scale * unit).T.float().contiguous()
    return codec
