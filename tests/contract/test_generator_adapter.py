"""The diffusers adapter drives pipelines it has never seen, by their signatures alone.

The pipelines here are saved to a folder and loaded by diffusers like any other; their network
is a few lines, because what is tested is the calling, not the picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, UNet2DModel
from diffusers.utils import BaseOutput

from generator.cards import ModelCard, Sampling, Size, Weights
from generator.clip import GenerationRequest
from generator.compositor import Composed, Layers
from generator.diffusion import DiffusersGenerator
from generator.errors import GenerationError, UnsupportedRequest, WeightsMissing


class Result(BaseOutput):
    frames: np.ndarray


class _Sampler(DiffusionPipeline):
    def __init__(self, unet: UNet2DModel, scheduler: FlowMatchEulerDiscreteScheduler) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    @torch.no_grad()
    def _sample(
        self,
        prompt: str,
        frames: int,
        size: tuple[int, int],
        steps: int,
        generator: torch.Generator,
        callback: Callable[..., Any] | None = None,
    ) -> Result:
        latents = torch.randn((frames, 3, *size), generator=generator)
        latents = latents + len(prompt) / 100
        self.scheduler.set_timesteps(steps)
        for index, t in enumerate(self.scheduler.timesteps):
            flow = self.unet(latents, t).sample
            latents = self.scheduler.step(flow, t, latents).prev_sample
            if callback is not None:
                callback(self, index, t, {"latents": latents})
        video = latents.clamp(-1, 1).permute(0, 2, 3, 1).numpy() / 2 + 0.5
        return Result(frames=video[None])


class SilentPipeline(_Sampler):
    """Like HunyuanVideo 1.5 and Latte: no callback, no guidance, `video_length`."""

    def __call__(
        self,
        prompt: str,
        video_length: int,
        height: int,
        width: int,
        num_inference_steps: int,
        generator: torch.Generator,
        output_type: str,
    ) -> Result:
        assert output_type == "np"
        return self._sample(
            prompt, video_length, (height, width), num_inference_steps, generator
        )


class CallingPipeline(_Sampler):
    """Like Wan and LTX: a callback, guidance, `num_frames` and `frame_rate`."""

    def __call__(
        self,
        prompt: str,
        negative_prompt: str | None,
        num_frames: int,
        frame_rate: int,
        height: int,
        width: int,
        num_inference_steps: int,
        guidance_scale: float,
        generator: torch.Generator,
        callback_on_step_end: Callable[..., Any] | None = None,
        output_type: str = "pil",
    ) -> Result:
        assert output_type == "np"
        assert frame_rate == 8
        assert guidance_scale == 3.0
        return self._sample(
            prompt + (negative_prompt or ""),
            num_frames,
            (height, width),
            num_inference_steps,
            generator,
            callback_on_step_end,
        )


class BrokenPipeline(_Sampler):
    """Returns numbers that are not finite."""

    def __call__(self, prompt: str, output_type: str, generator: torch.Generator) -> Result:
        return Result(frames=np.full((1, 5, 8, 8, 3), np.nan, np.float32))


class LayeredPipeline(_Sampler):
    """Like the embedded model: hands a clip over in layers."""

    handed_over_as = "layers"

    def __call__(
        self, prompt: str, num_frames: int, output_type: str, generator: torch.Generator
    ) -> Result:
        assert output_type == "layers"
        noise = torch.rand((3, 120, 240), generator=generator).numpy()
        broken = np.nan if "broken" in prompt else 0.0
        path = np.full((24, 8), broken, np.float32)
        sprite = np.full((4, 96, 96), -1, np.float32)
        return Result(frames=[Layers(backdrop=noise, sprite=sprite, path=path)])


PIPELINES = (SilentPipeline, CallingPipeline, BrokenPipeline, LayeredPipeline)


def _save(pipeline_class: type[_Sampler], folder: Path) -> DiffusersGenerator:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=(16, 32),
        in_channels=3,
        out_channels=3,
        block_out_channels=(8,),
        layers_per_block=1,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        norm_num_groups=4,
        add_attention=False,
    )
    pipeline_class(unet, FlowMatchEulerDiscreteScheduler()).save_pretrained(folder)
    weights = tuple(
        Weights(
            file=path.relative_to(folder).as_posix(),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*.safetensors")
    )
    card = ModelCard(
        name="tiny",
        title="Tiny",
        version="1",
        revision="1",
        demonstration=True,
        licence="none",
        licence_url="",
        training_data="none",
        commercial_use="none",
        intended_use="none",
        limits="none",
        interpolation="none",
        languages=("en",),
        sizes=(Size(width=64, height=32),),
        seconds=(1, 2),
        fps=8,
        sampling=Sampling(
            width=32,
            height=16,
            frames=0,
            fps=8,
            frame_step=4,
            steps=4,
            guidance=3.0,
            dtype="float32",
        ),
        weights=weights,
    )
    return DiffusersGenerator(folder, card)


@pytest.fixture(autouse=True)
def _known_to_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)  # threads that wait for each other are slow on a busy machine
    for pipeline_class in PIPELINES:
        monkeypatch.setattr(diffusers, pipeline_class.__name__, pipeline_class, raising=False)


def _request(**changes: Any) -> GenerationRequest:
    values: dict[str, Any] = {
        "prompt": "a dot",
        "seconds": 1,
        "width": 64,
        "height": 32,
        "seed": 7,
        "model": "tiny",
    }
    return GenerationRequest(**(values | changes))


def _frames(generator: DiffusersGenerator, request: GenerationRequest) -> np.ndarray:
    return np.concatenate(list(generator.generate(request, on_progress=lambda *_: None).frames))


@pytest.mark.parametrize("pipeline_class", [SilentPipeline, CallingPipeline])
def test_any_pipeline_is_driven_by_its_signature_and_reports_each_step(
    pipeline_class: type[_Sampler], tmp_path: Path
) -> None:
    generator = _save(pipeline_class, tmp_path)
    steps: list[tuple[int, int]] = []
    clip = generator.generate(_request(), on_progress=lambda *done: steps.append(done))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    frames = np.concatenate(list(clip.frames))
    assert frames.shape == (8, 32, 64, 3)
    assert frames.dtype == np.uint8
    assert (clip.frame_count, clip.fps, clip.seed, clip.model_name) == (8, 8, 7, "tiny")


@pytest.mark.parametrize("pipeline_class", [SilentPipeline, CallingPipeline])
def test_the_same_seed_repeats_a_clip_and_another_does_not(
    pipeline_class: type[_Sampler], tmp_path: Path
) -> None:
    generator = _save(pipeline_class, tmp_path)
    first = _frames(generator, _request(seed=0))
    assert np.array_equal(first, _frames(generator, _request(seed=0)))
    assert not np.array_equal(first, _frames(generator, _request(seed=1)))
    assert not np.array_equal(first, _frames(generator, _request(prompt="a longer dot")))


def test_a_negative_prompt_reaches_a_pipeline_that_takes_one(tmp_path: Path) -> None:
    generator = _save(CallingPipeline, tmp_path)
    plain = _frames(generator, _request())
    assert not np.array_equal(plain, _frames(generator, _request(negative_prompt="blurry")))


def test_a_negative_prompt_is_never_dropped_in_silence(tmp_path: Path) -> None:
    generator = _save(SilentPipeline, tmp_path)
    with pytest.raises(UnsupportedRequest) as caught:
        _frames(generator, _request(negative_prompt="blurry"))
    assert caught.value.param == "negative_prompt"
    assert _frames(generator, _request()).size


class Cancelled(Exception):
    pass


@pytest.mark.parametrize("pipeline_class", [SilentPipeline, CallingPipeline])
def test_raising_in_the_progress_call_ends_the_work_at_once_and_leaves_it_usable(
    pipeline_class: type[_Sampler], tmp_path: Path
) -> None:
    generator = _save(pipeline_class, tmp_path)
    calls: list[int] = []

    def cancel(done: int, total: int) -> None:
        calls.append(done)
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        generator.generate(_request(), on_progress=cancel)
    assert calls == [1, 2]
    assert len(_frames(generator, _request())) == 8


def test_numbers_that_are_not_finite_never_become_a_clip(tmp_path: Path) -> None:
    generator = _save(BrokenPipeline, tmp_path)
    with pytest.raises(GenerationError, match="not finite"):
        generator.generate(_request(), on_progress=lambda *_: None)


def test_a_clip_in_layers_is_put_together_at_the_finished_size(tmp_path: Path) -> None:
    generator = _save(LayeredPipeline, tmp_path)
    clip = generator.generate(_request(), on_progress=lambda *_: None)
    assert isinstance(clip.frames, Composed)
    frames = np.concatenate(list(clip.frames))
    assert frames.shape == (8, 32, 64, 3)
    assert np.array_equal(frames, _frames(generator, _request()))


def test_layers_that_are_not_finite_never_become_a_clip(tmp_path: Path) -> None:
    generator = _save(LayeredPipeline, tmp_path)
    with pytest.raises(GenerationError, match="failed while drawing"):
        generator.generate(_request(prompt="broken"), on_progress=lambda *_: None)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": "other"}, "model"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 5_000}, "prompt"),
        ({"negative_prompt": "x" * 5_000}, "negative_prompt"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"seconds": 3}, "seconds"),
        ({"width": 32, "height": 64}, "size"),
    ],
)
def test_what_the_model_cannot_make_is_refused_before_anything_is_loaded(
    change: dict[str, Any], param: str, tmp_path: Path
) -> None:
    generator = _save(CallingPipeline, tmp_path)
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(UnsupportedRequest) as caught:
        generator.generate(_request(**change), on_progress=lambda *_: None)
    assert caught.value.param == param


def test_altered_weights_are_not_loaded(tmp_path: Path) -> None:
    generator = _save(CallingPipeline, tmp_path)
    path = next(tmp_path.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsMissing):
        generator.load()


def test_a_folder_that_is_not_a_pipeline_is_not_loaded(tmp_path: Path) -> None:
    generator = _save(CallingPipeline, tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(WeightsMissing, match="cannot be loaded"):
        generator.load()
