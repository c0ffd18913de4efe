"""The embedded model as a diffusers pipeline: prompt → condition → flow → decoded frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.utils import BaseOutput
from numpy.typing import NDArray
from torch import Tensor

from generator.codec import PATCH, PatchCodec
from generator.network import SceneUNet
from generator.text import TextHead, sentence_vectors, silent_condition
from generator.world import (
    CANVAS_HEIGHT,
    CANVAS_SLICES,
    CANVAS_WIDTH,
    CROP_HEIGHT,
    CROP_TOP,
)

FOLDER = Path(__file__).parent / "weights" / "embedded"

StepCallback = Callable[["SceneVideoPipeline", int, Tensor, dict[str, Any]], dict[str, Any]]


@dataclass
class SceneVideoOutput(BaseOutput):  # type: ignore[misc]
    """`frames`: float[B,16,45,80,3] RGB in 0..1 for "np", a tensor [B,16,3,45,80] for "pt"."""

    frames: NDArray[np.float32] | Tensor


class SceneVideoPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Draws 16 frames of 80×45 pixels from a prompt about one moving object in one place."""

    model_cpu_offload_seq = "text_head->network->codec"
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        text_head: TextHead,
        network: SceneUNet,
        codec: PatchCodec,
        scheduler: FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            text_head=text_head, network=network, codec=codec, scheduler=scheduler
        )

    def read_prompt(self, prompts: list[str]) -> Tensor:
        """Prompts → conditions float[N,36]; an empty prompt says nothing."""
        vectors = torch.from_numpy(sentence_vectors(prompts)).to(self.text_head.dtype)
        condition: Tensor = self.text_head(vectors.to(self.device)).float()
        empty = torch.tensor([not prompt.strip() for prompt in prompts])
        return torch.where(empty[:, None], silent_condition(), condition.cpu())

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        negative_prompt: str | None = None,
        height: int = CROP_HEIGHT,
        width: int = CANVAS_WIDTH,
        num_frames: int = CANVAS_SLICES,
        num_inference_steps: int = 18,
        guidance_scale: float = 3.0,
        generator: torch.Generator | None = None,
        callback_on_step_end: StepCallback | None = None,
        output_type: str = "np",
        return_dict: bool = True,  # noqa: FBT001, FBT002 — the signature diffusers callers expect
    ) -> SceneVideoOutput | tuple[Any]:
        """Draws one clip per prompt; the canvas is fixed, any other shape is a ValueError."""
        if (height, width, num_frames) != (CROP_HEIGHT, CANVAS_WIDTH, CANVAS_SLICES):
            raise ValueError("This pipeline draws 16 frames of 80x45 pixels only.")
        if output_type not in ("np", "pt", "latent"):
            raise ValueError("output_type must be np, pt or latent.")
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        count = len(prompts)
        wanted = self.read_prompt(prompts)
        unwanted = self.read_prompt([negative_prompt or ""]).expand_as(wanted)
        conditions = torch.cat([wanted, unwanted]).to(self.device, self.network.dtype)
        shape = (
            count,
            self.codec.config.channels,
            num_frames // PATCH[0],
            CANVAS_HEIGHT // PATCH[1],
            width // PATCH[2],
        )
        latents = torch.randn(shape, generator=generator).to(self.device)
        self.scheduler.set_timesteps(num_inference_steps)
        for index, timestep in enumerate(self.progress_bar(self.scheduler.timesteps)):
            sigma = (timestep / self.scheduler.config.num_train_timesteps).expand(2 * count)
            both = torch.cat([latents, latents]).to(self.network.dtype)
            flow = self.network(both, sigma.to(both), conditions).float()
            toward, away = flow.chunk(2)
            guided = away + guidance_scale * (toward - away)
            latents = self.scheduler.step(guided, timestep, latents).prev_sample
            if callback_on_step_end is not None:
                changed = callback_on_step_end(self, index, timestep, {"latents": latents})
                latents = changed.get("latents", latents)
        frames = latents if output_type == "latent" else self._decode(latents, output_type)
        return SceneVideoOutput(frames=frames) if return_dict else (frames,)

    def _decode(self, latents: Tensor, output_type: str) -> NDArray[np.float32] | Tensor:
        video: Tensor = self.codec.decode(latents.to(self.codec.dtype)).float()
        video = video[..., CROP_TOP : CROP_TOP + CROP_HEIGHT, :].permute(0, 2, 1, 3, 4)
        video = ((video + 1) / 2).clamp(0, 1)
        if output_type == "pt":
            return video
        out: NDArray[np.float32] = video.permute(0, 1, 3, 4, 2).cpu().numpy()
        return out


def register() -> None:
    """Makes `DiffusionPipeline.from_pretrained` find the pipeline by its class name."""
    diffusers.SceneVideoPipeline = SceneVideoPipeline
