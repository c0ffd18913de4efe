"""Drives any diffusers text-to-video pipeline that lies in a folder with a card beside it."""

from __future__ import annotations

import inspect
import threading
from pathlib import Path
from typing import Any

import numpy as np

from generator.cards import ModelCard
from generator.clip import Clip, Frames, GenerationRequest, Progress
from generator.compositor import Composed, Layers
from generator.enlarge import Enlarged
from generator.errors import GenerationError, UnsupportedRequest, WeightsMissing

MAX_PROMPT_CHARACTERS = 4_000
MAX_SEED = 2**63 - 1


class DiffusersGenerator:
    """A generator on top of a diffusers pipeline.

    The pipeline is loaded on the first call, after every weights file was compared with the
    card, from the folder only: no network, no code from the folder. What the pipeline's call
    accepts is read from its signature, so that one adapter serves all of them. A pipeline
    whose class says `handed_over_as = "layers"` is asked for `Layers`, and its clips are put
    together at the finished size. Not promised: equal frames across machines, or across
    versions of torch.

    `threads` is how many threads torch may use in this process. One is the default: on a busy
    machine two threads that wait for each other were measured 3 to 6 times slower than one.
    """

    def __init__(self, folder: Path, card: ModelCard, *, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        self._card = card
        self._pipeline: Any = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The card's name."""
        return self._card.name

    @property
    def card(self) -> ModelCard:
        """The card given at construction."""
        return self._card

    def load(self) -> None:
        """Loads the pipeline if it is not loaded; `WeightsMissing` if that cannot be done."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = self._load()

    def generate(self, request: GenerationRequest, *, on_progress: Progress) -> Clip:
        """Makes the clip; see `Generator.generate`."""
        self._check(request)
        self.load()
        with self._lock:
            drawn = self._draw(request, on_progress)
        count = self._card.fps * request.seconds
        shape = {"width": request.width, "height": request.height, "frame_count": count}
        return Clip(
            frames=(
                Composed(layers=drawn, **shape)
                if isinstance(drawn, Layers)
                else Enlarged(drawn=drawn, **shape)
            ),
            frame_count=count,
            fps=self._card.fps,
            width=request.width,
            height=request.height,
            seed=request.seed,
            model_name=self._card.name,
            model_version=self._card.version,
        )

    def _check(self, request: GenerationRequest) -> None:
        if request.model != self._card.name:
            raise UnsupportedRequest(
                "model", f"This generator makes {self._card.name} clips only."
            )
        if not request.prompt.strip() or len(request.prompt) > MAX_PROMPT_CHARACTERS:
            raise UnsupportedRequest(
                "prompt", f"A prompt has between 1 and {MAX_PROMPT_CHARACTERS} characters."
            )
        if len(request.negative_prompt) > MAX_PROMPT_CHARACTERS:
            raise UnsupportedRequest(
                "negative_prompt",
                f"A negative prompt has at most {MAX_PROMPT_CHARACTERS} characters.",
            )
        if isinstance(request.seed, bool) or not 0 <= request.seed <= MAX_SEED:
            raise UnsupportedRequest("seed", f"A seed is a whole number from 0 to {MAX_SEED}.")
        self._card.check(width=request.width, height=request.height, seconds=request.seconds)

    def _load(self) -> Any:
        self._card.verify(self._folder)
        import torch
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging as diffusers_logging

        from generator import embedded

        torch.set_num_threads(self._threads)
        embedded.register()
        diffusers_logging.disable_progress_bar()
        # Its warnings quote the part of a prompt that a tokenizer cut off.
        diffusers_logging.set_verbosity_error()
        try:
            pipeline = DiffusionPipeline.from_pretrained(
                self._folder,
                dtype=getattr(torch, self._card.sampling.dtype),
                local_files_only=True,
                use_safetensors=True,
                low_cpu_mem_usage=False,
            )
        except Exception as error:
            raise WeightsMissing(f"{self._card.title} cannot be loaded.") from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _draw(self, request: GenerationRequest, on_progress: Progress) -> Frames | Layers:
        import torch

        total = self._card.sampling.steps
        accepted = set(inspect.signature(type(self._pipeline).__call__).parameters)
        if request.negative_prompt and "negative_prompt" not in accepted:
            raise UnsupportedRequest(
                "negative_prompt", f"{self._card.title} takes no negative prompt."
            )
        arguments = self._arguments(request, accepted)
        arguments["generator"] = torch.Generator("cpu").manual_seed(request.seed)
        raised: list[BaseException] = []

        def step_done(done: int) -> None:
            try:
                on_progress(min(done, total), total)
            except BaseException as error:
                raised.append(error)
                raise

        try:
            if "callback_on_step_end" in accepted:

                def callback(
                    _: Any, index: int, __: Any, kept: dict[str, Any]
                ) -> dict[str, Any]:
                    step_done(index + 1)
                    return kept

                result = self._pipeline(**arguments, callback_on_step_end=callback)
            else:
                result = self._call_counting_steps(arguments, step_done)
            drawn = result.frames[0]
            return drawn if isinstance(drawn, Layers) else _as_frames(drawn)
        except Exception as error:
            if raised and error is raised[0]:
                raise
            if isinstance(error, GenerationError):
                raise
            raise GenerationError(f"{self._card.title} failed while drawing.") from error

    def _call_counting_steps(self, arguments: dict[str, Any], step_done: Any) -> Any:
        """For pipelines without a callback: counts the calls of the scheduler's step."""
        scheduler = self._pipeline.scheduler
        original = scheduler.step
        done = 0

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            out = original(*args, **kwargs)
            done += 1
            step_done(done)
            return out

        scheduler.step = counted
        try:
            return self._pipeline(**arguments)
        finally:
            del scheduler.step

    def _arguments(self, request: GenerationRequest, accepted: set[str]) -> dict[str, Any]:
        sampling = self._card.sampling
        frames = sampling.frames
        if frames == 0:
            wanted = sampling.fps * request.seconds
            frames = -(-(wanted - 1) // sampling.frame_step) * sampling.frame_step + 1
        offered = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt or None,
            "height": sampling.height,
            "width": sampling.width,
            "num_frames": frames,
            "video_length": frames,
            "frames": frames,
            "frame_rate": sampling.fps,
            "fps": sampling.fps,
            "num_inference_steps": sampling.steps,
            "guidance_scale": sampling.guidance,
            # Frames, unless the pipeline hands its clips over in layers.
            "output_type": getattr(type(self._pipeline), "handed_over_as", "np"),
        }
        return {name: value for name, value in offered.items() if name in accepted}


def _as_frames(video: Any) -> Frames:
    """float[F,h,w,3] in 0..1 → uint8; anything else, and any number not finite, is an error."""
    array = np.asarray(video)
    if array.ndim != 4 or array.shape[-1] != 3 or len(array) == 0:
        raise GenerationError("The model returned something that is not a clip.")
    if not np.isfinite(array).all():
        raise GenerationError("The model returned numbers that are not finite.")
    frames: Frames = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return frames


__all__ = ["DiffusersGenerator"]
