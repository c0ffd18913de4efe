"""The embedded model as a diffusers pipeline: prompt → condition → flows → layers → frames."""

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

from generator.codec import PathCodec, PictureCodec
from generator.compositor import Composed, Layers
from generator.network import PathNetwork, PictureUNet
from generator.text import TextHead, sentence_vectors, silent_condition
from generator.world import BACKDROP_HEIGHT, BACKDROP_WIDTH, SPRITE_SIZE

FOLDER = Path(__file__).parent / "weights" / "embedded"
FPS = 24
# The lengths paths were trained for, in seconds; others are drawn as the nearest of these.
SHORTEST, LONGEST = 2.0, 8.0
# Most frames × pixels that are handed over at once as floating point numbers (1.2 GB).
MAX_PIXELS = 100_000_000
# How much of the guidance each layer gets: places and paths need less of it than sprites.
SHARES = {"sprite": 1.0, "backdrop": 0.5, "path": 0.25}

Shapes = dict[str, tuple[int, ...]]
StepCallback = Callable[["SceneVideoPipeline", int, Tensor, dict[str, Any]], dict[str, Any]]


@dataclass
class SceneVideoOutput(BaseOutput):  # type: ignore[misc]
    """`frames`: float[B,F,H,W,3] RGB in 0..1 for "np", a tensor [B,F,3,H,W] for "pt", a list of
    `Layers` for "layers", the flows' latents float[B,N] for "latent"."""

    frames: NDArray[np.float32] | Tensor | list[Layers]


class SceneVideoPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Draws clips about one moving object in one place, as layers that fit any frame size.

    Three rectified flows run side by side, each from noise and with its own network: a picture
    of the object, a picture of the place, and the path of the object and the camera.
    """

    model_cpu_offload_seq = "text_head->sprite_network->backdrop_network->path_network"
    _callback_tensor_inputs = ("latents",)
    # What `DiffusersGenerator` asks for: layers, put together at the finished size.
    handed_over_as = "layers"

    def __init__(
        self,
        text_head: TextHead,
        sprite_network: PictureUNet,
        sprite_codec: PictureCodec,
        backdrop_network: PictureUNet,
        backdrop_codec: PictureCodec,
        path_network: PathNetwork,
        path_codec: PathCodec,
        scheduler: FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            text_head=text_head,
            sprite_network=sprite_network,
            sprite_codec=sprite_codec,
            backdrop_network=backdrop_network,
            backdrop_codec=backdrop_codec,
            path_network=path_network,
            path_codec=path_codec,
            scheduler=scheduler,
        )

    def read_prompt(self, prompts: list[str]) -> Tensor:
        """Prompts → conditions float[N,47]; an empty prompt says nothing."""
        vectors = torch.from_numpy(sentence_vectors(prompts)).to(self.text_head.dtype)
        condition: Tensor = self.text_head(vectors.to(self.device)).float()
        empty = torch.tensor([not prompt.strip() for prompt in prompts])
        return torch.where(empty[:, None], silent_condition(), condition.cpu())

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        negative_prompt: str | None = None,
        height: int = 360,
        width: int = 640,
        num_frames: int = 96,
        num_inference_steps: int = 20,
        guidance_scale: float = 3.0,
        generator: torch.Generator | None = None,
        callback_on_step_end: StepCallback | None = None,
        output_type: str = "np",
        return_dict: bool = True,  # noqa: FBT001, FBT002 — the signature diffusers callers expect
    ) -> SceneVideoOutput | tuple[Any]:
        """Draws one clip per prompt, 24 frames a second; ValueError for what it cannot hold.

        `num_frames` decides how long the clip is, and so how the object moves.
        """
        if output_type not in ("np", "pt", "layers", "latent"):
            raise ValueError("output_type must be np, pt, layers or latent.")
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        count = len(prompts)
        if output_type in ("np", "pt") and count * num_frames * height * width > MAX_PIXELS:
            raise ValueError("Too many frames of this size at once; ask for layers.")
        wanted = self.read_prompt(prompts)
        unwanted = self.read_prompt([negative_prompt or ""]).expand_as(wanted)
        conditions = torch.cat([wanted, unwanted]).to(self.device, self.sprite_network.dtype)
        seconds = min(max(num_frames / FPS, SHORTEST), LONGEST)
        length = conditions.new_full((2 * count, 1), float(np.log2(seconds)) - 2)
        told = {
            "sprite": conditions,
            "backdrop": conditions,
            "path": torch.cat([conditions, length], dim=1),
        }
        shapes = self._shapes()
        numbers = sum(int(np.prod(shape)) for shape in shapes.values())
        # All layers' latents in one row per clip, so that one scheduler drives them together.
        latents = torch.randn((count, numbers), generator=generator).to(self.device)
        self.scheduler.set_timesteps(num_inference_steps)
        for index, timestep in enumerate(self.progress_bar(self.scheduler.timesteps)):
            flow = self._flow(latents, timestep, told, shapes, guidance_scale)
            latents = self.scheduler.step(flow, timestep, latents).prev_sample
            if callback_on_step_end is not None:
                changed = callback_on_step_end(self, index, timestep, {"latents": latents})
                latents = changed.get("latents", latents)
        frames: NDArray[np.float32] | Tensor | list[Layers] = latents
        if output_type != "latent":
            layers = self._decode(latents, shapes)
            frames = layers
            if output_type != "layers":
                video = np.stack([_composed(one, width, height, num_frames) for one in layers])
                frames = video if output_type == "np" else _channels_first(video)
        return SceneVideoOutput(frames=frames) if return_dict else (frames,)

    def _shapes(self) -> Shapes:
        """The shape of each layer's latents."""
        sprite, backdrop = self.sprite_codec.config, self.backdrop_codec.config
        side = SPRITE_SIZE // sprite.patch
        rows, columns = BACKDROP_HEIGHT // backdrop.patch, BACKDROP_WIDTH // backdrop.patch
        return {
            "sprite": (sprite.channels, side, side),
            "backdrop": (backdrop.channels, rows, columns),
            "path": (self.path_codec.config.channels,),
        }

    def _flow(
        self,
        latents: Tensor,
        timestep: Tensor,
        told: dict[str, Tensor],
        shapes: Shapes,
        guidance: float,
    ) -> Tensor:
        """Each layer's flow, guided away from the unwanted prompt's, as one row per clip."""
        sigma = (timestep / self.scheduler.config.num_train_timesteps).expand(2 * len(latents))
        networks = {
            "sprite": self.sprite_network,
            "backdrop": self.backdrop_network,
            "path": self.path_network,
        }
        flows = []
        for name, part in _split(latents, shapes).items():
            both = torch.cat([part, part]).to(told[name])
            flow = networks[name](both, sigma.to(both), told[name]).float()
            toward, away = flow.chunk(2)
            scale = 1 + SHARES[name] * (guidance - 1)
            flows.append((away + scale * (toward - away)).flatten(1))
        return torch.cat(flows, dim=1)

    def _decode(self, latents: Tensor, shapes: Shapes) -> list[Layers]:
        parts = _split(latents.to(self.sprite_codec.dtype), shapes)
        sprites, backdrops, paths = (
            codec.decode(parts[name]).float().cpu().numpy()
            for name, codec in (
                ("sprite", self.sprite_codec),
                ("backdrop", self.backdrop_codec),
                ("path", self.path_codec),
            )
        )
        return [
            Layers(sprite=sprite, backdrop=backdrop, path=path)
            for sprite, backdrop, path in zip(sprites, backdrops, paths, strict=True)
        ]


def _split(latents: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """One row per clip → each layer's latents in their shape."""
    parts = torch.split(latents, [int(np.prod(shape)) for shape in shapes.values()], dim=1)
    return {
        name: part.reshape(len(part), *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def _composed(layers: Layers, width: int, height: int, count: int) -> NDArray[np.float32]:
    whole = Composed(layers=layers, width=width, height=height, frame_count=count)
    return np.concatenate([chunk.astype(np.float32) / 255 for chunk in whole])


def _channels_first(video: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(video).permute(0, 1, 4, 2, 3)


def register() -> None:
    """Makes `DiffusionPipeline.from_pretrained` find the pipeline by its class name."""
    diffusers.SceneVideoPipeline = SceneVideoPipeline
