"""The shipped model keeps its promises: loads, obeys, repeats, stops, and refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from generator.cards import read_card
from generator.clip import Clip, GenerationRequest, Generator
from generator.diffusion import DiffusersGenerator
from generator.embedded import FOLDER, SceneVideoPipeline, register
from generator.errors import UnsupportedRequest, WeightsMissing

# What the shipped folder may weigh in the repository.
MAX_WEIGHTS_BYTES = 25_000_000


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)  # threads that wait for each other are slow on a busy machine


@pytest.fixture(scope="module")
def generator() -> DiffusersGenerator:
    return DiffusersGenerator(FOLDER, read_card(FOLDER))


@pytest.fixture(scope="module")
def pipeline() -> SceneVideoPipeline:
    register()
    loaded = DiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded.to(torch.float32)


def _request(
    prompt: str = "a red ball bounces in the desert", **changes: int
) -> GenerationRequest:
    values = {"seconds": 2, "width": 640, "height": 360, "seed": 3} | changes
    return GenerationRequest(prompt=prompt, model="cinegate-scenes", **values)


def _silent(done: int, total: int) -> None:
    """Progress nobody listens to."""


def _frames(clip: Clip) -> np.ndarray:
    return np.concatenate(list(clip.frames))


def test_plain_diffusers_loads_the_folder(pipeline: SceneVideoPipeline) -> None:
    assert type(pipeline).__name__ == "SceneVideoPipeline"
    clip = pipeline(
        "a blue boat on the sea",
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(1),
    ).frames
    assert clip.shape == (1, 16, 45, 80, 3)
    assert clip.dtype == np.float32
    assert 0 <= clip.min() < clip.max() <= 1


def test_the_folder_is_small_enough_for_the_repository() -> None:
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert 1_000_000 < size <= MAX_WEIGHTS_BYTES


def test_a_clip_has_the_promised_shape_and_the_same_request_repeats_it(
    generator: DiffusersGenerator,
) -> None:
    seam: Generator = generator
    steps: list[tuple[int, int]] = []
    clip = seam.generate(
        _request(), on_progress=lambda done, total: steps.append((done, total))
    )
    total = generator.card.sampling.steps
    assert steps == [(k + 1, total) for k in range(total)]
    assert (clip.width, clip.height, clip.fps, clip.frame_count) == (640, 360, 24, 48)
    assert all(c.dtype == np.uint8 and len(c) <= 16 for c in clip.frames)
    frames = _frames(clip)
    assert frames.shape == (48, 360, 640, 3)
    again = _frames(generator.generate(_request(), on_progress=_silent))
    assert np.array_equal(frames, again)
    other = _frames(generator.generate(_request(seed=4), on_progress=_silent))
    assert not np.array_equal(frames, other)


# Background → whether the mean colour (red, green, blue in 0..1) looks like it. The mean of
# a whole clip hardly depends on the object, so these are statements about the background.
LOOKS = {
    "over a green meadow": lambda r, g, b: g > r + 0.05,
    "in the desert": lambda r, g, b: r > b + 0.08 and r > 0.55,
    "at night": lambda r, g, b: r + g + b < 0.9 and b > r,
    "in outer space": lambda r, g, b: r + g + b < 0.9 and r > g,
    "on the sea": lambda r, g, b: b > r + 0.1,
    "at sunset": lambda r, g, b: r > g + 0.12,
    "in a forest": lambda r, g, b: g > r + 0.05 and g > b,
}
SEEDS = 2
# Of 14 clips; the other way round (shuffled prompts) only a few match by chance.
MUST_OBEY = 12
MAY_MATCH_BY_CHANCE = 6


def _mean_colours(pipeline: SceneVideoPipeline) -> dict[str, list[np.ndarray]]:
    out: dict[str, list[np.ndarray]] = {}
    for place in LOOKS:
        clips = pipeline(
            [f"a white ball {place}"] * SEEDS,
            num_inference_steps=6,
            generator=torch.Generator().manual_seed(11),
        ).frames
        out[place] = [clip.mean(axis=(0, 1, 2)) for clip in clips]
    return out


def test_the_background_obeys_the_prompt_and_not_by_chance(
    pipeline: SceneVideoPipeline,
) -> None:
    colours = _mean_colours(pipeline)
    obeyed = sum(
        bool(LOOKS[place](*mean)) for place, means in colours.items() for mean in means
    )
    assert obeyed >= MUST_OBEY
    places = list(LOOKS)
    shuffled = dict(zip(places, places[3:] + places[:3], strict=True))
    chance = sum(
        bool(LOOKS[shuffled[place]](*mean))
        for place, means in colours.items()
        for mean in means
    )
    assert chance <= MAY_MATCH_BY_CHANCE


TARGETS = {"red": (0.88, 0.11, 0.12), "blue": (0.12, 0.3, 0.9), "yellow": (0.99, 0.87, 0.12)}


def test_the_main_colour_obeys_the_prompt(pipeline: SceneVideoPipeline) -> None:
    """Pixels near a colour are most common in the clips that were asked for it."""
    shares: dict[str, dict[str, float]] = {}
    for asked in TARGETS:
        clips = pipeline(
            [f"a {asked} ball moves to the right in the city"] * 2,
            num_inference_steps=8,
            generator=torch.Generator().manual_seed(5),
        ).frames
        shares[asked] = {
            seen: float((np.abs(clips - np.array(value)).sum(axis=-1) < 0.5).mean())
            for seen, value in TARGETS.items()
        }
    for seen in TARGETS:
        others = [shares[asked][seen] for asked in TARGETS if asked != seen]
        assert shares[seen][seen] > 0.015
        assert shares[seen][seen] > 2 * max(others)


class Cancelled(Exception):
    """What a caller raises to stop."""


def test_raising_in_the_progress_call_stops_the_drawing_at_once(
    generator: DiffusersGenerator,
) -> None:
    calls: list[int] = []

    def cancel(done: int, total: int) -> None:
        calls.append(done)
        raise Cancelled

    with pytest.raises(Cancelled):
        generator.generate(_request(), on_progress=cancel)
    assert calls == [1]


def test_altered_weights_are_refused_before_they_are_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "embedded"
    shutil.copytree(FOLDER, folder)
    path = folder / "network" / "diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    altered = DiffusersGenerator(folder, read_card(folder))
    with pytest.raises(WeightsMissing):
        altered.generate(_request(), on_progress=_silent)


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"width": 360, "height": 640}, "size"), ({"seconds": 5}, "seconds")],
)
def test_portrait_and_odd_lengths_are_refused_with_what_is_possible(
    generator: DiffusersGenerator, changes: dict[str, int], param: str
) -> None:
    with pytest.raises(UnsupportedRequest) as caught:
        generator.generate(_request(**changes), on_progress=_silent)
    assert caught.value.param == param
    assert ("640x360" if param == "size" else "2, 4, 8") in caught.value.message


def test_a_negative_prompt_changes_the_clip(pipeline: SceneVideoPipeline) -> None:
    plain, against = (
        pipeline(
            "a ball",
            negative_prompt=negative,
            num_inference_steps=3,
            generator=torch.Generator().manual_seed(1),
        ).frames
        for negative in (None, "a night sky")
    )
    assert not np.array_equal(plain, against)


def test_the_card_says_what_the_model_is_and_is_not(generator: DiffusersGenerator) -> None:
    card = generator.card
    assert card.demonstration
    assert "interpolat" in card.interpolation
    assert "simulator" in card.training_data
    assert card.licence == "Apache-2.0"
